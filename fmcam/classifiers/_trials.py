"""What a network takes and gives, found out by running it on an image."""

import contextlib
import copy
import math
import traceback

import torch
from torch import nn

from fmcam._network_state import FAILURES, OF_THE_DEVICE, evaluating, noise_images, untouched

__all__ = [
    "check_rows",
    "check_width",
    "count_outputs",
    "failures_told",
    "logits_without_memory",
    "try_on_blank_image",
]

_SIDES = (64, 224, 32, 28, 96, 128, 160, 192, 240, 256, 299, 300, 384, 48, 50, 100, 150, 200)
_MOST_RUNS = 6


def try_on_blank_image(module, image_shape, classes):
    """Note how many logits a network gives for an image: one a class, or one for two classes.

    Parameters
    ----------
    module : StandardizedNet
        Its `n_outputs` is set.
    image_shape : tuple (c, h, w)
    classes : ndarray of shape (k,)

    Raises
    ------
    ValueError
        If the network cannot take the image, or gives another number of logits.
    """
    images = torch.zeros(1, *image_shape, device=module.standardize.mean.device)
    with failures_told(module.net, images), torch.no_grad(), evaluating(module.net):
        logits = module(images)
    check_width(module.net, logits, classes)
    module.n_outputs = logits.shape[1]


def check_width(net, logits, classes):
    """Raise ValueError unless there is a column for each class, or one for two classes."""
    k = len(classes)
    if logits.shape[1] not in ((1, 2) if k == 2 else (k,)):
        some = f"{classes[:10].tolist()}{', ...' if k > 10 else ''}"
        raise ValueError(
            f"{type(net).__name__} must give logits of shape (n, {k}), one for each of the classes "
            f"{some}; for n = {len(logits)} it gave {tuple(logits.shape)}."
        )


def check_rows(net, logits, n_rows):
    """Raise ValueError unless there is a row for each image."""
    if len(logits) != n_rows:
        raise ValueError(
            f"{type(net).__name__} must give a row of logits for each image; for {n_rows} images "
            f"it gave {tuple(logits.shape)}."
        )


@contextlib.contextmanager
def failures_told(net, images):
    """Raise ValueError that says on which images a network failed, and why, where it fails.

    What does not come from the network goes through: memory is short, or fmcam raised it.

    Parameters
    ----------
    net : nn.Module
    images : tensor of shape (n, c, h, w)
    """
    try:
        yield
    except FAILURES as error:
        if isinstance(error, OF_THE_DEVICE) or _is_ours(error):
            raise
        words = str(error) if isinstance(error, RuntimeError | ValueError) else repr(error)
        raise ValueError(
            f"{type(net).__name__} cannot take images of shape (c, h, w) = "
            f"{tuple(images.shape[1:])}: {words.rstrip('.')}."
            f"{_hint_at_channels(net, images.shape)}"
        ) from error


def _is_ours(error):
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return isinstance(error, ValueError) and frame.f_globals["__name__"].startswith("fmcam.")


def _hint_at_channels(net, shape):
    n, c, _, w = shape
    wanted = next((part.in_channels for part in net.modules() if isinstance(part, nn.Conv2d)), c)
    if wanted == c:
        return ""
    hint = f" Its first convolution takes {wanted} channels, the images have {c}."
    if w == wanted:
        return f"{hint} If `X` has shape (n, h, w, c), pass `X.transpose(0, 3, 1, 2)`."
    if c == 1 and n == wanted:
        return f"{hint} If `X` is one image of shape (c, h, w), pass `X[None]`."
    return f"{hint} Grey images take more by `np.repeat(X, {wanted}, axis=1)`." if c == 1 else hint


def count_outputs(module, image_shape=None):
    """The number of logits that a network gives for an image of noise.

    Parameters
    ----------
    module : StandardizedNet
        Left as it is: modes, buffers, hooks, random numbers. An image size for which it gives its
        `n_classes` is looked for.
    image_shape : tuple (c, h, w) or None
        None: the sizes that the network declares, then usual ones.

    Returns
    -------
    int or None
        None where no image was fine or where the number depends on the size of the image.

    Raises
    ------
    ValueError
        If the network runs and gives nothing that is logits, or several tensors that may be.
    """
    net, counts, refusal = module.net, [], None
    widths = {getattr(p, "out_features", getattr(p, "out_channels", None)) for p in net.modules()}
    shapes = _plausible_shapes(net) if image_shape is None else [image_shape]
    with untouched(net):
        for n_runs, found in enumerate(_runs(module, shapes), start=1):
            try:
                counts.append(module.logits_among(found, 2).shape[1])
            except ValueError as error:
                refusal = error
            if counts and (counts[-1] == module.n_classes or counts[-1] in widths):
                return counts[-1]
            if n_runs == _MOST_RUNS:
                break
    if refusal is not None and not counts:
        raise refusal
    return counts[0] if len(set(counts)) == 1 else None


def logits_without_memory(module, image_shape):
    """The logits of two images, of which there are but shapes; None where these cannot be told.

    They are computed on torch's meta device.

    Parameters
    ----------
    module : StandardizedNet
    image_shape : tuple (c, h, w)
    """
    try:
        with torch.no_grad():
            net = copy.deepcopy(module.net).to("meta").eval()
            found = net(torch.empty(2, *image_shape, dtype=module.dtype, device="meta"))
            return module.logits_among(found, 2)
    except Exception:  # a stranger's network may look at values, which are not there
        return None


def _runs(module, shapes):
    """Yield what a network gives for two images of each shape that it takes."""
    for shape in shapes:
        try:
            found = module.net(noise_images(module, 2, *shape))
        except Exception:  # for a size that is not its own a network may raise anything
            continue
        yield found


def _plausible_shapes(net):
    """Yield (c, h, w): what a network declares, as timm and transformers do, then usual sizes."""
    parts = list(net.modules())
    for part in parts:
        declared = getattr(part, "pretrained_cfg", None) or getattr(part, "default_cfg", None)
        if isinstance(declared, dict) and len(declared.get("input_size") or ()) == 3:
            yield tuple(declared["input_size"])
        config = getattr(part, "config", None)
        side = getattr(config, "image_size", None)
        if side is not None:
            height, width = side if isinstance(side, list | tuple) else (side, side)
            yield getattr(config, "num_channels", 3), height, width
    layers = [part for part in parts if isinstance(part, nn.Conv2d | nn.Linear)]
    if not layers:
        return
    channels = [part.in_channels for part in layers if isinstance(part, nn.Conv2d)][:1]
    sides = [*_SIDES, *range(4, 64)]
    if isinstance(layers[0], nn.Linear):
        sides = [math.isqrt(layers[0].in_features // c) for c in (1, 3)] + sides
    for c in dict.fromkeys([*channels, 3, 1]):
        for side in dict.fromkeys(sides):
            yield c, side, side
