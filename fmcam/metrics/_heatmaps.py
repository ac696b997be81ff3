"""What each heatmap scores without a threshold, and how alike heatmaps are."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.utils import check_scalar

from fmcam._boxes import check_true_boxes
from fmcam._heatmap_scores import points_at_object, share_in_boxes
from fmcam._per_image import average_images, map_batches
from fmcam._validation import check_heatmaps, check_same_rows
from fmcam.metrics._masks import check_masks_and_heatmaps, check_same_shape


def pointing_game_score(
    masks_true: ArrayLike,
    heatmaps: ArrayLike,
    *,
    tolerance: float = 0,
    average: str | None = "mean",
) -> Any:
    """Return the share of images whose hottest pixel is on the object [1]_.

    Parameters
    ----------
    masks_true : array-like of shape (n, h, w), bool or whole numbers
        0 background, 1 object, 255 ignored: these pixels cannot be the hottest. Where no mask holds
        a 1, the one number besides 0 is the object, as 255 in picture files.
    heatmaps : array-like of shape (n, h, w)
        Heatmaps. Of equally hot pixels the upper, then the left one counts.
    tolerance : float, default=0
        How far from the object the hottest pixel may lie, in pixels from centre to centre.
    average : {"mean", None}, default="mean"
        None gives one value an image.

    Returns
    -------
    score : float, or ndarray of shape (n,)
        Share in [0, 1], or 1 for each hit, 0 for each miss and NaN for masks without an object,
        which the share leaves out. A map of one value everywhere points nowhere: a miss.

    Raises
    ------
    ValueError
        If the shapes differ, masks hold other values, heatmaps NaN, or `tolerance` is negative.

    Notes
    -----
    By chance the score is the mean share of the image that lies within `tolerance` of the object.
    The usual 15 pixels are meant for photographs: around an item of 28 x 28 pixels on a canvas of
    128 x 128 they make up to (28 * 28 + 4 * 28 * 15 + pi * 15 * 15) / (128 * 128) = 19 % a hit.

    References
    ----------
    .. [1] Zhang et al., "Top-down neural attention by excitation backprop", ECCV 2016.
       https://arxiv.org/abs/1608.00507

    Examples
    --------
    >>> from fmcam.metrics import pointing_game_score
    >>> masks_true = [[[0, 0, 1]], [[0, 0, 1]]]
    >>> heatmaps = [[[0.1, 0.2, 0.3]], [[0.1, 0.3, 0.2]]]
    >>> pointing_game_score(masks_true, heatmaps)
    0.5
    >>> pointing_game_score(masks_true, heatmaps, tolerance=1)
    1.0
    """
    check_scalar(tolerance, "tolerance", Real, min_val=0)
    masks_true, heatmaps = check_masks_and_heatmaps(masks_true, heatmaps)
    return average_images(points_at_object(masks_true, heatmaps, tolerance), average)


def energy_in_box_score(
    boxes_true: ArrayLike, heatmaps: ArrayLike, *, average: str | None = "mean"
) -> Any:
    """Return the share of each heatmap's sum that lies in the true boxes of its image.

    The energy-based pointing game [1]_ (section 4.3).

    Parameters
    ----------
    boxes_true : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes of shape (k, 4)
        x0, y0, x1, y1 in half-open pixels of the heatmaps; a pixel that is partly in a box counts
        by that part, and only once where boxes overlap. NaN where there is no box.
    heatmaps : array-like of shape (n, h, w)
        Heatmaps without negative values.
    average : {"mean", None}, default="mean"
        None gives one value an image.

    Returns
    -------
    score : float, or ndarray of shape (n,)
        In [0, 1]. NaN without a true box and for a map of zeros, which the mean leaves out.

    Raises
    ------
    ValueError
        If boxes are reversed, leave the heatmap or are fractions of it, maps have negative values
        or NaN, or the numbers of images differ.

    Notes
    -----
    A map of one value everywhere scores the box's share of the image, so this is what the score
    compares with. Adding a constant to a map changes its score.

    References
    ----------
    .. [1] Wang et al., "Score-CAM: score-weighted visual explanations for convolutional neural
       networks", CVPR workshops 2020. https://arxiv.org/abs/1910.01279

    Examples
    --------
    >>> from fmcam.metrics import energy_in_box_score
    >>> energy_in_box_score([[0, 0, 2, 1]], [[[0.5, 1.0, 0.5]]])
    0.75
    """
    heatmaps = check_heatmaps(heatmaps)
    boxes_true = check_true_boxes(boxes_true, size=heatmaps.shape[1:], name="boxes_true")
    check_same_rows("boxes_true", boxes_true, "heatmaps", heatmaps)
    if (low := heatmaps.min()) < 0:
        raise ValueError(
            f"`heatmaps` must not be negative, got a minimum of {low:.4g}. "
            "Pass `np.maximum(heatmaps, 0)` or normalized maps."
        )
    return average_images(share_in_boxes(boxes_true, heatmaps), average)


def rank_correlation(heatmaps: ArrayLike, others: ArrayLike) -> NDArray[np.float64]:
    """Return Spearman's rank correlation of the pixels of two heatmaps of each image.

    Near 1 for maps that order the pixels alike. Between the maps of a trained network and of one
    with random weights it should be low, or the maps do not depend on what was learned [1]_.

    Parameters
    ----------
    heatmaps, others : array-like of shape (n, h, w)
        Heatmaps of the same images.

    Returns
    -------
    correlation : ndarray of shape (n,), float64
        In [-1, 1], NaN if one of the two maps has one value everywhere.

    Raises
    ------
    ValueError
        If the shapes differ or maps have NaN.

    References
    ----------
    .. [1] Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018.
       https://arxiv.org/abs/1810.03292

    Examples
    --------
    >>> from fmcam.metrics import rank_correlation
    >>> rank_correlation([[[0.1, 0.2, 0.9]], [[0, 0, 0]]], [[[3, 2, 1]], [[3, 2, 1]]])
    array([-1., nan])
    """
    heatmaps = check_heatmaps(heatmaps)
    others = check_heatmaps(others, name="others")
    check_same_shape("others", others, heatmaps)
    return map_batches(_spearman, heatmaps, others)


def _spearman(a, b):
    centred = []
    for maps in (a, b):
        ranks = rankdata(maps.reshape(len(maps), -1), axis=1)
        centred.append(ranks - ranks.mean(axis=1, keepdims=True))
    a, b = centred
    spread = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    correlation = np.full(len(a), np.nan)
    return np.divide((a * b).sum(axis=1), spread, out=correlation, where=spread > 0)


def sparseness_score(heatmaps: ArrayLike, *, average: str | None = "mean") -> Any:
    r"""Return how few pixels hold the sum of a heatmap: its Gini index [1]_.

    Of the :math:`d` absolute values of a map in rising order, :math:`v_1` to :math:`v_d`,

    .. math:: G = \frac{\sum_k (2 k - d - 1) \, v_k}{d \sum_k v_k}

    Parameters
    ----------
    heatmaps : array-like of shape (n, h, w)
        Heatmaps or attributions; of negative values the size counts.
    average : {"mean", None}, default="mean"
        None gives one value an image.

    Returns
    -------
    score : float, or ndarray of shape (n,)
        0 for a map of one value everywhere, 1 - 1/d where one pixel holds all. NaN for a map of
        zeros, which the mean leaves out.

    Raises
    ------
    ValueError
        If maps have another shape or NaN.

    Notes
    -----
    A map may be sparse and wrong, so look at a localization or faithfulness score, too. Scaling a
    map changes nothing, adding a constant does.

    References
    ----------
    .. [1] Chalasani et al., "Concise explanations of neural networks using adversarial training",
       ICML 2020, section 4. https://arxiv.org/abs/1810.06583

    Examples
    --------
    >>> from fmcam.metrics import sparseness_score
    >>> sparseness_score([[[0, 0, 0, 1]], [[1, 1, 1, 1]]], average=None)
    array([0.75, 0.  ])
    """
    return average_images(map_batches(_gini, check_heatmaps(heatmaps)), average)


def _gini(heatmaps):
    values = np.sort(np.abs(heatmaps.reshape(len(heatmaps), -1).astype(np.float64)), axis=1)
    d = values.shape[1]
    total = values.sum(axis=1)
    above = values @ (2 * np.arange(1, d + 1) - d - 1.0)
    return np.divide(above, d * total, out=np.full(len(total), np.nan), where=total > 0)
