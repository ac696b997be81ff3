"""Box overlap as the code of Choe et al. (TPAMI 2022) computes it, kept for comparison."""

from functools import reduce

import numpy as np

from fmcam._growth import Growth, blocks

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
    n = len(heatmaps)
    boxes_true = np.trunc(boxes_true)
    best, brightest = np.empty((_N_LEVELS, n)), np.empty(n)
    for maps in blocks(heatmaps.shape):
        pixels = (heatmaps[maps] * 255).astype(np.uint8)
        brightest[maps] = pixels.max(axis=(1, 2))
        best[:, maps] = _best_at_levels(boxes_true[maps], pixels)
    of_nothing = _best_iou(boxes_true, np.zeros(4))
    best = np.where(best < 0, of_nothing, best)
    return best[(thresholds[:, None] * brightest).astype(int), np.arange(n)]


def _best_at_levels(boxes_true, pixels):
    """Return the best IoU of the outlines of regions above each level and of holes in them."""
    h, w = pixels.shape[1:]
    clip = [w, h, w - 1, h - 1]

    def iou_of_regions(image, boxes):
        # -1 where there is no true box
        return np.nan_to_num(_best_iou(boxes_true[image], np.minimum(boxes, clip)), nan=-1)

    def iou_of_holes(image, boxes):
        inside = (boxes[:, :2] > 0).all(axis=1) & (boxes[:, 2:] < [w, h]).all(axis=1)
        # The outline of a hole runs on the pixels around it.
        return np.where(inside, iou_of_regions(image, boxes + np.array([-1, -1, 1, 1])), -1)

    below = _N_LEVELS - pixels
    regions = Growth(pixels, pixels, _N_LEVELS)
    holes = Growth(below, below, _N_LEVELS, diagonal=False)
    of_holes = _best_while_growing(holes, len(pixels), iou_of_holes)[::-1]
    return np.maximum(_best_while_growing(regions, len(pixels), iou_of_regions), of_holes)


def _best_while_growing(growth, n, iou_of):
    """Return the best of the regions of each image at each level, -1 without any, (levels, n)."""
    best, iou = np.full((_N_LEVELS, n), -1.0), np.empty(len(growth.image))
    for level, grown in growth:
        iou[grown] = iou_of(growth.image[grown], growth.boxes(grown))
        alive = growth.alive()
        np.maximum.at(best[level], growth.image[alive], iou[alive])
    return best


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
