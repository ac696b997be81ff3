"""A search that trains its networks as one against one of plain skorch, on the same device.

27 candidates on three folds, 81 fits. The rival trains them one after another. `growth.csv` tells
how many images a second 1 to 81 networks are trained on, all of them together.
"""

import dataclasses

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split

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

__all__ = ["main"]

N_FITS = 81
SIZES = (1, 3, 9, 27, 81)
NO_RESULT = (
    "There is no CUDA device. This is a small run on the processor, where it gains nothing; "
    "it shows that the script works and IS NO RESULT."
)


def growth(net, X, y, epochs, device):
    """Training time of several numbers of networks that differ in their rate, on one split."""
    split = [train_test_split(np.arange(len(y)), test_size=1 / 3, stratify=y, random_state=0)]
    rows = []
    for size in SIZES:
        found = our_search(
            net,
            X,
            y,
            {"lr": np.geomspace(0.003, 0.03, size).tolist()},
            epochs=epochs,
            cv=split,
            device=device,
            strategy="vmap",
        )
        seconds = found.cv_results_["mean_fit_time"].sum()
        images = size * epochs * len(split[0][0])
        rows.append({"nets": size, "seconds": seconds, "images_per_second": images / seconds})
    frame = pd.DataFrame(rows)
    frame["times_one_net"] = frame["images_per_second"] / frame["images_per_second"].iloc[0]
    return frame


def main(config):
    """Time, compare the scores, write."""
    on_cuda = torch.cuda.is_available()
    device = "cuda" if on_cuda else "cpu"
    named = torch.cuda.get_device_name() if on_cuda else "processor, no result"
    if not on_cuda:
        print(NO_RESULT, flush=True)
        config = dataclasses.replace(config, rows=240, epochs=1, repeats=1)
    run = Run(config, "python -m experiments.benchmark search")
    data = get_dataset(config.dataset)
    X, y = data.images[: config.rows], data.target[: config.rows]
    shared = {"epochs": config.epochs, "device": device}
    summary, seconds, agreements, grown = {}, {}, {}, {}
    for name in config.nets:
        print(name, flush=True)
        found = {}
        ways = _ways(NETS[name], X, y, shared, found)
        grown[name] = growth(NETS[name], X, y, **shared)  # first, so that the device is warm
        seconds[name] = in_turns(ways, config.repeats)
        summary[name] = ratios(seconds[name], "fmcam vmap")
        other = plain_search(NETS[name], standardized(X), y, GRID, seed=1, **shared)
        agreements[name] = agreement(found, other)
    table = pd.concat(summary, names=["net"]).droplevel(1)
    table.insert(0, "device", named)
    for whose in ("ours", "rival"):
        table[f"fits_per_second_{whose}"] = N_FITS / table[f"seconds_{whose}"]
    run.write_table("rows.csv", pd.concat(seconds, names=["net", "turn"]))
    run.write_table("summary.csv", table)
    run.write_table("growth.csv", pd.concat(grown, names=["net"]).droplevel(1))
    run.write_table("agreement.csv", pd.concat(agreements, names=["net", "row"]))
    print(table.round(2).to_string())
    if not on_cuda:
        print(NO_RESULT)
    run.finish()


def _ways(net, X, y, shared, found):
    """What is timed; each leaves its fitted search in `found`."""
    floats = standardized(X)

    def ours():
        found["fmcam vmap"] = our_search(net, X, y, GRID, strategy="vmap", **shared)

    def plain():
        found["scikit-learn + skorch"] = plain_search(net, floats, y, GRID, **shared)

    return {"fmcam vmap": ours, "scikit-learn + skorch": plain}
