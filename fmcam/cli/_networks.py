"""A classifier from a checkpoint of ours, or from a network of torchvision with its weights."""

import difflib
from pathlib import Path

import numpy as np
import torchvision

from fmcam.classifiers import CNNClassifier, load_classifier
from fmcam.models import Standardize, StandardizedNet

__all__ = ["check_network", "load_network", "similar"]


def similar(name, known):
    """A hint at the names most like a mistyped one, to go behind a message."""
    lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), lower, n=3)
    if near:
        return f"Did you mean {' or '.join(repr(lower[one]) for one in near)}?"
    return f"Known are {', '.join([*list(known)[:20], *['...'] * (len(known) > 20)])}."


def check_network(model, arch):
    """End with a message unless there are such a network and such weights."""
    published = ()
    if arch is not None:
        known = torchvision.models.list_models(module=torchvision.models)
        if arch not in known:
            raise SystemExit(f"--arch: torchvision has no network {arch!r}. {similar(arch, known)}")
        published = torchvision.models.get_model_weights(arch).__members__
    if model not in published and not Path(model).is_file():
        hint = f" For {arch} it may also be {' or '.join(published)}." if published else ""
        raise SystemExit(f"--model: there is no file {model}.{hint}")


def load_network(model, arch=None, image_size=None):
    """A fitted classifier, its `image_shape_` known.

    Parameters
    ----------
    model : str
        A checkpoint of fmcam. With `arch` also a file of that network's weights, as
        `load_classifier` reads them, or the name of weights that torchvision publishes.
    arch : str or None
        A network of torchvision. Its images are standardized and sized as the file says by `mean`
        and `std` of each channel, 0..255, and `image_size`; else as torchvision does.
    image_size : int or None
        Height and width of the images; None: those that the network was made for.

    Returns
    -------
    CNNClassifier

    Raises
    ------
    ValueError
        If the file cannot be read, or does not say for which images the network was made.
    """
    if arch is not None:
        return _torchvision_classifier(model, arch, image_size)
    try:
        clf = load_classifier(model)
    except ValueError as error:
        raise ValueError(f"{error} For weights of torchvision's networks give --arch.") from error
    if clf.image_shape_ is None and image_size is None:
        raise ValueError(f"{model} does not say how large its images are. Give --image-size.")
    if image_size is None:
        return clf
    kernel = next(weight for weight in clf.module_.net.parameters() if weight.ndim == 4)
    return clf.adopt(clf.module_, clf.classes_, (kernel.shape[1], image_size, image_size))


def _torchvision_classifier(model, arch, image_size):
    published = torchvision.models.get_model_weights(arch)
    if model in published.__members__:
        clf = CNNClassifier.from_module(torchvision.models.get_model(arch, weights=model))
        clf.checkpoint_ = {}
    else:
        clf = load_classifier(model, module=_network(arch))
    recipe, categories = published.DEFAULT.transforms(), published.DEFAULT.meta["categories"]
    if len(clf.classes_) == len(categories):
        clf.checkpoint_ = {"class_names": categories, **clf.checkpoint_}
    mean, std = (255 * np.array(values) for values in (recipe.mean, recipe.std))
    usual = {"mean": mean, "std": std, "image_size": recipe.crop_size[0]}
    known = {**usual, **clf.checkpoint_}
    net = StandardizedNet(clf.module_.net, Standardize(3, known["mean"], known["std"]))
    size = image_size or known["image_size"]
    return clf.adopt(net, clf.classes_, (3, size, size))


def _network(arch):
    def network(n_classes):
        return torchvision.models.get_model(arch, num_classes=n_classes)

    network.__name__ = arch  # for messages
    return network
