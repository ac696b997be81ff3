"""What pixels contribute: signed attributions, their magnitude, and the edges of the image."""

from textwrap import fill
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fmcam._docstrings import documented_like
from fmcam._text import printable
from fmcam._validation import check_images
from fmcam.plot._panels import check_pictures, check_size, draw_image
from fmcam.plot._style import get_axes

_SIGNS = {"positive": 1, "negative": -1, "absolute": None, "all": None}
_TITLE_WIDTH = 24  # characters over a panel


def process_attributions(
    attributions: ArrayLike, *, sign: str = "absolute", percentile: float = 99.0, gamma: float = 1.0
) -> NDArray[np.float32]:
    r"""Return attributions as maps to look at: one channel, one sign, cut at a percentile.

    Of the channels of a pixel the value :math:`a` of the largest magnitude counts. Then

    .. math:: m = \mathrm{sgn}(a) \min(|a| / q, 1)^\gamma,

    where :math:`q` is the percentile of :math:`|a|` over the image, after values of the other sign
    have become 0; the largest :math:`|a|` where that percentile is 0.

    Parameters
    ----------
    attributions : array-like of float, of shape (n, c, h, w) or (n, h, w)
        Signed, as `attribute` of a guided explainer gives them, or heatmaps.
    sign : {"absolute", "positive", "negative", "all"}, default="absolute"
        What to show: magnitudes, only what speaks for the class, the magnitude of what speaks
        against it, or all with its sign.
    percentile : float, default=99.0
        In (0, 100]: values beyond it are cut, so that a few do not hide the rest.
    gamma : float, default=1.0
        Below 1 what is faint becomes brighter, above 1 darker.

    Returns
    -------
    maps : ndarray of shape (n, h, w), float32
        In [0, 1]; in [-1, 1] for "all".

    Raises
    ------
    ValueError
        If an argument is out of its range, or attributions are NaN.

    Examples
    --------
    >>> from fmcam.plot import process_attributions
    >>> process_attributions([[[-4.0, 1.0], [2.0, 0.0]]], sign="positive", percentile=100)
    array([[[0. , 0.5],
            [1. , 0. ]]], dtype=float32)
    """
    values = _one_channel(attributions)
    if not isinstance(sign, str) or sign not in _SIGNS:
        raise ValueError(f"`sign` must be one of {list(_SIGNS)}, got {sign!r}.")
    if not 0 < percentile <= 100:
        raise ValueError(f"`percentile` must be in (0, 100], got {percentile}.")
    if not gamma > 0:
        raise ValueError(f"`gamma` must be positive, got {gamma}. 1 leaves values in proportion.")
    if _SIGNS[sign] is not None:
        values = (_SIGNS[sign] * values).clip(0)
    magnitudes = np.abs(values)
    strongest = np.percentile(magnitudes, percentile, axis=(1, 2), keepdims=True)
    strongest = np.where(strongest > 0, strongest, magnitudes.max(axis=(1, 2), keepdims=True))
    cut = (np.minimum(magnitudes, strongest) / np.where(strongest > 0, strongest, 1)) ** gamma
    return (np.sign(values) * cut if sign == "all" else cut).astype(np.float32)


def _one_channel(attributions):
    """The value of the largest magnitude of each pixel, (n, h, w)."""
    attributions = check_images(attributions, name="attributions").astype(np.float32)
    strongest = np.abs(attributions).argmax(axis=1, keepdims=True)
    return np.take_along_axis(attributions, strongest, axis=1)[:, 0]


