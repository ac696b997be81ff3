"""The checks of images, heatmaps, boxes and masks that all share, each error worded once."""

import math

import numpy as np

__all__ = [
    "check_boxes",
    "check_heatmaps",
    "check_images",
    "check_masks",
    "check_same_rows",
    "square_side",
]

_COLOURS = (1, 3, 4)  # channels of pictures
_ROUNDING = 1e-6  # how far a float32 map may leave [0, 1]


def check_images(X, *, name="X"):
    """Images as an array of shape (n, c, h, w), uint8 or float32.

    Parameters
    ----------
    X : array-like or tensor of shape (n, c, h, w) or (n, h, w)
        Any number type. (n, h, w) is taken as one channel.
    name : str
        The argument's name in error messages.

    Returns
    -------
    ndarray of shape (n, c, h, w), uint8 (left as it is) or float32

    Raises
    ------
    ValueError
        For another number of dimensions, channels on the last axis, no images, no pixels, NaN or
        infinite pixels.
    TypeError
        For pixels that are not real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam._validation import check_images
    >>> check_images(np.zeros((5, 28, 28))).shape
    (5, 1, 28, 28)
    """
    X = np.asarray(X)
    if X.dtype.kind not in "biuf":
        raise TypeError(f"`{name}` must hold real numbers, got an array of dtype {X.dtype}.")
    if X.ndim == 3:
        if X.shape[2] in _COLOURS and _look_like_sides(*X.shape[:2]):
            raise ValueError(
                f"`{name}` must have shape (n, c, h, w) or (n, h, w), got {X.shape}, which looks "
                f"like one image (h, w, c). Pass `{name}.transpose(2, 0, 1)[None]`."
            )
        X = X[:, None]
    if X.ndim != 4:
        hint = f" For one image pass `{name}[None, None]`." if X.ndim == 2 else ""
        raise ValueError(
            f"`{name}` must have shape (n, c, h, w) or (n, h, w), got {X.shape}.{hint}"
        )
    _check_channels_first(X, name)
    if 0 in X.shape:
        raise ValueError(
            f"Found array with 0 sample(s) or 0 pixels: `{name}` has shape {X.shape} "
            "while a minimum of 1 is required."
        )
    if X.dtype == np.uint8:
        return X
    X = X.astype(np.float32, copy=False)
    if not np.isfinite(X).all():
        bad = int((~np.isfinite(X)).any(axis=(1, 2, 3)).sum())
        raise ValueError(
            f"`{name}` contains NaN or infinity in {bad} of {len(X)} images. "
            "Replace those pixels or drop the images."
        )
    return X


def _check_channels_first(X, name):
    c, h, w = X.shape[1:]
    if w in _COLOURS and c not in _COLOURS and _look_like_sides(c, h):
        raise ValueError(
            f"`{name}` must have shape (n, c, h, w), got {X.shape}, which looks like (n, h, w, c). "
            f"Pass `{name}.transpose(0, 3, 1, 2)`."
        )


def _look_like_sides(one, other):
    """Whether two numbers can be the height and the width of an image of many pixels."""
    return min(one, other) >= 8 and max(one, other) <= 4 * min(one, other)


def square_side(n_pixels):
    """The side of the square with that many pixels, or None if there is none.

    >>> from fmcam._validation import square_side
    >>> square_side(784), square_side(785)
    (28, None)
    """
    side = math.isqrt(n_pixels)
    return side if side * side == n_pixels else None


def check_heatmaps(heatmaps, *, unit=False, name="heatmaps"):
    """Heatmaps as an array of shape (n, h, w), float32 or float64.

    Parameters
    ----------
    heatmaps : array-like of shape (n, h, w)
        Any number type.
    unit : bool
        Whether the values must lie in [0, 1].
    name : str
        The argument's name in error messages.

    Returns
    -------
    ndarray of shape (n, h, w), float64 (left as it is) or float32

    Raises
    ------
    ValueError
        For another number of dimensions, no maps, no pixels, NaN or infinite values, and with
        `unit` values outside [0, 1].
    TypeError
        For values that are not real numbers.

    Examples
    --------
    >>> from fmcam._validation import check_heatmaps
    >>> check_heatmaps([[[0, 1], [1, 0]]]).dtype
    dtype('float32')
    """
    heatmaps = np.asarray(heatmaps)
    if heatmaps.dtype.kind not in "biuf":
        raise TypeError(f"`{name}` must hold real numbers, got an array of {heatmaps.dtype}.")
    if heatmaps.ndim != 3 or 0 in heatmaps.shape:
        hint = f" For one map pass `{name}[None]`." if heatmaps.ndim == 2 else ""
        raise ValueError(
            f"`{name}` must have shape (n, h, w) without a 0, got {heatmaps.shape}.{hint}"
        )
    if heatmaps.dtype != np.float64:
        heatmaps = heatmaps.astype(np.float32, copy=False)
    low, high = heatmaps.min(), heatmaps.max()
    if not np.isfinite([low, high]).all():
        bad = int((~np.isfinite(heatmaps)).any(axis=(1, 2)).sum())
        raise ValueError(
            f"`{name}` contains NaN or infinity in {bad} of {len(heatmaps)} maps. "
            "Replace those pixels or drop the maps."
        )
    if unit and (low < -_ROUNDING or high > 1 + _ROUNDING):
        raise ValueError(
            f"`{name}` must lie in [0, 1], got values from {low:.4g} to {high:.4g}. "
            "Let the explainer normalize its maps, or scale each one to [0, 1]."
        )
    return heatmaps


