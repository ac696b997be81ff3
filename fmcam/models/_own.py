"""The networks of this package by name."""

from functools import partial

from fmcam import models
from fmcam._weights import network_for
from fmcam.models import _torchvision
from fmcam.models._names import own_networks


def make(name, n_classes=None, in_channels=None, **options):
    """A network with random weights."""
    sizes = {"n_classes": n_classes, "in_channels": in_channels}
    kind = getattr(models, own_networks()[name])
    return kind(**{name: n for name, n in sizes.items() if n is not None}, **options)


def pretrained(name, weights, n_classes=None, in_channels=None, **options):
    """A network with the weights that torchvision publishes."""
    return make(name, n_classes, in_channels, weights=weights, **options)


def from_file(name, content, path, sizes, **options):
    """A network with weights from a file."""
    return network_for(partial(make, name, **options), content, path, **sizes)[0]


def preprocessing(name, weights="DEFAULT"):
    """How images are prepared for the published weights of a network."""
    return _torchvision.preprocessing(name, weights)
