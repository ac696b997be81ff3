"""How explainers are put to the test on pets: one method after the other, to bound the memory."""

from functools import partial

import pandas as pd
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from torch import nn
from tqdm import tqdm

from fmcam.explain import (
    CAM,
    EdgeMap,
    EigenCAM,
    GradCAMPlusPlus,
    GuidedGradCAM,
    HiResCAM,
    LayerCAM,
    ScoreCAM,
    XGradCAM,
    oracle_heatmaps,
    randomized,
)
from fmcam.localize import HeatmapToBox
from fmcam.metrics import (
    boxes_from_heatmaps,
    mask_iou_score,
    max_box_accuracy_score,
    pixel_average_precision_score,
)
from fmcam.report import (
    bootstrap_difference,
    chance_heatmaps,
    localization_error_types,
    localization_frame,
    summarize,
)

__all__ = ["CORNERS", "LAYERS", "NOT_ALIGNED", "REFERENCE"]
__all__ += ["compare_alignment", "fused", "make_explainers", "make_maps", "score_methods"]
__all__ += ["summary_of"]

CORNERS = ["x0", "y0", "x1", "y1"]
REFERENCE = "centre box"
NOT_ALIGNED = ", not aligned"
LAYERS = tuple(f"features.layer{number}" for number in (2, 3, 4))


def fused(layers):
    """The name of LayerCAM of the last two of three layers."""
    _, middle, last = _short(layers)
    return f"LayerCAM, layers {middle} and {last}"


def _short(layers):
    return [layer.removeprefix("features.layer") for layer in layers]


def make_explainers(clf, layers, batch_size, *, score_cam=False):
    """The methods that need an image, by name.

    `layers` are three of the network, early to late. At the last one before a global average CAM,
    Grad-CAM, HiResCAM and XGrad-CAM are one map, at the middle one they differ. Guided Grad-CAM is
    for networks with ReLUs alone.
    """
    frozen, size = FrozenEstimator(clf), {"batch_size": batch_size}
    chance = FrozenEstimator(randomized(clf, random_state=0))
    first, middle, last = _short(layers)
    two = list(layers[1:])
    cams = {
        "CAM": CAM(frozen, **size),
        "Grad-CAM++": GradCAMPlusPlus(frozen, **size),
        "LayerCAM": LayerCAM(frozen, **size),
        "Eigen-CAM": EigenCAM(frozen, **size),
        f"HiResCAM, layer {middle}": HiResCAM(frozen, layer=layers[1], **size),
        f"XGrad-CAM, layer {middle}": XGradCAM(frozen, layer=layers[1], **size),
        f"Grad-CAM++, layers {middle} and {last}": GradCAMPlusPlus(frozen, layer=two, **size),
        fused(layers): LayerCAM(frozen, layer=two, **size),
        f"LayerCAM, layers {first} to {last}": LayerCAM(frozen, layer=list(layers), **size),
    }
    for name, cam in list(cams.items()):
        cams[f"{name}{NOT_ALIGNED}"] = clone(cam).set_params(align=False)
    if score_cam:
        cams["Score-CAM"] = ScoreCAM(frozen, **size)
    if any(isinstance(part, nn.ReLU) for part in clf.module_.net.modules()):
        cams["Guided Grad-CAM"] = GuidedGradCAM(frozen, **size)
    return {
        **cams,
        "edges": EdgeMap(frozen, **size),
        "random weights, CAM": CAM(chance, **size),
        f"random weights, {fused(layers)}": LayerCAM(chance, layer=two, **size),
    }


def make_maps(explainers, known_boxes):
    """Functions from photographs to heatmaps of their true classes, by the name of the method.

    Beside the explainers these are the centre box and the full frame, see `chance_heatmaps`, and
    the resolution oracle, which knows the masks.
    """

    def explained(explainer, data):
        return explainer.explain(data.images, data.target)

    def chance(name, data):
        return chance_heatmaps(data.masks.shape, known_boxes)[name]

    def oracle(data):
        return oracle_heatmaps(explainers["CAM"], data.images, data.masks)

    return {
        **{name: partial(explained, explainer) for name, explainer in explainers.items()},
        **{name: partial(chance, name) for name in (REFERENCE, "full frame")},
        "resolution oracle": oracle,
    }


