"""Classifier, heatmaps and boxes in one estimator."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from fmcam._boxes import check_true_boxes
from fmcam._typing import Images
from fmcam._validation import check_same_rows
from fmcam.localize._heatmap_to_box import HeatmapToBox, image_tags

__all__ = ["CAMLocalizer"]


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

    def __init__(self, explainer: Any, to_box: HeatmapToBox) -> None:
        self.explainer = explainer
        self.to_box = to_box

    def fit(self, X: Images, y: ArrayLike | None = None, labels: ArrayLike | None = None) -> Self:
        """Train the classifier, unless it is frozen, then fit the threshold.

        Parameters
        ----------
        X : array-like of shape (n, c, h, w) or whatever the classifier takes
            Images.
        y : array-like of shape (n, 4) or (n, k, 4), or list of n of shape (k, 4), optional
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

    def predict(self, X: Images) -> NDArray[np.float64]:
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

    def score(self, X: Images, y: ArrayLike) -> float:
        """Return the mean IoU of the predicted boxes with the true boxes.

        Parameters
        ----------
        X : array-like of shape (n, c, h, w) or whatever the classifier takes
            Images.
        y : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes of shape (k, 4)
            True boxes.

        Returns
        -------
        float
            In [0, 1].
        """
        maps = self._maps(X)
        return self.to_box_.score(maps, y)

    def _maps(self, X):
        check_is_fitted(self)
        return _check_size(self.explainer_.transform(X), _image_size(X))

    def __sklearn_tags__(self):
        return image_tags(super().__sklearn_tags__())


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
