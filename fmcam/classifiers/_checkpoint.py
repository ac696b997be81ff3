"""Classifiers to files and back, without pickle: reading a stranger's file runs no code.

A checkpoint is one safetensors file: the network's state dict, and in the header one JSON text with
everything else (see :func:`save_classifier`).
"""

import functools
import inspect
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike
from safetensors.torch import save
from torch import nn

import fmcam
from fmcam import models
from fmcam._files import replacing
from fmcam._memory_format import channels_last_is_safe
from fmcam._typing import FilePath
from fmcam._weight_files import read_weight_file
from fmcam._weights import check_fit, load_weights, sizes_in
from fmcam.classifiers import _named
from fmcam.classifiers._checkpoint_header import labels_in, read_header
from fmcam.classifiers._checkpoint_parameters import parameters_from_json, parameters_to_json
from fmcam.classifiers._class_order import classes_by_output
from fmcam.classifiers._cnn import CNNClassifier
from fmcam.classifiers._foreign_weights import classifier_of_weights, maker_of
from fmcam.classifiers._parameters import check_parameter_values
from fmcam.classifiers._trials import check_width, logits_without_memory
from fmcam.models import Standardize, StandardizedNet

__all__ = ["load_classifier", "save_classifier"]

_FORMAT = "fmcam-classifier-1"
_CLASSIFIERS = {name: getattr(_named, name) for name in _named.__all__}
_CLASSIFIERS["CNNClassifier"] = CNNClassifier
_TRIED = 2**22  # values of an image: for larger ones the layout of memory is not tried out


