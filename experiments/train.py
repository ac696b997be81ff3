"""Train one network on one data set, once for each seed, and score it on the test images."""

import os
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import ConfusionMatrixDisplay

from experiments._config import option
from experiments._pipeline import CLASSIFIERS, DATASETS, Fit, score, train
from experiments._run import Run, run_script
from fmcam.datasets import load_dataset
from fmcam.plot import HistoryDisplay, RocCurvesDisplay
from fmcam.report import classification_frame


@dataclass(frozen=True)
class Config:
    """Settings of a training."""

    model: str = option("lenet5", "network", CLASSIFIERS)
    dataset: str = option("fashion-mnist", "images", DATASETS)
    lr: float = option(0.1, "peak learning rate")
    batch_size: int = option(128, "images in a batch")
    weight_decay: float = option(5e-4, "weight decay (L2)")
    epochs: int = option(16, "passes over the training images")
    precision: str = option("float32", "float32 or bfloat16", ("float32", "bfloat16"))
    seeds: tuple[int, ...] = option((0,), "random states, one training each")
    jobs: int = option(os.cpu_count(), "processes at a time")
    out: str = option("runs/train", "folder of the results")
    resume: bool = option(False, "keep the finished trainings that the folder holds")


def main(config):
    """Train, score, write."""
    run = Run(config, "train", kept=("checkpoints",))
    data, test = (load_dataset(config.dataset, subset) for subset in ("train", "test"))
    what = (config.model, config.dataset, config.model)
    settings = (config.lr, config.batch_size, config.weight_decay, config.epochs)
    fits = [Fit(*what, *settings, seed, config.precision) for seed in config.seeds]
    fitted = train(fits, data.images, data.target, run.folder / "checkpoints", config.jobs)
    rows, probas = zip(*(score(clf, test.images, test.target) for clf in fitted), strict=True)
    rows = pd.concat(rows, keys=config.seeds, names=["seed"]).droplevel(1)
    run.write_table("rows.csv", rows)
    summary = rows.agg(["mean", "std", "count"]).T.rename_axis("number")
    run.write_table("summary.csv", summary)
    first, classes, names = fitted[0], fitted[0].classes_, test.target_names
    run.write_table(
        "per_class.csv", classification_frame(test.target, probas[0], classes, class_names=names)
    )
    run.write_table("history.csv", HistoryDisplay.from_estimator(first).frame())
    run.write_figure("history.png", HistoryDisplay.from_estimator(first))
    roc = RocCurvesDisplay.from_predictions(test.target, probas[0], classes, class_names=names)
    run.write_figure("roc.png", roc)
    confusion = ConfusionMatrixDisplay.from_predictions(
        np.array(names)[test.target], np.array(names)[probas[0].argmax(axis=1)], labels=names
    )
    run.write_figure("confusion.png", confusion, xticks_rotation=45, cmap="Blues", colorbar=False)
    print(rows[["accuracy", "accuracy_low", "accuracy_high", "macro_f1", "log_loss"]].round(4))
    run.finish()


if __name__ == "__main__":
    run_script(main, Config, "train", __doc__)
