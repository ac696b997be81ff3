"""Baseline and tuned SimpleCNN against LeNet-5: the same pipeline, images and regularization.

The tuned settings come from a finished grid search. Every network is trained once for each seed on
all training images and scored on the test images; differences come with paired intervals.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from fmcam.cli._checks import check_folder
from fmcam.cli._config import option
from fmcam.cli._script import run_script


@dataclass(frozen=True)
class Config:
    """Settings of a comparison."""

    dataset: str = option("fashion-mnist", "images", ("fashion-mnist", "shapes"))
    search: str | None = option(
        None, "folder of a finished grid search; None: runs/grid_search/DATASET"
    )
    epochs: int = option(30, "passes over the training images")
    precision: str = option("float32", "float32 or bfloat16", ("float32", "bfloat16"))
    seeds: tuple[int, ...] = option((0, 1, 2), "random states, one training each")
    jobs: int = option(os.cpu_count(), "processes at a time")
    out: str = option("runs/compare", "folder of the results")
    resume: bool = option(False, "keep the finished trainings that the folder holds")

    @property
    def best(self):
        """The file of the values that the grid search found."""
        return Path(self.search or f"runs/grid_search/{self.dataset}") / "best.json"


def check(config):
    """End with a message if there is no finished grid search, or no folder to write to."""
    if not config.best.is_file():
        raise SystemExit(
            f"There is no {config.best}. Name the folder of a finished grid search with --search, "
            f"or run `fmcam grid-search --dataset {config.dataset}` first."
        )
    check_folder(config.out)


def main(config):
    """Check the settings before torch is imported; then train, score, compare, write."""
    check(config)
    from experiments import _compare

    _compare.main(config)


if __name__ == "__main__":
    run_script(main, Config, "python -m experiments.compare", __doc__)
