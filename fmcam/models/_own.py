"""The networks of this package by name."""

from functools import partial

from fmcam._weights import network_for
from fmcam.models import _torchvision
from fmcam.models._cnn_cam import CNN_CAM
from fmcam.models._lenet5 import LeNet5
from fmcam.models._resnet18 import ResNet18
from fmcam.models._simple_cnn import SimpleCNN

_NETS = {"simplecnn": SimpleCNN, "lenet5": LeNet5, "cnn-cam": CNN_CAM, "resnet18": ResNet18}


def names():
    """The names of the networks."""
    return list(_NETS)


def find(name):
    """The one spelling of a name, or of a class; None if there is no such network."""
    plain = {own.replace("-", ""): own for own in _NETS}
    return plain.get(name.lower().replace("-", "").replace("_", ""))


def published(name):
    """The names of the weights of a network: torchvision's for the ResNet-18."""
    return _torchvision.published(name) if name == "resnet18" else []


def make(name, n_classes=None, in_channels=None, **options):
    """A network with random weights."""
    sizes = {"n_classes": n_classes, "in_channels": in_channels}
    return _NETS[name](**{name: n for name, n in sizes.items() if n is not None}, **options)


def pretrained(name, weights, n_classes=None, in_channels=None, **options):
    """A network with the weights that torchvision publishes."""
    return make(name, n_classes, in_channels, weights=weights, **options)


def from_file(name, content, path, sizes, **options):
    """A network with weights from a file."""
    return network_for(partial(make, name, **options), content, path, **sizes)[0]


def preprocessing(name, weights="DEFAULT"):
    """How images are prepared for the published weights of a network."""
    return _torchvision.preprocessing(name, weights)
