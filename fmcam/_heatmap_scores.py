"""Scores of each heatmap against masks and boxes that have been checked."""

from functools import partial

import numpy as np

from fmcam._per_image import map_batches

__all__ = ["points_at_object", "share_in_boxes"]

_IGNORED = 255


def points_at_object(masks_true, heatmaps, tolerance=0):
    """Return the pointing game's value of each image, of shape (n,), from checked arrays."""
    return map_batches(partial(_points_at_object, tolerance), masks_true, heatmaps)


def _points_at_object(tolerance, masks, heatmaps):
    n, h, w = heatmaps.shape
    on_object, ignored = masks == 1, masks == _IGNORED
    candidates = np.where(ignored, -np.inf, heatmaps).reshape(n, -1)
    coldest = np.where(ignored, np.inf, heatmaps).min(axis=(1, 2))
    y, x = np.divmod(candidates.argmax(axis=1), w)
    reach = np.arange(-int(tolerance), int(tolerance) + 1)
    dy, dx = np.nonzero(reach[:, None] ** 2 + reach**2 <= tolerance**2)
    # What lies outside the image is moved to its edge, which is nearer, so within reach as well.
    near_y = np.clip(y[:, None] + reach[dy], 0, h - 1)
    near_x = np.clip(x[:, None] + reach[dx], 0, w - 1)
    hits = on_object[np.arange(n)[:, None], near_y, near_x].any(axis=1)
    hits &= candidates.max(axis=1) > coldest
    return np.where(on_object.any(axis=(1, 2)), hits, np.nan)


def share_in_boxes(boxes_true, heatmaps):
    """Return the share of each map in the boxes (n, k, 4), of shape (n,), from checked arrays."""
    return map_batches(_share_in_boxes, boxes_true, heatmaps)


def _share_in_boxes(boxes, heatmaps):
    heatmaps = heatmaps.astype(np.float64)
    energy = _energy_in_box(boxes[:, 0], heatmaps)
    for row in np.flatnonzero(~np.isnan(boxes[:, 1:]).all(axis=(1, 2))):
        energy[row] = _energy_in_union(boxes[row], heatmaps[row])
    total = heatmaps.sum(axis=(1, 2))
    return np.divide(energy, total, out=np.full(len(total), np.nan), where=total > 0)


def _energy_in_box(boxes, heatmaps):
    _, h, w = heatmaps.shape
    inside_x = _coverage(boxes[:, 0], boxes[:, 2], w)[:, None]
    inside_y = _coverage(boxes[:, 1], boxes[:, 3], h)[:, :, None]
    return (heatmaps * inside_y * inside_x).sum(axis=(1, 2))


def _energy_in_union(boxes, heatmap):
    """Return the sum of a map (h, w) inside any of the boxes (k, 4), which may overlap."""
    boxes = boxes[~np.isnan(boxes[:, 0])]
    h, w = heatmap.shape
    x = np.unique(np.concatenate([np.arange(w + 1), boxes[:, 0], boxes[:, 2]]))
    y = np.unique(np.concatenate([np.arange(h + 1), boxes[:, 1], boxes[:, 3]]))
    inside = np.zeros(
        (len(y) - 1, len(x) - 1), dtype=bool
    )  # cells between edges of boxes or pixels
    columns, rows = np.searchsorted(x, boxes[:, ::2]), np.searchsorted(y, boxes[:, 1::2])
    for (x0, x1), (y0, y1) in zip(columns, rows, strict=True):
        inside[y0:y1, x0:x1] = True
    of_cells = heatmap[y[:-1].astype(int)][:, x[:-1].astype(int)]
    return np.diff(y) @ (of_cells * inside) @ np.diff(x)


def _coverage(start, stop, n_pixels):
    """Return how much of each pixel of a line lies from `start` to `stop`, (n, n_pixels)."""
    edges = np.arange(n_pixels)
    return np.clip(np.minimum(stop[:, None], edges + 1) - np.maximum(start[:, None], edges), 0, 1)