def save_classifier(
    clf: CNNClassifier,
    path: FilePath,
    *,
    class_names: Sequence[str] | None = None,
    dataset: str | None = None,
    metrics: Mapping[str, float] | None = None,
) -> None:
    """Write a fitted classifier to one safetensors file.

    The header holds, as JSON: the kind of classifier and network, the parameters that are numbers,
    strings, tuples or classes of torch (others, such as callbacks, are left out), `classes_`,
    `image_shape_`, the number of epochs trained and the `history_` of each, `class_names`,
    `dataset`, `metrics` and fmcam's version.

    Parameters
    ----------
    clf : CNNClassifier
        Fitted.
    path : str or path
        Written beside and renamed, so a file that is there is whole.
    class_names : sequence of k str, optional
        For people to read, in the order of `classes_`.
    dataset : str, optional
        What it learned from, such as a name of :func:`fmcam.datasets.list_datasets`.
    metrics : mapping of str to float, optional
        For example the accuracies.

    Raises
    ------
    ValueError
        If there is not a name for each class, or the network's state holds more than tensors.

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
    if class_names is not None and len(class_names) != len(clf.classes_):
        raise ValueError(
            f"`class_names` must name the {len(clf.classes_)} classes of the classifier, got "
            f"{len(class_names)}."
        )
    header = {
        "classifier": type(clf).__name__,
        "module": type(clf.module_.net).__name__,
        "parameters": parameters_to_json(clf),
        "classes": classes_by_output(clf.module_, clf.classes_).tolist(),
        "dtype": clf.classes_.dtype.str,
        "image_shape": None if clf.image_shape_ is None else list(clf.image_shape_),
        "epoch": len(clf.history),
        "history": [_scalars(row) for row in clf.history],
        "class_names": None if class_names is None else [str(name) for name in class_names],
        "dataset": dataset,
        "of_unit_range": clf.module_.standardize.of_unit_range,
        "metrics": {name: float(value) for name, value in (metrics or {}).items()},
        "fmcam": fmcam.__version__,
    }
    tensors, header["shared"] = _each_once(clf.module_.state_dict())
    with replacing(path) as beside:
        beside.write_bytes(save(tensors, metadata={_FORMAT: json.dumps(header)}))


def _each_once(state_dict):
    """The tensors under one name each, and the name that is kept for each of the others."""
    tensors, shared = {}, {}
    first: dict[tuple, str] = {}
    for name, tensor in state_dict.items():
        if not torch.is_tensor(tensor):
            raise ValueError(
                f"Only networks whose state dict holds nothing but tensors can be saved; {name} is "
                f"a {type(tensor).__name__}."
            )
        place = (tensor.data_ptr() or id(tensor), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and place in first:
            shared[name] = first[place]
        else:
            first[place] = name
            tensors[name] = tensor.clone(memory_format=torch.contiguous_format)
    return tensors, shared


def _scalars(row):
    return {name: value for name, value in row.items() if isinstance(value, int | float | bool)}


def load_classifier(
    path: FilePath,
    *,
    module: Any = None,
    classes: ArrayLike | None = None,
    key: str | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    preprocessing: str | None = None,
) -> CNNClassifier:
    """A fitted classifier from a file, in which nothing is run.

    Read are files of :func:`save_classifier`, and safetensors and torch files with a state dict,
    alone or as an entry of a dictionary such as ``state_dict`` or ``model``. What wrapped the
    network goes from the names of the tensors: ``module.`` of DataParallel, ``_orig_mod.`` of
    ``torch.compile`` and any prefix in front of all, as Lightning has. State dicts of a ResNet-18
    may have torchvision's keys, those of a DenseNet the keys of torchvision's published files.
    Images are standardized by `mean` and `std` of each channel, in units of the images, as given or
    as a dictionary in the file says; else, in units of 0..255, as the folder of "hf/FOLDER" says.
    Where both are in 0..1, such as 0.485 and 0.229, images must be too; others are refused.

    Parameters
    ----------
    path : str or path
        The file to read.
    module : class of nn.Module, callable, nn.Module or str, default=None
        The network: what makes it, such as ``torchvision.models.resnet18``, called with the numbers
        of classes and channels in the file, whatever it calls them; one like it, which is copied;
        or its name for :func:`fmcam.models.get_model`. Needed but for classifiers of fmcam's
        networks.
    classes : array-like of shape (k,) or None, default=None
        For state dicts: the label of each output; by default the class names in the file where they
        are sorted, or 0..k-1.
    key : str or None, default=None
        Where the file holds weights of the network several times, say of a moving average: the key
        or prefix of those to take.
    mean, std : float or sequence of n_channels float, default=None
        For state dicts: what images are standardized by, in their units.
    preprocessing : str or None, default=None
        For state dicts, in place of `mean` and `std`: "imagenet" for images of 0..255 and the
        numbers that most networks of ImageNet learned with, or the name of a network whose
        published weights are the file's, as for :func:`fmcam.models.get_preprocessing`.

    Returns
    -------
    CNNClassifier
        `checkpoint_` is a dict of what the file says beside weights and parameters: `epoch`,
        `class_names`, `dataset`, `metrics` and, for torch files, every other entry of the
        dictionary; for "hf/FOLDER" also what the folder says of `mean`, `std` and `class_names`.

    Raises
    ------
    FileNotFoundError
    ValueError
        For a file of another kind, damaged, with objects that could run code, or with weights that
        do not fit the network; or where arguments for state dicts are given with a file that says
        all of it.

    Warns
    -----
    UserWarning
        For a state dict of which nobody says what images are standardized by, so that the network
        gets them as they are; and for class names in the file that do not fit the network.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from fmcam.classifiers import load_classifier
    >>> from fmcam.models import LeNet5
    >>> net = LeNet5(n_classes=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save({"state_dict": net.state_dict(), "epoch": 7}, f"{folder}/net.pt")
    ...     clf = load_classifier(
    ...         f"{folder}/net.pt", module=LeNet5, classes=["cat", "dog"], mean=73.0, std=90.0
    ...     )
    >>> clf.classes_, clf.checkpoint_["epoch"]
    (array(['cat', 'dog'], dtype='<U3'), 7)
    """
    content, metadata = read_weight_file(path)
    recipe = {"mean": mean, "std": std, "preprocessing": preprocessing}
    if _FORMAT not in metadata:
        return classifier_of_weights(path, content, module, classes, key, **recipe)
    given = [n for n, v in {"classes": classes, "key": key, **recipe}.items() if v is not None]
    if given:
        raise ValueError(
            f"{path} is a checkpoint of fmcam, which says all of the network itself; got "
            f"{', '.join(given)}. Leave them out."
        )
    header = read_header(path, metadata[_FORMAT], _CLASSIFIERS)
    if module is None and _own_network(header["module"]) is None:
        raise ValueError(
            f"{path} holds a {header['module']}, which is not one of fmcam's networks. Pass what "
            f"makes it as `module`: its class, a function, or a {header['module']} to copy."
        )
    return _rebuild(path, header, module, content)


def _own_network(name):
    """The class of one of fmcam's networks, or None."""
    found = getattr(models, name, None)
    return found if inspect.isclass(found) and issubclass(found, nn.Module) else None


def _rebuild(path, header, module, tensors):
    make = maker_of(_own_network(header["module"]) if module is None else module)
    try:
        parameters = parameters_from_json(header["parameters"])
        clf = _CLASSIFIERS[header["classifier"]](module=make, **parameters)
        clf.set_params(**parameters)  # refuses unknown names
        check_parameter_values(clf)
        classes = labels_in(header)
        shape = None if header["image_shape"] is None else tuple(header["image_shape"])
        shared = {name: tensors[kept] for name, kept in (header["shared"] or {}).items()}
        options = {n: v for n, v in clf.get_params_for("module").items() if n != "weights"}
        whole = _filled_net(functools.partial(make, **options), {**tensors, **shared}, path)
        if shape is not None:
            _check_outputs(whole, shape, classes, own=module is None)
            if math.prod(shape) <= _TRIED and channels_last_is_safe(whole, shape):
                whole.net.to(memory_format=torch.channels_last)
        whole.standardize.of_unit_range = header["of_unit_range"] is True
        clf.adopt(whole.to(clf.device).eval(), classes, shape)
        for row in header["history"]:
            clf.history.new_epoch()
            for name, value in row.items():
                clf.history.record(name, value)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        what = "is damaged or was changed" if module is None else "is damaged, or of another module"
        why = f"there is no {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{path} {what}: {why}") from error
    told = ("epoch", "class_names", "dataset", "metrics", "fmcam")
    clf.checkpoint_ = {name: header[name] for name in told}
    return clf


def _filled_net(make, tensors, path):
    """A StandardizedNet with the weights of a checkpoint, in their number types."""
    own = {name.removeprefix("net."): w for name, w in tensors.items() if name.startswith("net.")}
    sizes = sizes_in(make, own, path)
    check_fit(make, sizes, own, path)
    net = make(**sizes)
    whole = StandardizedNet(net, Standardize(tensors["standardize.mean"].numel()))
    for name, tensor in whole.state_dict(keep_vars=True).items():
        kept = tensors.get(name, tensor)
        if tensor.is_floating_point() and kept.is_floating_point():
            tensor.data = tensor.data.to(kept.dtype)
    load_weights(whole, tensors, path)
    whole.standardize.check()
    return whole


def _check_outputs(whole, image_shape, classes, *, own):
    """Note the number of outputs; ValueError if it is another one, or ours takes no such images."""
    logits = logits_without_memory(whole, image_shape)
    if logits is not None:
        check_width(whole.net, logits, classes)
        whole.n_classes, whole.n_outputs = len(classes), logits.shape[1]
    elif own:
        raise ValueError(f"its {type(whole.net).__name__} takes no images of shape {image_shape}")
