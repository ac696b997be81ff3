"""Where the pixels of a picture lie in the square that is made of it."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from sklearn.utils import check_scalar

FITS = ("crop", "stretch")


def check_fit(size, fit):
    """Raise an error for a side that is not a positive integer, and for an unknown rule."""
    check_scalar(size, "size", Integral, min_val=1)
    if fit not in FITS:
        raise ValueError(f"`fit` must be 'crop' or 'stretch', got {fit!r}.")


@dataclass(frozen=True)
class Placement:
    """How a picture becomes a square: resized whole, then cut to its centre.

    The picture, its masks and its boxes all go through here, so that they stay together, and so do
    heatmaps and boxes of the square on their way back: `boxes_in_original` and
    `heatmap_in_original` are the inverses. :func:`load_image` and :func:`load_boxed_images` give
    the placements of what they load.

    Parameters
    ----------
    width, height : int
        Of the picture, upright, in pixels.
    size : int
        Side of the square in pixels.
    fit : {"crop", "stretch"}
        "crop" resizes the shorter side to `size`, keeps the shape of things and loses both ends of
        the longer side; "stretch" resizes both sides to `size` and loses nothing.

    Raises
    ------
    TypeError, ValueError
        If a side is not a positive integer, or `fit` is unknown.

    Notes
    -----
    A point :math:`x` of the picture, in pixels from its left edge, lies at :math:`x W / w - c` in
    the square, where :math:`w` is the picture's width, :math:`W` that of `resized` and :math:`c`
    that of `corner`; the same holds for y with heights.

    Examples
    --------
    >>> from fmcam.datasets import Placement
    >>> place = Placement(width=80, height=40, size=20, fit="crop")
    >>> place.resized, place.corner
    ((40, 20), (10, 0))
    >>> place.boxes([[30, 20, 50, 40]])
    array([[ 5., 10., 15., 20.]])
    >>> place.boxes_in_original([[5, 10, 15, 20]])
    array([[30., 20., 50., 40.]])
    """

    width: int
    height: int
    size: int
    fit: str

    def __post_init__(self):
        for name in ("width", "height"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_fit(self.size, self.fit)

    @property
    def resized(self) -> tuple[int, int]:
        """Width and height of the whole picture after resizing; the longer side is cut down."""
        if self.fit == "stretch":
            return self.size, self.size
        short = min(self.width, self.height)
        return self.size * self.width // short, self.size * self.height // short

    @property
    def corner(self) -> tuple[int, int]:
        """Left and top of the square in the resized picture."""
        width, height = self.resized
        return round((width - self.size) / 2), round((height - self.size) / 2)

    def cut(self, resized: Image.Image) -> Image.Image:
        """Return the square of a picture that is resized already.

        Parameters
        ----------
        resized : PIL.Image.Image
            Of the size `resized`.

        Returns
        -------
        PIL.Image.Image
            Of `size` x `size` pixels.
        """
        left, top = self.corner
        return resized.crop((left, top, left + self.size, top + self.size))

    def mask(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the square of a mask.

        Parameters
        ----------
        mask : ndarray of shape (height, width), uint8
            Of the picture.

        Returns
        -------
        ndarray of shape (size, size), uint8
            Each pixel has the value of the nearest one in `mask`.

        Raises
        ------
        ValueError
            If the mask has another size than the picture.
        """
        if mask.shape != (self.height, self.width):
            raise ValueError(
                f"`mask` must have the shape {(self.height, self.width)} of the picture, got "
                f"{mask.shape}."
            )
        resized = Image.fromarray(mask).resize(self.resized, Image.Resampling.NEAREST)
        return np.asarray(self.cut(resized))

    def boxes(self, boxes: ArrayLike) -> NDArray[np.float64]:
        """Return where boxes of the picture lie in the square.

        Parameters
        ----------
        boxes : array-like of shape (n, 4)
            x0, y0, x1, y1 in half-open pixels of the picture. A row of NaN stays one; n may be 0.

        Returns
        -------
        ndarray of shape (n, 4), float64
            In half-open pixels of the square, clipped to it. NaN where nothing is left of the box.
        """
        scale, corner = np.tile(self._scale, 2), np.tile(self.corner, 2)
        moved = _as_boxes(boxes) * scale - corner
        clipped = moved.clip(0, self.size)
        empty = (clipped[:, 2:] <= clipped[:, :2]).any(axis=1)
        return np.where(empty[:, None], np.nan, clipped)

    def boxes_in_original(self, boxes: ArrayLike) -> NDArray[np.float64]:
        """Return where boxes of the square lie in the picture.

        Parameters
        ----------
        boxes : array-like of shape (n, 4)
            x0, y0, x1, y1 in half-open pixels of the square. A row of NaN stays one; n may be 0.

        Returns
        -------
        ndarray of shape (n, 4), float64
            In half-open pixels of the picture.
        """
        return (_as_boxes(boxes) + np.tile(self.corner, 2)) / np.tile(self._scale, 2)

    def heatmap_in_original(self, heatmap: ArrayLike) -> NDArray[np.float32]:
        """Return a heatmap of the square as one of the picture.

        Parameters
        ----------
        heatmap : array-like of shape (size, size), float
            Of the square.

        Returns
        -------
        ndarray of shape (height, width), float32
            Bilinear between the pixels of the square; 0 where the square was not cut.
        """
        heatmap = np.asarray(heatmap, np.float32)
        if heatmap.shape != (self.size, self.size):
            raise ValueError(
                f"`heatmap` must have the shape {(self.size, self.size)} of the square, got "
                f"{heatmap.shape}."
            )
        (across, down), (left, top) = self._scale, self.corner
        resized = Image.fromarray(heatmap).transform(
            (self.width, self.height),
            Image.Transform.AFFINE,
            (across, 0, -left, 0, down, -top),
            Image.Resampling.BILINEAR,
        )
        return np.asarray(resized)

    @property
    def _scale(self):
        return np.divide(self.resized, (self.width, self.height))


def place_boxes(placements, boxes):
    """Return where the box of each picture lies in its square, (n, 4), as `boxes` does."""
    return np.concatenate(
        [place.boxes([box]) for place, box in zip(placements, boxes, strict=True)]
    )


def _as_boxes(boxes):
    array = np.asarray(boxes, dtype=float)
    if array.size == 0:
        return array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(
            f"`boxes` must have shape (n, 4), got {array.shape}. For one box pass `[box]`."
        )
    return array
