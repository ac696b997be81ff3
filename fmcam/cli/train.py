"""Train one network on one data set, once for each seed, and score it on the test images."""

import os
from dataclasses import dataclass

from fmcam.cli._config import option
from fmcam.cli._settings import DATASETS, NETWORKS, OPTIMIZERS, PRECISIONS, SCHEDULERS


@dataclass(frozen=True)
class Config:
    """Settings of a training."""

    model: str = option("lenet5", "network", NETWORKS, yaml="model.name")
    dataset: str = option("fashion-mnist", "images", DATASETS, yaml="dataset.name")
    lr: float = option(0.1, "peak learning rate", yaml="training.learning_rate")
    batch_size: int = option(128, "images in a batch", yaml="training.batch_size")
    weight_decay: float = option(5e-4, "weight decay (L2)", yaml="training.weight_decay")
    epochs: int = option(16, "passes over the training images", yaml="training.num_epochs")
    precision: str = option(
        "float32", "number type of the forward pass", PRECISIONS, yaml="training.precision"
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


def check(config):
    """End with a message if settings contradict each other."""
    if not 0 <= config.color <= 1:
        raise SystemExit(f"--color must be in [0, 1], got {config.color}.")
    if config.first_size and not config.image_size:
        raise SystemExit("--first-size grows to --image-size: give that, too.")
    if config.patience and not config.val_size:
        raise SystemExit("--patience watches held-out images: hold some out with --val-size.")
    if config.weights and config.model != "resnet18":
        raise SystemExit(f"--weights is for resnet18, not for {config.model}.")


def main(config):
    """Check the settings before torch is imported, then train."""
    check(config)
    from fmcam.cli import _train

    _train.main(config)
