"""Whether the classifier needs the pixels that a heatmap shows.

All of these replace pixels by a baseline and ask the classifier again. Black pixels make images
such as it never saw, which moves the probabilities by itself. Where the true background is known,
as on a canvas, the image without its object is the better baseline.
"""

from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar

from fmcam._docstrings import documented_like
from fmcam._per_image import average_images, map_batches
from fmcam._typing import Images
from fmcam._validation import check_heatmaps
from fmcam.metrics._class_probability import check_faithfulness, probability_of_label


def insertion_auc_score(
    predict_proba: Callable[[Any], ArrayLike],
    X: Images,
    y: ArrayLike,
    heatmaps: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    n_steps: int = 50,
    classes: ArrayLike | None = None,
    average: str | None = "mean",
) -> Any:
    """Return the area under the probability of the class as pixels are put in, hottest first.

    Starting from the baseline, equal shares of the pixels are put in one after the other; the area
    is that under the probability over the share of pixels [1]_.

    Parameters
    ----------
    predict_proba : callable
        Takes images (n, c, h, w) of the dtype of `X`, returns probabilities (n, k):
        ``clf.predict_proba``.
    X : array-like of shape (n, c, h, w) or (n, h, w), uint8 or float32
        Images.
    y : array-like of shape (n,)
        The label that the heatmap of each image explains.
    heatmaps : array-like of shape (n, h, w)
        Heatmaps, of which only the order of the pixels counts. Equally hot pixels go row by row.
    baseline : array-like of the shape and dtype of `X`, optional
        What takes the place of missing pixels, such as the canvas without its item. None is black.
    n_steps : int, default=50
        In how many steps the pixels go. The classifier sees each image n_steps + 1 times.
    classes : array-like of shape (k,), optional
        Labels of the columns of probabilities, ``clf.classes_``. None means 0 to k - 1.
    average : {"mean", None}, default="mean"
        None gives one value an image.

    Returns
    -------
    score : float, or ndarray of shape (n,)
        In [0, 1].

    Raises
    ------
    ValueError
        If shapes, labels or dtypes do not fit together, or `predict_proba` returns no
        probabilities.

    References
    ----------
    .. [1] Petsiuk et al., "RISE: randomized input sampling for explanation of black-box models",
       BMVC 2018. https://arxiv.org/abs/1806.07421

    Examples
    --------
    A classifier that sees class 1 as far as the right pixel is white: found at once, the
    probability rises from 0 to 1 in the first of two steps.

    >>> import numpy as np
    >>> from fmcam.metrics import insertion_auc_score
    >>> def predict_proba(images):
    ...     return np.column_stack([1 - images[:, 0, 0, 1], images[:, 0, 0, 1]])
    >>> X = np.ones((1, 1, 1, 2), dtype=np.float32)
    >>> insertion_auc_score(predict_proba, X, [1], [[[0.1, 0.9]]], n_steps=2)
    0.75
    """
    given = predict_proba, X, y, heatmaps, baseline, n_steps, classes
    return average_images(_areas(*given, insert=True), average)


@documented_like(insertion_auc_score)
def deletion_auc_error(
    predict_proba: Callable[[Any], ArrayLike],
    X: Images,
    y: ArrayLike,
    heatmaps: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    n_steps: int = 50,
    classes: ArrayLike | None = None,
    average: str | None = "mean",
) -> Any:
    """Return the area under the probability of the class as pixels are taken out, hottest first.

    Starting from the image, equal shares of the pixels are replaced by the baseline one after the
    other; the area is that under the probability over the share of pixels [1]_. Lower is better.

    Returns
    -------
    error : float, or ndarray of shape (n,)
        In [0, 1].

    Raises
    ------
    ValueError
        If shapes, labels or dtypes do not fit together, or `predict_proba` returns no
        probabilities.

    References
    ----------
    .. [1] Petsiuk et al., "RISE: randomized input sampling for explanation of black-box models",
       BMVC 2018. https://arxiv.org/abs/1806.07421

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam.metrics import deletion_auc_error
    >>> def predict_proba(images):
    ...     return np.column_stack([1 - images[:, 0, 0, 1], images[:, 0, 0, 1]])
    >>> X = np.ones((1, 1, 1, 2), dtype=np.float32)
    >>> deletion_auc_error(predict_proba, X, [1], [[[0.1, 0.9]]], n_steps=2)
    0.25
    """
    given = predict_proba, X, y, heatmaps, baseline, n_steps, classes
    return average_images(_areas(*given, insert=False), average)


