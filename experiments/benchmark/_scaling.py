"""What `experiments.benchmark scaling` does."""

import itertools
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from joblib.externals.loky import get_reusable_executor
from scipy.optimize import nnls
from sklearn.model_selection import StratifiedKFold

from fmcam.cli._pipeline import make_classifier
from fmcam.cli._run import Run
from fmcam.datasets import get_dataset
from fmcam.model_selection import GridSearchCV

SIZES = ["candidates", "rows", "epochs", "jobs"]
CONSTANTS = ["start", "per_fit", "per_row"]
SCORING = 1 / 3  # of the work of training: a forward without the backward of twice its work


def seconds_of(config, data, candidates, rows, epochs, jobs):
    """Time one search, and the start of its processes with it."""
    rates = np.geomspace(1e-3, 1e-1, candidates)
    clf = make_classifier(
        config.model,
        lr=rates[0],
        batch_size=config.batch_size,
        weight_decay=0.0,
        epochs=epochs,
        seed=0,
    )
    folds = StratifiedKFold(config.cv, shuffle=True, random_state=0)
    search = GridSearchCV(clf, {"lr": list(rates)}, cv=folds, refit=False, n_jobs=jobs)
    get_reusable_executor().shutdown(wait=True)
    start = time.perf_counter()
    search.fit(data.images[:rows], data.target[:rows])
    return time.perf_counter() - start


def measure(config, data):
    """One row a search and turn; in turns, so that a busy spell of the machine hits all."""
    points = list(itertools.product(*(getattr(config, name) for name in SIZES)))
    measured = []
    for turn in range(config.repeats):
        for number, point in enumerate(points, 1):
            seconds = seconds_of(config, data, *point)
            measured.append({"turn": turn, **dict(zip(SIZES, point, strict=True))})
            measured[-1]["seconds"] = seconds
            print(f"turn {turn + 1}, search {number}/{len(points)}: {seconds:.2f} s", flush=True)
    return pd.DataFrame(measured)


def work(points, cv):
    """What each constant counts: one column each, ndarray of shape (n, 3)."""
    waves = np.ceil(points["candidates"] * cv / points["jobs"])
    trained = points["rows"] * (cv - 1) / cv * points["epochs"]
    rows = trained + SCORING * points["rows"] / cv
    return np.column_stack([points["jobs"] > 1, waves, waves * rows])


def fit_constants(points, cv):
    """Constants with the least squares of the relative errors, none of them negative."""
    seconds = points["seconds"].to_numpy()
    constants, _ = nnls(work(points, cv) / seconds[:, None], np.ones(len(points)))
    return pd.Series(constants, CONSTANTS)


def predict(points, constants, cv):
    """Points with the seconds that the model predicts and their relative error."""
    predicted = work(points, cv) @ constants.to_numpy()
    return points.assign(predicted=predicted, error=predicted / points["seconds"] - 1)


class ScalingDisplay:
    """Measured seconds against the number of fits, and the model as lines.

    Parameters
    ----------
    points : DataFrame
        From :func:`predict`, with `used`: "fit" or "check".
    cv : int
    """

    def __init__(self, points, cv):
        self.points = points
        self.cv = cv

    def plot(self):
        """Draw a panel for each number of processes."""
        panels = self.points.groupby("jobs")
        self.figure_, axes = plt.subplots(
            1,
            len(panels),
            figsize=(4.5 * len(panels) + 1.5, 4),
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for panel, (jobs, points) in zip(axes[0], panels, strict=True):
            for (rows, epochs), line in points.groupby(["rows", "epochs"]):
                fits = line["candidates"] * self.cv
                (drawn,) = panel.loglog(fits, line["predicted"], label=f"{rows:,} x {epochs}")
                for used, filling in (("fit", "none"), ("check", drawn.get_color())):
                    chosen = line["used"] == used
                    panel.scatter(
                        fits[chosen],
                        line["seconds"][chosen],
                        edgecolors=drawn.get_color(),
                        facecolors=filling,
                    )
            panel.set(title=f"processes: {jobs}", xlabel="fits")
            panel.set_xticks(fits, fits)
            panel.minorticks_off()
            panel.grid(alpha=0.3)
        axes[0, 0].set_ylabel("seconds; hollow: the lines were fitted on these")
        handles = axes[0, -1].get_legend_handles_labels()
        self.figure_.legend(*handles, title="rows x epochs", loc="outside right center")
        return self


def main(config):
    """Measure, fit, check, write."""
    run = Run(config, "python -m experiments.benchmark scaling")
    measured = measure(config, get_dataset(config.dataset))
    run.write_table("rows.csv", measured)
    points = measured.groupby(SIZES, as_index=False)["seconds"].median()
    varied = [name for name in SIZES[:3] if points[name].nunique() > 1]
    small = (points[varied] < points[varied].max()).all(axis=1)
    constants = fit_constants(points[small], config.cv)
    points = predict(points, constants, config.cv).assign(used=np.where(small, "fit", "check"))
    run.write_table("points.csv", points)
    run.write_table(
        "constants.csv", constants.rename("seconds").rename_axis("constant").reset_index()
    )
    errors = points.groupby(["used", "jobs"])["error"].agg(
        n="size", median=lambda e: e.abs().median(), largest=lambda e: e.abs().max()
    )
    run.write_table("errors.csv", errors.reset_index())
    run.write_figure("scaling.png", ScalingDisplay(points, config.cv))
    print(constants.to_string(), errors.round(3).to_string(), sep="\n")
    run.finish()
