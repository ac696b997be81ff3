"""Small questions about networks, answered by running them."""

import contextlib
import copy
import math
import traceback
import warnings
from collections import OrderedDict
from weakref import WeakKeyDictionary

import torch
from torch import nn

from fmcam.models import Standardize, StandardizedNet

__all__ = [
    "channels_last_is_safe",
    "check_width",
    "count_outputs",
    "device_of",
    "failures_told",
    "memory_format_of",
    "modes_kept",
    "try_on_blank_image",
    "without_hooks",
]

_FAILURES = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

_SIDES = (64, 224, 32, 28, 96, 128, 160, 192, 240, 256, 299, 300, 384, 48, 50, 100, 150, 200)
_MOST_RUNS = 6
_OF_THE_DEVICE = (torch.OutOfMemoryError, torch.AcceleratorError)
_TOLERANCE = {torch.float16: 5e-2, torch.bfloat16: 5e-2}
_layouts: WeakKeyDictionary = WeakKeyDictionary()


@contextlib.contextmanager
def modes_kept(module):
    """Put the train/eval flag of each part of a module back on leaving."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def device_of(net):
    """The device of a network's first weight; "cpu" if it has none."""
    weight = next(net.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device


@contextlib.contextmanager
def without_hooks(net):
    """Keep the forward hooks of a network from running: they are for images, not for noise."""
    kept = [(part, part._forward_hooks, part._forward_pre_hooks) for part in net.modules()]
    kept = [(part, *hooks) for part, *hooks in kept if any(hooks)]
    for part, _, _ in kept:
        part._forward_hooks, part._forward_pre_hooks = OrderedDict(), OrderedDict()
    try:
        yield
    finally:
        for part, after, before in kept:
            part._forward_hooks, part._forward_pre_hooks = after, before


@contextlib.contextmanager
def _untouched(net):
    """Leave modes, buffers, hooks, torch's random numbers and warnings as they were."""
    devices = [device_of(net)] if device_of(net).type == "cuda" else []
    buffers = [(buffer, buffer.clone()) for buffer in net.buffers()]
    with (
        without_hooks(net),
        torch.inference_mode(False),
        torch.no_grad(),
        torch.random.fork_rng(devices),
        modes_kept(net),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            for buffer, before in buffers:
                buffer.copy_(before)


def _noise(module, *shape):
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return noise.to(module.standardize.mean.device, module.dtype)


# Outputs ------------------------------------------------------------------------------------------


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
    with failures_told(module.net, images), torch.no_grad(), modes_kept(module):
        logits = module.eval()(images)
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
    except _FAILURES as error:
        if isinstance(error, _OF_THE_DEVICE) or _is_ours(error):
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
    with _untouched(net):
        net.eval()
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


def _runs(module, shapes):
    """Yield what a network gives for two images of each shape that it takes."""
    for shape in shapes:
        try:
            found = module.net(_noise(module, 2, *shape))
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


# Layouts ------------------------------------------------------------------------------------------


def memory_format_of(net, images):
    """The memory format to run images in: the fastest in which a network gives what it always does.

    On the CPU channels last saves a fifth to a third. Networks that flatten maps by `view` cannot
    run in it: each is tried on noise once for a size.

    Parameters
    ----------
    net : nn.Module
        Not changed.
    images : tensor of shape (n, c, h, w)

    Returns
    -------
    torch.memory_format
    """
    if images.device.type != "cpu":
        return torch.preserve_format
    module = net if isinstance(net, StandardizedNet) else StandardizedNet(net, Standardize(1))
    known = _layouts.setdefault(module.net, {})
    shape = tuple(images.shape[1:])
    if shape not in known:
        with _untouched(module.net):
            module.net.eval()
            known[shape] = _same_in_channels_last(module, module.net, _noise(module, 1, *shape))
    return torch.channels_last if known[shape] else torch.contiguous_format


def channels_last_is_safe(module, image_shape):
    """Whether a network can be trained with weights and images in channels last, to the same end.

    Parameters
    ----------
    module : StandardizedNet
        Not changed.
    image_shape : tuple (c, h, w)
    """
    images = _noise(module, 2, *image_shape)
    with _untouched(module.net):
        module.net.eval()
        trial = copy.deepcopy(module.net).to(memory_format=torch.channels_last)
        return _same_in_channels_last(module, trial, images) and _trains(module, trial, images)


def _same_in_channels_last(module, trial, images):
    """Whether a trial of a module's network gives for images in channels last what it gives."""
    try:
        plain = module.logits_among(module.net(images), len(images))
        found = trial(images.to(memory_format=torch.channels_last))
        changed = module.logits_among(found, len(images))
    except _OF_THE_DEVICE:
        raise
    except _FAILURES:
        return False
    tolerance = _TOLERANCE.get(plain.dtype, 1e-3) * plain.abs().max().item()
    return torch.allclose(plain, changed, rtol=0, atol=tolerance, equal_nan=True)


def _trains(module, trial, images):
    try:
        with torch.enable_grad():
            found = trial.train()(images.to(memory_format=torch.channels_last))
            logits = module.logits_among(found, len(images))
            if logits.requires_grad:
                logits.sum().backward()
    except _OF_THE_DEVICE:
        raise
    except _FAILURES:
        return False
    return True
