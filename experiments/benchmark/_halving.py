"""What `experiments.benchmark halving` does."""

import time
from functools import partial

import numpy as np
import pandas as pd
from joblib.externals.loky import get_reusable_executor
from scipy.stats import spearmanr, ttest_1samp
from sklearn import model_selection
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import StratifiedKFold, train_test_split

from experiments.benchmark._searches import NETS, our_classifier, plain_classifier, standardized
from experiments.benchmark._timing import in_turns, ratios
from fmcam._parallel import torch_threads
from fmcam.classifiers import OneCycle
from fmcam.cli._run import Run
from fmcam.datasets import get_dataset
from fmcam.model_selection import GridSearchCV, HalvingGridSearchCV

SCHEDULES = {"one cycle": [OneCycle], "constant": []}
OURS = "fmcam halving"
FACTOR = 3


def folds(config, seed):
    """The same folds for all searches of a seed."""
    return StratifiedKFold(config.cv, shuffle=True, random_state=seed)


def ours(config, net, seed, schedule="one cycle"):
    """Our classifier of a seed, not fitted."""
    clf = our_classifier(NETS[net], epochs=config.epochs, callbacks=list(SCHEDULES[schedule]))
    return clf.set_params(random_state=seed)


def ways_of(config, net, seed, X, y, found):
    """The four searches; each leaves itself in `found`."""
    plain = plain_classifier(NETS[net], epochs=config.epochs)
    rungs = {"resource": "max_epochs", "max_resources": config.epochs, "factor": FACTOR}
    rungs |= {"return_train_score": False}
    searches = {
        OURS: HalvingGridSearchCV(ours(config, net, seed), config.grid),
        "fmcam exhaustive": GridSearchCV(ours(config, net, seed), config.grid),
        "scikit-learn halving": model_selection.HalvingGridSearchCV(plain, config.grid, **rungs),
        "scikit-learn exhaustive": model_selection.GridSearchCV(plain, config.grid),
    }
    floats = standardized(X)

    def run(name, search):
        get_reusable_executor().shutdown(wait=True)
        search.set_params(cv=folds(config, seed), n_jobs=config.jobs, refit=False)
        found[name] = search.fit(X if name.startswith("fmcam") else floats, y)

    return {name: partial(run, name, search) for name, search in searches.items()}


def load_the_rest_of_torch(net, X, y):
    """Take a step: the first optimizer of a process imports modules for two seconds."""
    plain_classifier(NETS[net], epochs=1).fit(standardized(X[:32]), y[:32])


def regret(config, net, seed, X, y, found, test):
    """Winners of both searches of ours, trained on all rows, and their test accuracies."""
    row = {"net": net, "seed": seed}
    for name in (OURS, "fmcam exhaustive"):
        best = {**found[name].best_params_, "max_epochs": config.epochs}
        clf = ours(config, net, seed).set_params(**best).fit(X, y)
        row |= {f"{name} winner": str(best)}
        row |= {f"{name} accuracy": clf.score(test.images, test.target)}
    row["regret"] = row["fmcam exhaustive accuracy"] - row[f"{OURS} accuracy"]
    return row


def scores_on_the_way(config, net, seed, X, y, schedule, known):
    """Mean accuracy over the folds of each candidate after each power of the factor of epochs.

    `known` are those of some numbers of epochs, which are not trained again.
    """
    scores = dict(known)
    for epochs in sorted({e for e in (1, 3, 9, 27, 81) if e <= config.epochs} - known.keys()):
        search = GridSearchCV(
            ours(config, net, seed, schedule),
            config.grid,
            cv=folds(config, seed),
            n_jobs=config.jobs,
            refit=False,
        )
        scores[epochs] = search.fit(X, y, epochs=epochs).cv_results_["mean_test_score"]
    return pd.DataFrame(scores).sort_index(axis=1)


def choice(scores, rungs):
    """The candidate that is left by rungs, as HalvingGridSearchCV leaves it."""
    left = scores.index
    for epochs in rungs:
        best = scores.loc[left, epochs].sort_values(ascending=False, kind="stable").index
        left = best[: int(np.ceil(len(best) / FACTOR))]
    return left[0]


def ranks_of(scores):
    """Rank correlation of each rung with the end, and the score lost by rungs that begin there."""
    *early, last = scores.columns
    rows = []
    for first in early:
        rungs = [epochs for epochs in scores.columns if epochs >= first]
        chosen = scores.loc[choice(scores, rungs), last]
        rows.append(
            {
                "epochs": first,
                "rank_correlation": spearmanr(scores[first], scores[last]).statistic,
                "lost_from_here": scores[last].max() - chosen,
            }
        )
    return pd.DataFrame(rows)


def main(config):
    """Time, refit the winners, rank, write."""
    run = Run(config, "python -m experiments.benchmark halving")
    train, test = (get_dataset(config.dataset, subset) for subset in ("train", "test"))
    clock = time.process_time if config.jobs == 1 else time.perf_counter
    seconds, regrets, ranks = {}, [], {}
    for net in config.nets:
        for seed in config.seeds:
            X, _, y, _ = train_test_split(
                *(train.images, train.target),
                train_size=config.rows,
                stratify=train.target,
                random_state=seed,
            )
            found = {}
            with torch_threads(1):
                load_the_rest_of_torch(net, X, y)
                ways = ways_of(config, net, seed, X, y, found)
                seconds[net, seed] = in_turns(ways, 1, clock)
                regrets.append(regret(config, net, seed, X, y, found, test))
                at_the_end = found["fmcam exhaustive"].cv_results_["mean_test_score"]
                known = {"one cycle": {config.epochs: at_the_end}, "constant": {}}
                for schedule in SCHEDULES:
                    scores = scores_on_the_way(config, net, seed, X, y, schedule, known[schedule])
                    ranks[net, schedule, seed] = ranks_of(scores)
            write(run, seconds, pd.DataFrame(regrets), ranks)
    run.finish()


def write(run, seconds, regrets, ranks):
    """Write and print the tables of all seeds so far; seconds and ranks map to tables."""
    seconds = pd.concat(seconds, names=["net", "seed", "turn"]).droplevel("turn")
    summary = {net: ratios(rows.droplevel("net"), OURS) for net, rows in seconds.groupby("net")}
    summary = pd.concat(summary, names=["net", "row"]).droplevel("row")
    lost = regrets.groupby("net")["regret"].apply(mean_with_interval).unstack()
    ranks = pd.concat(ranks, names=["net", "schedule", "seed", "row"]).droplevel("row")
    tables = {"rows": seconds, "summary": summary, "ranks": ranks}
    for name, table in {**tables, "regret": regrets, "regret_summary": lost}.items():
        run.write_table(f"{name}.csv", table)
    print(summary.round(2).to_string(), ranks.round(3).to_string(), sep="\n")
    print(regrets.round(4).to_string(), lost.round(4).to_string(), sep="\n")


def mean_with_interval(values):
    """Mean, and its 95 % interval by Student's t."""
    found = ttest_1samp(values, 0).confidence_interval() if len(values) > 1 else (np.nan, np.nan)
    return pd.Series({"mean": values.mean(), "low": found[0], "high": found[1], "n": len(values)})
