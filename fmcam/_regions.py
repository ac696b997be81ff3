"""Hot regions of heatmaps and the boxes around them, for many thresholds at once.

A map is cut into horizontal runs of pixels that pass a threshold, and runs of adjacent rows that
touch are joined. All runs at all thresholds come from one pass over the pixels: a run starts at a
pixel for each threshold between it and its left neighbour, and ends likewise. The work is that of
the runs, not of pixels times thresholds.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.utils import gen_batches

from fmcam._validation import as_array, check_heatmaps

__all__ = ["THRESHOLDS", "blocks", "boxes_from_heatmaps", "count_regions", "find_regions"]

THRESHOLDS = np.arange(1, 50) / 50  # where the best threshold of heatmaps is looked for
_BLOCK = 2**22  # pixels times thresholds that are worked on at once; larger ones leave the cache
_MOST_LEVELS = 255  # as many as uint8 can count


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
    >>> from fmcam.localize import count_regions
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


class Regions(NamedTuple):
    """Connected regions, by level and image; of one image at one level the largest comes first.

    Of regions of as many pixels, the one of the higher mean comes first, then the one that starts
    higher up or further left.
    """

    level: np.ndarray  # (r,) int: the region is of pixels above this level
    image: np.ndarray  # (r,) int
    boxes: np.ndarray  # (r, 4) int: x0, y0, x1, y1, half-open

    def first_of_each(self):
        """Return the index of the first region of each image and level that has one."""
        changes = np.diff(self.level, prepend=-1).astype(bool)
        changes |= np.diff(self.image, prepend=-1).astype(bool)
        return np.flatnonzero(changes)

    def joined_boxes(self):
        """Return the box around all regions of each image and level that has one."""
        first = self.first_of_each()
        corners = np.minimum.reduceat(self.boxes[:, :2], first)
        return np.column_stack([corners, np.maximum.reduceat(self.boxes[:, 2:], first)])


def regions_at(heatmaps, thresholds):
    """Yield the 8-connected Regions of pixels > 0 and >= threshold, a block of maps at a time.

    Parameters
    ----------
    heatmaps : ndarray of shape (n, h, w), float
    thresholds : ndarray of shape (t,), sorted, of the dtype of `heatmaps`
        `level` of the regions is the position in it.
    """
    thresholds = np.maximum(thresholds, np.finfo(thresholds.dtype).tiny)
    for maps, columns in blocks(heatmaps.shape, len(thresholds)):
        values = heatmaps[maps]
        passed = np.searchsorted(thresholds[columns], values, side="right").astype(np.uint8)
        level, image, boxes = find_regions(passed, values)
        yield Regions(level + columns.start, image + maps.start, boxes)


def blocks(shape, n_levels):
    """Yield slices of maps and of levels that together cover all, of bounded memory."""
    n, h, w = shape
    levels_at_once = min(max(1, _BLOCK // (h * w)), _MOST_LEVELS, n_levels)
    maps_at_once = max(1, _BLOCK // (h * w * levels_at_once))
    for columns in gen_batches(n_levels, levels_at_once):
        for maps in gen_batches(n, maps_at_once):
            yield maps, columns


def find_regions(levels, values, *, diagonal=True):
    """Return the Regions of pixels above each level.

    Parameters
    ----------
    levels : ndarray of shape (n, h, w), uint8
        A pixel of 3 is above the levels 0, 1 and 2.
    values : ndarray of shape (n, h, w), float
        Their mean, in single precision, orders regions of the same number of pixels.
    diagonal : bool
        Whether pixels that share a corner touch (8-connected) or not (4-connected).
    """
    n, h, w = levels.shape
    starts, ends = _runs(levels)
    of_run = _connect(starts, ends, w + 1, reach=int(diagonal))
    by_region = np.argsort(of_run, kind="stable")
    begin = np.flatnonzero(np.diff(of_run[by_region], prepend=-1))
    first, last = by_region[begin], by_region[np.append(begin, len(starts))[1:] - 1]

    row, x0 = np.divmod(starts, w + 1)
    group = row[first] // (h + 1)
    boxes = np.column_stack(
        [
            np.minimum.reduceat(x0[by_region], begin),
            row[first] % (h + 1),
            np.maximum.reduceat((x0 + ends - starts)[by_region], begin),
            row[last] % (h + 1) + 1,
        ]
    )
    n_pixels = np.add.reduceat((ends - starts)[by_region], begin)
    mean = np.add.reduceat(_sums(values, starts, ends)[by_region], begin) / n_pixels
    order = np.lexsort((first, -mean, -n_pixels, group))
    level, image = np.divmod(group[order], n)
    return Regions(level, image, boxes[order] - 1)  # without the margin


def _runs(levels):
    """Return starts and ends of the runs of pixels above each level, both of shape (r,).

    They are positions in all maps one after the other, repeated for each level, where each map has
    a margin of a row above and a column to the left, so that no run goes on in the next row or map.
    """
    pixels = np.pad(levels, ((0, 0), (1, 0), (1, 0))).ravel()
    before, after = np.append(np.uint8(0), pixels), np.append(pixels, np.uint8(0))
    return _rises(before, after), _rises(after, before)


def _rises(low, high):
    """Return position + size * level for each level from `low` up to `high`, sorted."""
    at = np.flatnonzero(high > low)
    counts = (high[at] - low[at]).astype(np.intp)
    position, level = np.repeat(at, counts), np.repeat(low[at], counts)
    nth = np.arange(len(position)) - np.repeat(np.cumsum(counts) - counts, counts)
    level = level + nth.astype(np.uint8)
    order = np.argsort(level, kind="stable")  # a radix sort for uint8
    return position[order] + (len(low) - 1) * level[order].astype(np.intp)


def _connect(starts, ends, width, reach):
    """Return the number of the region that each run belongs to, of shape (r,).

    Runs of adjacent rows, `width` apart, touch if they overlap after growing by `reach`.
    """
    first = np.searchsorted(ends, starts + width - reach, side="right")
    stop = np.searchsorted(starts, ends + width + reach, side="left")
    n_below = stop - first
    pointers = np.append(0, np.cumsum(n_below))
    below = np.arange(pointers[-1]) + np.repeat(first - pointers[:-1], n_below)
    touching = csr_array((np.ones(len(below)), below, pointers), shape=(len(starts), len(starts)))
    return connected_components(touching, directed=False)[1]


def _sums(values, starts, ends):
    """Return the sum of values in each run, of shape (r,)."""
    # Single precision adds up without rounding in double precision: equal regions stay equal.
    padded = np.pad(values.astype(np.float32), ((0, 0), (1, 0), (1, 0)))
    cumulative = padded.reshape(len(values), -1).cumsum(axis=1, dtype=np.float64).ravel()
    before = starts % len(cumulative) - 1
    return cumulative[before + ends - starts] - cumulative[before]
