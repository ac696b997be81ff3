"""What `fmcam finetune` does."""

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split

from fmcam._weight_files import write_torch_file
from fmcam.classifiers import save_classifier
from fmcam.cli._class_names import read_class_names
from fmcam.cli._classification import write_classification
from fmcam.cli._gallery import brightened, overlay, spread, write_gallery
from fmcam.cli._pictures import label_names
from fmcam.cli._run import Run
from fmcam.cli._transfer import Transfer, best_epoch, starting_weights
from fmcam.datasets import load_image_folder
from fmcam.explain import GradCAM, GuidedBackprop, GuidedGradCAM, explain_together
from fmcam.plot import HeatmapDisplay
from fmcam.report import overall_frame

PARTS = ("train", "validation", "test")
SHORT = {"train": "train_acc", "validation": "val_acc", "test": "test_acc"}
LAYERS = [f"features.layer{number}" for number in (1, 2, 3, 4)]
IN_GALLERY = ("Grad-CAM", "Guided Grad-CAM")
PICTURED = 6


def load(config):
    """The photographs; ends with a message if there are none with labels."""
    options = {"labels": config.labels, "class_names": read_class_names(config.class_names)}
    try:
        data = load_image_folder(config.folder, size=config.image_size, **options)
    except ValueError as error:
        raise SystemExit(f"--folder: {error}") from error
    if config.class_names is not None:
        without = sorted(set(range(len(data.target_names))) - set(data.target.tolist()))
        if without:
            names = ", ".join(f"{data.target_names[number]} ({number})" for number in without)
            raise SystemExit(f"--class-names: there is no photograph of {names}.")
    return data


def split(data, config):
    """The part that each photograph belongs to: an array of str.

    As the folders say; what no folder says is drawn from the photographs to train on, classes
    alike in all parts.
    """
    given = data.subset is not None and config.split == "folders"
    parts = (
        data.subset.astype(object) if given else np.full(len(data.target), "train", dtype=object)
    )
    drawn = [part for part in ("test", "validation") if part not in parts]
    _check_photographs(data, parts, drawn)
    n_train = (parts == "train").sum()
    for part in drawn:
        left = np.flatnonzero(parts == "train")
        size = max(round(getattr(config, part) * n_train), len(np.unique(data.target)))
        options = {"stratify": data.target[left], "random_state": config.seed}
        try:
            _, chosen = train_test_split(left, test_size=size, **options)
        except ValueError as error:
            raise SystemExit(f"{size} photographs cannot be held out: {error}") from error
        parts[chosen] = part
    return parts


def _check_photographs(data, parts, drawn):
    needed = 1 + len(drawn)
    counts = {
        name: (data.target[parts == "train"] == label).sum()
        for label, name in label_names(data).items()
    }
    if len(counts) < 2 or min(counts.values()) < needed:
        raise SystemExit(
            f"Needed to train are two classes of {needed} photographs or more, got "
            + ", ".join(f"{count} of {name}" for name, count in counts.items())
        )


def evaluate(y_true, parts, y_proba, names):
    """Overall numbers of each part, one row a part."""
    columns = range(len(names))
    frames = [
        overall_frame(y_true[parts == part], y_proba[parts == part], columns) for part in PARTS
    ]
    return pd.concat(frames, keys=PARTS, names=["part"]).droplevel(1)


def predict(data, parts, y_true, y_proba, names):
    """One row a photograph."""
    return pd.DataFrame(
        {
            "file": data.filenames,
            "part": parts,
            "y_true": names[y_true],
            "y_pred": names[y_proba.argmax(axis=1)],
            "probability": y_proba.max(axis=1).round(4),
        }
    )


