"""Hot regions of heatmaps and the boxes around them, for many thresholds at once."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from fmcam._growth import Growth, blocks
from fmcam._validation import as_array, check_heatmaps

__all__ = ["THRESHOLDS", "boxes_from_heatmaps", "count_regions"]

THRESHOLDS = np.arange(1, 50) / 50  # where the best threshold of heatmaps is looked for
_TOUCHING = np.ones((3, 3, 3)) * [[[0]], [[1]], [[0]]]  # pixels of one image, also by a corner


def boxes_from_heatmaps(
    heatmaps: ArrayLike, threshold: ArrayLike, *, region: str = "largest"
) -> NDArray[np.float64]:
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
    All thresholds are worked on at once, a bounded number of maps at a time. Each pixel is looked
    at once, at the highest threshold that it reaches, so more thresholds take little more time.

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam.localize import boxes_from_heatmaps
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
    around = _around_largest if region == "largest" else _around_all
    for maps, levels in _levels(heatmaps, thresholds):
        boxes[:, maps] = around(levels, heatmaps[maps], len(thresholds))
    return boxes[place]


def count_regions(heatmaps: ArrayLike, threshold: float) -> NDArray[np.int64]:
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
    >>> from fmcam.localize import count_regions
    >>> count_regions([[[0.9, 0.0, 0.5], [0.2, 0.2, 0.5]]], [0.1, 0.4, 0.8])
    array([[1],
           [2],
           [1]])
    """
    heatmaps = check_heatmaps(heatmaps, unit=True)
    thresholds, place = _check_thresholds(threshold, heatmaps.dtype)
    counts = np.zeros((len(thresholds), len(heatmaps)), dtype=int)
    for maps, levels in _levels(heatmaps, thresholds):
        if len(thresholds) == 1:
            images, *_ = _label(levels, heatmaps[maps])
            counts[0, maps] = np.bincount(images, minlength=len(levels))
            continue
        growth = Growth(levels, heatmaps[maps], len(thresholds))
        for level, _ in growth:
            images = growth.image[growth.alive()]
            counts[level, maps] = np.bincount(images, minlength=len(levels))
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


def _levels(heatmaps, thresholds):
    """Yield slices of maps and how many of the sorted thresholds each of their pixels reaches.

    A pixel of zero reaches none.
    """
    thresholds = np.maximum(thresholds, np.finfo(thresholds.dtype).tiny)
    dtype = np.min_scalar_type(len(thresholds))
    for maps in blocks(heatmaps.shape):
        yield maps, np.searchsorted(thresholds, heatmaps[maps], side="right").astype(dtype)


def _around_largest(levels, values, n_levels):
    """Return the box around the largest region above each level, (n_levels, n, 4)."""
    boxes = np.full((n_levels, len(levels), 4), np.nan)
    if n_levels == 1:
        images, found, sizes, means = _label(levels, values)
        order = np.lexsort((-means, -sizes, images))
        first = np.flatnonzero(np.diff(images[order], prepend=-1))
        boxes[0, images[order[first]]] = found[order[first]]
        return boxes
    growth, largest = Growth(levels, values, n_levels), np.empty(0, dtype=np.intp)
    for level, grown in growth:
        # What has not grown is not larger than what was the largest one.
        largest = growth.largest(np.append(grown, growth.root_of(largest)))
        boxes[level, growth.image[largest]] = growth.boxes(largest)
    return boxes


def _label(levels, values):
    """Return image, box, size and mean of each region above level 0; it is quicker for one level.

    Those of an image are in the order of their first pixels.
    """
    labels, _ = ndimage.label(levels, _TOUCHING)
    places = ndimage.find_objects(labels)
    images = np.array([image.start for image, _, _ in places], dtype=np.intp)
    corners = [[x.start, y.start, x.stop, y.stop] for _, y, x in places]
    sizes = np.bincount(labels.ravel())[1:]
    sums = np.bincount(labels.ravel(), values.astype(np.float32).ravel())[1:]
    return images, np.reshape(corners, (-1, 4)), sizes, sums / sizes


def _around_all(levels, values, n_levels):
    """Return the box around all pixels above each level, (n_levels, n, 4)."""
    above = np.arange(n_levels)[:, None, None]
    ends = []
    for lines in (levels.max(axis=1), levels.max(axis=2)):
        from_start, from_end = (
            (np.maximum.accumulate(one, axis=1) <= above).sum(axis=2)
            for one in (lines, lines[:, ::-1])
        )
        ends.append([from_start, lines.shape[1] - from_end])
    (x0, x1), (y0, y1) = ends
    boxes = np.stack([x0, y0, x1, y1], axis=-1).astype(float)
    boxes[x1 == 0] = np.nan
    return boxes
