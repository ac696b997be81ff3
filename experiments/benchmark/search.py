"""Our grid search against scikit-learn's over plain skorch: the same nets, grid, folds and epochs.

Each search starts its own worker processes, and their start is timed with it. The rival gets images
that are already standardized float32. It is timed as it is by default (one process, torch's own
number of threads) and with as many processes as ours ("n_jobs"). Both search the same candidates on
the same folds without an inner validation split. With ``--strategy vmap`` see
`experiments.benchmark._vmap`.
"""

import dataclasses
import os
from dataclasses import dataclass

from experiments.benchmark._settings import NETS
from fmcam.cli._config import option

DEFAULTS = {
    "processes": {"rows": 9_000, "out": "runs/benchmark/search"},
    "vmap": {"rows": 60_000, "out": "runs/benchmark/vmap"},
}


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark."""

    nets: tuple[str, ...] = option(("simplecnn", "lenet5"), "networks", NETS)
    dataset: str = option("fashion-mnist", "images", ("fashion-mnist", "shapes"))
    strategy: str = option("processes", "how ours trains", ("processes", "vmap"))
    rows: int | None = option(None, "images searched over; None: 9,000, or 60,000 with vmap")
    epochs: int = option(2, "epochs of a fit")
    repeats: int = option(3, "turns")
    precisions: tuple[str, ...] = option(("float32",), "of ours", ("float32", "bfloat16"))
    jobs: int = option(os.cpu_count(), "processes, ours and the rival's second way")
    out: str | None = option(None, "folder of the results; None: runs/benchmark/search or vmap")

    def complete(self):
        """The same with every None filled in."""
        defaults = DEFAULTS[self.strategy].items()
        missing = {name: value for name, value in defaults if getattr(self, name) is None}
        return dataclasses.replace(self, **missing)


def main(config):
    """Import torch only now that the settings are read; then run."""
    from experiments.benchmark import _search

    _search.main(config)
