"""Classifiers to files and back, without pickle: reading a stranger's file runs no code.

A checkpoint is one safetensors file: the network's state dict, and in the header one JSON text with
everything else (see :func:`save_classifier`).
"""

import inspect
import json
import re
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

import fmcam
from fmcam import models
from fmcam.classifiers import _named
from fmcam.classifiers._cnn import CNNClassifier
from fmcam.classifiers._columns import classes_by_output
from fmcam.classifiers._files import replacing
from fmcam.classifiers._parameters import constructor_names
from fmcam.models import Standardize, StandardizedNet

__all__ = ["load_classifier", "save_classifier"]

_FORMAT = "fmcam-classifier-1"
_HEADER = {
    *("classifier", "module", "parameters", "classes", "dtype", "image_shape", "epoch", "history")
}
_CLASSIFIERS = {name: getattr(_named, name) for name in _named.__all__}
_CLASSIFIERS["CNNClassifier"] = CNNClassifier
_NETS = {name: getattr(models, name) for name in ("SimpleCNN", "LeNet5", "CNN_CAM", "ResNet18")}
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)")  # norm.1 is now norm1
_TORCH = {"torch.optim.": torch.optim, "torch.nn.": nn}


def save_classifier(clf, path, *, class_names=None, metrics=None):
    """Write a fitted classifier to one safetensors file.

    The header holds, as JSON: the kind of classifier and network, the parameters that are numbers,
    strings, tuples or classes of torch (others, such as callbacks, are left out), `classes_`,
    `image_shape_`, the number of epochs trained and the `history_` of each, `class_names`,
    `metrics` and fmcam's version.

    Parameters
    ----------
    clf : CNNClassifier
        Fitted.
    path : str or path
        Written beside and renamed, so a file that is there is whole.
    class_names : sequence of k str, optional
        For people to read, in the order of `classes_`.
    metrics : mapping of str to float, optional
        For example the accuracies.

    Examples
    --------
    >>> import tempfile
    >>> from fmcam.classifiers import CNNClassifier, load_classifier, save_classifier
    >>> from fmcam.models import LeNet5
    >>> clf = CNNClassifier.from_module(LeNet5(n_classes=2), classes=["cat", "dog"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_classifier(clf, f"{folder}/lenet.safetensors", metrics={"accuracy": 0.5})
    ...     load_classifier(f"{folder}/lenet.safetensors").checkpoint_["metrics"]
    {'accuracy': 0.5}
    """
    header = {
        "classifier": type(clf).__name__,
        "module": type(clf.module_.net).__name__,
        "parameters": _parameters_to_json(clf),
        "classes": classes_by_output(clf.module_, clf.classes_).tolist(),
        "dtype": clf.classes_.dtype.str,
        "image_shape": None if clf.image_shape_ is None else list(clf.image_shape_),
        "epoch": len(clf.history),
        "history": [_scalars(row) for row in clf.history],
        "class_names": None if class_names is None else [str(name) for name in class_names],
        "metrics": {name: float(value) for name, value in (metrics or {}).items()},
        "fmcam": fmcam.__version__,
    }
    weights = {name: tensor.contiguous() for name, tensor in clf.module_.state_dict().items()}
    with replacing(path) as beside:
        beside.write_bytes(save(weights, metadata={_FORMAT: json.dumps(header)}))


def _parameters_to_json(clf):
    kept: dict[str, object] = {}
    for name, value in clf.get_params(deep=False).items():
        if name in ("device", "module") or name.startswith("callbacks"):
            continue
        if isinstance(value, np.generic):
            value = value.item()
        torch_name = _torch_name(value)
        if torch_name is not None:
            kept[name] = {"class": torch_name}
        elif isinstance(value, str | int | float | bool | None):
            kept[name] = value
        elif isinstance(value, tuple) and all(isinstance(part, int | float) for part in value):
            kept[name] = list(value)
    return kept


def _scalars(row):
    return {name: value for name, value in row.items() if isinstance(value, int | float | bool)}


def _torch_name(value):
    if not inspect.isclass(value):
        return None
    name = value.__name__
    found = [prefix for prefix, module in _TORCH.items() if getattr(module, name, None) is value]
    return found[0] + name if found else None


