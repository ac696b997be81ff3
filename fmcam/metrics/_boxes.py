"""How well boxes fit."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar
from sklearn.utils.multiclass import unique_labels

from fmcam._arrays import as_array, plain_array
from fmcam._boxes import check_pairs
from fmcam._docstrings import documented_like
from fmcam._overlap import best_iou
from fmcam._per_image import average_images
from fmcam._predictions import rank_of_label
from fmcam._validation import check_same_rows


def paired_box_iou(boxes_true: ArrayLike, boxes_pred: ArrayLike) -> NDArray[np.float64]:
    r"""Return the intersection over union of the true and the predicted box of each image.

    .. math:: \mathrm{IoU} = \frac{|A \cap B|}{|A \cup B|}

    Parameters
    ----------
    boxes_true : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes of shape (k, 4)
        x0, y0, x1, y1 in half-open pixels: a box is x1 - x0 wide. NaN where there is no box. Of
        several boxes an image the one that fits best counts.
    boxes_pred : array-like of shape (n, 4)
        Likewise, one an image.

    Returns
    -------
    iou : ndarray of shape (n,), float64
        In [0, 1]. 0 without a predicted box and for boxes without area, NaN without a true one.

    Raises
    ------
    ValueError
        If boxes are reversed, of another shape, of different numbers of images, or fractions of
        the image on one side only.

    Notes
    -----
    A `torchvision.tv_tensors.BoundingBoxes` is taken in its own format. Slicing one, as a search
    with cross-validation does, loses the format: convert it before.

    Examples
    --------
    >>> from fmcam.metrics import paired_box_iou
    >>> paired_box_iou([[0, 0, 4, 4], [0, 0, 4, 4]], [[2, 0, 6, 4], [4, 0, 8, 4]])
    array([0.33333333, 0.        ])
    >>> paired_box_iou([[[0, 0, 4, 4], [6, 0, 8, 4]], []], [[6, 0, 8, 2], [0, 0, 4, 4]])
    array([0.5, nan])
    """
    return best_iou(*check_pairs(boxes_true, boxes_pred))


@documented_like(paired_box_iou)
def mean_iou_score(boxes_true: ArrayLike, boxes_pred: ArrayLike) -> float:
    """Return the mean intersection over union of true and predicted boxes.

    Returns
    -------
    score : float
        In [0, 1], the mean of `paired_box_iou`: an image without a predicted box counts 0, one
        without a true box is left out. NaN if all are.

    Raises
    ------
    ValueError
        If boxes are reversed, of another shape, of different numbers of images, or fractions of
        the image on one side only.

    See Also
    --------
    paired_box_iou : One value an image.

    Examples
    --------
    >>> from fmcam.metrics import mean_iou_score
    >>> mean_iou_score([[0, 0, 4, 4], [0, 0, 4, 4]], [[0, 0, 4, 4], [0, 0, 4, 2]])
    0.75
    """
    return average_images(paired_box_iou(boxes_true, boxes_pred), "mean")


@documented_like(paired_box_iou)
def box_accuracy_score(
    boxes_true: ArrayLike,
    boxes_pred: ArrayLike,
    *,
    iou_threshold: float = 0.5,
    average: str | None = "mean",
) -> Any:
    """Return the share of images whose predicted box overlaps the true one enough.

    Also called GT-known localization accuracy where the heatmaps are those of the true class [1]_.

    Parameters
    ----------
    iou_threshold : float, default=0.5
        In (0, 1]; a box is right if its IoU is at least this.
    average : {"mean", None}, default="mean"
        None gives one value an image.

    Returns
    -------
    score : float, or ndarray of shape (n,)
        Share in [0, 1], or 1 for each right box, 0 for each wrong or absent one and NaN without a
        true box, which the share leaves out.

    Raises
    ------
    ValueError
        If boxes are reversed, of another shape, of different numbers of images, or fractions of
        the image on one side only, or `iou_threshold` is not in (0, 1].

    References
    ----------
    .. [1] Choe et al., "Evaluating weakly supervised object localization methods right",
       CVPR 2020, section 4.1. https://arxiv.org/abs/2001.07437

    Examples
    --------
    >>> from fmcam.metrics import box_accuracy_score
    >>> box_accuracy_score([[0, 0, 4, 4], [0, 0, 4, 4]], [[0, 0, 4, 2], [0, 0, 4, 1]])
    0.5
    """
    check_iou_thresholds([iou_threshold])
    return average_images(_hits(paired_box_iou(boxes_true, boxes_pred), iou_threshold), average)


def _hits(iou, iou_threshold):
    return np.where(np.isnan(iou), iou, iou >= iou_threshold)


@documented_like(box_accuracy_score)
def top1_localization_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    boxes_true: ArrayLike,
    boxes_pred: ArrayLike,
    *,
    iou_threshold: float = 0.5,
    average: str | None = "mean",
) -> Any:
    """Return the share of images with the right class and a box that overlaps enough.

    The Top-1 Loc of the literature [1]_ where each image has one object.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels.
    y_pred : array-like of shape (n,)
        Labels.
    boxes_pred : array-like of shape (n, 4)
        Likewise, one an image, of the predicted class.

    Returns
    -------
    score : float, or ndarray of shape (n,)
        Share in [0, 1], or 1 where class and box are right, else 0, and NaN without a true box,
        which the share leaves out.

    Raises
    ------
    ValueError
        If boxes are reversed, of another shape, or fractions of the image on one side only, the
        numbers of images differ, or `iou_threshold` is not in (0, 1].

    References
    ----------
    .. [1] Russakovsky et al., "ImageNet large scale visual recognition challenge", IJCV 2015.
       https://arxiv.org/abs/1409.0575

    Examples
    --------
    >>> from fmcam.metrics import top1_localization_score
    >>> boxes = [[0, 0, 4, 4], [0, 0, 4, 4]]
    >>> top1_localization_score(["bag", "coat"], ["bag", "bag"], boxes, boxes)
    0.5
    """
    hits = box_accuracy_score(boxes_true, boxes_pred, iou_threshold=iou_threshold, average=None)
    y_true, y_pred = plain_array(y_true, name="y_true"), plain_array(y_pred, name="y_pred")
    check_same_rows("y_true", y_true, "boxes_true", hits)
    check_same_rows("y_pred", y_pred, "boxes_true", hits)
    unique_labels(y_true, y_pred)  # refuses strings beside numbers, which would never be equal
    return average_images(hits * (y_true == y_pred), average)


@documented_like(box_accuracy_score)
def top_k_localization_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    boxes_true: ArrayLike,
    boxes_pred: ArrayLike,
    *,
    k: int = 5,
    classes: ArrayLike | None = None,
    iou_threshold: float = 0.5,
    average: str | None = "mean",
) -> Any:
    """Return the share of images with the class among the k best and a box that overlaps enough.

    The Top-5 Loc of the literature [1]_ where each image has objects of one class. There each of
    the five classes has a box of its own; only that of the true class can be right.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels.
    y_score : array-like of shape (n, c)
        Probabilities, or logits, as only their order counts; of equal ones the first column is the
        better one.
    boxes_pred : array-like of shape (n, 4)
        Likewise, one an image, of the true class.
    k : int, default=5
        How many classes count. With all of them the score is `box_accuracy_score`.
    classes : array-like of shape (c,), optional
        Labels of the columns of scores, ``clf.classes_``. None means 0 to c - 1.

    Returns
    -------
    score : float, or ndarray of shape (n,)
        Share in [0, 1], or 1 where class and box are right, else 0, and NaN without a true box,
        which the share leaves out.

    Raises
    ------
    ValueError
        If boxes are reversed, of another shape, or fractions of the image on one side only, the
        numbers of images differ, labels are not in `classes`, scores are NaN, or `iou_threshold`
        or `k` is out of range.

    See Also
    --------
    top1_localization_score : From predicted labels.

    References
    ----------
    .. [1] Russakovsky et al., "ImageNet large scale visual recognition challenge", IJCV 2015,
       section 4.2. https://arxiv.org/abs/1409.0575

    Examples
    --------
    >>> from fmcam.metrics import top_k_localization_score
    >>> boxes = [[0, 0, 4, 4], [0, 0, 4, 4]]
    >>> y_score = [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]
    >>> [top_k_localization_score([0, 1], y_score, boxes, boxes, k=k) for k in (1, 2)]
    [0.5, 1.0]
    """
    check_scalar(k, "k", Integral, min_val=1)
    hits = box_accuracy_score(boxes_true, boxes_pred, iou_threshold=iou_threshold, average=None)
    ranks = rank_of_label(y_true, y_score, classes)
    check_same_rows("y_true", ranks, "boxes_true", hits)
    return average_images(hits * (ranks <= k), average)


def check_iou_thresholds(iou_thresholds):
    """Return the thresholds as a tuple of float."""
    values = as_array(iou_thresholds, name="iou_thresholds")
    if values.ndim != 1 or values.size == 0 or not ((values > 0) & (values <= 1)).all():
        raise ValueError(
            f"IoU thresholds must lie in (0, 1], got {values.tolist()}. For 50 % pass 0.5."
        )
    return tuple(values.astype(float).tolist())
