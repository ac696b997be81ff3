"""Training on photographs against a plain loop over torchvision's ImageFolder and a DataLoader.

One epoch of ResNet-18 on random crops of Imagenette: the same images, size of the crops, batches
and optimizer. And the same with a network that is nearly free, so that what is left is how the
images get to it. The loop decodes its files in every epoch, as one does; the classifier reads
pixels that were decoded once, and what that takes with an empty cache is timed too ("decode").
"""

import os
from dataclasses import dataclass

from fmcam.cli._config import option


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark."""

    images: int = option(1_280, "photographs in an epoch")
    size: int = option(128, "side of the crops")
    batch_size: int = option(64, "photographs in a batch")
    workers: int = option(os.cpu_count(), "processes of the DataLoader")
    repeats: int = option(3, "turns")
    data_dir: str | None = option(None, "folder of the data sets, by default FMCAM_DATA")
    out: str = option("runs/benchmark/photographs", "folder of the results")


def main(config):
    """Import torch only now that the settings are read; then run."""
    from experiments.benchmark import _photographs

    _photographs.main(config)
