"""What is wrong with a box: one word an image."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.multiclass import unique_labels

from fmcam._arrays import plain_array
from fmcam._boxes import check_pairs
from fmcam._overlap import best_iou, best_true_boxes
from fmcam._validation import check_same_rows


def localization_error_types(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    boxes_true: ArrayLike,
    boxes_pred: ArrayLike,
    *,
    boxes_joined: ArrayLike | None = None,
    iou_threshold: float = 0.5,
) -> Any:
    r"""Return what is wrong with the class or the box of each image.

    With the true box T, the predicted box P, the threshold t of IoU, and the share of the smaller
    box that lies in the larger one,

    .. math:: o = \frac{|T \cap P|}{\min(|T|, |P|)}

    the type is the first of these that holds:

    =============  ================================================================================
    ``""``         There is no true box, so nothing is known.
    "wrong class"  The predicted class is not the true one.
    "no box"       There is no predicted box.
    "correct"      IoU(T, P) >= t.
    "several"      IoU(T, J) >= t, where J is the box around all regions of the heatmap: the object
                   fell into several regions, and P is around one of them.
    "part only"    o >= 2t / (1 + t), and P is the smaller one: it lies mostly on the object, but
                   covers too little of it.
    "too large"    o >= 2t / (1 + t), and T is the smaller one: P covers most of the object, and too
                   much besides.
    "elsewhere"    P lies beside the object or across its edge.
    =============  ================================================================================

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        Labels.
    boxes_true : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes of shape (k, 4)
        x0, y0, x1, y1 in half-open pixels; NaN where there is no box. Of several boxes an image T
        is the one that P overlaps most.
    boxes_pred : array-like of float, of shape (n, 4)
        Likewise, one an image.
    boxes_joined : array-like of float, of shape (n, 4), optional
        Boxes around all regions of the heatmaps together, from `fmcam.localize.boxes_from_heatmaps`
        with ``region="all"``. Without them none is "several".
    iou_threshold : float, default=0.5
        In (0, 1].

    Returns
    -------
    types : ndarray of shape (n,), str

    Raises
    ------
    ValueError
        If boxes are reversed, of another shape, or fractions of the image on one side only, the
        numbers of images differ, labels are partly strings, or `iou_threshold` is not in (0, 1].

    Notes
    -----
    Errors are sorted as in [1]_ and, for boxes learned from labels alone, in the code of [2]_.
    There the class comes first, too, then P is a part if half of it lies on the object, then too
    large if it covers 0.7 of T. Here one share follows from t: two boxes of equal area that share
    2t / (1 + t) of it have an IoU of t. A wrong box that reaches it thus differs from the true one
    in size, and one of the right size in the wrong place is "elsewhere". At t = 0.5 it is 2 / 3.

    References
    ----------
    .. [1] Hoiem, Chodpathumwan & Dai, "Diagnosing Error in Object Detectors", ECCV 2012.
    .. [2] Gao et al., "TS-CAM: Token Semantic Coupled Attention Map for Weakly Supervised Object
       Localization", ICCV 2021. https://arxiv.org/abs/2103.14862

    Examples
    --------
    >>> from fmcam.report import localization_error_types
    >>> boxes_true = [[0, 0, 6, 6]] * 4
    >>> boxes_pred = [[0, 0, 6, 4], [0, 0, 3, 3], [0, 0, 12, 9], [4, 4, 10, 10]]
    >>> localization_error_types(["cat"] * 4, ["cat"] * 4, boxes_true, boxes_pred).tolist()
    ['correct', 'part only', 'too large', 'elsewhere']
    """
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"`iou_threshold` must lie in (0, 1], got {iou_threshold}.")
    boxes_true, boxes_pred = check_pairs(boxes_true, boxes_pred)
    iou = best_iou(boxes_true, boxes_pred)
    y_true, y_pred = plain_array(y_true, name="y_true"), plain_array(y_pred, name="y_pred")
    check_same_rows("y_true", y_true, "boxes_true", iou)
    check_same_rows("y_pred", y_pred, "boxes_true", iou)
    unique_labels(y_true, y_pred)  # refuses strings beside numbers, which would never be equal
    joined_iou = iou
    if boxes_joined is not None:
        joined_iou = best_iou(*check_pairs(boxes_true, boxes_joined, "boxes_joined"))
    true_area, area, shared = _areas(best_true_boxes(boxes_true, boxes_pred), boxes_pred)
    mostly = (1 + iou_threshold) * shared >= 2 * iou_threshold * np.minimum(true_area, area)
    types = {
        "": np.isnan(iou),
        "wrong class": y_true != y_pred,
        "no box": np.isnan(area),
        "correct": iou >= iou_threshold,
        "several": joined_iou >= iou_threshold,
        "part only": mostly & (area < true_area),
        "too large": mostly,
    }
    return np.select(list(types.values()), list(types), default="elsewhere")


def _areas(boxes_true, boxes_pred):
    """Return the areas of the true boxes, of the predicted ones, and of what both share."""
    start = np.maximum(boxes_true[:, :2], boxes_pred[:, :2])
    stop = np.minimum(boxes_true[:, 2:], boxes_pred[:, 2:])
    sides = [
        boxes_true[:, 2:] - boxes_true[:, :2],
        boxes_pred[:, 2:] - boxes_pred[:, :2],
        (stop - start).clip(0),
    ]
    return np.prod(sides, axis=2)
