"""A classifier from a checkpoint of ours, or from a network by name with its weights."""

import warnings
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from fmcam.classifiers import CNNClassifier, load_classifier
from fmcam.models import Standardize, get_model, get_preprocessing

__all__ = ["load_network", "load_weights"]


def load_weights(path, module=None):
    """As `load_classifier`, for a caller that knows what to do where no mean and deviation are."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* does not say by which mean")
        return load_classifier(path, module=module)


def load_network(model, arch=None, image_size=None, *, usual_arch=None, usual_size=None):
    """A fitted classifier, its `image_shape_` known.

    Parameters
    ----------
    model : str or None
        A checkpoint of fmcam. With `arch` also a file of that network's weights, as
        `load_classifier` reads them, or the name of weights that are published.
    arch : str or None
        A network, as for :func:`fmcam.models.get_model`. Its images are standardized and sized as
        the checkpoint says, or a torch file by `mean` and `std` of each channel, of 0..255 or of
        0..1, and `image_size`; else as :func:`fmcam.models.get_preprocessing` says.
    image_size : int or None
        Height and width of the images; None: those that the network was made for.
    usual_arch : str or None
        `arch` for a file that holds weights alone.
    usual_size : int or None
        `image_size` where the file does not say it.

    Returns
    -------
    CNNClassifier

    Raises
    ------
    ValueError
        If there is no such network, the weights do not fit, or the file does not say for which
        images the network was made.
    ConnectionError
        If published weights cannot be downloaded.
    """
    if arch is not None:
        return _named_classifier(model, arch, image_size, usual_size)
    try:
        clf = _for_photographs(load_weights(model))
    except ValueError as error:
        if usual_arch is not None:
            return _named_classifier(model, usual_arch, image_size, usual_size)
        raise ValueError(f"{error} For weights of another network name it with --arch.") from error
    if clf.image_shape_ is None:
        image_size = image_size or usual_size
    if clf.image_shape_ is None and image_size is None:
        raise ValueError(f"{model} does not say how large its images are. Give --image-size.")
    if image_size is None:
        return clf
    kernel = next(weight for weight in clf.module_.net.parameters() if weight.ndim == 4)
    return clf.adopt(clf.module_, clf.classes_, (kernel.shape[1], image_size, image_size))


def _named_classifier(model, arch, image_size, usual_size):
    if model is not None and Path(model).is_file():
        clf = _for_photographs(load_weights(model, arch))
    else:
        clf = CNNClassifier.from_module(get_model(arch, weights=model))
        clf.checkpoint_ = {}
    own_size = clf.image_shape_[-1] if clf.image_shape_ else image_size or _side(clf.checkpoint_)
    standardized = not clf.module_.standardize.leaves_images
    usual = _published_preparation(arch, model, needed=not (own_size and standardized))
    if not standardized:
        if Path(str(model)).is_file():
            print(f"{model} names no mean and deviation; taken are those usual for {arch}.")
        standardize = Standardize(len(usual.mean), usual.mean, usual.std)
        clf.module_.standardize = standardize.to(clf.device)
    if usual.class_names is not None and len(usual.class_names) == len(clf.classes_):
        clf.checkpoint_ = {"class_names": usual.class_names, **clf.checkpoint_}
    size = image_size or own_size or usual_size or usual.image_size
    return clf.adopt(clf.module_, clf.classes_, (clf.module_.standardize.mean.numel(), size, size))


def _side(entries):
    """Height and width of square images, as files of others may have it; None if they do not."""
    try:
        sides = sorted({int(side) for side in np.ravel(entries.get("image_size"))})
    except (TypeError, ValueError):
        return None
    if len(sides) > 1:
        raise ValueError(
            f"The images of the network are of {sides[0]} and {sides[1]} pixels; here all are "
            "squares. Give --image-size."
        )
    return sides[0] if sides else None


def _for_photographs(clf):
    """The classifier for images in 0..255, where it was one for 0..1."""
    standardize = clf.module_.standardize
    if standardize.of_unit_range:
        mean, std = 255 * standardize.mean, 255 * standardize.std
        clf.module_.standardize = Standardize(mean.numel(), mean, std)
    return clf


def _published_preparation(arch, model, needed):
    """How images are prepared for published weights, which need not exist if all is known."""
    try:
        return get_preprocessing(arch, model)
    except ValueError as error:
        if needed:
            raise ValueError(
                f"{error} Save `mean` and `std` of each channel, 0..255, and `image_size` beside "
                "the weights in the file."
            ) from error
        return Bunch(class_names=None)
