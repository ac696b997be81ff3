"""How explainers are put to the test on pets: some at a time, to bound the memory."""

import pandas as pd
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import gen_batches
from torch import nn

from experiments._localization import with_truth
from fmcam._progress import ProgressBar
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
    randomized,
)
from fmcam.metrics import max_box_accuracy_score, max_pixel_iou_score, pixel_average_precision_score
from fmcam.report import bootstrap_difference, evaluate_localization, summarize

__all__ = ["NOT_ALIGNED", "REFERENCE"]
__all__ += ["compare_alignment", "fused", "make_explainers", "numbers_of", "score_methods"]
__all__ += ["summary_of"]

REFERENCE = "centre box"
NOT_ALIGNED = ", not aligned"
METHODS_AT_ONCE = 8  # their maps of all test photographs are in memory


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


def score_methods(clf, explainers, validation, test):
    """Rows of the test photographs, and numbers of each method.

    Parameters
    ----------
    clf : CNNClassifier
    explainers : dict of str to explainer
        From `make_explainers`.
    validation, test : Bunch
        With images, target, masks and boxes. Thresholds are fitted on the former.

    Returns
    -------
    rows : DataFrame
        As `evaluate_localization` gives them.
    numbers : DataFrame
        One row a method: region and threshold of its boxes, mask_threshold, validation_mean_iou,
        oracle_max_box_accuracy_v2, oracle_pixel_iou and pixel_average_precision.
    """
    rows, numbers, names = {}, {}, list(explainers)
    for some in ProgressBar(list(gen_batches(len(names), METHODS_AT_ONCE))):
        found, to_boxes, maps = evaluate_localization(
            {name: explainers[name] for name in names[some]},
            fit=with_truth(validation),
            test=with_truth(test),
            classifier=clf,
            align=None,
            full_output=True,
        )
        for name in [name for name in maps if name not in rows]:  # references come each time
            of_method = found[found["method"] == name]
            rows[name] = of_method
            numbers[name] = numbers_of(of_method, to_boxes[name], maps[name], test)
    order = [*names, *(name for name in rows if name not in explainers)]
    return (
        pd.concat([rows[name] for name in order], ignore_index=True),
        pd.DataFrame.from_dict(numbers, orient="index").loc[order],
    )


def numbers_of(rows, to_box, maps, test):
    """The numbers of one method, beside those of its rows."""
    return {
        "region": to_box.region_,
        "threshold": to_box.threshold_,
        "mask_threshold": rows["mask_threshold"].iloc[0],
        "validation_mean_iou": to_box.scores_.max(),
        "oracle_max_box_accuracy_v2": max_box_accuracy_score(test.boxes, maps, region="fit"),
        "oracle_pixel_iou": max_pixel_iou_score(test.masks, maps),
        "pixel_average_precision": pixel_average_precision_score(test.masks, maps),
    }


def summary_of(rows, numbers):
    """One row a method: what `summarize` gives, and the numbers."""
    return summarize(rows, reference=REFERENCE).join(numbers)


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
