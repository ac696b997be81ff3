"""Settings that several commands and experiments have, and what they are chosen from."""

from dataclasses import dataclass

from fmcam.cli._config import option
from fmcam.datasets import list_datasets
from fmcam.models import list_models

__all__ = [
    "DATASETS",
    "NETWORKS",
    "OPTIMIZERS",
    "PHOTOGRAPHS",
    "PRECISIONS",
    "SCHEDULERS",
    "TransferSettings",
]

# Some have other names elsewhere, which mean the same here.
_NAMED = {
    "canvas": ("canvas-fashion-mnist", "CanvasFashionMNIST"),
    "cub200": ("cub", "cub-200-2011", "cub200-2011"),
    "imagenette": ("imagenette2", "imagenette2-160"),
    "pets": ("oxford-pets", "oxford-iiit-pet", "oxford-iiit-pets"),
    "resnet18": ("resnet_cam",),
}


def _with_other_names(names):
    return {name: _NAMED.get(name, ()) for name in names}


DATASETS = _with_other_names(list_datasets())
PHOTOGRAPHS = ("cub200", "imagenette", "pets")  # of them, those in colour and of any size
NETWORKS = _with_other_names(name for name in list_models() if "/" not in name)
OPTIMIZERS = ("sgd", "adam")
PRECISIONS = ("float32", "bfloat16")
SCHEDULERS = {
    "one-cycle": ("OneCycleLR",),
    "cosine": ("cosine_annealing", "CosineAnnealingLR"),
    "reduce-on-plateau": ("plateau", "reduce_lr", "ReduceLROnPlateau"),
    "none": (),
}


@dataclass(frozen=True, kw_only=True)
class TransferSettings:
    """Settings of every script that fine-tunes a network."""

    optimizer: str | None = option(
        None,
        "optimizer of a plain training with cross-entropy, all weights at one rate: frozen epochs, "
        "schedule, label smoothing, weight decay and early stopping are off unless set; by default "
        "Adam in two stages",
        OPTIMIZERS,
    )
    lr: float = option(
        1e-3,
        "learning rate of the head; the convolutions learn at a tenth of it, or with --optimizer "
        "at the same",
    )
    scheduler: str | None = option(
        None, "schedule of the rate, by default reduce-on-plateau", SCHEDULERS
    )
    batch_size: int = option(32, "photographs in a batch")
    weight_decay: float | None = option(None, "weight decay (L2), by default 1e-4")
    label_smoothing: float | None = option(None, "label smoothing, by default 0.05")
    head_epochs: int | None = option(None, "epochs in which only the head is trained, by default 3")
    epochs: int = option(20, "epochs in which the whole network is trained, at most")
    patience: int | None = option(
        None, "stop after this many epochs without a lower validation loss, by default 6"
    )
    precision: str = option("float32", "number type of the forward pass", PRECISIONS)
    seed: int = option(0, "random state")
