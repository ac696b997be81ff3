"""The time of a search against candidates, rows, epochs and processes, and the model of it.

Constants are fitted on the small searches; the larger ones, which are what one wants to know about
beforehand, check the prediction. `docs/scaling.md` explains the model.
"""

from dataclasses import dataclass

from fmcam.cli._config import option
from fmcam.cli._settings import NETWORKS


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark."""

    model: str = option("lenet5", "network", NETWORKS)
    dataset: str = option("fashion-mnist", "images", ("fashion-mnist", "shapes"))
    candidates: tuple[int, ...] = option((1, 2, 4, 8), "learning rates searched over")
    rows: tuple[int, ...] = option((1_500, 3_000, 6_000), "images searched over")
    epochs: tuple[int, ...] = option((1, 2, 4), "epochs of a fit")
    jobs: tuple[int, ...] = option((1, 2), "processes")
    cv: int = option(3, "folds")
    batch_size: int = option(64, "batch size")
    repeats: int = option(3, "turns; their median counts")
    out: str = option("runs/benchmark/scaling", "folder of the results")


def main(config):
    """Import torch only now that the settings are read; then run."""
    from experiments.benchmark import _scaling

    _scaling.main(config)
