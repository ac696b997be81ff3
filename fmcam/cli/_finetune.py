"""What `fmcam finetune` does."""

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split

from fmcam.classifiers import save_classifier
from fmcam.cli._gallery import brightened, overlay, spread, write_gallery
from fmcam.cli._run import Run
from fmcam.cli._transfer import Transfer, best_epoch, save_torch, starting_weights
from fmcam.datasets import load_image_folder
from fmcam.explain import GradCAM, GuidedBackprop, GuidedGradCAM, explain_together
from fmcam.plot import HeatmapDisplay, HistoryDisplay, RocCurvesDisplay
from fmcam.report import classification_frame, overall_frame

PARTS = ("training", "validation", "test")
LAYERS = [f"features.layer{number}" for number in (1, 2, 3, 4)]
IN_GALLERY = ("Grad-CAM", "Guided Grad-CAM")
PICTURED = 6


def load(config):
    """The photographs; ends with a message if there are none with labels."""
    try:
        return load_image_folder(config.folder, size=config.image_size, labels=config.labels)
    except ValueError as error:
        raise SystemExit(f"--folder: {error}") from error


def split(target, config):
    """The part that each photograph belongs to: an array of str, classes alike in all parts."""
    classes, counts = np.unique(target, return_counts=True)
    if len(classes) < 2 or counts.min() < len(PARTS):
        raise SystemExit(
            f"Needed are two classes of {len(PARTS)} photographs or more, got "
            + ", ".join(f"{n} of {name}" for name, n in zip(classes, counts, strict=True))
        )
    parts = np.full(len(target), "training", dtype=object)
    for part, share in (("test", config.test), ("validation", config.validation)):
        left = np.flatnonzero(parts == "training")
        size = max(round(share * len(target)), len(classes))
        options = {"stratify": target[left], "random_state": config.seed}
        try:
            _, chosen = train_test_split(left, test_size=size, **options)
        except ValueError as error:
            raise SystemExit(f"{size} photographs cannot be held out: {error}") from error
        parts[chosen] = part
    return parts


def evaluate(data, parts, y_proba, classes):
    """Overall numbers of each part, one row a part."""
    frames = [
        overall_frame(data.target[parts == part], y_proba[parts == part], classes) for part in PARTS
    ]
    return pd.concat(frames, keys=PARTS, names=["part"]).droplevel(1)


def predict(data, parts, y_proba, classes):
    """One row a photograph."""
    return pd.DataFrame(
        {
            "file": data.filenames,
            "part": parts,
            "y_true": data.target,
            "y_pred": classes[y_proba.argmax(axis=1)],
            "probability": y_proba.max(axis=1).round(4),
        }
    )


def write_tables(run, found, y_proba, classes, history):
    """The test report: tables and curves; returns the table of the classes."""
    per_class = classification_frame(found["y_true"], y_proba, classes)
    run.write_table("per_class.csv", per_class)
    display = HistoryDisplay.from_history(history)
    run.write_table("history.csv", display.frame())
    run.write_figure("history.png", display)
    roc = RocCurvesDisplay.from_predictions(found["y_true"], y_proba, classes)
    run.write_figure("roc.png", roc)
    confusion = ConfusionMatrixDisplay.from_predictions(
        found["y_true"], found["y_pred"], labels=classes
    )
    run.write_figure("confusion.png", confusion, xticks_rotation=45, cmap="Blues", colorbar=False)
    return per_class


def write_checkpoints(run, clf, summary, history, image_size):
    """The classifier as a safetensors file and as a torch file that torchvision's network loads."""
    names = clf.classes_.tolist()
    accuracies = {f"{part}_accuracy": summary.loc[part, "accuracy"] for part in PARTS}
    save_classifier(
        clf, run.folder / "classifier.safetensors", class_names=names, metrics=accuracies
    )
    weights = clf.module_.net.state_dict()
    standardize = clf.module_.standardize
    content = {
        "model_state_dict": {_torchvision_key(key): value for key, value in weights.items()},
        "class_names": names,
        **{name: float(value) for name, value in accuracies.items()},
        "epoch": best_epoch(history),
        "image_size": image_size,
        "mean": standardize.mean.flatten().tolist(),  # of each channel, 0..255
        "std": standardize.std.flatten().tolist(),
    }
    save_torch(content, run.folder / "classifier.pth")
    run.written += [run.folder / f"classifier.{kind}" for kind in ("safetensors", "pth")]


