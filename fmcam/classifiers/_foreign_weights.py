"""A classifier from weights that somebody saved, and what stands beside them."""

import copy
import functools
import inspect

import numpy as np
import torch
from torch import nn

from fmcam._weights import network_for
from fmcam.classifiers._cnn import CNNClassifier
from fmcam.classifiers._foreign_entries import class_names_in, standardize_of
from fmcam.models import get_model, get_model_builder, get_preprocessing

__all__ = ["classifier_of_weights", "maker_of"]


def classifier_of_weights(path, content, module, classes, key, **recipe):
    """A classifier from what a file of weights alone holds; arguments as of `load_classifier`."""
    if module is None:
        raise ValueError(
            f"{path} holds weights alone. Pass the class of their network as `module`, a function "
            "that makes it, a network to copy or a name such as 'torchvision/resnet18'."
        )
    net, rest = _network(module, content, path, key)
    clf = CNNClassifier.from_module(net.eval(), classes)
    told = _told_by_folder(module, len(clf.classes_))
    names = class_names_in(rest, len(clf.classes_), path) or told.get("class_names")
    if classes is None and names is not None and names == sorted(names):
        clf = CNNClassifier.from_module(net, np.array(names))
    clf.checkpoint_ = {**told, **rest}
    if names is not None or "class_names" in rest:
        clf.checkpoint_["class_names"] = names
    standardize = standardize_of(path, net, rest, told, **recipe)
    if standardize is not None:
        clf.module_.standardize = standardize.eval()
    return clf


def _told_by_folder(module, n_classes):
    """`mean`, `std` and `class_names` as the folder of "hf/FOLDER" gives them."""
    if not isinstance(module, str) or not module.startswith("hf/"):
        return {}
    try:
        told = get_preprocessing(module)
    except (FileNotFoundError, ValueError):  # a folder need not say
        return {}
    names = told.class_names
    known = {} if names is None or len(names) != n_classes else {"class_names": names}
    return {"mean": told.mean.tolist(), "std": told.std.tolist(), **known}


def maker_of(module):
    """What makes a network, from all that `module` may be."""
    if isinstance(module, str):
        return get_model_builder(module)
    if isinstance(module, nn.Module):
        return functools.partial(copy.deepcopy, module)
    if not callable(module) or (inspect.isclass(module) and not issubclass(module, nn.Module)):
        raise TypeError(
            "`module` must be a class of nn.Module, a function that makes a network, a network or "
            f"a name for get_model, got {module!r}."
        )
    return module


def _network(module, content, path, key):
    """The network with the weights of a file, and the other entries of the file."""
    by_name = isinstance(module, str) and key is None
    if not (by_name and module.startswith("hf/")):
        try:
            return network_for(maker_of(module), content, path, key=key)
        except ValueError:
            if not by_name:
                raise
    net = get_model(module, weights=path)  # which knows the names that publishers give
    nested = any(isinstance(value, dict) for value in content.values())
    kinds = (dict,) if nested else (dict, torch.Tensor)
    return net, {name: value for name, value in content.items() if not isinstance(value, kinds)}