class AttributionDisplay:
    """Images, what their pixels contribute, and that as a map, with the edges of the image.

    One row an image, of three columns: the image; attributions with their sign, zero in grey, in
    colour where they have the channels of one; and the map of `process_attributions`. Make one
    with `from_attributions`.

    Parameters
    ----------
    images : ndarray of shape (n, c, h, w), uint8 or float32
        With one channel or three.
    attributions : ndarray of shape (n, c, h, w), float
        Signed.
    maps : ndarray of shape (n, h, w), float32
        In [-1, 1], or [0, 1] where `sign` is not "all".
    edges : ndarray of shape (n, h, w), in [0, 1], or None
        How opaque edges are drawn over the maps.
    sign : str
        What the maps show.
    percentile : float
        Of the magnitudes, beyond which attributions are cut.
    title : str
        What the attributions are called.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes, of shape (n, 3)
        The panels.
    figure_ : matplotlib Figure
        What they are on.

    Examples
    --------
    >>> import numpy as np
    >>> attributions = np.array([[[-4.0, 1.0], [2.0, 0.0]]])
    >>> AttributionDisplay.from_attributions(np.zeros((1, 2, 2)), attributions).frame()
       image  lowest  highest  share_positive
    0      0    -4.0      2.0             0.5
    """

    def __init__(
        self,
        *,
        images: Any,
        attributions: Any,
        maps: Any,
        edges: Any,
        sign: Any,
        percentile: Any,
        title: Any,
    ) -> None:
        self.images = images
        self.attributions = attributions
        self.maps = maps
        self.edges = edges
        self.sign = sign
        self.percentile = percentile
        self.title = title

    @classmethod
    @documented_like(process_attributions)
    def from_attributions(
        cls,
        images: ArrayLike,
        attributions: ArrayLike,
        *,
        sign: str = "absolute",
        percentile: float = 99.0,
        gamma: float = 1.0,
        edges: ArrayLike | None = None,
        title: str = "attributions",
    ) -> Self:
        """Return the display of attributions, or of heatmaps, that are already computed.

        Parameters
        ----------
        images : array-like of shape (n, c, h, w) or (n, h, w)
            With one channel or three.
        attributions : array-like of float, of shape (n, c, h, w) or (n, h, w)
            Signed, such as ``GuidedGradCAM(clf).attribute(images)``, or heatmaps.
        edges : array-like of shape (n, h, w), bool or in [0, 1], optional
            Such as `canny_edges` of the images.
        title : str, default="attributions"
            What the attributions are called.

        Returns
        -------
        display : AttributionDisplay

        Raises
        ------
        ValueError
            If shapes do not fit together, an argument is out of its range, or images have neither
            one channel nor three.
        """
        images = check_pictures(images)
        signed = check_images(attributions, name="attributions").astype(np.float32)
        maps = process_attributions(signed, sign=sign, percentile=percentile, gamma=gamma)
        for name, given in (("attributions", maps), ("edges", edges)):
            if given is not None:
                check_size(name, given, images)
        edges = None if edges is None else np.asarray(edges, dtype=np.float32)
        return cls(
            images=images,
            attributions=signed,
            maps=maps,
            edges=edges,
            sign=sign,
            percentile=percentile,
            title=title,
        )

    def frame(self) -> pd.DataFrame:
        """Return the numbers of the attributions as a tidy table.

        Returns
        -------
        frame : DataFrame
            One row an image: image (its position), lowest and highest, the ends of its
            attributions, and share_positive, the part of them that speaks for the class.
        """
        flat = self.attributions.reshape(len(self.attributions), -1)
        return pd.DataFrame(
            {
                "image": np.arange(len(flat)),
                "lowest": flat.min(axis=1),
                "highest": flat.max(axis=1),
                "share_positive": (flat > 0).mean(axis=1),
            }
        )

    def plot(self, ax: Any = None, *, cmap: str | None = None) -> Self:
        """Draw the grid.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, of shape (n, 3), optional
            Where to draw; by default a new figure.
        cmap : str or Colormap, optional
            Colours of the maps; by default "inferno", or "PuOr_r" where they have signs.

        Returns
        -------
        self : AttributionDisplay

        Raises
        ------
        ValueError
            If `ax` has another number of axes.
        """
        self.figure_, axes = get_axes(ax, 3 * len(self.images), (2.8, 3.1), n_columns=3)
        self.ax_ = axes.reshape(-1, 3)
        signed = self.sign == "all"
        cmap = cmap or ("PuOr_r" if signed else "inferno")
        for row, panels in enumerate(self.ax_):
            draw_image(panels[0], self.images[row], None, 0, None)
            _draw_signed(panels[1], self.attributions[row], self.percentile)
            panels[2].imshow(self.maps[row], cmap, vmin=-1 if signed else 0, vmax=1)
            if self.edges is not None:
                shade = np.full(self.edges[row].shape, 0.0 if signed else 1.0)
                panels[2].imshow(shade, "gray", vmin=0, vmax=1, alpha=self.edges[row])
            panels[2].set(xticks=[], yticks=[])
        for panel, title in zip(self.ax_[0], self._titles(), strict=True):
            panel.set_title(fill(printable(title), _TITLE_WIDTH))
        return self

    def _titles(self):
        shown = {"absolute": "magnitude", "all": "with sign"}.get(self.sign, self.sign)
        return "input", self.title, shown if self.edges is None else f"{shown} and edges"


def _draw_signed(panel, attributions, percentile):
    magnitudes = np.abs(attributions)
    strongest = np.percentile(magnitudes, percentile) or magnitudes.max() or 1
    if attributions.shape[0] not in (1, 3):
        attributions = _one_channel(attributions[None])
    shades = (0.5 + attributions / (2 * strongest)).clip(0, 1)
    panel.imshow(shades.transpose(1, 2, 0).squeeze(), "gray", vmin=0, vmax=1)
    panel.set(xticks=[], yticks=[])
