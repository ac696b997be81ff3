"""Networks by name: this package's, torchvision's, timm's and those in a folder of Hugging Face."""

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from fmcam import models
from fmcam._typing import FilePath
from fmcam._weight_files import read_weight_file
from fmcam.models._names import find_model, list_weights, own_networks

__all__ = ["get_model", "get_model_builder", "get_preprocessing"]

_SOURCES = {"": "_own", "torchvision/": "_torchvision", "timm/": "_timm", "hf/": "_hugging_face"}


def get_model(
    name: str,
    *,
    n_classes: int | None = None,
    in_channels: int | None = None,
    weights: FilePath | None = None,
    **options: Any,
) -> nn.Module:
    """A network by its name.

    Parameters
    ----------
    name : str
        A name that :func:`list_models` gives, such as "lenet5", "torchvision/resnet50" or
        "timm/vit_base_patch16_224", the latter also with the tag of its weights behind a dot; or
        "hf/FOLDER", a folder with an image classifier that Hugging Face's `save_pretrained` wrote.
        A name without a source is looked for here, then in torchvision, then in timm. Classes of
        this package go by their names too, such as "LeNet5".
    n_classes, in_channels : int or None, default=None
        None: as in `weights`, or else what the network is usually made for.
    weights : str, path or None, default=None
        None: random, but the folder's own for "hf/FOLDER". A name of :func:`list_weights`, such as
        "DEFAULT": downloaded unless they are on this machine. Else a safetensors file, or a
        torch file with a state dict as :func:`fmcam.classifiers.load_classifier` reads them.
        Nothing in a file is run. The last layer is left random if the weights are for another
        number of classes than `n_classes`, and the first convolution is averaged over colours if
        they are for another number of channels than `in_channels`.
    **options
        For the network's own constructor. torchvision's "googlenet" and "inception_v3" rescale
        their colours as published weights need it; ``transform_input=False`` where a file's were
        trained without.

    Returns
    -------
    nn.Module
        On the CPU, in training mode or not as its source makes it.

    Raises
    ------
    ValueError
        For an unknown name, or weights that do not fit.
    FileNotFoundError
        If there are no such weights.
    ConnectionError
        Where published weights cannot be downloaded; it names the file to fetch.
    ImportError
        If timm or transformers is needed and not installed.

    Examples
    --------
    >>> from fmcam.models import get_model
    >>> type(get_model("lenet5", n_classes=3)).__name__
    'LeNet5'
    >>> get_model("torchvision/resnet50", n_classes=3).fc.out_features
    3
    """
    source, short = _source(name)
    sizes = {"n_classes": n_classes, "in_channels": in_channels}
    if weights is None and name.startswith("hf/"):
        weights = "DEFAULT"
    if weights is None:
        return source.make(short, **sizes, **options)
    published = list_weights(name)
    if str(weights) in published:
        return source.pretrained(short, str(weights), **sizes, **options)
    if not Path(weights).is_file():
        or_a_name = f" or one of {published}" if published else ""
        raise FileNotFoundError(
            f"`weights` of {name} must be a file{or_a_name}; there is no {weights}."
        )
    sizes = {what: size for what, size in sizes.items() if size is not None}
    return source.from_file(short, read_weight_file(weights)[0], weights, sizes, **options)


def get_model_builder(name: str) -> Any:
    """What makes a network, to be called with its sizes: the `module` of a classifier.

    Parameters
    ----------
    name : str
        As for :func:`get_model`.

    Returns
    -------
    type or callable
        The class of a network of this package, or :func:`get_model` of another one's name.

    Raises
    ------
    ValueError
        For an unknown name.

    Examples
    --------
    >>> from fmcam.models import get_model_builder
    >>> get_model_builder("lenet5")
    <class 'fmcam.models._lenet5.LeNet5'>
    >>> get_model_builder("torchvision/resnet50")(n_classes=3).fc.out_features
    3
    """
    full = find_model(name)
    kind = own_networks().get(full)
    return partial(get_model, full) if kind is None else getattr(models, kind)


def get_preprocessing(name: str, weights: str | None = None) -> Any:
    """How images are prepared for the published weights of a network.

    Parameters
    ----------
    name : str
        As for :func:`get_model`, or "imagenet": as torchvision's ResNet-18 and most networks of
        ImageNet learned.
    weights : str or None, default=None
        The name of published weights. None or any other string, such as the path of a file: those
        of "DEFAULT".

    Returns
    -------
    Bunch
        `mean` and `std` of each channel, ndarrays of shape (3,) in units of 0..255; `image_size`,
        the side of the square that the network takes; `crop_fraction`, the part of the shorter side
        that this square is cut out of; `interpolation`, a name of Pillow's in lower case; and
        `class_names`, a list or, where they are not known, None.

    Raises
    ------
    ValueError
        For an unknown name, or a network that has no published weights.
    FileNotFoundError
        If a folder of Hugging Face does not say.

    Examples
    --------
    >>> from fmcam.models import get_preprocessing
    >>> recipe = get_preprocessing("torchvision/resnet50")
    >>> recipe.image_size, recipe.class_names[0], recipe.mean.round(1).tolist()
    (224, 'tench', [123.7, 116.3, 103.5])
    """
    name = "torchvision/resnet18" if name == "imagenet" else name
    source, short = _source(name)
    published = list_weights(name)
    if not published:
        raise ValueError(f"{name} has no published weights that its images could be prepared for.")
    return source.preprocessing(short, weights if weights in published else "DEFAULT")


def _source(name):
    """The module for where a network comes from, and the name of the network there."""
    full = find_model(name)
    prefix = full[: full.find("/") + 1]
    return import_module(f"fmcam.models.{_SOURCES[prefix]}"), full.removeprefix(prefix)
