"""From heatmaps to boxes."""

import numpy as np

from fmcam._validation import as_array, check_heatmaps
from fmcam.metrics._regions import regions_at


def boxes_from_heatmaps(heatmaps, threshold, *, region="largest"):
    """Return the box around the hot pixels of each heatmap.

    Hot are the pixels that are at least `threshold` and above zero, so a map of zeros has no box
    at any threshold.

    Parameters
    ----------
    heatmaps : array-like of shape (n, h, w), in [0, 1]
        Heatmaps.
    threshold : float or array-like of shape (t,), in [0, 1]
        One or several thresholds; it is compared in the precision of the maps, as in
        ``heatmaps >= 0.3``.
    region : {"largest", "all"}, default="largest"
        "largest": around the 8-connected region of most pixels; of equal ones that of the higher
        mean, then the one that starts higher up or further left. "all": around all hot pixels.

    Returns
    -------
    boxes : ndarray of shape (n, 4), or (t, n, 4) for several thresholds, float64
        x0, y0, x1, y1 in half-open pixels, x to the right, y down. NaN without a hot pixel.

    Raises
    ------
    ValueError
        If maps or thresholds leave [0, 1], maps have another shape or NaN, or `region` is unknown.

    Notes
    -----
    All thresholds are worked on at once, a bounded number of maps at a time. The time goes with the
    number of edges between hot and other pixels, so smooth maps are much faster than noise.

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam.metrics import boxes_from_heatmaps
    >>> heatmap = np.array([[0.0, 0.6, 0.9], [0.0, 0.6, 0.0], [0.7, 0.0, 0.0]])
    >>> boxes_from_heatmaps(heatmap[None], 0.65)
    array([[2., 0., 3., 1.]])
    >>> boxes_from_heatmaps(heatmap[None], [0.5, 1.0])
    array([[[ 0.,  0.,  3.,  3.]],
    <BLANKLINE>
           [[nan, nan, nan, nan]]])
    """
    if region not in ("largest", "all"):
        raise ValueError(f'`region` must be "largest" or "all", got {region!r}.')
    heatmaps = check_heatmaps(heatmaps, unit=True)
    thresholds, place = _check_thresholds(threshold, heatmaps.dtype)
    boxes = np.full((len(thresholds), len(heatmaps), 4), np.nan)
    for regions in regions_at(heatmaps, thresholds):
        first = regions.first_of_each()
        found = regions.boxes[first] if region == "largest" else regions.joined_boxes()
        boxes[regions.level[first], regions.image[first]] = found
    return boxes[place]


def count_regions(heatmaps, threshold):
    """Return how many separate hot regions each heatmap has.

    Parameters
    ----------
    heatmaps : array-like of shape (n, h, w), in [0, 1]
        Heatmaps.
    threshold : float or array-like of shape (t,), in [0, 1]
        One or several thresholds.

    Returns
    -------
    counts : ndarray of shape (n,), or (t, n) for several thresholds, int
        Number of 8-connected regions of pixels that are at least `threshold` and above zero.

    Raises
    ------
    ValueError
        If maps or thresholds leave [0, 1], or maps have another shape or NaN.

    Examples
    --------
    >>> from fmcam.metrics import count_regions
    >>> count_regions([[[0.9, 0.0, 0.5], [0.2, 0.2, 0.5]]], [0.1, 0.4, 0.8])
    array([[1],
           [2],
           [1]])
    """
    heatmaps = check_heatmaps(heatmaps, unit=True)
    thresholds, place = _check_thresholds(threshold, heatmaps.dtype)
    counts = np.zeros((len(thresholds), len(heatmaps)), dtype=int)
    for regions in regions_at(heatmaps, thresholds):
        np.add.at(counts, (regions.level, regions.image), 1)
    return counts[place]


def _check_thresholds(threshold, dtype):
    """Return the distinct thresholds, sorted, and where in them each one of `threshold` is."""
    thresholds = as_array(threshold, name="threshold").astype(dtype)
    if thresholds.ndim > 1 or not ((thresholds >= 0) & (thresholds <= 1)).all():
        raise ValueError(
            "`threshold` must be a number in [0, 1] or a list of them, "
            f"got {threshold!r}. Heatmaps go from 0 to 1."
        )
    distinct, place = np.unique(thresholds, return_inverse=True)
    return distinct, place.reshape(thresholds.shape)
