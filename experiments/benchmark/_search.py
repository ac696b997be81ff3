"""What `experiments.benchmark search` does."""

from functools import partial

import pandas as pd
from joblib.externals.loky import get_reusable_executor

from experiments.benchmark import _vmap
from experiments.benchmark._searches import (
    GRID,
    NETS,
    agreement,
    our_search,
    plain_search,
    standardized,
)
from experiments.benchmark._timing import in_turns, ratios
from fmcam.cli._run import Run
from fmcam.datasets import get_dataset


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
        _vmap.main(config)
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
