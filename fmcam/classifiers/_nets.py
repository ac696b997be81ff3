"""Small questions about networks."""

import contextlib

import torch
from torch import nn

__all__ = ["count_outputs", "modes_kept", "try_on_blank_image"]


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
            logits = net.eval()(torch.zeros(1, *shape))
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


def count_outputs(net):
    """The number of outputs of the last linear or convolution layer of a network."""
    layers = [part for part in net.modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    if not layers:
        raise ValueError(
            f"{type(net).__name__} has no linear or convolution layer to count the classes by. "
            "Pass them as `classes`."
        )
    last = layers[-1]
    return last.out_features if isinstance(last, nn.Linear) else last.out_channels
