"""What a stranger's file says beside weights: class names, and mean and deviation of its images."""

import reprlib
import warnings

import numpy as np
from torch import nn

from fmcam.models import Standardize, get_preprocessing

__all__ = ["class_names_in", "standardize_as_published", "standardize_of"]

_NAMES = (
    *("class_names", "classes", "class_to_idx", "idx_to_class", "id2label", "label2id"),
    *("labels", "label_names", "names", "categories"),
)
_RECIPES = (("mean", "std"), ("image_mean", "image_std"), ("pixel_mean", "pixel_std"))


# Classes ------------------------------------------------------------------------------------------


def class_names_in(rest, n_classes, path):
    """The name of each output of a network, list of str, or None where a file names none.

    Read are sequences of texts, and dictionaries of 0..k-1 by name or the other way round, under
    the keys that are usual. A UserWarning tells of `class_names` that are no such names.
    """
    for key in (key for key in _NAMES if key in rest):
        names = _names(rest[key])
        if names is not None and len(names) == n_classes == len(set(names)):
            return names
    if rest.get("class_names") is not None:
        warnings.warn(
            f"`class_names` in {path} are left out: needed are {n_classes} different texts, one "
            f"for each output of the network, got {reprlib.repr(rest['class_names'])}.",
            stacklevel=4,
        )
    return None


def _names(value):
    if isinstance(value, dict):
        turned = [(number, name) for name, number in value.items()]
        value = _in_order(value.items()) or _in_order(turned)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return list(map(str, value))
    return None


def _in_order(pairs):
    """The texts of pairs with the numbers 0..k-1, also as texts, or None."""
    try:
        values = {int(number): value for number, value in pairs}
    except (TypeError, ValueError):
        return None
    in_order = values.keys() == {*range(len(values))}
    texts = all(isinstance(value, str) for value in values.values())
    return [values[n] for n in range(len(values))] if in_order and texts else None


# Images -------------------------------------------------------------------------------------------


def standardize_of(path, net, rest, told, *, mean, std, preprocessing):
    """What standardizes the images of a network, or None, of which a UserWarning tells.

    Parameters
    ----------
    path : str or path
        For messages.
    net : nn.Module
    rest : dict
        What the file says.
    told : dict
        What the folder of the network says.
    mean, std, preprocessing
        As for `load_classifier`. They count before what the file says.

    Returns
    -------
    Standardize or None
    """
    n_channels = _n_channels(net)
    both = mean is not None and preprocessing is not None
    if both or (mean is None) != (std is None):
        raise ValueError("Pass both `mean` and `std`, or `preprocessing`, or none of them.")
    if preprocessing is not None:
        return standardize_as_published(net, preprocessing)
    if mean is not None:
        alike = n_channels or 1
        mean, std = ([one] * alike if np.ndim(one) == 0 else one for one in (mean, std))
        return _standardize(mean, std, n_channels, "given")
    found = _recipe_in(rest, n_channels) or _recipe_in(told, n_channels)
    if found is not None:
        return _standardize(found[0], found[1], n_channels, f"in {path}")
    warnings.warn(
        f"{path} does not say by which mean and standard deviation images are standardized, so "
        f"{type(net).__name__} gets them as they are. Pass `mean` and `std` of each channel, or "
        "preprocessing='imagenet' for those that networks of ImageNet learned with, or mean=0, "
        "std=1 where images are right as they are.",
        stacklevel=4,
    )
    return None


def standardize_as_published(net, preprocessing):
    """What standardizes images of 0..255 as for the published weights of a named network."""
    recipe = get_preprocessing(preprocessing)
    return _standardize(recipe.mean, recipe.std, _n_channels(net), f"of {preprocessing!r}")


def _n_channels(net):
    convolutions = [part for part in net.modules() if isinstance(part, nn.Conv2d)]
    return convolutions[0].in_channels if convolutions else None


def _recipe_in(rest, n_channels):
    """Mean and deviation in a file; in a dictionary inside of it only what cannot be else."""
    for a, b in _RECIPES:
        if a in rest and b in rest:
            return rest[a], rest[b]
        for inside in (value for value in rest.values() if isinstance(value, dict)):
            if {a, b} <= inside.keys() and _lengths(inside[a], inside[b]) == [n_channels] * 2:
                return inside[a], inside[b]
    return None


def _lengths(*values):
    return [
        len(value) if isinstance(value, list | tuple) or np.ndim(value) else None
        for value in values
    ]


def _standardize(mean, std, n_channels, where):
    try:
        standardize = Standardize(n_channels or len(mean), mean, std)
        of_unit_range = [0 <= m <= 1 and 0 < s <= 1 for m, s in zip(mean, std, strict=True)]
        standardize.of_unit_range = all(of_unit_range) and not standardize.leaves_images
        standardize.check()
        return standardize
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"`mean` and `std` {where} must be {n_channels} numbers each, of `std` positive ones, "
            f"got {reprlib.repr(mean)} and {reprlib.repr(std)}. Pass others as `mean` and `std`."
        ) from error
