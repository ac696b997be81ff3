"""The edges of images, to draw over what is known of their pixels."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmcam._validation import check_images

_LUMINANCE = np.array([0.2125, 0.7154, 0.0721], dtype=np.float32)  # of ITU-R BT.709, as skimage


def canny_edges(
    images: ArrayLike, *, sigma: float = 1.0, low: float = 0.1, high: float = 0.2
) -> NDArray[np.float32]:
    """Return the edges that Canny's detector [1]_ finds, by scikit-image.

    Parameters
    ----------
    images : array-like of shape (n, c, h, w) or (n, h, w)
        uint8 is taken from 0 to 255, others from the smallest to the largest value of an image;
        three channels by their luminance, others by their mean.
    sigma : float, default=1.0
        Standard deviation in pixels of the Gaussian that smooths first.
    low : float, default=0.1
        An edge goes on while the gradient is over this, in [0, 1].
    high : float, default=0.2
        An edge begins where the gradient is over this, in [0, 1].

    Returns
    -------
    edges : ndarray of shape (n, h, w), bool

    Raises
    ------
    ImportError
        If scikit-image is not installed.
    ValueError
        If an argument is out of its range.

    References
    ----------
    .. [1] Canny, "A computational approach to edge detection", PAMI 1986.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((1, 12, 12), dtype=np.uint8)
    >>> image[:, :, 6:] = 255
    >>> canny_edges(image)[0, 5].nonzero()[0]
    array([5, 6])
    """
    try:
        from skimage.feature import canny
    except ImportError as error:
        raise ImportError(
            "Edges need scikit-image: python -m pip install 'fmcam[edges]'."
        ) from error
    images = check_images(images, name="images")
    if not 0 <= low <= high <= 1:
        raise ValueError(f"`low` and `high` must be 0 <= low <= high <= 1, got {low} and {high}.")
    if not sigma >= 0:
        raise ValueError(f"`sigma` must be 0 or more pixels, got {sigma}.")
    thresholds = {"low_threshold": low, "high_threshold": high}
    return np.array([canny(_grey(image), sigma=sigma, **thresholds) for image in images])


def _grey(image):
    """An image of shape (c, h, w) as (h, w), in [0, 1]."""
    start, end = (0, 255) if image.dtype == np.uint8 else (image.min(), image.max())
    unit = (image.astype(np.float32) - start) / ((end - start) or 1)
    return np.tensordot(_LUMINANCE, unit, axes=1) if len(image) == 3 else unit.mean(axis=0)
