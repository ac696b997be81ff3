"""Our grid search against scikit-learn's over plain skorch: the same nets, grid, folds and epochs.

Each search starts its own worker processes, and their start is timed with it. The rival gets images
that are already standardized float32. It is timed as it is by default (one process, torch's own
number of threads) and with as many processes as ours ("n_jobs"). Both search the same candidates on
the same folds without an inner validation split.
"""

import os
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from joblib.externals.loky import get_reusable_executor
from scipy.stats import spearmanr
from sklearn import model_selection
from sklearn.model_selection import StratifiedKFold
from skorch import NeuralNetClassifier
from torch import nn

from experiments._config import option
from experiments._run import Run
from experiments.benchmark._timing import in_turns, ratios
from fmcam.classifiers import CNNClassifier
from fmcam.datasets import load_dataset
from fmcam.model_selection import GridSearchCV
from fmcam.models import LeNet5, SimpleCNN

NETS = {"simplecnn": SimpleCNN, "lenet5": LeNet5}
GRID = {
    "lr": [0.003, 0.01, 0.03],
    "batch_size": [64, 128],
    "optimizer__weight_decay": [1e-4, 1e-2],
}


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark."""

    nets: tuple[str, ...] = option(("simplecnn", "lenet5"), "networks", NETS)
    dataset: str = option("fashion-mnist", "images", ("fashion-mnist", "shapes"))
    rows: int = option(9_000, "images searched over")
    epochs: int = option(2, "epochs of a fit")
    repeats: int = option(3, "turns")
    jobs: int = option(os.cpu_count(), "processes, ours and the rival's second way")
    out: str = option("runs/benchmark/search", "folder of the results")


def plain_search(net, X, y, epochs, n_jobs, seed=0):
    """Scikit-learn's search over plain skorch."""
    torch.manual_seed(seed)
    clf = NeuralNetClassifier(
        net,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    return model_selection.GridSearchCV(clf, GRID, cv=folds(), refit=False, n_jobs=n_jobs).fit(X, y)


def our_search(net, X, y, epochs, n_jobs, precision):
    """Our search over our classifier."""
    clf = CNNClassifier(
        net,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        max_epochs=epochs,
        precision=precision,
        random_state=0,
    )
    return GridSearchCV(clf, GRID, cv=folds(), refit=False, n_jobs=n_jobs).fit(X, y)


def folds():
    """The same three folds for all."""
    return StratifiedKFold(3, shuffle=True, random_state=0)


def ways_of(net, X, y, config, found):
    """What is timed; each leaves its fitted search in `found`."""
    floats = ((X - X.mean()) / X.std()).astype(np.float32)

    def run(name, search, *arguments):
        get_reusable_executor().shutdown(wait=True)
        found[name] = search(net, *arguments)

    plain, ours = (floats, y, config.epochs), (X, y, config.epochs, config.jobs)
    return {
        "fmcam": lambda: run("fmcam", our_search, *ours, "float32"),
        "fmcam bfloat16": lambda: run("fmcam bfloat16", our_search, *ours, "bfloat16"),
        "scikit-learn + skorch": lambda: run("scikit-learn + skorch", plain_search, *plain, None),
        "scikit-learn + skorch, n_jobs": lambda: run(
            "scikit-learn + skorch, n_jobs", plain_search, *plain, config.jobs
        ),
    }


def agreement(found, another_seed):
    """How far the scores of the searches agree, beside the rival with another seed."""
    reference = found["scikit-learn + skorch"]
    rows = []
    for name, search in {**found, "rival, another seed": another_seed}.items():
        mine, theirs = (s.cv_results_["mean_test_score"] for s in (search, reference))
        rows.append(
            {
                "search": name,
                "best": search.best_params_,
                "rank_correlation": spearmanr(mine, theirs).statistic,
                "largest_difference": np.abs(mine - theirs).max(),
                "mean_difference": (mine - theirs).mean(),
            }
        )
    return pd.DataFrame(rows)


def main(config):
    """Time, compare the scores, write."""
    run = Run(config, "benchmark search")
    data = load_dataset(config.dataset)
    X, y = data.images[: config.rows], data.target[: config.rows]
    seconds, summary, agreements = {}, {}, {}
    for name in config.nets:
        print(name, flush=True)
        found = {}
        seconds[name] = in_turns(ways_of(NETS[name], X, y, config, found), config.repeats)
        summary[name] = pd.concat(
            {ours: ratios(seconds[name], ours) for ours in ("fmcam", "fmcam bfloat16")},
            names=["ours"],
        ).droplevel(1)
        floats = ((X - X.mean()) / X.std()).astype(np.float32)
        other = plain_search(NETS[name], floats, y, config.epochs, config.jobs, seed=1)
        agreements[name] = agreement(found, other)
    run.write_table("rows.csv", pd.concat(seconds, names=["net", "turn"]))
    table = pd.concat(summary, names=["net"])
    table = table[~table["rival"].str.startswith("fmcam")]
    run.write_table("summary.csv", table)
    run.write_table("agreement.csv", pd.concat(agreements, names=["net", "row"]))
    print(table.round(2).to_string())
    run.finish()
