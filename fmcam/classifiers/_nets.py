"""Small questions about networks."""

import contextlib

import numpy as np
import torch
from torch import nn

__all__ = ["check_classes", "count_outputs", "device_of", "modes_kept", "try_on_blank_image"]


def try_on_blank_image(net, image_shape, classes):
    """Raise ValueError unless a network maps one image to one logit a class.

    Parameters
    ----------
    net : nn.Module
    image_shape : tuple (c, h, w)
    classes : ndarray of shape (k,)
    """
    name, shape = type(net).__name__, tuple(image_shape)
    try:
        with torch.no_grad(), modes_kept(net):
            logits = net.eval()(torch.zeros(1, *shape, device=device_of(net)))
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{name} cannot take images of shape (c, h, w) = {shape}: {error}"
        ) from error
    if tuple(logits.shape) != (1, len(classes)):
        raise ValueError(
            f"{name} must give logits of shape (n, {len(classes)}), one for each of the classes "
            f"{classes.tolist()}; for one image it gave {tuple(logits.shape)}."
        )


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


def count_outputs(net):
    """The outputs of a network's last linear or convolution layer; None if it has neither."""
    layers = [part for part in net.modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    if not layers:
        return None
    return layers[-1].out_features if isinstance(layers[-1], nn.Linear) else layers[-1].out_channels


def check_classes(net, classes):
    """Raise ValueError unless there is one label for each output, sorted and without repeats."""
    if classes.ndim != 1 or not np.array_equal(classes, np.unique(classes)):
        raise ValueError(
            f"`classes` must be sorted and without repeats, as column j of the net belongs to "
            f"classes[j]; got {classes.tolist()}."
        )
    linear = [part for part in net.modules() if isinstance(part, nn.Linear)]
    n_outputs = linear[-1].out_features if linear else None
    if n_outputs not in (None, len(classes)):
        raise ValueError(
            f"`classes` must name one label for each of the {n_outputs} outputs of "
            f"{type(net).__name__}, got {len(classes)}."
        )


def memory_format_of(net, images):
    return torch.channels_last if images.device.type == "cpu" else torch.preserve_format
