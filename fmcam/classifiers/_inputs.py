"""From what a user passes as `X` and `y` to images (n, c, h, w) and columns of the logits."""

import math

import numpy as np
import torch
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import (
    assert_all_finite,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from fmcam._validation import check_images, square_side

__all__ = ["as_image_array", "encode_labels", "stream_classes"]

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
        X = X.detach().cpu().numpy()
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    take = _rows_to_images if len(X.shape) <= 2 else _checked_images
    X = take(clf, X, reset)
    return X.copy() if min(X.strides) < 0 else X  # torch takes no mirrored views


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


def encode_labels(clf, X, y, classes):
    """Columns of the logits, int64 of shape (n,); sets the classes of the classifier.

    Parameters
    ----------
    clf : CNNClassifier
    X : ndarray of shape (n, c, h, w)
    y : array-like of shape (n,)
    classes : array-like or None
        All labels; None: those in `y`.
    """
    if y is None:
        raise ValueError(f"{type(clf).__name__} requires y to be passed, but the target y is None.")
    y = column_or_1d(y, warn=True)
    check_consistent_length(X, y)
    assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    labels = unique_labels(y)
    classes = labels if classes is None else np.unique(classes)
    _check_several(clf, classes)
    if not np.isin(labels, classes).all():
        unknown = np.setdiff1d(labels, classes).tolist()
        raise ValueError(f"`y` holds labels {unknown} that are not in {classes.tolist()}.")
    clf._classes = classes
    return np.searchsorted(classes, y).astype(np.int64)


def _check_several(clf, classes):
    if len(classes) < 2:
        raise ValueError(
            f"{type(clf).__name__} needs at least two classes, got one class: {classes.tolist()}."
        )


def stream_classes(stream, classes):
    """The sorted labels of a Dataset or DataLoader, by `classes` or the data set's `targets`."""
    if classes is None:
        dataset = getattr(stream, "dataset", stream)
        classes = getattr(dataset, "targets", None)
    if classes is None:
        raise ValueError(
            f"The labels of a {type(stream).__name__} are not known before it is read. "
            "Pass them as `classes`, or give the data set an attribute `targets`."
        )
    return np.unique(np.asarray(classes))
