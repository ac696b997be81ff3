"""CNN_CAM on canvases: train it, show where it looks, and measure how well that localizes.

The classifier learns from labels alone. Thresholds that turn heatmaps into boxes are fitted on
canvases of held-out training images and frozen; the test canvases are scored once.
"""

from dataclasses import dataclass, fields

import pandas as pd
from sklearn.utils import Bunch

from experiments._canvas import OPTIMIZERS, CanvasFit, split_rows, trained
from experiments._localization import FUSED, REFERENCE, choose_fusion, main_explainers, with_truth
from fmcam.cli._config import option
from fmcam.cli._run import Run
from fmcam.cli._script import run_script
from fmcam.datasets import get_dataset, make_canvas
from fmcam.plot import HeatmapDisplay, HistoryDisplay, LocalizationCurveDisplay, RocCurvesDisplay
from fmcam.report import evaluate_localization, overall_frame, summarize

PICTURED = 4
CHOOSING = 300  # of the held-out canvases, to choose blocks and region on
SHOWN = ("CAM", "Grad-CAM", "LayerCAM", FUSED)
CURVES = ("CAM", "LayerCAM", FUSED, REFERENCE, "centre box")
SUMMARIZED = ["mean_iou", "box_accuracy_0.5", "box_accuracy_0.7", "pointing_game", "energy"]


@dataclass(frozen=True)
class Config:
    """Settings of a localization."""

    dataset: str = option("fashion-mnist", "items on the canvases", ("fashion-mnist", "shapes"))
    canvas: int = option(128, "height and width of the canvases")
    feature_canvas: int = option(
        40, "of the canvases that features are learned on; as CANVAS: no fit of the head after"
    )
    clutter: int = option(0, "pieces of other items on a canvas")
    feature_clutter: int = option(0, "pieces on a canvas that features are learned on")
    noise: float = option(0.0, "standard deviation of noise, of 255")
    optimizer: str = option("adam", "adam, or sgd with momentum and smoothed labels", OPTIMIZERS)
    lr: float = option(1e-3, "peak learning rate")
    batch_size: int = option(64, "images in a batch")
    epochs: int = option(25, "passes over the training images")
    rows: int | None = option(None, "training images used; None: all")
    precision: str = option("bfloat16", "float32 or bfloat16", ("float32", "bfloat16"))
    seeds: tuple[int, ...] = option((42,), "random states, one training each")
    images: int = option(2000, "test canvases to localize on")
    validation: int = option(1000, "held-out canvases that the thresholds are fitted on")
    out: str = option("runs/localize", "folder of the results")
    resume: bool = option(False, "keep the finished trainings that the folder holds")


def plan(config):
    """All trainings, one a seed."""
    settings = {
        field.name: getattr(config, field.name)
        for field in fields(CanvasFit)
        if field.name != "seed"
    }
    return [CanvasFit(**settings, seed=seed) for seed in config.seeds]


def canvases_of(config, items, random_state):
    """Items on canvases, the same whatever the seed of the training."""
    scene = {"canvas_size": config.canvas, "clutter": config.clutter, "noise": config.noise}
    return make_canvas(items.images, items.target, **scene, random_state=random_state)


def first(bunch, n):
    """The first `n` rows of the arrays of a Bunch."""
    return Bunch(**{name: value[:n] for name, value in bunch.items() if hasattr(value, "shape")})


def write_classification(run, config, fitted, canvases, names):
    """Tables and curves of the classifiers; the curves are those of the first seed."""
    probas = [clf.predict_proba(canvases.images) for clf in fitted]
    frames = [
        overall_frame(
            canvases.target,
            proba,
            clf.classes_,
            extra={"fit_time": clf.checkpoint_["metrics"]["fit_time"]},
        )
        for clf, proba in zip(fitted, probas, strict=True)
    ]
    rows = pd.concat(frames, keys=config.seeds, names=["seed"]).droplevel(1)
    run.write_table("classification.csv", rows)
    history = HistoryDisplay.from_estimator(fitted[0])
    run.write_table("history.csv", history.frame())
    run.write_figure("history.png", history)
    roc = RocCurvesDisplay.from_predictions(
        canvases.target, probas[0], fitted[0].classes_, class_names=names
    )
    run.write_figure("roc.png", roc)
    return rows


