"""What `python -m experiments.localize` does."""

from dataclasses import fields

import pandas as pd
from sklearn.metrics import accuracy_score

from experiments._canvas import (
    CanvasFit,
    canvases_of,
    first,
    trained,
    training_canvases,
    validation_canvases,
)
from experiments._localization import FUSED, REFERENCE, choose_fusion, main_explainers, with_truth
from fmcam.cli._drawing import PictureDisplay
from fmcam.cli._explanations import top_classes
from fmcam.cli._run import Run
from fmcam.datasets import get_dataset
from fmcam.metrics import paired_box_iou
from fmcam.plot import HeatmapDisplay, HistoryDisplay, LocalizationCurveDisplay, RocCurvesDisplay
from fmcam.report import evaluate_localization, overall_frame, summarize

CHOOSING = 300  # of the held-out canvases, to choose blocks and region on
SHOWN = ("CAM", "Grad-CAM", "LayerCAM", FUSED)
FILES = {"CAM": "cam", "Grad-CAM": "gradcam"}  # drawn in files of their own, too
CURVES = ("CAM", "LayerCAM", FUSED, REFERENCE, "centre box")
SUMMARIZED = ["mean_iou", "box_accuracy_0.5", "box_accuracy_0.7", "pointing_game", "energy"]
OF_ROWS = ["threshold", "iou_tight", "iou_paste"]
CORNERS = ["x0", "y0", "x1", "y1"]


def plan(config):
    """All trainings, one a seed."""
    settings = {
        field.name: getattr(config, field.name)
        for field in fields(CanvasFit)
        if field.name != "seed"
    }
    return [CanvasFit(**settings, seed=seed) for seed in config.seeds]