def write_checkpoints(run, best, last, names, image_size):
    """The best epoch's network as a safetensors file, and it and the last one as torch files.

    `best` and `last` are each a classifier, the accuracy of each part, and the epoch.
    """
    metrics = {SHORT[part]: float(accuracy) for part, accuracy in best[1].items()}
    options = {"class_names": names.tolist(), "metrics": metrics}
    save_classifier(best[0], run.folder / "classifier.safetensors", **options)
    write_torch_file(_torch_content(best, names, image_size), run.folder / "classifier_best.pth")
    write_torch_file(_torch_content(last, names, image_size), run.folder / "classifier_final.pth")
    files = ("classifier.safetensors", "classifier_best.pth", "classifier_final.pth")
    run.written += [run.folder / file for file in files]


def _torch_content(found, names, image_size):
    """Plain values; torchvision's network loads the weights."""
    clf, accuracy, epoch = found
    standardize = clf.module_.standardize
    weights = clf.module_.net.state_dict()
    return {
        "model_state_dict": {_torchvision_key(key): value.cpu() for key, value in weights.items()},
        "class_names": names.tolist(),
        **{SHORT[part]: float(share) for part, share in accuracy.items()},
        "epoch": epoch,
        "image_size": image_size,
        "mean": standardize.mean.flatten().tolist(),  # of each channel, 0..255
        "std": standardize.std.flatten().tolist(),
    }


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
            brightened(explain_together(group, data.images[rows])),
            y_true=some["y_true"],
            y_pred=some["y_pred"],
            probability=some["probability"],
            title="heatmap of the predicted class",
        )
        run.write_figure(f"{name}.png", display)
    rows = found.index[spread(found["probability"], n_gallery)]
    shown = data.images[rows], found.loc[rows], explainers["guided"]
    write_gallery(run, _gallery(*shown) if n_gallery else ())


def _gallery(images, found, explainers):
    """Yield what is known about a picture, the picture, and no boxes, method by method."""
    shown = {name: explainers[name] for name in IN_GALLERY}
    found_maps = brightened(explain_together(shown, images))
    for method, maps in found_maps.items():
        for row, image, heatmap in zip(found.to_dict("records"), images, maps, strict=True):
            right = row["y_true"] == row["y_pred"]
            known = {"method": method, "y_true": row["y_true"], "y_pred": row["y_pred"]}
            known |= {"error_type": "correct" if right else "wrong class", "iou": ""}
            known |= {"probability": row["probability"], "photograph": row["file"]}
            yield known, overlay(image, heatmap), None


def metrics_summary(config, data, parts, summary, per_class):
    """The numbers in words."""
    row, counts = summary.loc["test"], pd.Series(parts).value_counts()
    given = set() if data.subset is None or config.split == "random" else set(data.subset)
    origin = {True: "as its folders say", False: "drawn at random"}
    return "\n".join(
        [
            f"{config.folder}: "
            + ", ".join(f"{counts[part]} {part} ({origin[part in given]})" for part in PARTS)
            + f"; {len(data.unreadable)} files not read",
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
    parts = split(data, config)
    learned = np.flatnonzero(parts != "test")
    clf, last, history = training.fit(
        data.images[learned], data.target[learned], parts[learned] == "validation", folder
    )
    names = np.array([label_names(data)[label] for label in clf.classes_.tolist()])
    y_true, y_proba = np.searchsorted(clf.classes_, data.target), clf.predict_proba(data.images)
    summary = evaluate(y_true, parts, y_proba, names)
    run.write_table("summary.csv", summary)
    predictions = predict(data, parts, y_true, y_proba, names)
    run.write_table("predictions.csv", predictions)
    test = parts == "test"
    found = predictions[test]
    per_class = write_classification(
        run, y_true[test], y_proba[test], range(len(names)), names, history
    )
    best = clf, summary["accuracy"], best_epoch(history)
    at_end = evaluate(y_true, parts, last.predict_proba(data.images), names)
    last = last, at_end["accuracy"], len(history)
    write_checkpoints(run, best, last, names, config.image_size)
    write_pictures(run, data, found, make_explainers(clf, config.batch_size), config.gallery)
    text = metrics_summary(config, data, parts, summary, per_class)
    run.write_text("metrics_summary.txt", text)
    print(text)
    run.finish()