@documented_like(insertion_auc_score)
def average_drop_error(
    predict_proba: Callable[[Any], ArrayLike],
    X: Images,
    y: ArrayLike,
    heatmaps: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    average: str | None = "mean",
) -> Any:
    r"""Return how much of the probability is lost where only what the heatmap shows is left.

    With :math:`Y` the probability of the class in the image and :math:`O` that in the image faded
    to the baseline where the map is low, the loss of an image is [1]_

    .. math:: \frac{\max(0, Y - O)}{Y}

    Lower is better.

    Parameters
    ----------
    heatmaps : array-like of shape (n, h, w), in [0, 1]
        Heatmaps: 1 leaves the pixel as it is, 0 replaces it by the baseline.

    Returns
    -------
    error : float, or ndarray of shape (n,)
        In [0, 1]. NaN where the probability is 0 to begin with, which the mean leaves out.

    Raises
    ------
    ValueError
        If shapes, labels or dtypes do not fit together, heatmaps leave [0, 1], or `predict_proba`
        returns no probabilities.

    Notes
    -----
    In the paper in percent. A map of ones everywhere has no drop, so look at a localization
    metric, too.

    References
    ----------
    .. [1] Chattopadhay et al., "Grad-CAM++: generalized gradient-based visual explanations for deep
       convolutional networks", WACV 2018. https://arxiv.org/abs/1710.11063

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam.metrics import average_drop_error
    >>> def predict_proba(images):
    ...     return np.column_stack([1 - images[:, 0, 0, 1], images[:, 0, 0, 1]])
    >>> X = np.full((1, 1, 1, 2), 0.8, dtype=np.float32)
    >>> average_drop_error(predict_proba, X, [1], [[[1.0, 0.25]]])
    0.75
    """
    whole, shown = _confidences(predict_proba, X, y, heatmaps, baseline, classes)
    lost = np.maximum(whole - shown, 0)
    drop = np.divide(lost, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return average_images(drop, average)


@documented_like(average_drop_error)
def increase_in_confidence_score(
    predict_proba: Callable[[Any], ArrayLike],
    X: Images,
    y: ArrayLike,
    heatmaps: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    average: str | None = "mean",
) -> Any:
    """Return the share of images that the classifier is surer of where only the heatmap is shown.

    The share of images with :math:`O > Y` in the words of `average_drop_error` [1]_.

    Returns
    -------
    score : float, or ndarray of shape (n,)
        Share in [0, 1], or 1 for each image with more confidence and else 0.

    Raises
    ------
    ValueError
        If shapes, labels or dtypes do not fit together, heatmaps leave [0, 1], or `predict_proba`
        returns no probabilities.

    References
    ----------
    .. [1] Chattopadhay et al., "Grad-CAM++: generalized gradient-based visual explanations for deep
       convolutional networks", WACV 2018. https://arxiv.org/abs/1710.11063

    Examples
    --------
    The left pixel speaks against the class, and the heatmap leaves it out.

    >>> import numpy as np
    >>> from fmcam.metrics import increase_in_confidence_score
    >>> def predict_proba(images):
    ...     return np.column_stack([images[:, 0, 0, 0], 1 - images[:, 0, 0, 0]])
    >>> X = np.full((1, 1, 1, 2), 0.8, dtype=np.float32)
    >>> increase_in_confidence_score(predict_proba, X, [1], [[[0.0, 1.0]]])
    1.0
    """
    whole, shown = _confidences(predict_proba, X, y, heatmaps, baseline, classes)
    return average_images((shown > whole).astype(float), average)


def _areas(predict_proba, X, y, heatmaps, baseline, n_steps, classes, *, insert):
    """Return the area of each image, (n,): pixels put into the baseline, or taken out of images."""
    X, y, heatmaps, baseline = check_faithfulness(X, y, heatmaps, baseline)
    check_scalar(n_steps, "n_steps", Integral, min_val=1)
    area = partial(_area, predict_proba, classes, n_steps)
    return map_batches(area, y, heatmaps, *((baseline, X) if insert else (X, baseline)))


def _area(predict_proba, classes, n_steps, y, heatmaps, start, end):
    """Return the area under the probability while pixels of `start` become those of `end`, (n,)."""
    n, h, w = heatmaps.shape
    order = np.argsort(-heatmaps.reshape(n, -1), axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(h * w)[None], axis=1)
    place = place.reshape(n, 1, h, w)
    n_changed = np.linspace(0, h * w, n_steps + 1).round().astype(int)
    curve = [
        probability_of_label(predict_proba, np.where(place < count, end, start), y, classes)
        for count in n_changed
    ]
    return np.trapezoid(curve, n_changed / (h * w), axis=0)


def _confidences(predict_proba, X, y, heatmaps, baseline, classes):
    """Return the probability in the image and in what the heatmap shows of it, both (n,)."""
    heatmaps = check_heatmaps(heatmaps, unit=True)
    X, y, heatmaps, baseline = check_faithfulness(X, y, heatmaps, baseline)

    def confidence(y, heatmaps, baseline, X):
        opacity = np.clip(heatmaps, 0, 1)[:, None]
        shown = opacity * X + (1 - opacity) * baseline
        shown = np.rint(shown) if X.dtype == np.uint8 else shown
        return np.column_stack(
            [
                probability_of_label(predict_proba, images, y, classes)
                for images in (X, shown.astype(X.dtype))
            ]
        )

    return map_batches(confidence, y, heatmaps, baseline, X).T