def write_classification(run, config, fitted, data, canvases, names):
    """Tables and curves of the classifiers; the curves are those of the first seed."""
    probas = [clf.predict_proba(canvases.images) for clf in fitted]
    frames = [
        overall_frame(
            canvases.target,
            proba,
            clf.classes_,
            extra=accuracies_in_training(config, clf, data, seed)
            | {"fit_time": clf.checkpoint_["metrics"]["fit_time"]},
        )
        for seed, clf, proba in zip(config.seeds, fitted, probas, strict=True)
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


def accuracies_in_training(config, clf, data, seed):
    """Accuracy on as many canvases of the images trained on, and of those held out."""
    parts = training_canvases(config, data, seed), validation_canvases(config, data, seed)
    return {
        f"{name}_accuracy": accuracy_score(part.target, clf.predict(part.images))
        for name, part in zip(("train", "validation"), parts, strict=True)
    }


def localize(config, clf, validation, test):
    """Rows of one classifier, what turned its maps into boxes, its maps, and what was chosen."""
    threshold = "fit" if config.threshold is None else config.threshold
    chosen_by = {"explained": config.explain, "threshold": threshold}
    size = config.eval_batch_size
    blocks, region = choose_fusion(clf, first(validation, CHOOSING), size, **chosen_by)
    rows, to_boxes, maps = evaluate_localization(
        main_explainers(clf, blocks, size),
        fit=with_truth(validation),
        test=with_truth(test),
        classifier=clf,
        **chosen_by,
        region=region,
        align=None,
        full_output=True,
    )
    found = rows[CORNERS].to_numpy()
    rows["iou_tight"] = paired_box_iou(test.tight_boxes[rows["id"]], found)
    rows["iou_paste"] = paired_box_iou(test.paste_boxes[rows["id"]], found)
    return rows, to_boxes, maps, {"blocks": blocks, "region": region}


def write_localization(run, config, fitted, data, test, names):
    """Rows of each seed, their summary, and pictures of the first seed."""
    rows, summaries, chosen = {}, {}, {}
    for seed, clf in zip(config.seeds, fitted, strict=True):
        validation = validation_canvases(config, data, seed)
        rows[seed], to_boxes, maps, chosen[f"seed {seed}"] = localize(config, clf, validation, test)
        of_rows = rows[seed].groupby("method")[OF_ROWS].mean()
        summaries[seed] = summarize(rows[seed], reference=REFERENCE).join(of_rows)
        if seed == config.seeds[0]:
            write_curves(run, config, rows[seed], to_boxes)
            write_overlays(run, config, to_boxes, maps, clf, first(test, config.visualize), names)
    run.write_json("chosen.json", chosen)
    run.write_table("rows.csv.gz", pd.concat(rows, names=["seed", "row"]).droplevel("row").round(3))
    summary = pd.concat(summaries, names=["seed"])
    run.write_table("summary.csv", summary)
    means = summary[[*SUMMARIZED, *OF_ROWS]].groupby("method", sort=False)
    means = means.agg(["mean", "std", "count"])
    means.columns = ["_".join(column) for column in means.columns]
    run.write_table("seeds.csv", means)
    return means


def write_curves(run, config, rows, to_boxes):
    """The curves over IoU and, where thresholds were tried, over the threshold."""
    compared = rows[rows["method"].isin(CURVES)]
    run.write_figure("box_accuracy.png", LocalizationCurveDisplay.from_rows(compared))
    if config.threshold is None:
        curves = {name: to_box for name, to_box in to_boxes.items() if name in CURVES}
        run.write_figure("thresholds.png", LocalizationCurveDisplay.from_estimator(curves))


def write_overlays(run, config, to_boxes, maps, clf, some, names):
    """Test canvases under their heatmaps: all together, and those of `FILES` each in a file."""
    if config.visualize == 0:
        return
    proba = clf.predict_proba(some.images)
    predicted = proba.argmax(axis=1)

    def display(rows, methods):
        cams = {name: maps[name][rows] for name in methods}
        return HeatmapDisplay.from_heatmaps(
            some.images[rows],
            cams,
            y_true=[names[label] for label in some.target[rows]],
            y_pred=[names[column] for column in predicted[rows]],
            probability=proba.max(axis=1)[rows],
            boxes_true=some.boxes[rows],
            boxes_pred={name: to_boxes[name].transform(found) for name, found in cams.items()},
            title=f"heatmap of the {config.explain} class",
        )

    run.write_figure("overlays.png", display(slice(len(some.target)), SHOWN))
    for row in range(len(some.target)):
        for method, file in FILES.items():
            picture = PictureDisplay(display([row], [method]), top_classes(proba[row], names))
            run.write_figure(f"{file}_overlay_{row}.png", picture)


def metrics_summary(config, device, classified, means):
    """The numbers in words."""
    cut = f"thresholds from {config.validation} held-out ones"
    if config.threshold is not None:
        cut = f"all at the threshold {config.threshold:g}"
    lines = {
        "train accuracy": "train_accuracy",
        "validation accuracy": "validation_accuracy",
        "test accuracy": "accuracy",
        "one-vs-rest AUC": "roc_auc_ovr",
        "micro-average AUC": "roc_auc_micro",
    }
    shown = {f"{name}_mean": name for name in ("threshold", *SUMMARIZED, *OF_ROWS[1:])}
    return "\n".join(
        [
            f"{config.dataset} on {config.canvas}x{config.canvas} canvases, "
            f"clutter {config.clutter}, noise {config.noise:g}, seeds {list(config.seeds)}",
            f"device {device}, {config.epochs} epochs",
            "",
            "means over the seeds, of the final networks on such canvases",
            *(_over_seeds(name, classified[column]) for name, column in lines.items()),
            "",
            f"localization of {config.boxes} boxes by heatmaps of the {config.explain} class on "
            f"{config.images} test canvases, {cut}, means over the seeds; 'resolution oracle' "
            "knows the objects",
            means[list(shown)].rename(columns=shown).round(3).to_string(),
            "",
        ]
    )


def _over_seeds(name, values):
    spread = f" (std {values.std():.4f})" if len(values) > 1 else ""
    return f"{name:<19} {values.mean():.4f}{spread}"


def main(config):
    """Train, score, explain, write."""
    run = Run(config, "python -m experiments.localize", kept=("checkpoints",))
    data = get_dataset(config.dataset, "train")
    fitted = trained(plan(config), data.images, data.target, run.folder / "checkpoints")
    for clf in fitted:
        clf.set_params(batch_size=config.eval_batch_size)
    items = get_dataset(config.dataset, "test")
    test = canvases_of(config, items, random_state=0)
    classified = write_classification(run, config, fitted, data, test, items.target_names)
    some = first(test, config.images)
    means = write_localization(run, config, fitted, data, some, items.target_names)
    text = metrics_summary(config, fitted[0].device, classified, means)
    run.write_text("metrics_summary.txt", text)
    print(text)
    run.finish()
