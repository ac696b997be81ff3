"""What `fmcam train` does."""

import numpy as np
import pandas as pd

from fmcam.cli._classification import write_classification
from fmcam.cli._pipeline import Fit, crop_size, score, train
from fmcam.cli._run import Run
from fmcam.cli._script import mistakes_named
from fmcam.datasets import get_dataset
from fmcam.models import get_model


def main(config):
    """Train, score, write."""
    with mistakes_named():
        data, test = (
            get_dataset(config.dataset, subset, data_home=config.data_dir)
            for subset in ("train", "test")
        )
    check_data(config, data)
    check_weights(config, data)
    run = Run(config, "fmcam train", kept=("checkpoints",))
    fits, folder = plan(config, data), config.checkpoints
    if not config.resume:
        for fit in fits:
            fit.forget(folder)
    fitted = train(
        *(fits, data, folder, config.jobs), save_every=config.save_every, log_every=config.log_every
    )
    rows, probas = zip(*(score(clf, test.images, test.target) for clf in fitted), strict=True)
    rows = pd.concat(rows, keys=config.seeds, names=["seed"]).droplevel(1)
    write(run, rows, fitted[0], probas[0], test)
    print(rows[["accuracy", "accuracy_low", "accuracy_high", "macro_f1", "log_loss"]].round(4))
    run.finish()


def check_data(config, data):
    """End with a message if the images are not those that the settings speak of."""
    n_images, n_classes = len(data.target), len(np.unique(data.target))
    found = {"input_shape": data.images.shape[1:], "num_classes": n_classes}
    for name, value in found.items():
        if getattr(config, name) not in (None, value):
            raise SystemExit(
                f"{name} is {getattr(config, name)}, but {config.dataset} has {value}."
            )
    if config.val_size and not n_classes <= config.val_size <= n_images - n_classes:
        raise SystemExit(
            f"--val-size must leave images of each class on both sides: {n_classes} to "
            f"{n_images - n_classes} of the {n_images} of {config.dataset}, got {config.val_size}."
        )


def check_weights(config, data):
    """End with a message if the network cannot start from the weights that are asked for."""
    if config.weights is None:
        return
    sizes = {"n_classes": len(np.unique(data.target)), "in_channels": data.images.shape[1]}
    with mistakes_named():
        get_model(config.model, weights=config.weights, **sizes)


def plan(config, data):
    """The trainings, one for each seed."""
    return [
        Fit(
            *(config.model, config.dataset, config.model),
            *(config.lr, config.batch_size, config.weight_decay, config.epochs),
            *(seed, config.precision, config.label_smoothing),
            *(config.optimizer, config.scheduler, config.val_size, config.patience),
            image_size=config.image_size or crop_size(data),
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
    names = [test.target_names[label] for label in clf.classes_]
    write_classification(run, test.target, proba, clf.classes_, names, clf.history)
