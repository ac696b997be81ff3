"""How well heatmaps fit masks, the pixels of all images in one pool."""

from abc import abstractmethod
from dataclasses import dataclass
from numbers import Integral
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar, gen_batches

from fmcam._docstrings import documented_like
from fmcam._validation import check_heatmaps
from fmcam.metrics._accumulator import BaseAccumulator
from fmcam.metrics._masks import check_masks_and_heatmaps, check_same_shape

_PIXELS_AT_ONCE = 2**22


def pixel_average_precision_score(masks_true: ArrayLike, heatmaps: ArrayLike) -> float:
    r"""Return the average precision of the pixels of all images as detections of the object.

    Called PxAP [1]_ (section 4.1). With all distinct values :math:`\tau` of the maps as thresholds,
    from the highest down, and pixels of all images in one pool,

    .. math:: \mathrm{PxAP} = \sum_l \mathrm{Prec}(\tau_l)
              \left( \mathrm{Rec}(\tau_l) - \mathrm{Rec}(\tau_{l-1}) \right)

    Parameters
    ----------
    masks_true : array-like of shape (n, h, w), bool or whole numbers
        0 background, 1 object, 255 ignored; where no mask holds a 1, the one number besides 0 is
        the object, as 255 in picture files.
    heatmaps : array-like of shape (n, h, w)
        Heatmaps; of their values only the order counts, and that across images, too.

    Returns
    -------
    score : float
        In [0, 1], NaN if there is no pixel of an object. The same value everywhere scores the
        share of object pixels.

    Raises
    ------
    ValueError
        If the shapes differ, masks hold other values or heatmaps NaN.

    See Also
    --------
    PixelAveragePrecision : For images that come a batch at a time, with values rounded down.

    Notes
    -----
    Large objects count for more, as they have more pixels. The mean of the scores of single images
    is another number.

    References
    ----------
    .. [1] Choe et al., "Evaluating weakly supervised object localization methods right",
       CVPR 2020. https://arxiv.org/abs/2001.07437

    Examples
    --------
    The two object pixels are found with a precision of 1 and of 2/3.

    >>> from fmcam.metrics import pixel_average_precision_score
    >>> score = pixel_average_precision_score([[[1, 1, 0, 0]]], [[[0.9, 0.4, 0.6, 0.1]]])
    >>> round(score, 4)
    0.8333
    """
    hits, false_alarms = _detections(masks_true, heatmaps)
    # Each object pixel adds the precision at its own value to the sum, and 1/n to the recall.
    return float((hits / (hits + false_alarms)).mean()) if len(hits) else np.nan


@documented_like(pixel_average_precision_score)
def max_pixel_iou_score(masks_true: ArrayLike, heatmaps: ArrayLike) -> float:
    r"""Return the IoU of the pixels at the threshold that is best for these images: an oracle.

    Called peak IoU, pIoU or PxIoU [1]_. With pixels of all images in one pool, one threshold
    :math:`\tau` for all of them, chosen on the images that are scored, the objects :math:`T` and
    what is hot :math:`H_\tau`,

    .. math:: \mathrm{pIoU} = \max_\tau \frac{|T \cap H_\tau|}{|T \cup H_\tau|}

    Returns
    -------
    score : float
        In [0, 1], NaN if there is no pixel of an object. The same value everywhere scores the
        share of object pixels.

    Raises
    ------
    ValueError
        If the shapes differ, masks hold other values or heatmaps NaN.

    See Also
    --------
    MaxPixelIoU : For images that come a batch at a time, with values rounded down.
    mask_iou_score : The mean over images, at a threshold that was fitted elsewhere.

    References
    ----------
    .. [1] Zhu et al., "Weakly supervised object localization as domain adaption", CVPR 2022,
       section 4.1. https://arxiv.org/abs/2203.01714

    Examples
    --------
    From 0.4 on, the two object pixels and one beside them are hot.

    >>> from fmcam.metrics import max_pixel_iou_score
    >>> score = max_pixel_iou_score([[[1, 1, 0, 0]]], [[[0.9, 0.4, 0.6, 0.1]]])
    >>> round(score, 4)
    0.6667
    """
    hits, false_alarms = _detections(masks_true, heatmaps)
    # Between the values of object pixels a lower threshold only adds false alarms.
    return float((hits / (len(hits) + false_alarms)).max()) if len(hits) else np.nan


def _detections(masks_true, heatmaps):
    """Return how many pixels of and beside the object reach each object pixel's value."""
    masks_true, heatmaps = check_masks_and_heatmaps(masks_true, heatmaps)
    on_object = np.sort(heatmaps[masks_true == 1])
    beside = np.sort(heatmaps[masks_true == 0])
    hits = len(on_object) - np.searchsorted(on_object, on_object)
    return hits, len(beside) - np.searchsorted(beside, on_object)


