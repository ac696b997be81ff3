"""What `python -m experiments.compare_methods` does."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator

from experiments._canvas import canvases_of, first, trained, validation_canvases
from experiments._localization import BLOCKS, FUSED, REFERENCE, choose_fusion, with_truth
from experiments._localize import CHOOSING, plan
from experiments.localize import Config as LocalizeConfig
from fmcam.cli._run import Run
from fmcam.datasets import get_dataset
from fmcam.explain import (
    CAM,
    AblationCAM,
    CenterMap,
    EdgeMap,
    EigenCAM,
    ForegroundMap,
    GradCAM,
    GradCAMPlusPlus,
    GuidedBackprop,
    GuidedGradCAM,
    HiResCAM,
    LayerCAM,
    Occlusion,
    RandomMap,
    ScoreCAM,
    SmoothedExplainer,
    XGradCAM,
    explain_together,
    randomized,
)
from fmcam.metrics import (
    average_drop_error,
    deletion_auc_error,
    increase_in_confidence_score,
    insertion_auc_score,
    max_box_accuracy_score,
    max_pixel_iou_score,
    mean_iou_score,
    pixel_average_precision_score,
    rank_correlation,
)
from fmcam.plot import HeatmapDisplay, LocalizationCurveDisplay
from fmcam.report import evaluate_localization, summarize

EARLY = "features.2"
STEPS = 16
PICTURED = 4  # classes
SHOWN = ("CAM", "LayerCAM", FUSED, "Guided Grad-CAM")
PRINTED = ["n", "mean_iou", "box_accuracy_0.5", "box_accuracy_0.7", "pointing_game"]
PRINTED += ["deletion_auc", "insertion_auc", "rank_correlation_random_weights"]
PRINTED += ["cpu_seconds_per_1000"]


def make_explainers(clf, blocks, batch_size):
    """All methods by name: at the last layer, at an earlier one, fused, and without a layer."""
    frozen, size = FrozenEstimator(clf), {"batch_size": batch_size}
    cams = {
        "CAM": CAM,
        "Grad-CAM": GradCAM,
        "Grad-CAM++": GradCAMPlusPlus,
        "HiResCAM": HiResCAM,
        "XGrad-CAM": XGradCAM,
        "LayerCAM": LayerCAM,
        "Eigen-CAM": EigenCAM,
        "Ablation-CAM": AblationCAM,
        "Score-CAM": ScoreCAM,
    }
    early = {
        f"{name}, block 3": kind(frozen, layer=EARLY, **size)
        for name, kind in cams.items()
        if name not in ("CAM", "Score-CAM")
    }
    return {
        **{name: kind(frozen, layer="features", **size) for name, kind in cams.items()},
        "Grad-CAM, mirrored too": SmoothedExplainer(
            GradCAM(frozen, layer="features"), n_samples=1, noise=0, flip=True, **size
        ),
        **early,
        "LayerCAM, all blocks": LayerCAM(frozen, layer=BLOCKS, **size),
        "Grad-CAM++, all blocks": GradCAMPlusPlus(frozen, layer=BLOCKS, **size),
        FUSED: GradCAMPlusPlus(frozen, layer=blocks, **size),
        "Occlusion": Occlusion(frozen, size=24, stride=16, **size),
        "Guided backpropagation": GuidedBackprop(frozen, **size),
        "Guided Grad-CAM": GuidedGradCAM(frozen, layer="features", **size),
        "centre": CenterMap(frozen, **size),
        "random": RandomMap(frozen, random_state=0, **size),
        "edges": EdgeMap(frozen, **size),
        REFERENCE: ForegroundMap(frozen, **size),
    }


def faithfulness(clf, maps, data):
    """One row a method: deletion, insertion, drop and increase, pixels replaced by the canvas."""
    scores = {
        "deletion_auc": deletion_auc_error,
        "insertion_auc": insertion_auc_score,
        "average_drop": average_drop_error,
        "increase_in_confidence": increase_in_confidence_score,
    }
    steps = {"deletion_auc": {"n_steps": STEPS}, "insertion_auc": {"n_steps": STEPS}}
    rows = {}
    for name, found in maps.items():
        arguments = clf.predict_proba, data.images, data.target, found[: len(data.images)]
        rows[name] = {
            metric: score(*arguments, baseline=data.backgrounds, **steps.get(metric, {}))
            for metric, score in scores.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def sanity(explainers, data, maps, to_boxes):
    """One row a method: what is left of its maps where the network has learned nothing."""
    rows = {}
    for name, of_chance in explain_together(explainers, data.images, data.target).items():
        boxes = to_boxes[name].transform(of_chance)
        rows[name] = {
            "rank_correlation_random_weights": np.nanmean(
                rank_correlation(maps[name][: len(of_chance)], of_chance)
            ),
            "mean_iou_random_weights": mean_iou_score(data.boxes, boxes),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def pixel_scores(maps, data, region):
    """One row a method: PxAP, and what thresholds chosen on these very canvases reach."""
    return pd.DataFrame.from_dict(
        {
            name: {
                "pixel_average_precision": pixel_average_precision_score(data.masks, found),
                "oracle_max_box_accuracy_v2": max_box_accuracy_score(
                    data.boxes, found, region=region
                ),
                "oracle_pixel_iou": max_pixel_iou_score(data.masks, found),
            }
            for name, found in maps.items()
        },
        orient="index",
    )


def cpu_seconds_per_1000(explainers, data):
    """Processor time of each method alone, over all threads; a busy machine hardly changes it."""
    found = {}
    for name, explainer in explainers.items():
        start = time.process_time()
        explainer.explain(data.images, data.target)
        found[name] = (time.process_time() - start) * 1000 / len(data.images)
    return pd.Series(found, name="cpu_seconds_per_1000").to_frame()


def compare(run, config, folder):
    """Rows and table of one run of localize; pictures go to `run`."""
    settings = json.loads((Path(folder) / "config.json").read_text())
    fitted = LocalizeConfig(**{**settings, "seeds": tuple(settings["seeds"][:1])})
    data, items = (get_dataset(fitted.dataset, subset) for subset in ("train", "test"))
    (clf,) = trained(plan(fitted), data.images, data.target, Path(folder) / "checkpoints")
    test = canvases_of(fitted, first(items, config.images), random_state=0)
    fitted = replace(fitted, validation=config.validation)
    validation = validation_canvases(fitted, data, fitted.seeds[0])

    held_out = first(validation, CHOOSING)
    blocks, region = choose_fusion(clf, held_out, config.batch_size, region="largest")
    explainers = make_explainers(clf, blocks, config.batch_size)
    rows, to_boxes, maps = evaluate_localization(
        explainers,
        fit=with_truth(validation),
        test=with_truth(test),
        region=region,
        align=None,
        full_output=True,
    )
    some = first(test, config.slow)
    of_chance = make_explainers(randomized(clf, random_state=0), blocks, config.batch_size)
    table = summarize(rows, reference=REFERENCE).join(
        [
            pixel_scores(maps, test, region),
            faithfulness(clf, maps, some),
            sanity(of_chance, some, maps, to_boxes),
            cpu_seconds_per_1000(explainers, some),
        ]
    )
    name = Path(folder).name
    run.write_figure(
        f"{name}_heatmaps.png", pictures(clf, maps, to_boxes, test, items.target_names)
    )
    curves = rows[rows["method"].isin((*SHOWN, REFERENCE, "centre box"))]
    run.write_figure(f"{name}_box_accuracy.png", LocalizationCurveDisplay.from_rows(curves))
    return rows, table


def pictures(clf, maps, to_boxes, test, names):
    """One test canvas of each of some classes under some of the methods."""
    labels, rows = np.unique(test.target, return_index=True)
    labels, rows = labels[:PICTURED], rows[:PICTURED]
    proba = clf.predict_proba(test.images[rows])
    shown = {name: maps[name][rows] for name in SHOWN}
    return HeatmapDisplay.from_heatmaps(
        test.images[rows],
        shown,
        y_true=[names[label] for label in labels],
        y_pred=[names[column] for column in proba.argmax(axis=1)],
        probability=proba.max(axis=1),
        boxes_true=test.boxes[rows],
        boxes_pred={name: to_boxes[name].transform(found) for name, found in shown.items()},
        title="heatmap of the true class",
    )


def main(config):
    """Explain, score, write."""
    run = Run(config, "python -m experiments.compare_methods")
    rows, tables = {}, {}
    for folder in config.runs:
        print(folder, flush=True)
        rows[Path(folder).name], tables[Path(folder).name] = compare(run, config, folder)
    rows = pd.concat(rows, names=["canvas", "row"]).droplevel("row")
    run.write_table("rows.csv.gz", rows.round(5))
    table = pd.concat(tables, names=["canvas", "method"])
    run.write_table("summary.csv", table)
    print(table[PRINTED].round(3).to_string())
    run.finish()
