"""Heatmaps over their images."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any, Self

import pandas as pd
from numpy.typing import ArrayLike

from fmcam._text import printable
from fmcam._validation import check_heatmaps, check_thresholds
from fmcam.localize import boxes_from_heatmaps
from fmcam.plot._image_labels import named, tabulate
from fmcam.plot._panels import (
    BOX_STYLES,
    box_line,
    check_pictures,
    check_size,
    draw_boxes,
    draw_image,
    write_labels,
    write_prediction,
)
from fmcam.plot._style import get_axes

_TITLE_WIDTH = 16  # characters over a panel


class HeatmapDisplay:
    """Images, their heatmaps and boxes: one row an image, one column a method.

    With one method the columns are the input, the heatmap and the overlay of both; with several
    they are the input and the overlay of each method. Predictions stand beside the image where all
    methods share them, else below the heatmaps. Make one with `from_estimator` or `from_heatmaps`.

    Parameters
    ----------
    images : ndarray of shape (n, c, h, w), uint8 or float32
        One channel is shown in grey, three in colour.
    heatmaps : dict of str to ndarray of float, of shape (n, h, w)
        The maps of each method, in [0, 1], or in [-1, 1] where they have a sign.
    labels : DataFrame
        What `frame` returns.
    title : str
        What the colours mean.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes, of shape (n, n_columns)
        The panels.
    figure_ : matplotlib Figure
        What they are on.

    Examples
    --------
    >>> import numpy as np
    >>> display = HeatmapDisplay.from_heatmaps(
    ...     np.zeros((1, 28, 28)), {"CAM": np.zeros((1, 28, 28))}, y_true=["coat"],
    ...     y_pred=["shirt"], probability=[0.6], boxes_true=[[4, 2, 20, 26]],
    ... )
    >>> display.frame()
       image method y_true y_pred  probability  x0_true  y0_true  x1_true  y1_true
    0      0    CAM   coat  shirt          0.6      4.0      2.0     20.0     26.0
    """

    def __init__(self, *, images: Any, heatmaps: Any, labels: Any, title: Any) -> None:
        self.images = images
        self.heatmaps = heatmaps
        self.labels = labels
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        explainers: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        explained: str = "predicted",
        boxes: ArrayLike | None = None,
        thresholds: Any = None,
        class_names: Sequence[str] | None = None,
    ) -> Self:
        """Return the heatmaps that explainers make of some images.

        Parameters
        ----------
        explainers : explainer of `fmcam.explain`, or mapping of str to such
            Of a fitted classifier each; those of one classifier share its forward passes.
        X : array-like of shape (n, c, h, w) or (n, h, w), c being 1 or 3
            Images.
        y : array-like of shape (n,), optional
            True labels.
        explained : {"predicted", "true"}, default="predicted"
            Whether the maps are of the class that each classifier predicts, or of the true class.
        boxes : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes (k, 4), optional
            True boxes x0, y0, x1, y1 in half-open pixels, NaN where there is none.
        thresholds : float or mapping of str to float, optional
            The threshold of each explainer's maps in (0, 1], such as the `threshold_` of a
            `fmcam.localize.HeatmapToBox`, to draw the boxes they give. By default none are drawn.
        class_names : sequence of k str, optional
            Names to show in place of the classifiers' `classes_`.

        Returns
        -------
        display : HeatmapDisplay

        Raises
        ------
        ValueError
            If `explained` is neither of the two, or there are no labels for "true", or shapes do
            not fit together.
        """
        if explained not in ("predicted", "true") or (explained == "true" and y is None):
            raise ValueError(
                '`explained` must be "predicted", or "true" with the labels `y`, got '
                f"{explained!r} and {'no' if y is None else 'the'} labels. Pass both or neither."
            )
        if not isinstance(explainers, Mapping):
            explainers = {type(explainers).__name__: explainers}
        from fmcam.explain import explain_together  # here, so that other displays need no torch

        heatmaps = explain_together(explainers, X, y if explained == "true" else None)
        y_pred, probability = {}, {}
        for name, explainer in explainers.items():
            clf = explainer.classifier_
            y_proba = clf.predict_proba(X)
            predicted = clf.classes_[y_proba.argmax(axis=1)]
            y_pred[name] = named(predicted, clf.classes_, class_names)
            probability[name] = y_proba.max(axis=1)
        return cls.from_heatmaps(
            X,
            heatmaps,
            y_true=None if y is None else named(y, clf.classes_, class_names),
            y_pred=y_pred,
            probability=probability,
            boxes_true=boxes,
            boxes_pred=_boxes_of(heatmaps, thresholds),
            title=f"heatmap of the {explained} class",
        )

    @classmethod
    def from_heatmaps(
        cls,
        images: ArrayLike,
        heatmaps: ArrayLike | Mapping[str, ArrayLike],
        *,
        y_true: ArrayLike | None = None,
        y_pred: ArrayLike | Mapping[str, ArrayLike] | None = None,
        probability: ArrayLike | Mapping[str, ArrayLike] | None = None,
        boxes_true: ArrayLike | None = None,
        boxes_pred: ArrayLike | Mapping[str, ArrayLike] | None = None,
        title: str = "heatmap",
    ) -> Self:
        """Return the display of maps that are already computed.

        `y_pred`, `probability` and `boxes_pred` may also be mappings by the name of the method.

        Parameters
        ----------
        images : array-like of shape (n, c, h, w) or (n, h, w), c being 1 or 3
            uint8 is shown from 0 to 255, others from the smallest to the largest value of an image.
        heatmaps : array-like of float, of shape (n, h, w), or mapping of str to such
            Maps in [0, 1], by the name of the method; in [-1, 1] where they have a sign, as those
            of ``rectify=False``.
        y_true, y_pred : array-like of shape (n,), optional
            True and predicted class, as they are to be shown.
        probability : array-like of float, of shape (n,), optional
            Of the predicted class, in [0, 1].
        boxes_true : array-like of shape (n, 4) or (n, k, 4), or list of n (k, 4), optional
            x0, y0, x1, y1 in half-open pixels; a row of NaN is no box.
        boxes_pred : array-like of float, of shape (n, 4), optional
            Likewise, one an image.
        title : str, default="heatmap"
            What the colours mean, for the colour bar.

        Returns
        -------
        display : HeatmapDisplay

        Raises
        ------
        ValueError
            If shapes do not fit together, maps leave [-1, 1], or images have not 1 or 3 channels.
        """
        images = check_pictures(images)
        if not isinstance(heatmaps, Mapping):
            heatmaps = {"heatmap": heatmaps}
        heatmaps = {name: _check_maps(name, maps, images) for name, maps in heatmaps.items()}
        given = {
            "y_true": y_true,
            "y_pred": y_pred,
            "probability": probability,
            "boxes_true": boxes_true,
            "boxes_pred": boxes_pred,
        }
        labels = tabulate(given, images, list(heatmaps))
        return cls(images=images, heatmaps=heatmaps, labels=labels, title=title)

    def frame(self) -> pd.DataFrame:
        """Return what is written and drawn beside the maps as a tidy table.

        Returns
        -------
        frame : DataFrame
            One row a pair of an image and a method: image (its position), method and, as far as
            given, y_true, y_pred, probability, the true box in x0_true, y0_true, x1_true, y1_true,
            further ones in x0_true_2 and so on, and the predicted one in x0_pred, y0_pred, x1_pred,
            y1_pred.
        """
        return self.labels.copy()

    def plot(self, ax: Any = None, *, alpha: float = 0.5, cmap: str | None = None) -> Self:
        """Draw the grid; predictions that are wrong stand out in orange.

        Where a map has negative values, the colours go from -1 over 0 in their middle to 1.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, of shape (n, n_columns), optional
            Where to draw: three columns for one method, 1 + n_methods for several. By default a new
            figure.
        alpha : float, default=0.5
            Opacity of a map over its image, in [0, 1].
        cmap : str or Colormap, optional
            Colours of the maps, such as "jet"; by default "inferno", or "PuOr_r" where maps have
            negative values.

        Returns
        -------
        self : HeatmapDisplay

        Raises
        ------
        ValueError
            If `ax` has another number of axes.
        """
        signed = any((maps < 0).any() for maps in self.heatmaps.values())
        low, cmap = -1 if signed else 0, cmap or ("PuOr_r" if signed else "inferno")
        columns = self._columns(alpha)
        shape = len(self.images), len(columns)
        size = 1.7 + 2.8 / len(columns), 1.7  # with room for the labels at the left
        self.figure_, axes = get_axes(ax, shape[0] * shape[1], size, n_columns=len(columns))
        if ax is None:
            self.figure_.set_layout_engine("compressed")
        self.ax_ = axes.reshape(shape)
        labels = self.labels.set_index(["image", "method"]).to_dict("index")
        shared = self._methods_share_predictions()
        for row, panels in enumerate(self.ax_):
            for panel, (title, method, opacity) in zip(panels, columns, strict=True):
                label = labels[row, method]
                heatmap = self.heatmaps[method][row]
                draw_image(panel, self.images[row], heatmap, opacity, cmap, low)
                draw_boxes(panel, label, ["true", "pred"] if opacity else ["true"])
                if opacity and not shared:
                    write_prediction(panel, label)
                if row == 0:
                    panel.set_title(fill(printable(title), _TITLE_WIDTH), fontsize="medium")
            write_labels(panels[0], label, with_prediction=shared)
        self._explain_colors(cmap, low)
        return self

    def _columns(self, alpha):
        """Return title, method and opacity of the map for each column."""
        names = list(self.heatmaps)
        if len(names) == 1:
            return [("input", *names, 0), (*names, *names, 1), ("overlay", *names, alpha)]
        return [("input", names[0], 0), *((name, name, alpha) for name in names)]

    def _methods_share_predictions(self):
        if "y_pred" not in self.labels:
            return True
        predictions = self.labels.reindex(columns=["image", "y_pred", "probability"])
        return len(predictions.drop_duplicates()) == len(self.images)

    def _explain_colors(self, cmap, low):
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        self.figure_.colorbar(
            ScalarMappable(Normalize(low, 1), cmap),
            ax=list(self.ax_.flat),
            label=printable(self.title),
        )
        if drawn := [box_line(kind) for kind in BOX_STYLES if f"x0_{kind}" in self.labels]:
            self.figure_.legend(handles=drawn, loc="outside lower center", ncols=2, frameon=False)


def _check_maps(name, maps, images):
    maps = check_heatmaps(maps, unit=True, signed=True, name=f"heatmaps of {name}")
    check_size(f"heatmaps of {name}", maps, images)
    return maps


def _boxes_of(heatmaps, thresholds):
    if thresholds is None:
        return None
    thresholds = check_thresholds(thresholds, heatmaps)
    return {name: boxes_from_heatmaps(maps, thresholds[name]) for name, maps in heatmaps.items()}