def validation_canvases(config, data, seed):
    """Canvases of the images of `data` that the training with this seed held out."""
    _, rows = split_rows(data.target, config.rows, seed)
    rows = rows[: config.validation]
    items = Bunch(images=data.images[rows], target=data.target[rows])
    return canvases_of(config, items, random_state=1)


def write_localization(run, config, fitted, data, test, names):
    """Rows of each seed, their summary, and pictures of the first seed."""
    rows, summaries, chosen = {}, {}, {}
    for seed, clf in zip(config.seeds, fitted, strict=True):
        validation = validation_canvases(config, data, seed)
        blocks, region = choose_fusion(clf, first(validation, CHOOSING), config.batch_size)
        chosen[f"seed {seed}"] = {"blocks": blocks, "region": region}
        explainers = main_explainers(clf, blocks, config.batch_size)
        rows[seed], to_boxes, maps = evaluate_localization(
            explainers,
            fit=with_truth(validation),
            test=with_truth(test),
            classifier=clf,
            region=region,
            align=None,
            full_output=True,
        )
        summaries[seed] = summarize(rows[seed], reference=REFERENCE)
        if seed == config.seeds[0]:
            write_pictures(run, rows[seed], to_boxes, maps, clf, test, names)
    run.write_json("chosen.json", chosen)
    run.write_table("rows.csv.gz", pd.concat(rows, names=["seed", "row"]).droplevel("row").round(3))
    summary = pd.concat(summaries, names=["seed"])
    run.write_table("summary.csv", summary)
    means = summary[SUMMARIZED].groupby("method", sort=False).agg(["mean", "std", "count"])
    means.columns = ["_".join(column) for column in means.columns]
    run.write_table("seeds.csv", means)
    return means


def write_pictures(run, rows, to_boxes, maps, clf, test, names):
    """Overlays of some test canvases, and the curves over IoU and over the threshold."""
    some = first(test, PICTURED)
    cams = {name: clf_maps[:PICTURED] for name, clf_maps in maps.items() if name in SHOWN}
    proba = clf.predict_proba(some.images)
    display = HeatmapDisplay.from_heatmaps(
        some.images,
        cams,
        y_true=[names[label] for label in some.target],
        y_pred=[names[column] for column in proba.argmax(axis=1)],
        probability=proba.max(axis=1),
        boxes_true=some.boxes,
        boxes_pred={name: to_boxes[name].transform(found) for name, found in cams.items()},
        title="heatmap of the true class",
    )
    run.write_figure("overlays.png", display)
    compared = rows[rows["method"].isin(CURVES)]
    run.write_figure("box_accuracy.png", LocalizationCurveDisplay.from_rows(compared))
    curves = {name: to_box for name, to_box in to_boxes.items() if name in CURVES}
    run.write_figure("thresholds.png", LocalizationCurveDisplay.from_estimator(curves))


def metrics_summary(config, classified, means):
    """The numbers in words."""
    accuracy, auc = classified["accuracy"], classified["roc_auc_micro"]
    return "\n".join(
        [
            f"{config.dataset} on {config.canvas}x{config.canvas} canvases, "
            f"clutter {config.clutter}, noise {config.noise:g}, seeds {list(config.seeds)}",
            f"test accuracy      {accuracy.mean():.4f} (std {accuracy.std():.4f})",
            f"micro-average AUC  {auc.mean():.4f}",
            "",
            f"localization on {config.images} test canvases, thresholds from {config.validation} "
            "held-out ones, means over the seeds; 'resolution oracle' knows the objects",
            means[[f"{name}_mean" for name in SUMMARIZED]].round(3).to_string(),
            "",
        ]
    )


def main(config):
    """Train, score, explain, write."""
    run = Run(config, "python -m experiments.localize", kept=("checkpoints",))
    data = get_dataset(config.dataset, "train")
    fitted = trained(plan(config), data.images, data.target, run.folder / "checkpoints")
    items = get_dataset(config.dataset, "test")
    test = canvases_of(config, items, random_state=0)
    classified = write_classification(run, config, fitted, test, items.target_names)
    some = first(test, config.images)
    means = write_localization(run, config, fitted, data, some, items.target_names)
    text = metrics_summary(config, classified, means)
    run.write_text("metrics_summary.txt", text)
    print(text)
    run.finish()


if __name__ == "__main__":
    run_script(main, Config, "python -m experiments.localize", __doc__)
