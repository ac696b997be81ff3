"""Box accuracy at the best threshold of the very images that are scored."""

import numpy as np

from fmcam._boxes import check_true_boxes
from fmcam._overlap import best_iou
from fmcam._per_image import average_images
from fmcam._regions import THRESHOLDS, boxes_from_heatmaps
from fmcam._validation import check_heatmaps, check_same_rows
from fmcam.metrics._boxes import check_iou_thresholds
from fmcam.metrics._wsol import best_iou_of_outlines


def max_box_accuracy_score(
    boxes_true, heatmaps, *, iou_thresholds=(0.3, 0.5, 0.7), average="mean", convention="half-open"
):
    r"""Return the box accuracy at the threshold that is best for these very images: an oracle.

    .. math:: \mathrm{MaxBoxAcc}(\delta) = \max_\tau \frac{1}{n}
              \sum_i \left[ \mathrm{IoU}_i(\tau) \ge \delta \right]

    One threshold :math:`\tau` for all images, chosen anew for each :math:`\delta`, on the images
    that are scored. It is an upper bound of what any threshold can reach; for what a threshold
    that was fitted elsewhere does reach, see `box_accuracy_score`. The mean over
    :math:`\delta` is called MaxBoxAccV2 [1]_.

    Parameters
    ----------
    boxes_true : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes of shape (k, 4)
        x0, y0, x1, y1 in half-open pixels of the heatmaps. NaN where there is no box; an image
        without any is left out. Of several boxes an image any may be hit.
    heatmaps : array-like of shape (n, h, w), in [0, 1]
        Heatmaps of the true class.
    iou_thresholds : sequence of float, default=(0.3, 0.5, 0.7)
        The :math:`\delta`, in (0, 1].
    average : {"mean", None}, default="mean"
        None gives one value for each :math:`\delta`.
    convention : {"half-open", "wsol"}, default="half-open"
        "half-open": the box around the largest region, see `boxes_from_heatmaps`, at 49 thresholds
        from 0.02 to 0.98. "wsol": what the code of [1]_ computes, image by image, see Notes.

    Returns
    -------
    score : float, or ndarray of shape (len(iou_thresholds),)
        In [0, 1]; NaN if no image has a true box.

    Raises
    ------
    ValueError
        If boxes are reversed, leave the heatmap or are fractions of it, maps leave [0, 1] or have
        NaN, the numbers of images differ, or `convention` or `average` is unknown.

    Notes
    -----
    With "wsol", maps are rounded down to 255 grey levels, a pixel must be above the integer part
    of 1000 thresholds times the map's maximum, an image counts as right if any outline around a
    region or around a hole in one fits, outlines are clipped at w - 1 and h - 1, corners of true
    boxes are rounded down, and a box holds its last row and column, too. A map of zeros has the
    box of the first pixel. Expect scores that differ by a few points from those of "half-open".

    References
    ----------
    .. [1] Choe et al., "Evaluation for weakly supervised object localization: protocol, metrics,
       and datasets", TPAMI 2022, section 4.1. https://arxiv.org/abs/2007.04178

    Examples
    --------
    The box of all hot pixels fits the first image, that of the hottest pixel the second.

    >>> from fmcam.metrics import max_box_accuracy_score
    >>> heatmaps = [[[0.0, 1.0, 0.5]], [[0.0, 1.0, 0.5]]]
    >>> boxes_true = [[1, 0, 3, 1], [1, 0, 2, 1]]
    >>> max_box_accuracy_score(boxes_true, heatmaps, iou_thresholds=[0.5, 0.7], average=None)
    array([1. , 0.5])
    """
    check_iou_thresholds(iou_thresholds)
    heatmaps = check_heatmaps(heatmaps, unit=True)
    boxes_true = check_true_boxes(boxes_true, size=heatmaps.shape[1:], name="boxes_true")
    check_same_rows("boxes_true", boxes_true, "heatmaps", heatmaps)
    if convention == "half-open":
        overlap = best_iou(boxes_true, boxes_from_heatmaps(heatmaps, THRESHOLDS))
    elif convention == "wsol":
        overlap = best_iou_of_outlines(boxes_true, heatmaps)
    else:
        raise ValueError(f'`convention` must be "half-open" or "wsol", got {convention!r}.')
    defined = overlap[:, ~np.isnan(boxes_true[..., 0]).all(axis=1)]
    return average_images(_max_accuracies(defined, iou_thresholds), average)


def _max_accuracies(overlap, iou_thresholds):
    """Return the best share over thresholds (t, n) -> (len(iou_thresholds),)."""
    if overlap.shape[1] == 0:
        return np.full(len(iou_thresholds), np.nan)
    return np.array([(overlap >= least).mean(axis=1).max() for least in iou_thresholds])
