"""Boxes that know nothing of an image, as well fitted to those of other images as boxes can be."""

import numpy as np

from fmcam._overlap import best_iou

__all__ = ["centre_box", "constant_box"]

_GRID = 8  # parts of a side, in the boxes that the search for the best one anywhere starts from
_STARTS = 6
_SEEN = 300  # images that choose the starts


def centre_box(boxes, size):
    """The box in the centre of best mean IoU, of all widths and heights in whole pixels.

    Parameters
    ----------
    boxes : ndarray of shape (n, k, 4)
        Checked; rows of NaN are no boxes, and an image counts with the one that overlaps most.
    size : (h, w)

    Returns
    -------
    ndarray of shape (4,), int64
        x0, y0, x1, y1; in the middle up to half a pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam.explain._constant_boxes import centre_box
    >>> centre_box(np.array([[[0.0, 0, 4, 4]], [[1, 0, 6, 4]]]), (4, 6))
    array([1, 0, 6, 4])
    """
    of_images = _of_images(boxes)
    rows, columns = map(_centred, size)
    return _best(of_images, columns, rows)[1]


def constant_box(boxes, size):
    """The box of best mean IoU that a search finds, anywhere in whole pixels.

    Left and right edge, and upper and lower edge, take turns to be the best of all, until neither
    gains. The search starts from the box in the centre, so it ends no worse, and from the best of
    a coarse grid and of the boxes themselves. A better one is not ruled out. Of equals the first
    counts, that from the centre.

    Parameters
    ----------
    boxes, size
        As for `centre_box`.

    Returns
    -------
    ndarray of shape (4,), int64

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam.explain._constant_boxes import constant_box
    >>> constant_box(np.array([[[0.0, 0, 4, 4]], [[0, 0, 5, 4]]]), (4, 6))
    array([0, 0, 4, 4])
    """
    of_images = _of_images(boxes)
    rows, columns = (_between(np.arange(side + 1)) for side in size)

    def climb(box):
        score, _ = _best(of_images, box[None, ::2], box[None, 1::2])
        while True:
            _, moved = _best(of_images, columns, box[None, 1::2])
            better, moved = _best(of_images, moved[None, ::2], rows)
            if better <= score:
                return score, box
            score, box = better, moved

    starts = [centre_box(boxes, size), *_starts(boxes, size)]
    return max(map(climb, starts), key=lambda found: found[0])[1]  # the first of equals


def _of_images(boxes):
    """The boxes of each image that has some, a list of arrays of shape (k, 4)."""
    present = ~np.isnan(boxes[..., 0])
    return [of_image[has] for of_image, has in zip(boxes, present, strict=True) if has.any()]


def _starts(boxes, size):
    """The best of a coarse grid and of the boxes themselves, of shape (s, 4), int64."""
    some = boxes[~np.isnan(boxes[..., 0]).all(axis=1)]
    some = some[:: len(some) // _SEEN + 1]
    rows, columns = (
        _between(np.unique(np.linspace(0, side, _GRID + 1).astype(np.int64))) for side in size
    )
    on_grid = np.empty((len(columns), len(rows), 4), dtype=np.int64)
    on_grid[..., ::2], on_grid[..., 1::2] = columns[:, None], rows
    own = np.concatenate(_of_images(some)).round().astype(np.int64)
    candidates = np.concatenate([on_grid.reshape(-1, 4), own])
    candidates = candidates[(candidates[:, :2] < candidates[:, 2:]).all(axis=1)]
    scores = best_iou(some, candidates[:, None]).mean(axis=1)
    return candidates[np.argsort(-scores, kind="stable")[:_STARTS]]


def _best(of_images, columns, rows):
    """The mean IoU of the best box of some columns (a, 2) by some rows (b, 2), and that box."""
    areas = np.outer(np.diff(columns), np.diff(rows))
    total = np.zeros(areas.shape)
    for true in of_images:
        shared = _shared(true[:, ::2], columns)[:, :, None] * _shared(true[:, 1::2], rows)[:, None]
        true_areas = (true[:, 2:] - true[:, :2]).prod(axis=1)[:, None, None]
        total += (shared / (true_areas + areas - shared)).max(axis=0)
    column, row = np.unravel_index(total.argmax(), total.shape)
    (x0, x1), (y0, y1) = columns[column], rows[row]
    return total.max() / len(of_images), np.array([x0, y0, x1, y1])


def _shared(true, sides):
    """How much of each side (s, 2) each true one (k, 2) covers, of shape (k, s)."""
    return (np.minimum(true[:, 1:], sides[:, 1]) - np.maximum(true[:, :1], sides[:, 0])).clip(0)


def _between(edges):
    """All pairs of two edges, the smaller first, of shape (s, 2)."""
    first, last = np.triu_indices(len(edges), 1)
    return np.stack([edges[first], edges[last]], axis=1)


def _centred(n_pixels):
    """The interval of each length around the middle of the pixels, of shape (n_pixels, 2)."""
    lengths = np.arange(1, n_pixels + 1)
    starts = (n_pixels - lengths + 1) // 2
    return np.stack([starts, starts + lengths], axis=1)
