"""Train a network on a data set, once for each seed, and score it on the test images."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fmcam.cli._checks import check_folder, check_least, check_training, check_weights
from fmcam.cli._config import option
from fmcam.cli._settings import DATASETS, NETWORKS, OPTIMIZERS, PHOTOGRAPHS, PRECISIONS, SCHEDULERS


@dataclass(frozen=True)
class Config:
    """Settings of a training."""

    CONFIG_FILE: ClassVar = "cam_config.yaml"

    model: str = option("lenet5", "network to train", NETWORKS, also="model.name")
    dataset: str = option("fashion-mnist", "data set to train on", DATASETS, also="dataset.name")
    lr: float = option(0.1, "peak learning rate", also="training.learning_rate")
    batch_size: int = option(128, "images in a batch", also="training.batch_size")
    weight_decay: float = option(5e-4, "weight decay (L2)", also="training.weight_decay")
    epochs: int = option(16, "passes over the training images", also="training.num_epochs")
    precision: str = option(
        "float32", "number type of the forward pass", PRECISIONS, also="training.precision"
    )
    optimizer: str = option(
        "sgd", "optimizer; sgd has Nesterov momentum", OPTIMIZERS, also="training.optimizer"
    )
    scheduler: str = option(
        "one-cycle", "schedule of the learning rate", SCHEDULERS, also="training.scheduler"
    )
    label_smoothing: float = option(
        0.05, "share of the label that is spread over all classes", also="training.label_smoothing"
    )
    patience: int | None = option(
        None,
        "stop after this many epochs without a lower loss on the held-out images",
        also="training.early_stopping_patience",
    )
    image_size: int | None = option(
        None,
        "size of the crops of photographs; by default that of the photographs",
        also="dataset.img_size",
    )
    first_size: int | None = option(
        None,
        "size of the crops in the first epochs, which grows to --image-size",
        also="dataset.first_size",
    )
    color: float = option(
        0.0,
        "largest change of brightness, contrast and saturation of photographs, in [0, 1]",
        also="training.color",
    )
    val_size: int = option(0, "number of training images to hold out", also="dataset.val_size")
    data_dir: str | None = option(
        None,
        "folder of the data sets; by default the environment variable FMCAM_DATA",
        also="dataset.data_dir",
    )
    input_shape: tuple[int, ...] | None = option(
        None,
        "channels, height and width that the images are expected to have",
        also="model.input_shape",
    )
    num_classes: int | None = option(
        None, "number of classes that the data set is expected to have", also="model.num_classes"
    )
    residual: bool | None = option(
        None, "whether the network is expected to have residual connections", also="model.residual"
    )
    weights: str | None = option(
        None,
        "pretrained weights for resnet18: a name of torchvision's, or a file",
        also="model.weights",
    )
    checkpoint_dir: str | None = option(
        None, "folder of the checkpoints; by default inside --out", also="training.checkpoint_dir"
    )
    save_every: int = option(
        1, "save the state of the training after every this many epochs", also="training.save_every"
    )
    log_every: int | None = option(
        None, "print the loss after every this many batches", also="training.log_every"
    )
    seeds: tuple[int, ...] = option(
        (0,), "random states, one for each training", also="training.seeds"
    )
    jobs: int = option(os.cpu_count(), "number of parallel processes", also="training.jobs")
    out: str = option("runs/train", "folder to write the results to", also="output_dir")
    resume: bool = option(False, "keep finished trainings, and continue an unfinished one")

    @property
    def checkpoints(self):
        """The folder of the checkpoints."""
        return Path(self.checkpoint_dir or Path(self.out) / "checkpoints")


def check(config):
    """End with a message if settings contradict each other."""
    check_training(config)
    check_least(config, image_size=1, first_size=1, val_size=0, save_every=1, log_every=1)
    if not 0 <= config.color <= 1:
        raise SystemExit(f"--color must be in [0, 1], got {config.color}.")
    if config.first_size and not config.image_size:
        raise SystemExit("--first-size grows to --image-size: give that, too.")
    if config.patience and not config.val_size:
        raise SystemExit("--patience watches held-out images: hold some out with --val-size.")
    if config.weights and config.model != "resnet18":
        raise SystemExit(f"--weights is for resnet18, not for {config.model}.")
    if config.residual is not None and config.residual != (config.model == "resnet18"):
        has = "has no" if config.residual else "has"
        raise SystemExit(
            f"residual is {str(config.residual).lower()}, but {config.model} {has} residual "
            "connections. Choose another network with --model, or leave `residual` out."
        )
    crops = config.image_size or config.first_size or config.color
    if crops and config.dataset not in PHOTOGRAPHS:
        raise SystemExit(
            "--image-size, --first-size and --color are for photographs in colour, such as those "
            f"of {', '.join(PHOTOGRAPHS)}; {config.dataset} has none."
        )
    if config.weights:
        check_weights(config.weights)
    if config.checkpoint_dir:
        check_folder(config.checkpoint_dir, "--checkpoint-dir")
    check_folder(config.out)


def main(config):
    """Check the settings before torch is imported, then train."""
    check(config)
    from fmcam.cli import _train

    _train.main(config)
