"""Heatmaps to boxes, the threshold and the kind of region fitted."""

from numbers import Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from fmcam._boxes import check_true_boxes
from fmcam._docstrings import documented_like
from fmcam._overlap import best_iou
from fmcam._per_image import average_images
from fmcam._regions import THRESHOLDS, boxes_from_heatmaps
from fmcam._validation import check_heatmaps, check_same_rows

__all__ = ["HeatmapToBox", "image_tags"]


class HeatmapToBox(TransformerMixin, BaseEstimator):
    """Turn heatmaps into boxes around their hottest region, at a threshold that fits best.

    Parameters
    ----------
    threshold : "fit" or float in [0, 1], default="fit"
        A pixel is hot if it is at least this, and above zero. "fit": the one of 49 thresholds from
        0.02 to 0.98 whose boxes have the highest mean IoU with the true ones, the lowest of equals.
        Fit it on other images than those that are scored.
    region : {"largest", "all", "fit"}, default="largest"
        What the box is around, see `fmcam.localize.boxes_from_heatmaps`. "fit": whichever of both
        has the higher mean IoU at its best threshold, "largest" of equals.

    Attributes
    ----------
    threshold_ : float
        The threshold in use.
    region_ : {"largest", "all"}
        The kind of region in use.
    thresholds_ : ndarray of shape (t,)
        The thresholds that were tried, 49 or the one that was given; only with "fit".
    scores_ : ndarray of shape (t,)
        Mean IoU at each of them, in [0, 1], of boxes around `region_`; only with "fit".

    Notes
    -----
    `X` are heatmaps (n, h, w) in [0, 1], and `y` are boxes x0, y0, x1, y1 of shape (n, 4) in
    half-open pixels of the heatmaps, a row of NaN for none. Of several boxes an image, in an array
    (n, k, 4) or a list of (k, 4), the one that fits best counts.

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam.localize import HeatmapToBox
    >>> heatmaps = np.array([[[0.0, 0.3, 0.8, 0.7, 0.1]], [[0.9, 0.6, 0.4, 0.1, 0.0]]])
    >>> to_box = HeatmapToBox().fit(heatmaps, [[2, 0, 4, 1], [0, 0, 2, 1]])
    >>> to_box.threshold_
    0.42
    >>> to_box.set_output(transform="pandas").transform(heatmaps)
        x0   y0   x1   y1
    0  2.0  0.0  4.0  1.0
    1  0.0  0.0  2.0  1.0
    """

    def __init__(
        self,
        threshold: float | Literal["fit"] = "fit",
        *,
        region: Literal["largest", "all", "fit"] = "largest",
    ) -> None:
        self.threshold = threshold
        self.region = region

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Choose the threshold and the kind of region.

        Parameters
        ----------
        X : array-like of shape (n, h, w), in [0, 1]
            Heatmaps.
        y : array-like of shape (n, 4) or (n, k, 4), or list of n of shape (k, 4), optional
            True boxes; not used where neither `threshold` nor `region` is "fit".

        Returns
        -------
        HeatmapToBox
            The fitted transformer itself.

        Raises
        ------
        ValueError
            If maps leave [0, 1] or have NaN, boxes are reversed, leave the maps or are fractions of
            them, there are not as many rows of boxes as maps or no box at all, or `threshold` is
            neither "fit" nor in [0, 1].
        """
        self.__dict__.pop("_overlaps", None)
        return self.partial_fit(X, y)

    @documented_like(fit)
    def partial_fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Choose by these heatmaps and those of earlier calls, which `fit` forgets.

        So more heatmaps may be used than memory holds.

        Returns
        -------
        HeatmapToBox
            The fitted transformer itself. It is what `fit` on all heatmaps at once makes of it.

        Raises
        ------
        ValueError
            As `fit`.
        """
        X = check_heatmaps(X, unit=True)
        thresholds = self._thresholds()
        regions = ("largest", "all") if self.region == "fit" else (self.region,)
        if "fit" in (self.threshold, self.region):
            self._choose(X, y, thresholds, regions)
            return self
        self.threshold_, self.region_ = float(thresholds[0]), self.region
        for name in ("thresholds_", "scores_"):  # of a fit before
            self.__dict__.pop(name, None)
        return self

    def _thresholds(self):
        if self.threshold == "fit":
            return THRESHOLDS.copy()
        if isinstance(self.threshold, Real) and 0 <= float(self.threshold) <= 1:
            return np.array([float(self.threshold)])
        raise ValueError(
            f'`threshold` must be "fit" or a number in [0, 1], got {self.threshold!r}.'
        )

    def _choose(self, X, y, thresholds, regions):
        if y is None:
            name, other = ("threshold", "number") if self.threshold == "fit" else ("region", "kind")
            raise ValueError(
                f'`{name}="fit"` needs true boxes of shape (n, 4), got None. '
                f"Pass them as `y`, or a {other} as `{name}`."
            )
        y = _check_pairs(X, y)
        if np.isnan(y).all():
            raise ValueError(f"`y` must hold a box, got {len(y)} rows of NaN.")
        overlaps = [
            best_iou(y, boxes_from_heatmaps(X, thresholds, region=region)) for region in regions
        ]
        if before := self.__dict__.get("_overlaps"):
            overlaps = [np.hstack(pair) for pair in zip(before, overlaps, strict=True)]
        self._overlaps = overlaps
        scores = [
            np.array([average_images(iou, "mean") for iou in overlap]) for overlap in overlaps
        ]
        best = max(range(len(regions)), key=lambda number: scores[number].max())
        self.region_, self.thresholds_, self.scores_ = regions[best], thresholds, scores[best]
        self.threshold_ = float(thresholds[self.scores_.argmax()])

    def transform(self, X: ArrayLike) -> Any:
        """Return the box of each heatmap.

        Parameters
        ----------
        X : array-like of shape (n, h, w), in [0, 1]
            Heatmaps.

        Returns
        -------
        boxes : ndarray of shape (n, 4), float64
            A row of NaN for a map without a hot pixel. With ``set_output(transform="pandas")`` a
            DataFrame.
        """
        return self.predict(X)

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the box of each heatmap, as `transform` does, always as an array.

        Parameters
        ----------
        X : array-like of shape (n, h, w), in [0, 1]
            Heatmaps.

        Returns
        -------
        boxes : ndarray of shape (n, 4), float64
            A row of NaN for a map without a hot pixel.
        """
        check_is_fitted(self)
        return boxes_from_heatmaps(X, self.threshold_, region=self.region_)

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the mean IoU of the boxes of heatmaps with the true boxes.

        Parameters
        ----------
        X : array-like of shape (n, h, w), in [0, 1]
            Heatmaps.
        y : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes of shape (k, 4)
            True boxes.

        Returns
        -------
        float
            In [0, 1].
        """
        X = check_heatmaps(X, unit=True)
        return average_images(best_iou(_check_pairs(X, y), self.predict(X)), "mean")

    def get_feature_names_out(self, input_features: None = None) -> NDArray[Any]:
        """Return the names of the columns: x0, y0, x1, y1.

        Parameters
        ----------
        input_features : None, default=None
            Not used; scikit-learn passes it.

        Returns
        -------
        ndarray of shape (4,), str
        """
        return np.array(["x0", "y0", "x1", "y1"], dtype=object)

    def __sklearn_tags__(self):
        return image_tags(super().__sklearn_tags__())


def _check_pairs(heatmaps, boxes):
    """Return the true boxes of checked heatmaps, of shape (n, k, 4)."""
    boxes = check_true_boxes(boxes, size=heatmaps.shape[1:], name="y")
    check_same_rows("X", heatmaps, "y", boxes)
    return boxes


def image_tags(tags):
    """scikit-learn's tags of an estimator, for input of images."""
    tags.input_tags.two_d_array = False
    tags.input_tags.three_d_array = True
    return tags
