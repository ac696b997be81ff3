"""From heatmaps to boxes as scikit-learn estimators, the threshold fitted."""

from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from fmcam._boxes import check_true_boxes
from fmcam._validation import check_heatmaps, check_same_rows
from fmcam.metrics import boxes_from_heatmaps
from fmcam.metrics._boxes import best_iou
from fmcam.metrics._images import average_images
from fmcam.metrics._oracle import THRESHOLDS

__all__ = ["CAMLocalizer", "HeatmapToBox"]


class HeatmapToBox(TransformerMixin, BaseEstimator):
    """Turn heatmaps into boxes around their hottest region, at a threshold that fits best.

    Parameters
    ----------
    threshold : "fit" or float in [0, 1], default="fit"
        A pixel is hot if it is at least this, and above zero. "fit": the one of 49 thresholds from
        0.02 to 0.98 whose boxes have the highest mean IoU with the true ones, the lowest of equals.
        Fit it on other images than those that are scored.
    region : {"largest", "all"}, default="largest"
        What the box is around, see `fmcam.metrics.boxes_from_heatmaps`.

    Attributes
    ----------
    threshold_ : float
        The threshold in use.
    thresholds_ : ndarray of shape (49,)
        The thresholds that were tried; only with ``threshold="fit"``.
    scores_ : ndarray of shape (49,)
        Mean IoU at each of them, in [0, 1]; only with ``threshold="fit"``.

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

    def __init__(self, threshold="fit", *, region="largest"):
        self.threshold = threshold
        self.region = region

    def fit(self, X, y=None):
        """Choose the threshold.

        Parameters
        ----------
        X : array-like of shape (n, h, w), in [0, 1]
            Heatmaps.
        y : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes of shape (k, 4)
            True boxes; not used where `threshold` is a number.

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
        X = check_heatmaps(X, unit=True)
        if self.threshold == "fit":
            self.thresholds_ = THRESHOLDS.copy()
            self.scores_ = self._score_thresholds(X, y)
            self.threshold_ = float(self.thresholds_[self.scores_.argmax()])
        elif isinstance(self.threshold, Real) and 0 <= float(self.threshold) <= 1:
            self.threshold_ = float(self.threshold)
            for name in ("thresholds_", "scores_"):  # of a fit before
                self.__dict__.pop(name, None)
        else:
            raise ValueError(
                f'`threshold` must be "fit" or a number in [0, 1], got {self.threshold!r}.'
            )
        return self

    def _score_thresholds(self, X, y):
        if y is None:
            raise ValueError(
                '`threshold="fit"` needs true boxes of shape (n, 4), got None. '
                "Pass them as `y`, or a number as `threshold`."
            )
        y = _check_pairs(X, y)
        if np.isnan(y).all():
            raise ValueError(f"`y` must hold a box, got {len(y)} rows of NaN.")
        overlap = best_iou(y, boxes_from_heatmaps(X, self.thresholds_, region=self.region))
        return np.array([average_images(at_threshold, "mean") for at_threshold in overlap])

    def transform(self, X):
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

    def predict(self, X):
        """Return the box of each heatmap, as `transform` does, always as an array."""
        check_is_fitted(self)
        return boxes_from_heatmaps(X, self.threshold_, region=self.region)

    def score(self, X, y):
        """Return the mean IoU of the boxes of heatmaps `X` with the true boxes `y`."""
        X = check_heatmaps(X, unit=True)
        return average_images(best_iou(_check_pairs(X, y), self.predict(X)), "mean")

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns: x0, y0, x1, y1."""
        return np.array(["x0", "y0", "x1", "y1"], dtype=object)

    def __sklearn_tags__(self):
        return _image_tags(super().__sklearn_tags__())


class CAMLocalizer(BaseEstimator):
    """Find the object of an image: a classifier, its heatmaps and their boxes in one estimator.

    As in all of `fmcam.localize`, `y` are boxes: `predict` returns them and `score` compares with
    them, so that method, layer and threshold can be searched over with a box scorer. Labels of the
    images are extra.

    Parameters
    ----------
    explainer : explainer of `fmcam.explain`
        Around a classifier in a `sklearn.frozen.FrozenEstimator`, or around one that `fit` trains.
    to_box : HeatmapToBox
        Turns heatmaps into boxes.

    Attributes
    ----------
    explainer_ : explainer
        The fitted explainer.
    to_box_ : HeatmapToBox
        The fitted transformer, with `threshold_`.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.model_selection import GridSearchCV
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.datasets import make_fashion_shapes
    >>> from fmcam.explain import GradCAM, LayerCAM
    >>> from fmcam.localize import CAMLocalizer, HeatmapToBox
    >>> from fmcam.models import LeNet5
    >>> shapes = make_fashion_shapes(20, random_state=0)
    >>> clf = FrozenEstimator(CNNClassifier.from_module(LeNet5()))
    >>> localizer = CAMLocalizer(GradCAM(clf), HeatmapToBox())
    >>> grid = {"explainer": [GradCAM(clf), LayerCAM(clf)], "to_box__threshold": [0.2, "fit"]}
    >>> search = GridSearchCV(localizer, grid, cv=2)
    >>> search.fit(shapes.images, shapes.boxes, labels=shapes.target).predict(shapes.images).shape
    (20, 4)
    """

    def __init__(self, explainer, to_box):
        self.explainer = explainer
        self.to_box = to_box

    def fit(self, X, y=None, labels=None):
        """Train the classifier, unless it is frozen, then fit the threshold.

        Parameters
        ----------
        X : array-like of shape (n, c, h, w) or whatever the classifier takes
            Images.
        y : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes of shape (k, 4)
            True boxes x0, y0, x1, y1 in half-open pixels of the images; a row of NaN for none. Not
            needed where the threshold of `to_box` is a number.
        labels : array-like of shape (n,), optional
            True labels, which a classifier that is not frozen needs. With them the threshold is
            fitted on the heatmaps of the true class, else on those of the predicted class.

        Returns
        -------
        CAMLocalizer
            The fitted localizer itself.

        Raises
        ------
        ValueError
            If labels are needed and missing, boxes and images do not fit together, or the heatmaps
            have another size than the images.
        """
        if labels is None and not _is_frozen(self.explainer):
            raise ValueError(
                "A classifier that is not frozen needs `labels`, got None. Pass "
                "`fit(X, boxes, labels=labels)`, or wrap a fitted classifier in FrozenEstimator."
            )
        size = _image_size(X)
        if size is not None and y is not None:
            y = check_true_boxes(y, size=size, name="y")
            check_same_rows("X", X, "y", y)
        self.explainer_ = clone(self.explainer).fit(X, labels)
        maps = _check_size(self.explainer_.explain(X, labels), size)
        self.to_box_ = clone(self.to_box).fit(maps, y)
        return self

    def predict(self, X):
        """Return the box of the predicted class in each image.

        Parameters
        ----------
        X : array-like of shape (n, c, h, w) or whatever the classifier takes
            Images.

        Returns
        -------
        boxes : ndarray of shape (n, 4), float64
            x0, y0, x1, y1 in half-open pixels; a row of NaN where the heatmap has no hot pixel.
        """
        maps = self._maps(X)
        return self.to_box_.predict(maps)

    def score(self, X, y):
        """Return the mean IoU of the predicted boxes of images `X` with the true boxes `y`."""
        maps = self._maps(X)
        return self.to_box_.score(maps, y)

    def _maps(self, X):
        check_is_fitted(self)
        return _check_size(self.explainer_.transform(X), _image_size(X))

    def __sklearn_tags__(self):
        return _image_tags(super().__sklearn_tags__())


def _check_pairs(heatmaps, boxes):
    """Return the true boxes of checked heatmaps, of shape (n, k, 4)."""
    boxes = check_true_boxes(boxes, size=heatmaps.shape[1:], name="y")
    check_same_rows("X", heatmaps, "y", boxes)
    return boxes


def _image_size(X):
    """Return height and width of images, None where only the classifier knows them."""
    shape = getattr(X, "shape", ())
    return tuple(shape[-2:]) if len(shape) > 2 else None


def _check_size(heatmaps, size):
    if size is not None and heatmaps.shape[1:] != size:
        raise ValueError(
            f"Heatmaps must have the size of the images, (h, w) = {size}, as boxes are in their "
            f"pixels, got {heatmaps.shape[1:]}. Let the explainer use `upsample=True`."
        )
    return heatmaps


def _is_frozen(explainer):
    return any(isinstance(value, FrozenEstimator) for value in explainer.get_params().values())


def _image_tags(tags):
    tags.input_tags.two_d_array = False
    tags.input_tags.three_d_array = True
    return tags
