"""Means over images that come a batch at a time."""

from dataclasses import dataclass
from numbers import Real
from typing import Self

from numpy.typing import ArrayLike
from sklearn.utils import check_scalar

from fmcam._heatmap_scores import points_at_object
from fmcam._validation import check_heatmaps
from fmcam.metrics._accumulator import BaseMean
from fmcam.metrics._heatmaps import energy_in_box_score, rank_correlation, sparseness_score
from fmcam.metrics._masks import check_same_shape, paired_mask_iou

__all__ = ["EnergyInBox", "MaskIoU", "PointingGame", "RankCorrelation", "Sparseness"]


@dataclass(kw_only=True, eq=False)
class PointingGame(BaseMean):
    """Share of images whose hottest pixel is on the object, of images a batch at a time.

    Parameters
    ----------
    tolerance : float, default=0
        How far from the object the hottest pixel may lie, in pixels from centre to centre.

    See Also
    --------
    pointing_game_score : The same from all images at once; paper.

    Examples
    --------
    >>> from fmcam.metrics import PointingGame
    >>> metric = PointingGame()
    >>> for heatmap in ([[0.1, 0.2, 0.3]], [[0.1, 0.3, 0.2]]):
    ...     metric = metric.update([[[0, 0, 1]]], [heatmap])
    >>> metric.compute(), metric.n
    (0.5, 2)
    """

    tolerance: float = 0

    def __post_init__(self):
        check_scalar(self.tolerance, "tolerance", Real, min_val=0)

    def update(self, masks_true: ArrayLike, heatmaps: ArrayLike) -> Self:
        """Take a batch of images.

        Parameters
        ----------
        masks_true, heatmaps : array-like of shape (n, h, w)
            As in `pointing_game_score`. Where no mask of any batch holds a 1, the
            one number besides 0 is the object. Batches may be of different n, h and w.

        Returns
        -------
        PointingGame
            The accumulator itself.
        """
        heatmaps = check_heatmaps(heatmaps)
        read = self._read_masks(masks_true)
        check_same_shape("masks_true", read.masks, heatmaps)
        return self._add_values(points_at_object(read.masks, heatmaps, self.tolerance), read)


@dataclass(kw_only=True, eq=False)
class EnergyInBox(BaseMean):
    """Mean share of each heatmap's sum that lies in the true boxes, of images a batch at a time.

    See Also
    --------
    energy_in_box_score : The same from all images at once; paper.

    Examples
    --------
    >>> from fmcam.metrics import EnergyInBox
    >>> metric = EnergyInBox().update([[0, 0, 2, 1]], [[[0.5, 1.0, 0.5]]])
    >>> metric.update([[0, 0, 1, 1]], [[[0.5, 1.0, 0.5]]]).compute()
    0.5
    """

    def update(self, boxes_true: ArrayLike, heatmaps: ArrayLike) -> Self:
        """Take a batch of images.

        Parameters
        ----------
        boxes_true : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes (k, 4)
            As in `energy_in_box_score`.
        heatmaps : array-like of shape (n, h, w)
            Heatmaps without negative values. Batches may be of different n, h and w.

        Returns
        -------
        EnergyInBox
            The accumulator itself.
        """
        return self._add_values(energy_in_box_score(boxes_true, heatmaps, average=None))


@dataclass(kw_only=True, eq=False)
class MaskIoU(BaseMean):
    """Mean intersection over union of masks, of images a batch at a time.

    See Also
    --------
    mask_iou_score : The same from all images at once.

    Examples
    --------
    >>> from fmcam.metrics import MaskIoU
    >>> metric = MaskIoU().update([[[1, 1, 0]]], [[[True, False, False]]])
    >>> metric.update([[[1, 1, 0]]], [[[True, True, False]]]).compute()
    0.75
    """

    def update(self, masks_true: ArrayLike, masks_pred: ArrayLike) -> Self:
        """Take a batch of images.

        Parameters
        ----------
        masks_true, masks_pred : array-like of shape (n, h, w)
            As in `mask_iou_score`. Where no true mask of any batch holds a 1, the
            one number besides 0 is the object. Batches may be of different n, h and w.

        Returns
        -------
        MaskIoU
            The accumulator itself.
        """
        read = self._read_masks(masks_true)
        return self._add_values(paired_mask_iou(read.masks, masks_pred), read)


@dataclass(kw_only=True, eq=False)
class RankCorrelation(BaseMean):
    """Mean rank correlation of two heatmaps of each image, of images a batch at a time.

    See Also
    --------
    rank_correlation : The value of each image; paper.

    Examples
    --------
    >>> from fmcam.metrics import RankCorrelation
    >>> metric = RankCorrelation().update([[[1, 2, 9]], [[0, 0, 0]]], [[[3, 2, 1]], [[3, 2, 1]]])
    >>> metric.compute(), metric.n, metric.n_left_out
    (-1.0, 1, 1)
    """

    def update(self, heatmaps: ArrayLike, others: ArrayLike) -> Self:
        """Take a batch of images.

        Parameters
        ----------
        heatmaps, others : array-like of shape (n, h, w)
            Heatmaps of the same images. Batches may be of different n, h and w.

        Returns
        -------
        RankCorrelation
            The accumulator itself.
        """
        return self._add_values(rank_correlation(heatmaps, others))


@dataclass(kw_only=True, eq=False)
class Sparseness(BaseMean):
    """Mean Gini index of heatmaps, of images a batch at a time.

    See Also
    --------
    sparseness_score : The same from all images at once; formula and paper.

    Examples
    --------
    >>> from fmcam.metrics import Sparseness
    >>> Sparseness().update([[[0, 0, 0, 1]]]).update([[[1, 1, 1, 1]]]).compute()
    0.375
    """

    def update(self, heatmaps: ArrayLike) -> Self:
        """Take a batch of images.

        Parameters
        ----------
        heatmaps : array-like of shape (n, h, w)
            Heatmaps. Batches may be of different n, h and w.

        Returns
        -------
        Sparseness
            The accumulator itself.
        """
        return self._add_values(sparseness_score(heatmaps, average=None))
