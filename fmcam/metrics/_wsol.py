"""Box overlap as the code of Choe et al. (TPAMI 2022) computes it, kept for comparison."""

from functools import reduce

import numpy as np

from fmcam._regions import blocks, find_regions

THRESHOLDS = np.arange(0, 1, 0.001)
_N_LEVELS = 255


def best_iou_of_outlines(boxes_true, heatmaps, thresholds=THRESHOLDS):
    """Return the IoU of the outline and the true box that fit best, of shape (t, n).

    Parameters
    ----------
    boxes_true : ndarray of shape (n, k, 4)
        Corners are rounded down; NaN where an image has fewer boxes.
    heatmaps : ndarray of shape (n, h, w), in [0, 1]
    thresholds : ndarray of shape (t,), in [0, 1)
    """
    n, h, w = heatmaps.shape
    boxes_true = np.trunc(boxes_true)
    best = np.full((_N_LEVELS, n), -1.0)
    brightest = np.empty(n)
    for maps, levels in blocks(heatmaps.shape, _N_LEVELS):
        pixels = (heatmaps[maps] * 255).astype(np.uint8)
        brightest[maps] = pixels.max(axis=(1, 2))
        clipped = np.clip(pixels, levels.start, levels.stop) - levels.start
        for level, image, boxes in _outlines(clipped, levels.stop - levels.start):
            boxes[:, 2:] = np.minimum(boxes[:, 2:], [w - 1, h - 1])
            iou = _best_iou(boxes_true[image + maps.start], boxes)
            np.maximum.at(best, (level + levels.start, image + maps.start), iou)
    of_nothing = _best_iou(boxes_true, np.zeros(4))
    best = np.where(best < 0, of_nothing, best)
    return best[(thresholds[:, None] * brightest).astype(int), np.arange(n)]


def _outlines(pixels, n_levels):
    """Yield level, image and box of the regions and of the holes in them; pixels <= n_levels."""
    yield find_regions(pixels, pixels)
    below = n_levels - pixels
    level, image, boxes = find_regions(below, below, diagonal=False)
    h, w = pixels.shape[1:]
    inside = (boxes[:, :2] > 0).all(axis=1) & (boxes[:, 2:] < [w, h]).all(axis=1)
    # The outline of a hole runs on the pixels around it.
    around = boxes[inside] + [-1, -1, 1, 1]
    yield n_levels - 1 - level[inside], image[inside], around


def _best_iou(boxes_true, boxes):
    """Return the IoU with the best of k true boxes: (r, k, 4), (r, 4) -> (r,)."""
    each = (_iou_with_last_pixel(of_images, boxes) for of_images in boxes_true.swapaxes(0, 1))
    return reduce(np.fmax, each)


def _iou_with_last_pixel(boxes_true, boxes):
    """Return IoU of boxes that hold the row y1 and the column x1, too."""
    sides = np.minimum(boxes_true[..., 2:], boxes[..., 2:]) + 1
    sides = sides - np.maximum(boxes_true[..., :2], boxes[..., :2])
    intersection = np.maximum(sides, 0).prod(axis=-1)
    areas = [(box[..., 2:] - box[..., :2] + 1).prod(axis=-1) for box in (boxes_true, boxes)]
    return intersection / (sum(areas) - intersection)
