"""The attention of a transformer: one forward that keeps it, and where its tokens lie."""

from typing import NamedTuple

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from fmcam._network_state import Findings
from fmcam.explain._survey import undisturbed
from fmcam.explain._target import scores
from fmcam.explain._unfused import multi_head, scaled_dot_product

__all__ = ["AttentionRecording", "TokenGrid", "token_grid"]

_CORNER = 2  # pixels
_grids = Findings()


class TokenGrid(NamedTuple):
    """Which tokens are patches of the image, and which the logits are read from.

    Attributes
    ----------
    start : int
        The token of the upper left patch; the others follow row by row.
    size : (int, int)
        Rows and columns of patches.
    read : tensor of int64
        The rows of the last attention that the logits depend on: the class token, a class and a
        distillation token, or all patches.
    """

    start: int
    size: tuple[int, int]
    read: torch.Tensor

    def maps_of(self, values):
        """Values of all tokens, (n, t), as maps of the patches, (n, h', w')."""
        height, width = self.size
        return values[:, self.start : self.start + height * width].unflatten(1, self.size)


class AttentionRecording:
    """One forward that keeps the attention of every layer, whichever way the network spells it.

    Parameters
    ----------
    clf : CNNClassifier
        Fitted. Its network is left as it was.
    images : tensor of shape (n, c, h, w)
        Raw, on the classifier's device.

    Attributes
    ----------
    attention : list of tensor of shape (n, heads, queries, t)
        Softmaxed, a row for each token that looks, in the order the layers run.
    outputs : tensor of shape (n, k)

    Raises
    ------
    ValueError
        If the network has no attention from all tokens to all tokens of one grid.
    """

    def __init__(self, clf, images):
        with undisturbed(clf), torch.enable_grad(), _SeeAttention() as seen:
            self._outputs = clf.raw_outputs(images)
        _check(seen, len(images), clf.module_.net)
        self.outputs = self._outputs.detach()
        self._seen, self._n_images = seen.attention, len(images)
        self.attention = [self._by_head(one.detach()) for one in seen.attention]

    def gradients(self, class_indices, target):
        """Gradients of the score of each image by each attention; arguments as in `scores`."""
        with torch.enable_grad():
            score = scores(self._outputs, class_indices, target).sum()
        found = torch.autograd.grad(score, self._seen, retain_graph=True, materialize_grads=True)
        return [self._by_head(one) for one in found]

    def _by_head(self, attention):
        return attention.float().reshape(self._n_images, -1, *attention.shape[-2:])


def token_grid(clf, images):
    """Where the tokens of a network lie, found once for each network and image size.

    Four images of a mean grey are compared, three of which have a light corner. In the logarithm of
    the first attention, what a token gives to another depends on these two alone, up to a constant
    of the row; so most rows change at the token of the corner only.

    Parameters
    ----------
    clf : CNNClassifier
    images : tensor of shape (n, c, h, w)

    Returns
    -------
    TokenGrid

    Raises
    ------
    ValueError
        Where no grid of the image's proportions is found, or the logits read no token.
    """
    known = _grids.of(clf.module_.net)
    shape = tuple(images.shape[1:])
    if shape not in known:
        known[shape] = _find_grid(clf, shape)
    return known[shape]


def _find_grid(clf, shape):
    recording = AttentionRecording(clf, _corner_images(clf, shape))
    weights = torch.linspace(1, 2, recording.outputs.shape[1]).to(recording.outputs)
    gradient = recording.gradients(None, lambda outputs, _: outputs @ weights)[-1]
    read = gradient.abs().sum(dim=(0, 1, 3)).nonzero()[:, 0]
    first, right, last = _changed_tokens(recording.attention[0])
    width, n_patches = right - first + 1, last - first + 1
    rows = n_patches // max(width, 1)
    fits = width > 1 and rows * width == n_patches and rows > 1
    if not fits or abs(width - rows * shape[2] / shape[1]) > 1:
        raise _refusal(clf.module_.net, "has tokens that lie on no grid of the image's proportions")
    if not len(read):
        raise _refusal(clf.module_.net, "gives logits that do not depend on its last attention")
    return TokenGrid(first, (rows, width), read)


def _corner_images(clf, shape):
    """A grey image, and others that are light upper left, upper right and lower right."""
    standardize = clf.module_.standardize
    images = standardize.mean.expand(4, *shape).clone()
    light = (standardize.mean + 3 * standardize.std)[0]
    images[1, :, :_CORNER, :_CORNER] = light
    images[2, :, :_CORNER, -_CORNER:] = light
    images[3, :, -_CORNER:, -_CORNER:] = light
    return images


def _changed_tokens(attention):
    """For each image but the first, the token whose attention differs from the first's."""
    scores = attention.clamp(min=torch.finfo(attention.dtype).tiny).log()
    change = scores[1:] - scores[:1]
    change = (change - change.median(dim=-1, keepdim=True).values).abs()
    return change.flatten(1, 2).median(dim=1).values.argmax(dim=-1).tolist()


def _check(seen, n_images, net):
    """Raise ValueError unless all tokens attend to all, on one grid, in every layer."""
    shapes = [tuple(one.shape) for one in seen.attention]
    sizes = list(dict.fromkeys(shape[-2:] for shape in shapes))
    listed = ", ".join(f"{queries} x {keys}" for queries, keys in sizes)
    n_tokens = {keys for _, keys in sizes}
    pooled = [queries != keys for *_, queries, keys in shapes]
    if not shapes:
        raise _refusal(net, "runs no softmax over tokens")
    if not all(_whole(shape, n_images) for shape in shapes):
        raise _refusal(net, f"attends within parts of the image, {listed} tokens")
    if len(n_tokens) > 1 or any(pooled[:-1]) or all(pooled):
        raise _refusal(net, f"changes its tokens between layers, {listed}")
    if seen.n_convolutions:
        raise _refusal(net, "mixes its tokens by convolutions as well")


def _whole(shape, n_images):
    """Whether attention is of whole images: (n, heads, q, t) or (n * heads, q, t)."""
    return shape[0] == n_images if len(shape) == 4 else len(shape) == 3 and not shape[0] % n_images


def _refusal(net, reason):
    return ValueError(
        "Attention rollout and LeGrad need a transformer whose tokens all attend to each other, "
        f"such as a ViT, but {type(net).__name__} {reason}. Use GradCAM."
    )


class _SeeAttention(TorchFunctionMode):
    """Keep every attention that runs; modules stay as they are."""

    def __init__(self):
        super().__init__()
        self.attention = []
        self.n_convolutions = 0  # of neighbours, since the first attention

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _SOFTMAXES:
            output = func(*args, **kwargs)
            over = kwargs.get("dim", args[1] if len(args) > 1 else None)
            if output.ndim < 3 or over not in (-1, output.ndim - 1):
                return output
            return self._keep(output)
        if func is functional.scaled_dot_product_attention:
            return scaled_dot_product(self._keep, *args, **kwargs)
        if func is functional.multi_head_attention_forward:
            return multi_head(self._keep, *args, **kwargs)
        if func is torch.conv2d and self.attention and max(args[1].shape[2:]) > 1:
            self.n_convolutions += 1
        return func(*args, **kwargs)

    def _keep(self, attention):
        if torch.is_grad_enabled() and not attention.requires_grad:
            attention = attention.detach().requires_grad_()
        self.attention.append(attention)
        return attention


_SOFTMAXES = {functional.softmax, torch.softmax, torch.Tensor.softmax, torch.special.softmax}
