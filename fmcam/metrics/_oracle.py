"""Box accuracy at the best threshold of the very images that are scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import gen_batches

from fmcam._boxes import check_true_boxes
from fmcam._docstrings import documented_like
from fmcam._overlap import best_iou
from fmcam._per_image import average_images, check_average
from fmcam._regions import THRESHOLDS, boxes_from_heatmaps
from fmcam._validation import check_heatmaps, check_same_rows
from fmcam.metrics._accumulator import BaseAccumulator
from fmcam.metrics._boxes import check_iou_thresholds
from fmcam.metrics._wsol import best_iou_of_outlines

_PIXELS_AT_ONCE = 2**24
_REGIONS = {"largest": ("largest",), "all": ("all",), "fit": ("largest", "all")}


def max_box_accuracy_score(
    boxes_true: ArrayLike,
    heatmaps: ArrayLike,
    *,
    iou_thresholds: Sequence[float] = (0.3, 0.5, 0.7),
    average: str | None = "mean",
    convention: str = "half-open",
    region: str = "largest",
) -> Any:
    r"""Return the box accuracy at the threshold that is best for these very images: an oracle.

    .. math:: \mathrm{MaxBoxAcc}(\delta) = \max_\tau \frac{1}{n}
              \sum_i \left[ \mathrm{IoU}_i(\tau) \ge \delta \right]

    One threshold :math:`\tau` for all images, chosen anew for each :math:`\delta`, on the images
    that are scored. It is an upper bound of what any of the thresholds can reach with boxes around
    the same kind of `region`; for what a threshold that was fitted elsewhere does reach, see
    `box_accuracy_score`. The mean over :math:`\delta` is called MaxBoxAccV2 [1]_.

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
        "half-open": the box of `boxes_from_heatmaps`, at 49 thresholds from 0.02 to 0.98. "wsol":
        what the code of [1]_ computes, image by image, see Notes.
    region : {"largest", "all", "fit"}, default="largest"
        What the box goes around, see `boxes_from_heatmaps`. "fit": whichever is better at its best
        threshold, for each :math:`\delta`. Take what honest boxes could choose from, as "fit" of
        `HeatmapToBox` and `evaluate_localization`, or the score is no bound of theirs. With
        "wsol", which looks at each region, "largest" is the only one.

    Returns
    -------
    score : float, or ndarray of shape (len(iou_thresholds),)
        In [0, 1]; NaN if no image has a true box.

    Raises
    ------
    ValueError
        If boxes are reversed, leave the heatmap or are fractions of it, maps leave [0, 1] or have
        NaN, the numbers of images differ, `convention`, `region` or `average` is unknown, or
        `region` is chosen with "wsol".

    See Also
    --------
    MaxBoxAccuracy : The same for images that come a batch at a time.

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
    accumulator = MaxBoxAccuracy(
        iou_thresholds=iou_thresholds, average=average, convention=convention, region=region
    )
    return accumulator.update(boxes_true, heatmaps).compute()


@documented_like(max_box_accuracy_score)
@dataclass(kw_only=True, eq=False)
class MaxBoxAccuracy(BaseAccumulator):
    """Box accuracy at the best threshold of all images, which come a batch at a time: an oracle.

    What is kept of them is how many are right at each threshold, so memory does not grow.

    See Also
    --------
    max_box_accuracy_score : The same from all images at once: formula, conventions and paper.

    Examples
    --------
    >>> from fmcam.metrics import MaxBoxAccuracy
    >>> metric = MaxBoxAccuracy(iou_thresholds=[0.5, 0.7], average=None)
    >>> for box in ([1, 0, 3, 1], [1, 0, 2, 1]):
    ...     metric = metric.update([box], [[[0.0, 1.0, 0.5]]])
    >>> metric.compute(), metric.n
    (array([1. , 0.5]), 2)
    """

    iou_thresholds: Sequence[float] = (0.3, 0.5, 0.7)
    average: str | None = "mean"
    convention: str = "half-open"
    region: str = "largest"

    def __post_init__(self):
        self.iou_thresholds = check_iou_thresholds(self.iou_thresholds)
        check_average(self.average)
        if self.convention not in ("half-open", "wsol"):
            raise ValueError(
                f'`convention` must be "half-open" or "wsol", got {self.convention!r}.'
            )
        if self.region not in _REGIONS:
            raise ValueError(f"`region` must be one of {list(_REGIONS)}, got {self.region!r}.")
        if self.convention == "wsol" and self.region != "largest":
            raise ValueError(
                f'`region` must be "largest" with convention="wsol", got {self.region!r}. It takes '
                "the best of all regions anyway; leave `region` out."
            )

    def update(self, boxes_true: ArrayLike, heatmaps: ArrayLike) -> Self:
        """Take a batch of images.

        Parameters
        ----------
        boxes_true : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes (k, 4)
            x0, y0, x1, y1 in half-open pixels of the heatmaps. NaN where there is no box.
        heatmaps : array-like of shape (n, h, w), in [0, 1]
            Batches may be of different n, h and w.

        Returns
        -------
        MaxBoxAccuracy
            The accumulator itself.

        Raises
        ------
        ValueError
            If boxes are reversed, leave the heatmap or are fractions of it, maps leave [0, 1] or
            have NaN, or the numbers of images differ.
        """
        heatmaps = check_heatmaps(heatmaps, unit=True)
        boxes_true = check_true_boxes(boxes_true, size=heatmaps.shape[1:], name="boxes_true")
        check_same_rows("boxes_true", boxes_true, "heatmaps", heatmaps)
        parts = gen_batches(len(heatmaps), max(1, _PIXELS_AT_ONCE // heatmaps[0].size))
        hits = sum(self._hits(boxes_true[rows], heatmaps[rows]) for rows in parts)
        n = int((~np.isnan(boxes_true[..., 0])).any(axis=1).sum())
        return self._add(hits=hits, n=n, n_left_out=len(heatmaps) - n)

    def _hits(self, boxes_true, heatmaps):
        """Return how many images are right, (len(iou_thresholds), regions and thresholds)."""
        if self.convention == "wsol":
            overlap = best_iou_of_outlines(boxes_true, heatmaps)
        else:
            boxes = [
                boxes_from_heatmaps(heatmaps, THRESHOLDS, region=region)
                for region in _REGIONS[self.region]
            ]
            overlap = best_iou(boxes_true, np.concatenate(boxes))
        return np.array([(overlap >= least).sum(axis=1) for least in self.iou_thresholds])

    def _score(self, sums):
        right = sums["hits"].max(axis=1)
        shares = right / sums["n"] if sums["n"] else np.full(len(right), np.nan)
        return average_images(shares, self.average)