def check_boxes(boxes, *, size=None, name="boxes"):
    """Boxes x0, y0, x1, y1 as an array of shape (n, 4), float64.

    Parameters
    ----------
    boxes : array-like of shape (n, 4)
        Half-open pixels, x to the right, y down. A row of NaN says that there is no box.
    size : (h, w), optional
        Image that the boxes must lie in, in pixels.
    name : str
        The argument's name in error messages.

    Returns
    -------
    ndarray of shape (n, 4), float64

    Raises
    ------
    ValueError
        For another shape, no rows, rows that are partly NaN, infinite or reversed boxes, and boxes
        that leave the image.

    Examples
    --------
    >>> from fmcam._validation import check_boxes
    >>> check_boxes([[0, 0, 2, 1]], size=(1, 2))
    array([[0., 0., 2., 1.]])
    """
    boxes = np.asarray(boxes, dtype=float)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or len(boxes) == 0:
        hint = f" For one box pass `{name}[None]`." if boxes.shape == (4,) else ""
        raise ValueError(
            f"`{name}` must have shape (n, 4) with columns x0, y0, x1, y1 and n >= 1, "
            f"got {boxes.shape}.{hint}"
        )
    missing = np.isnan(boxes)
    broken = (missing.any(axis=1) & ~missing.all(axis=1)) | np.isinf(boxes).any(axis=1)
    _refuse_boxes(broken, boxes, name, "finite, or NaN in all columns for no box", "Complete it.")
    reversed_ = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    _refuse_boxes(
        reversed_,
        boxes,
        name,
        "x0, y0, x1, y1 with x0 <= x1 and y0 <= y1",
        "Swap the corners; for x, y, width, height add the corner to the last two.",
    )
    if size is not None:
        height, width = size
        outside = (boxes < 0).any(axis=1) | (boxes[:, 2] > width) | (boxes[:, 3] > height)
        _refuse_boxes(
            outside,
            boxes,
            name,
            f"inside the image of {height} rows and {width} columns",
            "Clip it, or scale boxes and heatmaps to one size.",
        )
    return boxes


def _refuse_boxes(wrong, boxes, name, needed, advice):
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"`{name}` must be {needed}, got {boxes[row].tolist()} in row {row} "
            f"({int(wrong.sum())} of {len(boxes)} rows are wrong). {advice}"
        )


def check_masks(masks, *, name="masks"):
    """Masks as an array of shape (n, h, w), uint8: 0 background, 1 object, 255 ignored.

    Parameters
    ----------
    masks : array-like of shape (n, h, w), of bool or integer
        True counts as 1.
    name : str
        The argument's name in error messages.

    Returns
    -------
    ndarray of shape (n, h, w), uint8

    Raises
    ------
    ValueError
        For another number of dimensions, no masks, no pixels or other values.

    Examples
    --------
    >>> from fmcam._validation import check_masks
    >>> check_masks([[[False, True]]])
    array([[[0, 1]]], dtype=uint8)
    """
    masks = np.asarray(masks)
    if masks.ndim != 3 or 0 in masks.shape:
        hint = f" For one mask pass `{name}[None]`." if masks.ndim == 2 else ""
        raise ValueError(
            f"`{name}` must have shape (n, h, w) without a 0, got {masks.shape}.{hint}"
        )
    wrong = (masks != 0) & (masks != 1) & (masks != 255)
    if wrong.any():
        raise ValueError(
            f"`{name}` must hold 0 (background), 1 (object) and 255 (ignored) only, "
            f"got {masks[wrong][0]}. For any positive value pass `{name} > 0`."
        )
    return masks.astype(np.uint8, copy=False)


def check_same_rows(name, array, other_name, other):
    """Raise a ValueError unless both arrays have one row for each image."""
    if len(array) != len(other):
        raise ValueError(
            f"`{name}` and `{other_name}` must have one row for each image, "
            f"got {len(array)} and {len(other)}. Pass the same images in the same order."
        )
