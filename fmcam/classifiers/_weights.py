"""Weights of rows and of classes in the loss."""

import copy
import numbers

import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight

from fmcam._sklearn_compat import check_sample_weight

__all__ = [
    "check_loss",
    "class_weights",
    "fitted_criterion",
    "sample_weights",
    "weight_tensor",
    "weighted_mean",
]


def sample_weights(sample_weight, X):
    """Weights of the rows, float32 of shape (n,), or None where none are given.

    Raises
    ------
    ValueError
        Unless there is one finite number for each row, none of them negative, not all of them 0.
    """
    if sample_weight is None:
        return None
    if isinstance(sample_weight, torch.Tensor):
        sample_weight = sample_weight.detach().cpu().numpy()
    return check_sample_weight(sample_weight, X)


def class_weights(class_weight, classes, class_indices):
    """The weight of each class, a float32 tensor of shape (k,), or None where none are given.

    Parameters
    ----------
    class_weight : "balanced", mapping of label to float, or None
    classes : ndarray of shape (k,)
    class_indices : ndarray of shape (n,) or None
        Those of the training rows; None: not known.
    """
    if class_weight is None:
        return None
    weights = np.ones(len(classes), dtype=np.float32)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(_WANTED.format(repr(class_weight)))
        if class_indices is None:
            raise ValueError(
                "class_weight='balanced' needs the labels before they are read. Give the data set "
                "an attribute `targets`, or pass `class_weight` as a dictionary."
            )
        present = np.unique(class_indices)
        weights[present] = compute_class_weight("balanced", classes=present, y=class_indices)
        return torch.from_numpy(weights)
    if not hasattr(class_weight, "items"):
        raise ValueError(_WANTED.format(repr(class_weight)))
    for label, weight in class_weight.items():
        found = np.flatnonzero(classes == label)
        if len(found) == 0:
            raise ValueError(
                f"`class_weight` has a weight for {label!r}, which is not in the classes "
                f"{classes.tolist()}."
            )
        if not isinstance(weight, numbers.Real) or not 0 <= float(weight) < np.inf:
            raise ValueError(
                f"`class_weight` must hold finite numbers that are not negative, got {weight!r} "
                f"for {label!r}."
            )
        weights[found] = weight
    return torch.from_numpy(weights)


_WANTED = "`class_weight` must be 'balanced', a dictionary of label to weight or None, got {}."


def check_loss(criterion):
    """Raise ValueError unless a criterion gives the loss of each row, with no weights of its own.

    Parameters
    ----------
    criterion : nn.Module
    """
    if getattr(criterion, "reduction", None) != "mean":
        raise ValueError(
            "`sample_weight` and `class_weight` need a criterion with reduction='mean', as torch's "
            f"losses have it, got {criterion!r}."
        )
    if getattr(criterion, "weight", None) is not None:
        raise ValueError(
            "`criterion__weight` cannot be combined with `sample_weight` or `class_weight`. Pass "
            "`class_weight` instead."
        )


def weighted_mean(criterion, logits, class_indices, weights):
    """The mean loss of rows with weights w, sum(w * loss) / sum(w); 0 where all weights are 0.

    Parameters
    ----------
    criterion : nn.Module
        With a `reduction`.
    logits : tensor of shape (n, k)
    class_indices : tensor of shape (n,)
        What the criterion compares them with.
    weights : tensor of shape (n,)

    Examples
    --------
    >>> import torch
    >>> from fmcam.classifiers._weights import weighted_mean
    >>> logits = torch.tensor([[0.0, 0.0], [9.0, 9.0]])  # each loss is log(2)
    >>> class_indices, weights = torch.tensor([0, 1]), torch.tensor([3.0, 1.0])
    >>> weighted_mean(torch.nn.CrossEntropyLoss(), logits, class_indices, weights)
    tensor(0.6931)
    """
    criterion.reduction = "none"
    try:
        losses = criterion(logits, class_indices)
    finally:
        criterion.reduction = "mean"
    weights = weights.to(losses.dtype)
    return (weights * losses).sum() / weights.sum().clamp(min=torch.finfo(losses.dtype).tiny)


def weight_tensor(name, weight, dtype):
    """A parameter of the criterion, numbers of any kind, as a tensor."""
    values = np.asarray(weight)
    if values.dtype.kind not in "biuf":
        raise ValueError(
            f"`criterion__{name}` must hold one number for each class, got {weight!r}. Pass a "
            "dictionary or 'balanced' as `class_weight`."
        )
    return torch.tensor(values, dtype=dtype)


def fitted_criterion(criterion, classes, dtype):
    """A criterion whose `weight`, where it has one, fits the classes and the logits.

    Parameters
    ----------
    criterion : nn.Module
        Copied if its weight has to change.
    classes : ndarray of shape (k,)
    dtype : torch.dtype
        Of the logits.
    """
    weight = getattr(criterion, "weight", None)
    if not isinstance(weight, torch.Tensor) or not hasattr(criterion, "reduction"):
        return criterion
    if weight.shape != (len(classes),):
        raise ValueError(
            f"`criterion__weight` must hold one weight for each of the {len(classes)} classes "
            f"{classes.tolist()}, got shape {tuple(weight.shape)}."
        )
    if weight.dtype != dtype:
        criterion = copy.deepcopy(criterion)
        criterion.weight = weight.to(dtype)
    return criterion
