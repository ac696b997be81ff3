"""Where the pixels of a picture lie in the square that is made of it."""

from numbers import Integral
from typing import NamedTuple

import numpy as np
from PIL import Image
from sklearn.utils import check_scalar

FITS = ("crop", "stretch")


def check_fit(size, fit):
    """Raise an error for a side that is not a positive integer, and for an unknown rule."""
    check_scalar(size, "size", Integral, min_val=1)
    if fit not in FITS:
        raise ValueError(f"`fit` must be 'crop' or 'stretch', got {fit!r}.")


class Placement(NamedTuple):
    """How a picture becomes a square: resized whole, then cut to its centre.

    The picture, its masks and its boxes all go through here, so that they stay together.

    Attributes
    ----------
    width, height : int
        Of the picture in pixels.
    size : int
        Side of the square in pixels.
    fit : {"crop", "stretch"}
        "crop" resizes the shorter side to `size`, keeps the shape of things and loses both ends of
        the longer side; "stretch" resizes both sides to `size` and loses nothing.

    Examples
    --------
    >>> from fmcam._placement import Placement
    >>> place = Placement(width=80, height=40, size=20, fit="crop")
    >>> place.resized, place.corner
    ((40, 20), (10, 0))
    >>> place.boxes([[30, 20, 50, 40]])
    array([[ 5., 10., 15., 20.]])
    """

    width: int
    height: int
    size: int
    fit: str

    @property
    def resized(self):
        """Width and height of the whole picture after resizing; the longer side is cut down."""
        if self.fit == "stretch":
            return self.size, self.size
        short = min(self.width, self.height)
        return self.size * self.width // short, self.size * self.height // short

    @property
    def corner(self):
        """Left and top of the square in the resized picture."""
        width, height = self.resized
        return round((width - self.size) / 2), round((height - self.size) / 2)

    def cut(self, resized):
        """Return the square of a picture that is resized already, a PIL image."""
        left, top = self.corner
        return resized.crop((left, top, left + self.size, top + self.size))

    def mask(self, mask):
        """Return the square of a mask.

        Parameters
        ----------
        mask : ndarray of shape (height, width), uint8

        Returns
        -------
        ndarray of shape (size, size), uint8
            Each pixel has the value of the nearest one in `mask`.
        """
        resized = Image.fromarray(mask).resize(self.resized, Image.Resampling.NEAREST)
        return np.asarray(self.cut(resized))

    def boxes(self, boxes):
        """Return where boxes of the picture lie in the square.

        Parameters
        ----------
        boxes : array-like of shape (n, 4)
            x0, y0, x1, y1 in half-open pixels of the picture. A row of NaN stays one.

        Returns
        -------
        ndarray of shape (n, 4), float64
            In half-open pixels of the square, clipped to it. NaN where nothing is left of the box.
        """
        scale = np.divide(self.resized, (self.width, self.height))
        moved = np.asarray(boxes, dtype=float) * np.tile(scale, 2) - np.tile(self.corner, 2)
        clipped = moved.clip(0, self.size)
        empty = (clipped[:, 2:] <= clipped[:, :2]).any(axis=1)
        return np.where(empty[:, None], np.nan, clipped)
