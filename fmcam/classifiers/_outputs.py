"""What networks give, as logits of all classes."""

import numpy as np
import torch
from torch import nn

__all__ = [
    "are_probabilities",
    "as_logits",
    "binary",
    "check_predicted",
    "ends_in_sigmoid",
    "takes_one_logit",
]

_PASSING_ON = ("View", "UnsafeView", "Reshape", "Squeeze", "Unsqueeze", "Select", "ToCopy")
_ROUNDING = 1e-2  # of a softmax in bfloat16 over many classes


def as_logits(outputs, kind):
    """Logits of shape (n, k), k >= 2, whose softmax is the probabilities of the classes.

    Parameters
    ----------
    outputs : tensor of shape (n, k), or (n, 1) for a network with one output for two classes
    kind : {"logits", "probabilities"}

    Examples
    --------
    >>> import torch
    >>> from fmcam.classifiers._outputs import as_logits
    >>> as_logits(torch.tensor([[2.0]]), "logits")
    tensor([[0., 2.]])
    """
    if kind == "probabilities":
        _check_rows(outputs)
    if outputs.shape[1] == 1:
        rest = torch.zeros_like(outputs) if kind == "logits" else 1 - outputs
        outputs = torch.cat([rest, outputs], dim=1)
    if kind == "logits":
        return outputs
    return outputs.clamp(min=torch.finfo(outputs.dtype).tiny).log()


def _check_rows(outputs):
    single = outputs.shape[1] == 1
    fine = bool(((outputs >= 0) & (outputs <= 1)).all()) if single else are_probabilities(outputs)
    if not fine and not outputs.isnan().any():
        wanted = "lie in [0, 1]" if single else "be non-negative rows that sum to one"
        raise ValueError(
            f"With outputs='probabilities' what the network gives must {wanted}, got "
            f"{outputs[:2].tolist()}. Pass outputs='logits' for a network that does not end in a "
            f"{'sigmoid' if single else 'softmax'}."
        )


def are_probabilities(outputs):
    """Whether all rows of a tensor of shape (n, k), k >= 2, are non-negative and sum to one."""
    if outputs.shape[1] == 1:
        return False
    sums = outputs.sum(dim=1)
    return bool((outputs >= 0).all() & ((sums - 1).abs() <= _ROUNDING).all())


def ends_in_sigmoid(module, images):
    """Whether the last operation of a network, as its graph on some images tells, is a sigmoid."""
    with torch.enable_grad():
        node = module(images).grad_fn
    while node is not None and node.name().startswith(_PASSING_ON):
        node = node.next_functions[0][0]
    return node is not None and node.name().startswith("Sigmoid")


def check_predicted(probabilities, net):
    """Raise ValueError if probabilities, ndarray of shape (n, k), are NaN."""
    bad = int((~np.isfinite(probabilities)).any(axis=1).sum())
    if bad:
        raise ValueError(
            f"{type(net).__name__} gives NaN or infinite outputs for {bad} of {len(probabilities)} "
            "images. If its training diverged, train with a lower learning rate; if its precision "
            "is float16, its values may be too large for it; if images hold NaN, replace those "
            "pixels."
        )


def takes_one_logit(criterion):
    """Whether a loss takes the logit of the second of two classes, as nn.BCEWithLogitsLoss does."""
    return isinstance(getattr(criterion, "_orig_mod", criterion), nn.BCEWithLogitsLoss)


def binary(logits, class_indices):
    """The logit of the second of two classes and the target, (n,) each, as such a loss takes them.

    Parameters
    ----------
    logits : tensor of shape (n, 2)
    class_indices : tensor of shape (n,), int64

    Raises
    ------
    ValueError
        For another number of classes.
    """
    if logits.shape[1] != 2:
        raise ValueError(
            f"nn.BCEWithLogitsLoss is for two classes, got {logits.shape[1]}. Use the criterion "
            "nn.CrossEntropyLoss."
        )
    return logits[:, 1] - logits[:, 0], class_indices.to(logits.device, logits.dtype)
