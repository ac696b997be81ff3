"""The checks of images and boxes that the whole package shares, each error worded once."""

import math

import numpy as np

__all__ = ["check_images", "square_side"]


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
        For another number of dimensions, no images, no pixels, NaN or infinite pixels.
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
        X = X[:, None]
    if X.ndim != 4:
        hint = f" For one image pass `{name}[None, None]`." if X.ndim == 2 else ""
        raise ValueError(
            f"`{name}` must have shape (n, c, h, w) or (n, h, w), got {X.shape}.{hint}"
        )
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


def square_side(n_pixels):
    """The side of the square with that many pixels, or None if there is none.

    >>> from fmcam._validation import square_side
    >>> square_side(784), square_side(785)
    (28, None)
    """
    side = math.isqrt(n_pixels)
    return side if side * side == n_pixels else None
