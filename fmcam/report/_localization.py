"""How well heatmaps localize: one row for each image and method."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fmcam._arrays import plain_array
from fmcam._boxes import check_true_boxes, masks_of_boxes
from fmcam._heatmap_scores import points_at_object, share_in_boxes
from fmcam._masks import check_masks
from fmcam._overlap import best_iou
from fmcam._predictions import check_probabilities, rank_of_column
from fmcam._validation import check_heatmaps, check_same_rows, check_thresholds
from fmcam.localize import boxes_from_heatmaps, count_regions
from fmcam.report._box_error_types import localization_error_types

_CORNERS = ["x0", "y0", "x1", "y1"]
_UNKNOWN = dict.fromkeys(["y", "predicted", "probability", "correct", "rank"], np.nan)
_SCORES = ["threshold", *_CORNERS, "iou", "hit", "energy", "empty_map", "no_box", "regions"]


def localization_frame(
    heatmaps: Mapping[str, ArrayLike],
    y_true: ArrayLike,
    y_proba: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    *,
    boxes: ArrayLike | None = None,
    masks: ArrayLike | None = None,
    thresholds: Any = None,
    region: Any = "largest",
) -> pd.DataFrame:
    """Return how well heatmaps of the true class localize, one row for each image and method.

    Parameters
    ----------
    heatmaps : mapping of str to array-like of float, of shape (n, h, w)
        Maps in [0, 1], by the name of the method.
    y_true : array-like of shape (n,)
        True labels, all of them in `classes`.
    y_proba : array-like of float, of shape (n, k), optional
        Probabilities; each row sums to one. None: what was predicted is not known.
    classes : array-like of shape (k,), optional
        The labels of the columns of `y_proba`, sorted: `clf.classes_`. With `y_proba` alone.
    boxes : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes (k, 4), optional
        True boxes x0, y0, x1, y1 in half-open pixels; NaN where an image has none.
    masks : array-like of shape (n, h, w), optional
        0 is background, 1 the object, 255 ignored. Where no mask holds a 1, the one number besides
        0 is the object, as 255 in picture files.
    thresholds : float or mapping of str to float, in [0, 1], optional
        Where each method's maps are cut for their boxes, for an honest score fitted on other
        images: `HeatmapToBox().fit(maps, boxes).threshold_`. Needed with `boxes`.
    region : {"largest", "all"}, default="largest"
        What a box goes around, see `fmcam.localize.boxes_from_heatmaps`.

    Returns
    -------
    rows : DataFrame of n rows a method
        id, method
            Position of the image, and name of the method.
        y, predicted, probability, correct, rank
            True and predicted class, the probability of the true class, whether both are the same,
            and which place the true class has among the probabilities, 1 if it is correct.
        threshold, x0, y0, x1, y1
            The box at the threshold; NaN where no pixel reaches it.
        iou
            Intersection over union of the predicted and the best of the true boxes, 0 without a
            predicted one.
        hit
            1 if the hottest pixel is on the object, or where there are no masks in a true box, else
            0, see `pointing_game_score`.
        energy
            Share of the map's sum that lies in the true boxes.
        empty_map, no_box
            Whether the map is all zeros, and whether it has no box.
        regions
            How many separate regions reach the threshold.
        error_type
            What is wrong with class or box, see `localization_error_types`; "" where it has no iou.

        What cannot be computed is NaN: without thresholds the box, `iou`, `no_box` and `regions`,
        without boxes `iou` and `energy`, without boxes and masks `hit`, without probabilities
        `predicted`, `probability`, `correct` and `rank`; the energy of an empty map.

    Raises
    ------
    ValueError
        If there are boxes but no thresholds, thresholds are not those of the methods, or shapes,
        labels and probabilities do not fit together. With boxes or masks the maps of all methods
        must have one size.

    Examples
    --------
    >>> import numpy as np
    >>> heatmap = np.array([[[0.1, 0.8, 0.6, 0.0]]])
    >>> rows = localization_frame({"CAM": heatmap}, ["bag"], [[0.4, 0.6]], ["bag", "coat"],
    ...                           boxes=[[1, 0, 2, 1]], thresholds=0.5)
    >>> rows[["y", "predicted", "probability", "x0", "x1", "iou", "regions"]]
         y predicted  probability   x0   x1  iou  regions
    0  bag      coat          0.4  1.0  3.0  0.5        1
    """
    y_true = plain_array(y_true, name="y_true")
    thresholds = check_thresholds(thresholds, heatmaps, needed=boxes is not None)
    known = boxes is not None or masks is not None
    heatmaps = check_maps(heatmaps, y_true, "first" if known else None)
    size = next(iter(heatmaps.values())).shape[1:] if heatmaps else None
    truth = check_truth(boxes, masks, size)
    for name, of_images in truth.items():
        check_same_rows(name, of_images, "y_true", y_true)
    regions = dict.fromkeys(heatmaps, region)
    return frame_of_checked(heatmaps, y_true, y_proba, classes, truth, thresholds, regions)


def check_truth(boxes, masks, size):
    """Return the boxes (n, k, 4) and masks that are given, in images of that size (h, w), if known.

    What masks mean depends on all of them: they are checked here, before they are cut into parts.
    """
    truth = {}
    if boxes is not None:
        truth["boxes"] = check_true_boxes(boxes, size=size)
    if masks is not None:
        truth["masks"] = check_masks(masks)
        if size is not None:
            _check_size(truth["masks"], size)
    return truth


def _check_size(masks, size):
    if masks.shape[1:] != tuple(size):
        raise ValueError(
            f"`masks` must have the size of the heatmaps, (h, w) = {tuple(size)}, got "
            f"{masks.shape[1:]}. Pass images and masks of one size."
        )


def check_maps(heatmaps, y_true, size):
    """Return the checked maps of each method, all of that size (h, w); "first": of one size."""
    checked = {}
    for name, maps in heatmaps.items():
        maps = checked[name] = check_heatmaps(maps, unit=True, name=f"heatmaps of {name}")
        check_same_rows(f"heatmaps of {name}", maps, "y_true", y_true)
        size = maps.shape[1:] if size == "first" else size
        if size is not None and maps.shape[1:] != tuple(size):
            raise ValueError(
                f"The heatmaps of {name!r} must have the size of the images and of the other maps, "
                f"(h, w) = {tuple(size)}, got {maps.shape[1:]}. Explain with `upsample=True`."
            )
    return checked


def frame_of_checked(heatmaps, y_true, y_proba, classes, truth, thresholds, regions):
    """Return the rows of `localization_frame` from checked maps, boxes (n, k, 4) and masks.

    Thresholds and regions are dictionaries by the name of the method.
    """
    answers, n = _answers(y_true, y_proba, classes), len(y_true)
    frames = []
    for name, maps in heatmaps.items():
        scores = _score(maps, answers, truth, thresholds[name], regions[name])
        row = {"id": np.arange(n), "method": name, **_UNKNOWN, **answers, **scores}
        frames.append(pd.DataFrame(row))
    return pd.concat(frames).sort_values("id", kind="stable", ignore_index=True)


def _answers(y_true, y_proba, classes):
    """The true label of each image, and what the classifier says if its probabilities are known."""
    if y_proba is None:
        return {"y": y_true}
    codes, y_proba = check_probabilities(y_true, y_proba, classes)
    classes, predicted = np.asarray(classes), y_proba.argmax(axis=1)
    return {
        "y": classes[codes],
        "predicted": classes[predicted],
        "probability": y_proba[np.arange(len(codes)), codes],
        "correct": predicted == codes,
        "rank": rank_of_column(codes, y_proba),
    }


def _score(heatmaps, answers, truth, threshold, region):
    scores = dict.fromkeys(_SCORES, np.nan) | {"empty_map": ~heatmaps.any(axis=(1, 2))}
    scores["error_type"] = ""
    if "masks" in truth:
        _check_size(truth["masks"], heatmaps.shape[1:])
        scores["hit"] = points_at_object(truth["masks"], heatmaps)
    if "boxes" in truth:
        boxes = check_true_boxes(truth["boxes"], size=heatmaps.shape[1:])
        scores["energy"] = share_in_boxes(boxes, heatmaps)
        if "masks" not in truth:
            inside = masks_of_boxes(boxes, heatmaps.shape[1:])
            scores["hit"] = points_at_object(inside, heatmaps)
    if threshold is None:
        return scores
    predicted = boxes_from_heatmaps(heatmaps, threshold, region=region)
    scores |= dict(zip(_CORNERS, predicted.T, strict=True))
    if "boxes" in truth:
        scores["iou"] = best_iou(truth["boxes"], predicted)
        scores["error_type"] = localization_error_types(
            *(answers["y"], answers.get("predicted", answers["y"]), truth["boxes"], predicted),
            boxes_joined=boxes_from_heatmaps(heatmaps, threshold, region="all"),
        )
    return scores | {
        "threshold": threshold,
        "no_box": np.isnan(predicted[:, 0]),
        "regions": count_regions(heatmaps, threshold),
    }
