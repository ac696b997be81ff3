"""Search learning rate, batch size and weight decay for each network, then score the winners.

Every network goes through the same pipeline and the same grid. The search sees a stratified subset
of the training images; each winner is trained on all of them and scored once on the test images.
"""

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

from fmcam.cli._config import option
from fmcam.cli._settings import DATASETS, NETWORKS, PRECISIONS

# Images searched over, epochs of a search fit, epochs of the winners
SIZES = {"shapes": (2_000, 3, 8)}
OTHER_SIZES = 15_000, 6, 30


@dataclass(frozen=True)
class Config:
    """Settings of a grid search."""

    models: tuple[str, ...] = option(("simplecnn", "lenet5"), "networks", NETWORKS)
    dataset: str = option("fashion-mnist", "images", DATASETS)
    lr: tuple[float, ...] = option((0.01, 0.03, 0.1), "peak learning rates")
    batch_size: tuple[int, ...] = option((32, 64, 128), "batch sizes")
    weight_decay: tuple[float, ...] = option((1e-4, 5e-4, 1e-3), "weight decays (L2)")
    cv: int = option(3, "folds of the cross-validation")
    rows: int | None = option(None, "training images searched over; None: by data set")
    epochs: int | None = option(None, "epochs of each fit in the search; None: by data set")
    final_epochs: int | None = option(None, "epochs of the winners; None: by data set")
    precision: str = option("float32", "number type of the forward pass", PRECISIONS)
    seed: int = option(0, "random state of subset, folds and networks")
    jobs: int = option(os.cpu_count(), "processes at a time")
    scheduler: str | None = option(None, "dask scheduler, tcp://host:port, whose workers search")
    out: str | None = option(None, "folder of the results; None: runs/grid_search/DATASET")
    resume: bool = option(False, "keep the finished fits that the folder holds")

    def complete(self):
        """The same with every None filled in."""
        rows, epochs, final_epochs = SIZES.get(self.dataset, OTHER_SIZES)
        usual = {
            "rows": rows,
            "epochs": epochs,
            "final_epochs": final_epochs,
            "out": f"runs/grid_search/{self.dataset}",
        }
        missing: dict[str, Any] = {
            name: value for name, value in usual.items() if getattr(self, name) is None
        }
        return dataclasses.replace(self, **missing)


def main(config):
    """Fill the settings in before torch is imported, then search."""
    from fmcam.cli import _grid_search

    _grid_search.main(config.complete())
