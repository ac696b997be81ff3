"""Our grid search against scikit-learn's over plain skorch: the same nets, grid, folds and epochs.

Each search starts its own worker processes, and their start is timed with it. The rival gets images
that are already standardized float32. It is timed as it is by default (one process, torch's own
number of threads) and with as many processes as ours ("n_jobs"). Both search the same candidates on
the same folds without an inner validation split. With ``--strategy vmap`` see
`experiments.benchmark.vmap`.
"""

import dataclasses
import os
from dataclasses import dataclass
from functools import partial

import pandas as pd
from joblib.externals.loky import get_reusable_executor

from experiments.benchmark import vmap
from experiments.benchmark._searches import (
    GRID,
    NETS,
    agreement,
    our_search,
    plain_search,
    standardized,
)
from experiments.benchmark._timing import in_turns, ratios
from fmcam.cli._config import option
from fmcam.cli._run import Run
from fmcam.datasets import get_dataset

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


def ways_of(net, X, y, config, found):
    """What is timed; each leaves its fitted search in `found`."""
    floats, epochs, jobs = standardized(X), config.epochs, config.jobs

    def run(name, search, images, **options):
        get_reusable_executor().shutdown(wait=True)
        found[name] = search(net, images, y, GRID, epochs=epochs, **options)

    def ours(precision):
        options = {"n_jobs": jobs, "precision": precision, "strategy": "processes"}
        run(f"fmcam {precision}", our_search, X, **options)

    plain = "scikit-learn + skorch"
    return {
        **{f"fmcam {name}": partial(ours, name) for name in config.precisions},
        plain: lambda: run(plain, plain_search, floats),
        f"{plain}, n_jobs": lambda: run(f"{plain}, n_jobs", plain_search, floats, n_jobs=jobs),
    }


def main(config):
    """Time, compare the scores, write."""
    config = config.complete()
    if config.strategy == "vmap":
        vmap.main(config)
        return
    run = Run(config, "python -m experiments.benchmark search")
    data = get_dataset(config.dataset)
    X, y = data.images[: config.rows], data.target[: config.rows]
    seconds, summary, agreements = {}, {}, {}
    for name in config.nets:
        print(name, flush=True)
        found = {}
        seconds[name] = in_turns(ways_of(NETS[name], X, y, config, found), config.repeats)
        summary[name] = pd.concat(
            {f"fmcam {each}": ratios(seconds[name], f"fmcam {each}") for each in config.precisions},
            names=["ours"],
        ).droplevel(1)
        options = {"epochs": config.epochs, "n_jobs": config.jobs}
        other = plain_search(NETS[name], standardized(X), y, GRID, seed=1, **options)
        agreements[name] = agreement(found, other)
    run.write_table("rows.csv", pd.concat(seconds, names=["net", "turn"]))
    table = pd.concat(summary, names=["net"])
    table = table[~table["rival"].str.startswith("fmcam")]
    run.write_table("summary.csv", table)
    run.write_table("agreement.csv", pd.concat(agreements, names=["net", "row"]))
    print(table.round(2).to_string())
    run.finish()