def load_classifier(path, *, module=None, classes=None):
    """A fitted classifier from a file.

    Three kinds of file are read: those of :func:`save_classifier`; torch files that hold a state
    dict; and torch files that hold a dictionary with the state dict under ``model_state_dict``,
    as training scripts write. State dicts of a ResNet-18 may have torchvision's keys, those of a
    DenseNet the keys of torchvision's published files. Images are standardized by `mean` and `std`
    of each channel where a dictionary names both, else not at all.

    Parameters
    ----------
    path : str or path
    module : class of nn.Module, default=None
        The network, called with `n_classes` and `in_channels` read off the weights. Needed for
        torch files, and where the classifier was trained with a network that is not fmcam's.
    classes : array-like of shape (k,) or None, default=None
        For torch files: the labels; by default ``class_names`` in the file where they are sorted,
        or 0..k-1.

    Returns
    -------
    CNNClassifier
        `checkpoint_` is a dict of what the file says beside weights and parameters: `epoch`,
        `class_names`, `metrics` and, for torch files, every other entry of the dictionary.

    Raises
    ------
    FileNotFoundError
    ValueError
        For a file of another kind, damaged, or with weights that do not fit the network.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_FORMAT])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, RecursionError):
        return _load_torch_file(path, module, classes)
    _check_header(path, header)
    net_class = module or _NETS.get(header["module"])
    if net_class is None:
        raise ValueError(
            f"{path} holds a {header['module']}, which is not one of fmcam's networks. "
            f"Pass its class as `module`."
        )
    return _rebuild(path, header, net_class, weights)


def _check_header(path, header):
    missing = _HEADER - set(header) if isinstance(header, dict) else _HEADER
    if missing or str(header["classifier"]) not in _CLASSIFIERS:
        raise ValueError(
            f"{path} is not a checkpoint that this version can read: it lacks {sorted(missing)}, "
            f"or its classifier is none of {sorted(_CLASSIFIERS)}."
        )


def _rebuild(path, header, net_class, weights):
    try:
        parameters = {n: _parameter_from_json(v) for n, v in header["parameters"].items()}
        clf = _CLASSIFIERS[header["classifier"]](module=net_class, **parameters)
        clf.set_params(**parameters)  # refuses unknown names
        classes = np.array(header["classes"], dtype=np.dtype(header["dtype"]))
        shape = None if header["image_shape"] is None else tuple(header["image_shape"])
        channels = weights["standardize.mean"].numel()
        net = _sized_net(net_class, len(classes), channels, clf.get_params_for("module"))
        net = net.to(memory_format=torch.channels_last)
        whole = StandardizedNet(net, Standardize(channels))
        whole.load_state_dict(weights)
        clf.adopt(whole.to(clf.device), classes, shape)
        for row in header["history"]:
            clf.history.new_epoch()
            for name, value in row.items():
                clf.history.record(name, value)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged or was changed: {error}") from error
    clf.checkpoint_ = {k: header.get(k) for k in ("epoch", "class_names", "metrics", "fmcam")}
    return clf


def _parameter_from_json(value):
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, dict):
        return value
    prefix, _, name = value["class"].rpartition(".")
    found = getattr(_TORCH[prefix + "."], name)
    if not isinstance(found, type):
        raise TypeError(f"{value['class']} is not a class.")
    return found


def _sized_net(net_class, n_classes, in_channels, options):
    """A network of some numbers of classes and channels, as far as it takes them."""
    sizes = {"n_classes": n_classes, "in_channels": in_channels}
    known = constructor_names(net_class)
    options = {name: value for name, value in options.items() if name != "weights"}
    return net_class(**options | {name: size for name, size in sizes.items() if name in known})


def _load_torch_file(path, module, classes):
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a foreign or damaged file
        raise ValueError(
            f"{path} is neither a checkpoint of fmcam nor a torch file of plain weights, or it is "
            f"damaged. Nothing in it was run. ({type(error).__name__})"
        ) from error
    rest = {}
    if isinstance(content, dict) and "model_state_dict" in content:
        rest = {name: value for name, value in content.items() if name != "model_state_dict"}
        content = content["model_state_dict"]
    if not isinstance(content, dict) or not all(torch.is_tensor(w) for w in content.values()):
        raise ValueError(
            f"{path} must hold a state dict, or one under 'model_state_dict'; "
            f"it holds a {type(content).__name__}."
        )
    if module is None:
        raise ValueError(f"{path} holds weights alone. Pass the class of the network as `module`.")
    try:
        layers = [weight for weight in content.values() if weight.ndim in (2, 4)]
        kernels = [weight for weight in layers if weight.ndim == 4]
        if not kernels:
            raise ValueError("they hold no convolution.")
        in_channels = kernels[0].shape[1]
        net = _sized_net(module, layers[-1].shape[0], in_channels, {})
        net.load_state_dict({_OLD_DENSENET.sub(r"\1\2", key): w for key, w in content.items()})
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"The weights in {path} do not fit {module.__name__}: {error}") from error
    clf = CNNClassifier.from_module(net, _torch_file_classes(net, rest, classes))
    if {"mean", "std"} <= rest.keys():
        standardize = _standardize_of(path, in_channels, rest["mean"], rest["std"])
        clf.module_.standardize = standardize
    clf.checkpoint_ = rest
    return clf


def _standardize_of(path, in_channels, mean, std):
    try:
        return Standardize(in_channels, mean, std)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"`mean` and `std` in {path} must be {in_channels} numbers each, got {mean} and {std}."
        ) from error


def _torch_file_classes(net, rest, classes):
    if classes is not None:
        return classes
    names = rest.get("class_names")
    if not isinstance(names, list) or names != sorted(set(map(str, names))):
        return None
    return np.array(names)
