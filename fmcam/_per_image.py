"""Shared by the metrics that give one value for each image: batches, and the mean."""

import numpy as np
from sklearn.utils import gen_batches

_PIXELS_AT_ONCE = 2**22


def map_batches(function, *arrays):
    """Return `function` of the arrays, computed on a bounded number of images at a time.

    Parameters
    ----------
    function : callable
        Takes the same rows of all arrays, returns an ndarray of shape (rows,).
    *arrays : ndarrays of shape (n, ...)
        The last one, of shape (n, ..., h, w), sets how many images are taken at once.
    """
    n_pixels = arrays[-1][0].size
    batches = gen_batches(len(arrays[-1]), max(1, _PIXELS_AT_ONCE // n_pixels))
    return np.concatenate([function(*(array[rows] for array in arrays)) for rows in batches])


def average_images(values, average):
    """Return the mean of the values that are not NaN, NaN if all are, or the values themselves.

    Parameters
    ----------
    values : ndarray of shape (n,), float
    average : "mean" or None
    """
    check_average(average)
    if average is None:
        return values
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else np.nan


def check_average(average):
    """Raise a ValueError for what is neither "mean" nor None."""
    if average not in ("mean", None):
        raise ValueError(
            f'`average` must be "mean" or None, got {average!r}. None gives each value by itself.'
        )