def score_methods(clf, makers, validation, test):
    """Rows of the test photographs, and numbers of each method.

    Parameters
    ----------
    clf : CNNClassifier
    makers : dict of str to callable
        From `make_maps`.
    validation, test : Bunch
        With images, target, masks and boxes. Thresholds are fitted on the former.

    Returns
    -------
    rows : DataFrame
        As `localization_frame` gives them, and mask_iou and error_type.
    numbers : DataFrame
        One row a method: region and threshold of its boxes, mask_threshold, validation_mean_iou,
        oracle_max_box_accuracy_v2 and pixel_average_precision.
    """
    y_proba = clf.predict_proba(test.images)
    rows, numbers = [], {}
    for name, maps_of in tqdm(makers.items(), unit="method", disable=None):
        maps = maps_of(validation)
        boxer = _best_boxer(maps, validation.boxes)
        mask_threshold = _best_mask_threshold(validation.masks, maps, boxer.thresholds_)
        maps = maps_of(test)
        found = localization_frame(
            {name: maps},
            *(test.target, y_proba, clf.classes_),
            boxes=test.boxes,
            masks=test.masks,
            thresholds=boxer.threshold_,
            region=boxer.region,
        )
        found["mask_iou"] = mask_iou_score(test.masks, maps >= mask_threshold, average=None)
        found["error_type"] = localization_error_types(
            *(found["y"], found["predicted"], test.boxes, found[CORNERS]),
            boxes_joined=boxes_from_heatmaps(maps, boxer.threshold_, region="all"),
        )
        rows.append(found)
        numbers[name] = {
            "region": boxer.region,
            "threshold": boxer.threshold_,
            "mask_threshold": mask_threshold,
            "validation_mean_iou": boxer.scores_.max(),
            "oracle_max_box_accuracy_v2": max_box_accuracy_score(test.boxes, maps),
            "pixel_average_precision": pixel_average_precision_score(test.masks, maps),
        }
    return pd.concat(rows, ignore_index=True), pd.DataFrame.from_dict(numbers, orient="index")


def _best_boxer(maps, boxes):
    """Boxes around the largest region or around all, whichever fit better at their best."""
    boxers = [HeatmapToBox(region=region).fit(maps, boxes) for region in ("largest", "all")]
    return max(boxers, key=lambda boxer: boxer.scores_.max())


def _best_mask_threshold(masks, maps, thresholds):
    """The threshold whose masks have the highest mean IoU with the true ones."""
    return max(thresholds, key=lambda threshold: mask_iou_score(masks, maps >= threshold))


def summary_of(rows, numbers):
    """One row a method: what `summarize` gives, box_accuracy_v2, mask_iou and the numbers.

    box_accuracy_v2 is the mean of the three box accuracies at the one threshold of the validation
    photographs, where MaxBoxAccV2 takes the best of the test photographs for each.
    """
    table = summarize(rows, reference=REFERENCE)
    accuracies = [f"box_accuracy_{least}" for least in (0.3, 0.5, 0.7)]
    table["box_accuracy_v2"] = table[accuracies].mean(axis=1)
    masks = {
        method: _interval("mask_iou", of_method["mask_iou"].dropna())
        for method, of_method in rows.groupby("method", sort=False)
    }
    return table.join([pd.DataFrame.from_dict(masks, orient="index"), numbers])


def compare_alignment(rows):
    """One row a method: mean IoU with its maps aligned minus that without, and its interval."""
    iou = rows.pivot(index="id", columns="method", values="iou").dropna()
    table = {}
    for name in iou.columns[iou.columns.str.endswith(NOT_ALIGNED)]:
        aligned = name.removesuffix(NOT_ALIGNED)
        table[aligned] = {
            "mean_iou": iou[aligned].mean(),
            "mean_iou_not_aligned": iou[name].mean(),
            **_interval("difference", iou[aligned] - iou[name]),
        }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("method")


def _interval(name, values):
    mean, low, high = bootstrap_difference(values, 0 * values, random_state=0)
    return {f"n_{name}": len(values), name: mean, f"{name}_low": low, f"{name}_high": high}
