"""What `experiments.benchmark steps` does."""

import time

import numpy as np
import pandas as pd
import torch

from experiments.benchmark._searches import NETS, our_classifier, plain_classifier, standardized
from experiments.benchmark._timing import in_turns
from fmcam.cli._run import Run
from fmcam.model_selection import fit_many

PLAIN, AS_ONE = "skorch", "fmcam, {} as one"
SIZES = (1, 3)
N_AS_ONE = 27  # candidates and folds of one batch size in `benchmark search`


def ways_of(net, n_steps):
    """What is timed: one fit each, with as many steps as images."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 255, (n_steps, 1, 28, 28), dtype=np.uint8)
    y = np.arange(n_steps) % 10
    floats = standardized(X)
    plain, ours = (make(net, epochs=1, batch_size=1) for make in (plain_classifier, our_classifier))
    ways = {PLAIN: lambda: plain.fit(floats, y), "fmcam": lambda: ours.fit(X, y)}
    for size in SIZES:
        # equal seeds, so that all share their batches as the candidates of a search do
        ways[AS_ONE.format(size)] = lambda size=size: fit_many(ours, X, y, seeds=[0] * size)
    return ways


def main(config):
    """Time and write."""
    torch.set_num_threads(1)
    run = Run(config, "python -m experiments.benchmark steps")
    seconds, tables = {}, {}
    for name in config.nets:
        print(name, flush=True)
        ways = ways_of(NETS[name], config.steps)
        seconds[name] = in_turns(ways, config.repeats, time.process_time)
        steps = 1000 / config.steps * seconds[name]
        table = steps.agg(["median", "min", "max", "count"]).T.add_prefix("milliseconds_")
        bound = N_AS_ONE * steps[PLAIN] / steps[AS_ONE.format(1)]
        for what in ("median", "min", "max"):
            table.loc[AS_ONE.format(1), f"bound_{what}"] = bound.agg(what)
        tables[name] = table
    run.write_table("rows.csv", pd.concat(seconds, names=["net", "turn"]))
    table = pd.concat(tables, names=["net", "way"])
    run.write_table("summary.csv", table)
    print(table.round(2).to_string())
    run.finish()
