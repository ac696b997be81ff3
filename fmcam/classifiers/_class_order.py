"""Which output of a network speaks for which class."""

import numpy as np
import torch
from torch import nn

from fmcam.classifiers._trials import count_outputs

__all__ = ["assign_classes", "classes_by_output"]


def assign_classes(module, classes=None, image_shape=None):
    """Find the sorted classes of a network and bring its columns in their order.

    Parameters
    ----------
    module : StandardizedNet
        Its `n_classes` and `order` are set.
    classes : array-like of shape (k,) or None
        The label of each column of `module`, in any order; None: 0..k-1, as far as noise tells.
    image_shape : tuple (c, h, w) or None
        Of the images that the network takes, where it is known.

    Returns
    -------
    ndarray of shape (k,)

    Raises
    ------
    ValueError
        If labels are repeated, or are not as many as the outputs; one output has two labels.
    """
    labels = None if classes is None else _checked(classes)
    if labels is None or len(labels) != module.n_classes:
        module.n_classes, module.n_outputs = None if labels is None else len(labels), None
        n_outputs = count_outputs(module, image_shape)
        labels = _labels_of(module.net, labels, n_outputs)
        module.n_classes, module.n_outputs = len(labels), n_outputs
    order = np.argsort(labels, kind="stable")
    _reorder(module, order)
    return labels[order]


def classes_by_output(module, classes):
    """The sorted classes in the order of the outputs of the network in `module`, ndarray (k,)."""
    return classes if module.order is None else classes[torch.argsort(module.order).cpu().numpy()]


def _checked(classes):
    labels = np.asarray(classes)
    if labels.ndim != 1:
        raise ValueError(
            "`classes` must be a sequence of one label for each output of the network, got "
            f"{classes!r}."
        )
    kinds, counts = np.unique(labels, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"`classes` must be without repeats, got {kinds[counts > 1].tolist()} several times. "
            "Name each output of the network differently."
        )
    return labels


def _labels_of(net, labels, n_outputs):
    """The given labels, checked against the number of outputs, or labels by default."""
    name = type(net).__name__
    if labels is None:
        n_outputs = _width_of_last_layer(net) if n_outputs is None else n_outputs
        if n_outputs is None:
            raise ValueError(
                f"{name} has no linear or convolution layer to count the classes by. Pass them as "
                "`classes`."
            )
        return np.arange(max(n_outputs, 2))
    fitting = (None, 1, 2) if len(labels) == 2 else (None, len(labels))
    if len(labels) < 2 or n_outputs not in fitting:
        wanted = f"one label for each of the {n_outputs or 'two or more'} outputs"
        wanted = "two labels for the single output" if n_outputs == 1 else wanted
        raise ValueError(f"`classes` must name {wanted} of {name}, got {len(labels)}.")
    return labels


def _width_of_last_layer(net):
    layers = [part for part in net.modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    if not layers:
        return None
    return layers[-1].out_features if isinstance(layers[-1], nn.Linear) else layers[-1].out_channels


def _reorder(module, order):
    order = torch.as_tensor(order, device=module.standardize.mean.device)
    order = order if module.order is None else module.order[order]
    in_order = torch.equal(order, torch.arange(len(order), device=order.device))
    module.order = None if in_order else order
