"""The number that an explainer explains: one logit of an image, or what a user's function says."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

__all__ = [
    "check_target",
    "class_scores",
    "falls",
    "logit_difference",
    "scores",
    "scores_of_changed",
]


def logit_difference(other: Any) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    r"""A target: by how much the logit of a class is above that of another.

    .. math:: S_c - S_{other}

    On the last layer before a global average pooling the heatmap of CAM, Grad-CAM or HiResCAM is
    then the difference of those of the two classes, where that is positive: what both have in
    common falls away, and what tells the one from the other is left. :class:`FinerCAM` subtracts
    the classes that are likeliest instead.

    Parameters
    ----------
    other : int
        The other class, by its position in `classes_`.

    Returns
    -------
    callable
        The `target` of an explainer. It raises ValueError where the class to explain is `other`.

    Examples
    --------
    What tells class 3 from class 5, and class 5 from class 3:

    >>> import numpy as np
    >>> from fmcam.explain import GradCAM, logit_difference
    >>> from fmcam.models import CNN_CAM
    >>> net, images = CNN_CAM(), np.random.default_rng(0).random((2, 1, 28, 28))
    >>> three = GradCAM(net, target=logit_difference(5)).explain(images, [3, 3])
    >>> five = GradCAM(net, target=logit_difference(3)).explain(images, [5, 5])
    >>> three.shape, bool(((three > 0) & (five > 0)).all())
    ((2, 28, 28), False)
    """
    return partial(_logit_difference, other=other)


def _logit_difference(outputs, class_indices, other):
    of_classes = class_scores(outputs)
    last = of_classes.shape[1] - 1
    if not 0 <= other <= last:
        raise ValueError(f"`other` must be the position of a class, in 0..{last}, got {other}.")
    if (class_indices == other).any():
        raise ValueError(
            f"Class {other} differs in nothing from itself. Explain another class: explain(X, y). "
            "FinerCAM subtracts the likeliest classes by itself, with the target 'logit'."
        )
    return of_classes.gather(1, class_indices[:, None])[:, 0] - of_classes[:, other]


def check_target(target):
    """Raise ValueError for what is no target."""
    if target != "logit" and not callable(target):
        raise ValueError(
            "`target` must be 'logit' or a function (outputs, class_indices) -> tensor of shape "
            f"(n,), got {target!r}."
        )


def class_scores(outputs):
    """Scores (n, k) of all classes; one output counts for the second class, against the first."""
    return torch.cat([-outputs, outputs], dim=1) if outputs.shape[1] == 1 else outputs


def scores(outputs, class_indices, target="logit"):
    """The score of each image.

    Parameters
    ----------
    outputs : tensor of shape (n, k), or (n, 1) for a network with one output for two classes
        Of the network, in the order of the classes.
    class_indices : tensor of shape (n,), int64
        The class of each image.
    target : "logit" or callable, default="logit"
        "logit" is the output of the class, as in :func:`class_scores`. A function
        ``target(outputs, class_indices)`` gives a tensor of shape (n,) instead.

    Returns
    -------
    tensor of shape (n,)

    Raises
    ------
    ValueError
        If the function gives anything else, or numbers that no gradient passes.

    Examples
    --------
    >>> import torch
    >>> from fmcam.explain._target import scores
    >>> scores(torch.tensor([[2.0], [3.0]]), torch.tensor([0, 1]))
    tensor([-2.,  3.])
    """
    if callable(target):
        found = target(outputs, class_indices)
        _check_found(found, outputs)
        return found
    return class_scores(outputs).gather(1, class_indices[:, None])[:, 0]


def _check_found(found, outputs):
    is_tensor = isinstance(found, torch.Tensor)
    if not is_tensor or found.shape != (len(outputs),) or not found.is_floating_point():
        came = f"{found.dtype} {tuple(found.shape)}" if is_tensor else type(found).__name__
        raise ValueError(
            "`target` must give a tensor with one number an image, of a floating-point type and "
            f"shape ({len(outputs)},), got {came}."
        )
    if torch.is_grad_enabled() and outputs.requires_grad and not found.requires_grad:
        raise ValueError(
            "`target` must be computed from the outputs by torch, without `detach`, `argmax` or "
            "NumPy: no gradient passes what it gave."
        )


def scores_of_changed(outputs, class_indices, target):
    """Scores (n, m) of m changed copies of each image, from their outputs (n, m, k)."""
    several = outputs.flatten(0, 1), class_indices.repeat_interleave(outputs.shape[1])
    return scores(*several, target).unflatten(0, outputs.shape[:2])


def falls(outputs, changed, class_indices, target):
    """How far scores fall, (n, m), from outputs (n, k) to those of m changed copies (n, m, k)."""
    intact = scores(outputs, class_indices, target)
    return intact[:, None] - scores_of_changed(changed, class_indices, target)
