"""Train one network on one data set, once for each seed, and score it on the test images."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import ConfusionMatrixDisplay

from fmcam.cli._config import option
from fmcam.cli._pipeline import (
    CLASSIFIERS,
    DATASETS,
    OPTIMIZERS,
    PHOTOGRAPHS,
    SCHEDULERS,
    Fit,
    score,
    train,
)
from fmcam.cli._run import Run, run_script
from fmcam.datasets import get_dataset
from fmcam.plot import HistoryDisplay, RocCurvesDisplay
from fmcam.report import classification_frame


@dataclass(frozen=True)
class Config:
    """Settings of a training."""

    model: str = option("lenet5", "network", CLASSIFIERS, yaml="model.name")
    dataset: str = option("fashion-mnist", "images", (*DATASETS, *PHOTOGRAPHS), yaml="dataset.name")
    lr: float = option(0.1, "peak learning rate", yaml="training.learning_rate")
    batch_size: int = option(128, "images in a batch", yaml="training.batch_size")
    weight_decay: float = option(5e-4, "weight decay (L2)", yaml="training.weight_decay")
    epochs: int = option(16, "passes over the training images", yaml="training.num_epochs")
    precision: str = option(
        "float32", "float32 or bfloat16", ("float32", "bfloat16"), yaml="training.precision"
    )
    optimizer: str = option("sgd", "sgd (Nesterov) or adam", OPTIMIZERS, yaml="training.optimizer")
    scheduler: str = option(
        "one-cycle", "how the rate changes", SCHEDULERS, yaml="training.scheduler"
    )
    label_smoothing: float = option(0.05, "label smoothing", yaml="training.label_smoothing")
    patience: int | None = option(
        None,
        "stop after that many epochs without a lower loss on the images held out",
        yaml="training.early_stopping_patience",
    )
    image_size: int | None = option(
        None, "side of the crops from photographs, by default theirs", yaml="dataset.img_size"
    )
    first_size: int | None = option(
        None,
        "side of the crops in the first epochs, from which it grows",
        yaml="dataset.first_size",
    )
    color: float = option(
        0.0,
        "change of brightness, contrast and saturation of photographs, at most, in [0, 1]",
        yaml="training.color",
    )
    val_size: int = option(0, "training images to hold out", yaml="dataset.val_size")
    data_dir: str | None = option(
        None, "folder of the data sets, by default FMCAM_DATA", yaml="dataset.data_dir"
    )
    input_shape: tuple[int, ...] | None = option(
        None, "channels, height and width that the images must have", yaml="model.input_shape"
    )
    num_classes: int | None = option(
        None, "classes that the images must have", yaml="model.num_classes"
    )
    weights: str | None = option(
        None, "pretrained weights for resnet18: a name or file", yaml="model.weights"
    )
    checkpoint_dir: str | None = option(
        None, "folder of the checkpoints, by default inside --out", yaml="training.checkpoint_dir"
    )
    save_every: int = option(1, "epochs after which to keep the state", yaml="training.save_every")
    log_every: int | None = option(
        None, "batches after which to print the loss", yaml="training.log_every"
    )
    seeds: tuple[int, ...] = option((0,), "random states, one training each", yaml="training.seeds")
    jobs: int = option(os.cpu_count(), "processes at a time", yaml="training.jobs")
    out: str = option("runs/train", "folder of the results")
    resume: bool = option(False, "keep the trainings in the folder, go on with an unfinished one")


def main(config):
    """Train, score, write."""
    check(config)
    run = Run(config, "fmcam train", kept=("checkpoints",))
    data, test = (
        get_dataset(config.dataset, subset, data_home=config.data_dir)
        for subset in ("train", "test")
    )
    check_data(config, data)
    folder = Path(config.checkpoint_dir or run.folder / "checkpoints")
    fits = plan(config, data.images.shape[-1])
    if not config.resume:
        for fit in fits:
            fit.forget(folder)
    fitted = train(
        *(fits, data, folder, config.jobs),
        save_every=config.save_every,
        log_every=config.log_every,
    )
    rows, probas = zip(*(score(clf, test.images, test.target) for clf in fitted), strict=True)
    rows = pd.concat(rows, keys=config.seeds, names=["seed"]).droplevel(1)
    write(run, rows, fitted[0], probas[0], test)
    print(rows[["accuracy", "accuracy_low", "accuracy_high", "macro_f1", "log_loss"]].round(4))
    run.finish()


def check(config):
    """End with a message if settings contradict each other."""
    photographs = config.dataset in PHOTOGRAPHS
    if (config.image_size or config.first_size or config.color) and not photographs:
        known = ", ".join(PHOTOGRAPHS)
        raise SystemExit(f"--image-size, --first-size and --color are for {known}.")
    if not 0 <= config.color <= 1:
        raise SystemExit(f"--color must be in [0, 1], got {config.color}.")
    if config.first_size and not config.image_size:
        raise SystemExit("--first-size grows to --image-size, so that is needed too.")
    if config.patience and not config.val_size:
        raise SystemExit("--patience needs images held out to look at, by --val-size.")
    if config.weights and config.model != "resnet18":
        raise SystemExit(f"--weights is for resnet18, not {config.model}.")


def check_data(config, data):
    """End with a message if the images are not those that the settings speak of."""
    found = {"input_shape": data.images.shape[1:], "num_classes": len(data.target_names)}
    for name, value in found.items():
        if getattr(config, name) not in (None, value):
            raise SystemExit(
                f"{name} is {getattr(config, name)}, but {config.dataset} has {value}."
            )


def plan(config, side):
    """The trainings, one for each seed, on images of some side in pixels."""
    photographs = config.dataset in PHOTOGRAPHS
    return [
        Fit(
            *(config.model, config.dataset, config.model),
            *(config.lr, config.batch_size, config.weight_decay, config.epochs),
            *(seed, config.precision, config.label_smoothing),
            *(config.optimizer, config.scheduler, config.val_size, config.patience),
            image_size=(config.image_size or side) if photographs else None,
            first_size=config.first_size,
            color=config.color,
            weights=config.weights,
        )
        for seed in config.seeds
    ]


def write(run, rows, clf, proba, test):
    """Tables of all seeds; the curves and the confusion of the first."""
    run.write_table("rows.csv", rows)
    summary = rows.agg(["mean", "std", "count"]).T.rename_axis("number")
    run.write_table("summary.csv", summary)
    names = test.target_names
    per_class = classification_frame(test.target, proba, clf.classes_, class_names=names)
    run.write_table("per_class.csv", per_class)
    run.write_table("history.csv", HistoryDisplay.from_estimator(clf).frame())
    run.write_figure("history.png", HistoryDisplay.from_estimator(clf))
    roc = RocCurvesDisplay.from_predictions(test.target, proba, clf.classes_, class_names=names)
    run.write_figure("roc.png", roc)
    confusion = ConfusionMatrixDisplay.from_predictions(
        np.array(names)[test.target], np.array(names)[proba.argmax(axis=1)], labels=names
    )
    run.write_figure("confusion.png", confusion, xticks_rotation=45, cmap="Blues", colorbar=False)


if __name__ == "__main__":
    run_script(main, Config, "fmcam train", __doc__)
