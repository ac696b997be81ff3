"""What `python -m experiments.pets` does."""

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.utils import Bunch

from experiments._pets_methods import (
    NOT_ALIGNED,
    REFERENCE,
    compare_alignment,
    fused,
    make_explainers,
    score_methods,
    summary_of,
)
from experiments._receptive_fields import effective_centres
from experiments._species import imagenet_classifier, with_species_classes, write_species
from fmcam._boxes import masks_of_boxes
from fmcam.classifiers import save_classifier
from fmcam.cli._localization_pictures import write_pictures
from fmcam.cli._run import Run
from fmcam.cli._transfer import Transfer, starting_weights
from fmcam.datasets import fetch_oxford_pets
from fmcam.explain import explain_together
from fmcam.plot import HistoryDisplay, LocalizationCurveDisplay
from fmcam.report import classification_frame, overall_frame

TEST_SHARE = 0.25  # of the trainval list, where the test list has no boxes
GUIDED = "Guided Grad-CAM"
PROBED = 32  # photographs to see by where a layer's cells look
PRINTED = ["mean_iou", "box_accuracy_0.5", "box_accuracy_v2", "oracle_max_box_accuracy_v2"]
PRINTED += ["pixel_average_precision", "pointing_game", "energy", "mask_iou"]


def load(config):
    """Photographs to learn from, which of them are held out for validation, those to test on.

    Their `boxes` and `masks` are those that the configuration asks for.
    """
    data = _fetch(config, "train")
    if config.truth == "animal":
        test = _fetch(config, "test")
    else:
        rows, test_rows = _split(data.target, TEST_SHARE, config.seed)
        data, test = take(data, rows), take(data, test_rows)
    if config.arch is not None:
        return data, np.ones(len(data.target), dtype=bool), test
    _, validation = _split(data.target, config.validation, config.seed)
    return data, np.isin(np.arange(len(data.target)), validation), test


def _fetch(config, subset):
    data = fetch_oxford_pets(config.data_dir, subset=subset, size=config.image_size)
    if config.truth == "head":
        data.boxes, size = data.head_boxes, (config.image_size, config.image_size)
        data.masks = masks_of_boxes(data.boxes[:, None], size)
    if config.images is None or config.images >= len(data.target):
        return data
    _, rows = _split(data.target, config.images, config.seed)
    return take(data, rows)


def _split(target, size, seed):
    """Sorted rows of two parts, the second of that size or share; each has all breeds alike."""
    parts = train_test_split(
        np.arange(len(target)), test_size=size, stratify=target, random_state=seed
    )
    return map(np.sort, parts)


def take(bunch, rows):
    """A Bunch of some rows of its arrays."""
    return Bunch(
        **{name: value[rows] if hasattr(value, "shape") else value for name, value in bunch.items()}
    )


def trained_classifier(run, config, data, held_out, test):
    """A classifier of the breeds, and the row of its accuracy; both are written."""
    folder = run.folder / "checkpoints"
    training = Transfer.of(config, starting_weights(config.weights, folder))
    clf, _, history = training.fit(data.images, data.target, held_out, folder)
    names = [test.target_names[label] for label in clf.classes_]
    return clf, write_classification(run, clf, history, test, names)


def write_classification(run, clf, history, test, names):
    """Tables and curves of the classifier, and the classifier itself."""
    y_proba = clf.predict_proba(test.images)
    row = overall_frame(test.target, y_proba, clf.classes_)
    run.write_table("classification.csv", row)
    breeds = classification_frame(test.target, y_proba, clf.classes_, class_names=names)
    run.write_table("breeds.csv", breeds)
    display = HistoryDisplay.from_history(history)
    run.write_table("history.csv", display.frame())
    run.write_figure("history.png", display)
    path = run.folder / "classifier.safetensors"
    save_classifier(clf, path, class_names=names, metrics={"test_accuracy": row["accuracy"].item()})
    run.written.append(path)
    return row


def with_names(rows, test):
    """The rows with the names of the classes, and the photograph's file."""
    names = np.array(test.target_names)
    return rows.assign(
        y=names[rows["y"]], predicted=names[rows["predicted"]], file=test.filenames[rows["id"]]
    )


def write_localization(run, rows, numbers, fusion):
    """Tables and curves of the methods, from rows with names."""
    run.write_table("rows.csv.gz", rows.round(4))
    summary = summary_of(rows, numbers)
    run.write_table("summary.csv", summary)
    run.write_table("alignment.csv", compare_alignment(rows))
    errors = rows["error_type"].replace("", "no true box")
    run.write_table("errors.csv", pd.crosstab(rows["method"], errors))
    shown = ("CAM", f"CAM{NOT_ALIGNED}", fusion, "random weights, CAM", REFERENCE)
    curves = rows[rows["method"].isin(shown) & rows["iou"].notna()]
    run.write_figure("box_accuracy.png", LocalizationCurveDisplay.from_rows(curves))
    return summary


def metrics_summary(config, accuracy, chosen, summary, held_out, test):
    """The numbers in words."""
    row = accuracy.iloc[0]
    network = "" if config.arch is None else f"{config.arch}, "
    return "\n".join(
        [
            f"Oxford-IIIT Pet, in search of the {config.truth}, {network}weights from "
            f"{config.weights}: {(~held_out).sum()} training, {held_out.sum()} validation and "
            f"{len(test.target)} test photographs",
            f"test accuracy  {row['accuracy']:.4f} "
            f"({row['accuracy_low']:.4f} to {row['accuracy_high']:.4f})",
            f"best on the validation photographs: {chosen}",
            "",
            "thresholds from the validation photographs; 'oracle' numbers choose theirs on the "
            "test photographs, 'resolution oracle' knows the masks",
            summary[PRINTED].round(3).to_string(),
            "",
        ]
    )


def main(config):
    """Train, explain, score, write."""
    learned = config.arch and imagenet_classifier(config.arch, config.weights, config.image_size)
    run = Run(config, "python -m experiments.pets", kept=("checkpoints",))
    data, held_out, test = load(config)
    if learned is None:
        clf, accuracy = trained_classifier(run, config, data, held_out, test)
    else:
        clf = learned
        breeds = np.take(test.target_names, test.target)
        data, test = (with_species_classes(clf, part) for part in (data, test))
        accuracy = write_species(run, clf, test, breeds)

    validation, fusion = take(data, held_out), fused(config.layers)
    centres = effective_centres(clf, validation.images[:PROBED], config.layers)
    run.write_table("receptive_fields.csv", centres.round(3))
    explainers = make_explainers(clf, config.layers, config.batch_size, score_cam=config.score_cam)
    rows, numbers = score_methods(clf, explainers, validation, test)
    rows = with_names(rows, test)
    summary = write_localization(run, rows, numbers, fusion)
    of_network = [name for name, one in explainers.items() if one.classifier_ is clf]
    chosen = summary.loc[of_network, "validation_mean_iou"].drop("edges").idxmax()
    methods = (chosen, "CAM", f"CAM{NOT_ALIGNED}", fusion, GUIDED)
    shown = {name: explainers[name] for name in methods if name in explainers}
    write_pictures(
        *(run, rows.round(4), list(shown), test),
        lambda ids: explain_together(shown, test.images[ids], test.target[ids]),
        config.gallery,
        title="heatmap of the true class",
        facts=["mask_iou"],
    )
    text = metrics_summary(config, accuracy, chosen, summary, held_out, test)
    run.write_text("metrics_summary.txt", text)
    print(text)
    run.finish()
