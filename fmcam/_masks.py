"""What the values of masks mean, and the errors for those that mean nothing."""

import numpy as np
from sklearn.utils import gen_batches

from fmcam._arrays import as_array
from fmcam._validation import check_maps_shape

__all__ = ["check_masks"]

_PIXELS_AT_ONCE = 2**24  # so that a file mapped into memory stays there
_IGNORED = 255  # the value of pixels that count for nothing


def check_masks(masks, *, name="masks", known=0):
    """Masks as an array of shape (n, h, w), uint8: 0 background, 1 object, 255 ignored.

    What a value means is decided by all values of the array together, so pass all masks at once:

    ====================  ==========================================================================
    bool                  False is background, True the object.
    0 and 1, or one       0 is background, 1 the object.
    255 beside 1          255 is ignored.
    0 and one other > 0   The other is the object, so in the 0 and 255 of picture files 255 is.
    ====================  ==========================================================================

    Parameters
    ----------
    masks : array-like or tensor of shape (n, h, w), of bool or whole numbers, or list of such
        See above; whole numbers may be floats.
    name : str
        The argument's name in error messages.
    known : int
        The number that is the object where these masks hold nothing else, as that of others that
        belong to them, 0 if none is known. 1: 255 is ignored, though these hold no 1.

    Returns
    -------
    ndarray of shape (n, h, w), uint8

    Raises
    ------
    ValueError
        For another number of dimensions, masks of different sizes, no masks, no pixels or other
        values.
    TypeError
        For values that are not real numbers.

    Examples
    --------
    >>> from fmcam._masks import check_masks
    >>> check_masks([[[False, True]]])
    array([[[0, 1]]], dtype=uint8)
    >>> check_masks([[[0, 255, 0]]]), check_masks([[[0, 255, 1]]])
    (array([[[0, 1, 0]]], dtype=uint8), array([[[  0, 255,   1]]], dtype=uint8))
    """
    masks = as_array(masks, name=name)
    check_maps_shape(masks, name, "mask")
    if masks.dtype == bool:
        return masks.view(np.uint8)
    batches = gen_batches(len(masks), max(1, _PIXELS_AT_ONCE // masks[0].size))
    parts = [masks[rows] for rows in batches]
    if all(((part == 0) | (part == 1) | (part == _IGNORED)).all() for part in parts) and (
        known == 1
        or any((part == 1).any() for part in parts)
        or not any(part.any() for part in parts)
    ):
        return masks.astype(np.uint8, copy=False)
    values = np.unique(masks)
    two = len(values) == 2 and values[0] == 0 and float(values[1]).is_integer()
    if two or values.tolist() == [known]:
        return (masks != 0).view(np.uint8)
    raise ValueError(_unknown_values(values, name))


def _unknown_values(values, name):
    shown = ", ".join(f"{value:.4g}" for value in values[:5].tolist())
    shown += f" and others up to {values[-1]:.4g}" if len(values) > 5 else ""
    return (
        f"`{name}` must be of bool, hold 0 (background) and 1 (object), besides 255 (ignored) if "
        f"at all, or 0 and one other number, got {shown}. {_remedy(values, name)}"
    )


def _remedy(values, name):
    if not np.isfinite(values).all():
        return "Replace NaN and infinity."
    if (values % 1).any():
        return f"Cut probabilities at a threshold: `{name} >= 0.5`."
    if values.tolist() == [1, 2, 3]:
        return (
            "For trimaps of 1 animal, 2 background and 3 border pass "
            f"`np.select([{name} == 1, {name} == 2], [1, 0], 255)`."
        )
    if len(values) > 2 and values[-1] == _IGNORED and values[0] == 0:
        return (
            f"For masks resized with grey edges pass `{name} > 127`, for the object of number k "
            f"and 255 to ignore `np.where({name} == 255, 255, {name} == k)`."
        )
    return f"For any positive value pass `{name} > 0`, for the object of number k `{name} == k`."
