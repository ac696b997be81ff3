"""Search learning rate, batch size and weight decay for each network, then score the winners.

Every network goes through the same pipeline and the same grid. The search sees a stratified subset
of the training images; each winner is trained on all of them and scored once on the test images.
"""

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

from fmcam.cli._checks import check_folder
from fmcam.cli._config import option
from fmcam.cli._settings import DATASETS, NETWORKS, PRECISIONS

# Images searched over, epochs of a search fit, epochs of the winners
SIZES = {"shapes": (2_000, 3, 8)}
OTHER_SIZES = 15_000, 6, 30


def _by_default(place):
    sizes = [f"{sizes[place]:,} for {name}" for name, sizes in SIZES.items()]
    return f"; by default {OTHER_SIZES[place]:,}, {', '.join(sizes)}"


@dataclass(frozen=True)
class Config:
    """Settings of a grid search."""

    models: tuple[str, ...] = option(("simplecnn", "lenet5"), "networks to search for", NETWORKS)
    dataset: str = option("fashion-mnist", "data set to train on", DATASETS)
    lr: tuple[float, ...] = option((0.01, 0.03, 0.1), "peak learning rates to try")
    batch_size: tuple[int, ...] = option((32, 64, 128), "batch sizes to try")
    weight_decay: tuple[float, ...] = option((1e-4, 5e-4, 1e-3), "weight decays (L2) to try")
    cv: int = option(3, "number of folds of the cross-validation")
    rows: int | None = option(None, f"number of training images to search on{_by_default(0)}")
    epochs: int | None = option(None, f"epochs of each fit of the search{_by_default(1)}")
    final_epochs: int | None = option(None, f"epochs of the winners{_by_default(2)}")
    halving: bool = option(
        False, "train all candidates for a third of the epochs or less, and the best third on"
    )
    precision: str = option("float32", "number type of the forward pass", PRECISIONS)
    seed: int = option(0, "random state of the subset, the folds and the networks")
    jobs: int = option(os.cpu_count(), "number of parallel processes")
    scheduler: str | None = option(
        None, "address of a dask scheduler, tcp://host:port, whose workers do the search"
    )
    out: str | None = option(
        None, "folder to write the results to; by default runs/grid_search/DATASET"
    )
    resume: bool = option(False, "keep the finished fits, and continue")

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


def check_halving(config):
    """End with a message if there is nothing to halve."""
    n_candidates = len(config.lr) * len(config.batch_size) * len(config.weight_decay)
    if n_candidates < 3:
        raise SystemExit(
            f"--halving needs three candidates or more, got {n_candidates}. Give --lr, "
            "--batch-size or --weight-decay more values, or leave out --halving."
        )
    if config.epochs < 3:
        raise SystemExit(
            f"--halving needs --epochs of 3 or more, as the first third decides who trains on; got "
            f"{config.epochs}."
        )


def main(config):
    """Fill the settings in before torch is imported, then search."""
    config = config.complete()
    check_folder(config.out)
    if config.halving:
        check_halving(config)
    from fmcam.cli import _grid_search

    _grid_search.main(config)
