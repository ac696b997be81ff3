"""Settings that several commands and experiments have, and what they are chosen from."""

from dataclasses import dataclass

from fmcam.cli._config import option
from fmcam.datasets import list_datasets
from fmcam.models import list_models

__all__ = ["DATASETS", "NETWORKS", "OPTIMIZERS", "PRECISIONS", "SCHEDULERS", "TransferSettings"]

# Some have other names elsewhere, which mean the same here.
_NAMED = {
    "imagenette": ("imagenette2", "imagenette2-160"),
    "pets": ("oxford-pets", "oxford-iiit-pet", "oxford-iiit-pets"),
    "resnet18": ("resnet_cam",),
}


def _with_other_names(names):
    return {name: _NAMED.get(name, ()) for name in names}


DATASETS = _with_other_names(list_datasets())
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

    lr: float = option(1e-3, "learning rate of the head; the convolutions learn at a tenth of it")
    batch_size: int = option(32, "photographs in a batch")
    weight_decay: float = option(1e-4, "weight decay (L2)")
    head_epochs: int = option(3, "epochs in which only the head is trained")
    epochs: int = option(20, "epochs in which the whole network is trained, at most")
    patience: int = option(6, "stop after this many epochs without a lower validation loss")
    precision: str = option("float32", "number type of the forward pass", PRECISIONS)
    seed: int = option(0, "random state")