@dataclass(kw_only=True, eq=False)
class BasePixels(BaseAccumulator):
    """Histograms of the values of pixels on the objects and beside them."""

    thresholds: int = 1000

    def __post_init__(self):
        check_scalar(self.thresholds, "thresholds", Integral, min_val=1)

    def update(self, masks_true: ArrayLike, heatmaps: ArrayLike) -> Self:
        """Take a batch of images.

        Parameters
        ----------
        masks_true : array-like of shape (n, h, w), bool or whole numbers
            0 background, 1 object, 255 ignored. Where no mask of any batch holds a
            1, the one number besides 0 is the object, as 255 in picture files.
        heatmaps : array-like of shape (n, h, w), in [0, 1]
            Heatmaps. Batches may be of different n, h and w.

        Returns
        -------
        accumulator : the accumulator itself

        Raises
        ------
        ValueError
            If the shapes differ, masks hold other values or another number for the object than
            those before, or heatmaps leave [0, 1] or have NaN.
        """
        heatmaps = check_heatmaps(heatmaps, unit=True)
        read = self._read_masks(masks_true)
        check_same_shape("masks_true", read.masks, heatmaps)
        parts = gen_batches(len(heatmaps), max(1, _PIXELS_AT_ONCE // heatmaps[0].size))
        counts = sum(self._count(read.masks[rows], heatmaps[rows]) for rows in parts)
        return self._add(read, counts=counts, n=len(heatmaps), n_left_out=0)

    def _ignoring(self, sums):
        return sums | {"counts": sums["counts"] * [[1], [0]]}

    def _count(self, masks_true, heatmaps):
        """Return how many pixels lie between thresholds, (2, bins): beside and on the object."""
        edges = np.arange(self.thresholds + 1) * (1 / self.thresholds)
        edges[0], edges[-1] = -np.inf, 1
        bins = (heatmaps * self.thresholds).astype(np.intp)
        # The product is rounded, which may move a value over an edge.
        bins -= heatmaps < edges[bins]
        bins += heatmaps >= np.append(edges, np.inf)[bins + 1]
        bins += len(edges) * np.minimum(masks_true, 2).astype(np.intp)  # ignored: a third row
        return np.bincount(bins.ravel(), minlength=3 * len(edges)).reshape(3, -1)[:2]

    def _score(self, sums):
        false_alarms, hits = sums["counts"][:, ::-1].cumsum(axis=1)
        return float(self._score_of(hits, false_alarms)) if hits[-1] else np.nan

    @abstractmethod
    def _score_of(self, hits, false_alarms):
        """Return the score from the pixels that reach each threshold, the highest one first."""


@dataclass(kw_only=True, eq=False)
class PixelAveragePrecision(BasePixels):
    """Average precision of the pixels of all images, which come a batch at a time.

    Values are rounded down to the next threshold, in two histograms whose size does not depend on
    the number of images. All else is exact: the score is that of `pixel_average_precision_score`
    with maps so rounded.

    Parameters
    ----------
    thresholds : int, default=1000
        How many, evenly spaced from 0 to below 1, besides 1. With 1000 the score is that of the
        code of [1]_, which gives it in percent.

    See Also
    --------
    pixel_average_precision_score : Without rounding, from all images at once; formula and paper.

    References
    ----------
    .. [1] Choe et al., "Evaluating weakly supervised object localization methods right",
       CVPR 2020. https://arxiv.org/abs/2001.07437

    Examples
    --------
    >>> from fmcam.metrics import PixelAveragePrecision
    >>> metric = PixelAveragePrecision()
    >>> for mask, heatmap in [([[1, 0]], [[0.9, 0.6]]), ([[1, 0]], [[0.4, 0.1]])]:
    ...     metric = metric.update([mask], [heatmap])
    >>> round(metric.compute(), 4), metric.n
    (0.8333, 2)
    """

    def _score_of(self, hits, false_alarms):
        precision = hits / np.maximum(hits + false_alarms, 1)
        return np.diff(hits, prepend=0) @ precision / hits[-1]


@dataclass(kw_only=True, eq=False)
class MaxPixelIoU(BasePixels):
    """IoU of the pixels of all images at the best threshold: an oracle, a batch at a time.

    Values are rounded down to the next threshold, as in `PixelAveragePrecision`.

    Parameters
    ----------
    thresholds : int, default=1000
        How many, evenly spaced from 0 to below 1, besides 1.

    See Also
    --------
    max_pixel_iou_score : Without rounding, from all images at once; formula and paper.

    Examples
    --------
    >>> from fmcam.metrics import MaxPixelIoU
    >>> metric = MaxPixelIoU()
    >>> for mask, heatmap in [([[1, 0]], [[0.9, 0.6]]), ([[1, 0]], [[0.4, 0.1]])]:
    ...     metric = metric.update([mask], [heatmap])
    >>> round(metric.compute(), 4)
    0.6667
    """

    def _score_of(self, hits, false_alarms):
        return (hits / (hits[-1] + false_alarms)).max()
