"""From what a user passes as `X` to images (n, c, h, w)."""

import math

import numpy as np
import torch
from sklearn.utils.validation import validate_data

from fmcam._data.items import as_image, is_pil
from fmcam._validation import as_array, check_images, square_side

__all__ = ["as_image_array"]

_SMALLEST_PADDED_SIDE = 16


def as_image_array(clf, X, *, reset):
    """Images of shape (n, c, h, w), uint8 or float32; with `reset` their shape is noted.

    Parameters
    ----------
    clf : CNNClassifier
    X : array-like or tensor of shape (n, c, h, w), (n, h, w) or (n, c * h * w)
    reset : bool
        False: raise ValueError for images of another shape than in ``fit``.
    """
    if isinstance(X, torch.Tensor):
        X = as_array(X, name="X")
    if not hasattr(X, "shape"):
        X = _array_of_list(X)
    take = _rows_to_images if len(X.shape) <= 2 else _checked_images
    X = take(clf, X, reset)
    return X.copy() if min(X.strides) < 0 else X  # torch takes no mirrored views


def _array_of_list(X):
    """The array of a list of images or rows."""
    if is_pil(X):
        raise ValueError("`X` must hold several images, got one PIL image. Pass `[image]`.")
    if not isinstance(X, list | tuple):
        return np.asarray(X)
    images = [np.asarray(as_image(x)) if is_pil(x) else _on_cpu(x) for x in X]
    shapes = [np.shape(image) for image in images] if _are_arrays(images) else []
    other = next((row for row, shape in enumerate(shapes) if shape != shapes[0]), None)
    if other is not None:
        raise ValueError(
            f"`X` must hold images of one shape, got {shapes[0]} in row 0 and {shapes[other]} in "
            f"row {other}. Resize or crop them to one."
        )
    return np.asarray(images)


def _on_cpu(x):
    return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else x


def _are_arrays(images):
    return any(isinstance(image, np.ndarray) for image in images)


def _checked_images(clf, X, reset):
    X = check_images(X)
    shape = X.shape[1:]
    if reset:
        _check_shape(clf, shape, clf.image_shape, "`image_shape` is")
        clf.image_shape_, clf.n_features_in_ = shape, math.prod(shape)
        vars(clf).pop("feature_names_in_", None)
    _check_shape(clf, shape, clf.image_shape_, f"{type(clf).__name__} was fitted on")
    return X


def _check_shape(clf, shape, wanted, reason):
    if wanted is not None and wanted != "pad" and tuple(shape) != tuple(wanted):
        raise ValueError(
            f"`X` holds images of shape (c, h, w) = {tuple(shape)}, but {reason} {tuple(wanted)}."
        )


def _rows_to_images(clf, X, reset):
    if X.ndim == 1 and X.dtype.kind in "US":
        raise TypeError(
            f"`X` must hold pixels, got texts such as {str(X[0])!r}. Read files first, for example "
            "with fmcam.datasets.load_image_folder."
        )
    known = reset or hasattr(clf, "n_features_in_")
    X = validate_data(clf, X, reset=reset, dtype=[np.float32, np.uint8]) if known else np.asarray(X)
    n, n_pixels = X.shape
    if reset:
        clf.image_shape_ = _image_shape_of_rows(clf.image_shape, n_pixels)
    shape = clf.image_shape_
    if shape is None:
        shape = _image_shape_of_rows(clf.image_shape, n_pixels)
    missing = math.prod(shape) - n_pixels
    return np.pad(X, ((0, 0), (0, missing))).reshape(n, *shape) if missing else X.reshape(n, *shape)


def _image_shape_of_rows(image_shape, n_pixels):
    if image_shape is None:
        side = square_side(n_pixels)
        if side is None:
            raise ValueError(
                f"Rows of {n_pixels} pixels make no square image. Pass `image_shape=(c, h, w)`, "
                "or `image_shape='pad'` to fill the rows up with zeros."
            )
        return 1, side, side
    if isinstance(image_shape, str) and image_shape == "pad":
        side = max(_SMALLEST_PADDED_SIDE, math.ceil(math.sqrt(n_pixels)))
        return 1, side, side
    if len(image_shape) != 3 or math.prod(image_shape) != n_pixels:
        raise ValueError(
            f"`image_shape` must be (c, h, w) with c * h * w = {n_pixels}, the length of a row of "
            f"`X`; got {image_shape!r}."
        )
    return tuple(image_shape)
