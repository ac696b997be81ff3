"""Overlap of boxes and of masks that have been checked."""

from functools import reduce

import numpy as np

from fmcam._per_image import map_batches

__all__ = ["best_iou", "best_true_boxes", "mask_iou"]


def best_iou(boxes_true, boxes_pred):
    """Return the IoU with the best true box of each image: (n, k, 4), (..., n, 4) -> (..., n)."""
    each = (_iou(boxes, boxes_pred) for boxes in boxes_true.swapaxes(0, 1))
    return reduce(np.fmax, each)  # which takes a number before NaN: no box is no match


def best_true_boxes(boxes_true, boxes_pred):
    """Return the true box that overlaps most in each image: (n, k, 4), (n, 4) -> (n, 4)."""
    overlap = np.nan_to_num(_iou(boxes_true, boxes_pred[:, None]), nan=-1)
    return boxes_true[np.arange(len(boxes_true)), overlap.argmax(axis=1)]


def _iou(boxes_true, boxes_pred):
    """Return IoU over the last axis of arrays that broadcast; 0 where neither has an area."""
    corner = np.maximum(boxes_true[..., :2], boxes_pred[..., :2])
    sides = np.minimum(boxes_true[..., 2:], boxes_pred[..., 2:]) - corner
    # fmax takes a number before NaN: an absent box meets nothing.
    intersection = np.fmax(sides, 0).prod(axis=-1)
    union = _area(boxes_true) + np.nan_to_num(_area(boxes_pred)) - intersection
    return np.divide(intersection, union, out=np.where(np.isnan(union), union, 0), where=union > 0)


def _area(boxes):
    return (boxes[..., 2:] - boxes[..., :2]).prod(axis=-1)


def mask_iou(masks_true, masks_pred):
    """Return the IoU of each mask of 0, 1 and 255 with one of bool, (n,); NaN where no pixel is 1.

    Pixels of 255 count in neither mask.
    """
    return map_batches(_mask_iou, masks_true, masks_pred)


def _mask_iou(masks_true, masks_pred):
    on_object = masks_true == 1
    intersection = (on_object & masks_pred).sum(axis=(1, 2))
    union = (on_object | (masks_pred & (masks_true == 0))).sum(axis=(1, 2))
    known = on_object.any(axis=(1, 2))
    return np.divide(intersection, union, out=np.full(len(union), np.nan), where=known)