def _torchvision_key(key):
    return key.removeprefix("features.").replace("head.fc.", "fc.")


def make_explainers(clf, batch_size):
    """Explainers for each of two pictures, by file name."""
    frozen, size = FrozenEstimator(clf), {"batch_size": batch_size}
    of_layers = {f"Grad-CAM, {layer[9:]}": GradCAM(frozen, layer=layer, **size) for layer in LAYERS}
    return {
        "layers": {**of_layers, "Grad-CAM, mean of all": GradCAM(frozen, layer=LAYERS, **size)},
        "guided": {
            "Guided backprop": GuidedBackprop(frozen, **size),
            "Grad-CAM": GradCAM(frozen, **size),
            "Guided Grad-CAM": GuidedGradCAM(frozen, **size),
        },
    }


def write_pictures(run, data, found, explainers, n_gallery):
    """Heatmaps of the predicted classes of test photographs, from the least to the most certain."""
    rows = found.index[spread(found["probability"], PICTURED)]
    for name, group in explainers.items():
        some = found.loc[rows]
        display = HeatmapDisplay.from_heatmaps(
            data.images[rows],
            brightened(explain_together(group, data.images[rows], some["y_pred"])),
            y_true=some["y_true"],
            y_pred=some["y_pred"],
            probability=some["probability"],
            title="heatmap of the predicted class",
        )
        run.write_figure(f"{name}.png", display)
    rows = found.index[spread(found["probability"], n_gallery)]
    write_gallery(run, _gallery(data.images[rows], found.loc[rows], explainers["guided"]))


def _gallery(images, found, explainers):
    """Yield what is known about a picture, and the picture, method by method."""
    shown = {name: explainers[name] for name in IN_GALLERY}
    found_maps = brightened(explain_together(shown, images, found["y_pred"]))
    for method, maps in found_maps.items():
        for row, image, heatmap in zip(found.to_dict("records"), images, maps, strict=True):
            right = row["y_true"] == row["y_pred"]
            known = {"method": method, "y_true": row["y_true"], "y_pred": row["y_pred"]}
            known |= {"error_type": "correct" if right else "wrong class", "iou": ""}
            known |= {"probability": row["probability"], "photograph": row["file"]}
            yield known, overlay(image, heatmap)


def metrics_summary(config, parts, summary, per_class, unreadable):
    """The numbers in words."""
    row, counts = summary.loc["test"], pd.Series(parts).value_counts()
    return "\n".join(
        [
            f"{config.folder}: "
            + ", ".join(f"{counts[part]} {part}" for part in PARTS)
            + f" photographs; {unreadable} files not read",
            f"test accuracy  {row['accuracy']:.4f} "
            f"({row['accuracy_low']:.4f} to {row['accuracy_high']:.4f})",
            "",
            per_class.round(3).to_string(),
            "",
        ]
    )


def main(config):
    """Train, test, explain, write."""
    run = Run(config, "fmcam finetune", kept=("checkpoints",))
    folder = run.folder / "checkpoints"
    training = Transfer.of(config, starting_weights(config.weights, folder))
    data = load(config)
    run.write_table("unreadable.csv", data.unreadable)
    parts = split(data.target, config)
    learned = np.flatnonzero(parts != "test")
    clf, history = training.fit(
        data.images[learned], data.target[learned], parts[learned] == "validation", folder
    )
    y_proba = clf.predict_proba(data.images)
    summary = evaluate(data, parts, y_proba, clf.classes_)
    run.write_table("summary.csv", summary)
    predictions = predict(data, parts, y_proba, clf.classes_)
    run.write_table("predictions.csv", predictions)
    test = parts == "test"
    found = predictions[test]
    per_class = write_tables(run, found, y_proba[test], clf.classes_, history)
    write_checkpoints(run, clf, summary, history, config.image_size)
    write_pictures(run, data, found, make_explainers(clf, config.batch_size), config.gallery)
    text = metrics_summary(config, parts, summary, per_class, len(data.unreadable))
    run.write_text("metrics_summary.txt", text)
    print(text)
    run.finish()
