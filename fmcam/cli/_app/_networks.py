"""The networks that the page offers, each opened when it is first chosen."""

import threading
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import torch
import torchvision

from fmcam.cli._class_names import names_of_outputs
from fmcam.cli._networks import load_network, load_weights
from fmcam.cli._pictures import usual_fit
from fmcam.cli.explain import DEMO, DEMO_PACKAGES
from fmcam.explain import list_layers, randomized
from fmcam.models import list_models

__all__ = ["Network", "Networks", "networks_here"]


class Network:
    """A network, what its classes and layers are called, and the same one with random weights.

    Parameters
    ----------
    model, arch : str or None
        As for `load_network`.
    image_size : int, optional
        Height and width of its images; by default what it was made for.
    class_names : list of str, optional
        By default those that its file or its published weights name.
    """

    def __init__(self, model, arch, image_size=None, class_names=None):
        self.model, self.arch = model, arch
        self.clf = load_network(model, arch, image_size)
        self.names = names_of_outputs(self.clf, {}, class_names)
        self.fit = usual_fit(self.clf.checkpoint_.get("dataset"))

    @cached_property
    def layers(self):
        """Names of layers, outer ones first, of these the last ones first."""
        found = list_layers(self.clf, self.clf.image_shape_)
        found.reverse()
        return sorted(found, key=lambda name: name.count("."))

    @cached_property
    def random(self):
        """The same classifier with weights drawn anew."""
        return randomized(self.clf, random_state=0)

    @cached_property
    def in_file(self):
        """How the file alone has images standardized, and their shape or None."""
        clf = load_weights(self.model, self.arch)
        return clf.module_.standardize, clf.image_shape_


class Networks:
    """Networks by name, of which all who look at the page share one each.

    Parameters
    ----------
    model, arch : str or None
        The one that the command line names: the first.
    image_size, class_names
        Its settings, as for :class:`Network`.
    """

    def __init__(self, model, arch, image_size=None, class_names=None):
        first = arch or Path(model).name
        self._settings = {first: (model, arch, image_size, class_names)}
        for name, weights in networks_here().items():
            self._settings.setdefault(name, (weights, name, None, None))
        self._opened: dict[str, Network] = {}
        self._lock = threading.Lock()

    @property
    def names(self):
        """What they are called, the first one first."""
        return list(self._settings)

    def open(self, name):
        """The network of that name; errors are those of `load_network`."""
        with self._lock:
            if name not in self._opened:
                self._opened[name] = Network(*self._settings[name])
            return self._opened[name]


def networks_here():
    """The networks whose published weights are on this machine, by name, and the weights' names.

    They are that of the demo, and those of torchvision that were downloaded once.
    """
    weights, name = DEMO
    found = {name: weights} if all(map(find_spec, DEMO_PACKAGES)) else {}
    folder = Path(torch.hub.get_dir(), "checkpoints")
    for name in list_models("torchvision/*"):
        published = torchvision.models.get_model_weights(name.removeprefix("torchvision/"))
        for one in published:
            if (folder / Path(one.url).name).is_file():
                found.setdefault(name, one.name)
    return found
