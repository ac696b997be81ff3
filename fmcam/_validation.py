"""The checks of images and heatmaps that all share, each error worded once."""

import math
from collections.abc import Mapping

import numpy as np

from fmcam._arrays import as_array

__all__ = [
    "as_array",
    "channels_come_last",
    "check_heatmaps",
    "check_images",
    "check_maps_shape",
    "check_same_rows",
    "check_thresholds",
    "square_side",
]

_COLOURS = (1, 3, 4)  # channels of pictures
_ROUNDING = 1e-6  # how far a float32 map may leave [0, 1]


def check_images(X, *, name="X"):
    """Images as an array of shape (n, c, h, w), uint8 or float32.

    Parameters
    ----------
    X : array-like or tensor of shape (n, c, h, w) or (n, h, w), or list of such
        Any number type. (n, h, w) is taken as one channel.
    name : str
        The argument's name in error messages.

    Returns
    -------
    ndarray of shape (n, c, h, w), uint8 (left as it is) or float32

    Raises
    ------
    ValueError
        For another number of dimensions, channels on the last axis, images of different sizes, no
        images, no pixels, NaN or infinite pixels.
    TypeError
        For pixels that are not real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam._validation import check_images
    >>> check_images(np.zeros((5, 28, 28))).shape
    (5, 1, 28, 28)
    """
    X = as_array(X, name=name)
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
    if channels_come_last(X.shape[1:]):
        raise ValueError(
            f"`{name}` must have shape (n, c, h, w), got {X.shape}, which looks like (n, h, w, c). "
            f"Pass `{name}.transpose(0, 3, 1, 2)`."
        )


def channels_come_last(shape):
    """Whether the shape of an image is (h, w, c) rather than (c, h, w).

    >>> from fmcam._validation import channels_come_last
    >>> channels_come_last((28, 28, 3)), channels_come_last((3, 28, 28))
    (True, False)
    """
    first, second, last = shape
    return last in _COLOURS and first not in _COLOURS and _look_like_sides(first, second)


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


def check_heatmaps(heatmaps, *, unit=False, signed=False, name="heatmaps"):
    """Heatmaps as an array of shape (n, h, w), float32 or float64.

    Parameters
    ----------
    heatmaps : array-like or tensor of shape (n, h, w), or list of such
        Any number type; a tensor may have a graph and lie on any device.
    unit : bool
        Whether the values must lie in [0, 1].
    signed : bool
        With `unit`, whether they may lie in [-1, 1].
    name : str
        The argument's name in error messages.

    Returns
    -------
    ndarray of shape (n, h, w), float64 (left as it is) or float32

    Raises
    ------
    ValueError
        For another number of dimensions, maps of different sizes, no maps, no pixels, NaN or
        infinite values, and with `unit` values outside the range.
    TypeError
        For values that are not real numbers.

    Examples
    --------
    >>> from fmcam._validation import check_heatmaps
    >>> check_heatmaps([[[0, 1], [1, 0]]]).dtype
    dtype('float32')
    """
    heatmaps = as_array(heatmaps, name=name)
    check_maps_shape(heatmaps, name, "map")
    if heatmaps.dtype != np.float64:
        heatmaps = heatmaps.astype(np.float32, copy=False)
    low, high = heatmaps.min(), heatmaps.max()
    if not np.isfinite([low, high]).all():
        bad = int((~np.isfinite(heatmaps)).any(axis=(1, 2)).sum())
        raise ValueError(
            f"`{name}` contains NaN or infinity in {bad} of {len(heatmaps)} maps. "
            "Replace those pixels or drop the maps."
        )
    least = -1 if signed else 0
    if unit and (low < least - _ROUNDING or high > 1 + _ROUNDING):
        advice = f"Let the explainer normalize its maps, or scale each one to [{least}, 1]."
        if low < 0 and not signed:
            advice = f"{advice} Of maps with a sign (`rectify=False`) pass `maps.clip(0)`."
        raise ValueError(
            f"`{name}` must lie in [{least}, 1], got values from {low:.4g} to {high:.4g}. {advice}"
        )
    return heatmaps


def check_maps_shape(array, name, item):
    """Raise a ValueError unless an array of maps or masks has the shape (n, h, w)."""
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(
            f"`{name}` must have shape (n, h, w) without a 0, got {array.shape}."
            f"{_shape_hint(array.shape, name, item)}"
        )


def _shape_hint(shape, name, item):
    if len(shape) == 2:
        return f" For one {item} pass `{name}[None]`."
    if len(shape) != 4 or 0 in shape:
        return ""
    axis = "..., 0" if shape[3] < shape[1] else ":, 0"
    if shape[1] == 1 or shape[3] == 1:
        return f" Without the axis of one channel: `{name}[{axis}]`."
    return f" Choose one of the channels, `{name}[{axis}]`, or join them."


def check_same_rows(name, array, other_name, other):
    """Raise a ValueError unless both arrays have one row for each image."""
    if len(array) != len(other):
        raise ValueError(
            f"`{name}` and `{other_name}` must have one row for each image, "
            f"got {len(array)} and {len(other)}. Pass the same images in the same order."
        )


def check_thresholds(thresholds, names, *, needed=False):
    """Return the threshold of each method by its name, None where there is none at all."""
    if thresholds is None and needed:
        raise ValueError(
            "`thresholds` must be given with `boxes`, got None. Fit one for each method on other "
            "images: HeatmapToBox().fit(maps, boxes).threshold_."
        )
    if not isinstance(thresholds, Mapping):
        return dict.fromkeys(names, thresholds)
    if missing := [name for name in names if name not in thresholds]:
        raise ValueError(
            f"`thresholds` must be one for all methods or name each of {list(names)}, got none for "
            f"{missing}. Add them."
        )
    return thresholds
