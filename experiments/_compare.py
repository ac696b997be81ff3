"""What `python -m experiments.compare` does."""

import json

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import ConfusionMatrixDisplay

from fmcam.cli._pipeline import BASELINE, Fit, score, train
from fmcam.cli._run import Run
from fmcam.datasets import get_dataset
from fmcam.explain import GradCAM
from fmcam.plot import ComparisonDisplay, HeatmapDisplay, HistoryDisplay, RocCurvesDisplay
from fmcam.report import bootstrap_difference, classification_frame, compare_classifiers

NETWORKS = {"SimpleCNN": "simplecnn", "LeNet-5": "lenet5"}


def plan(config):
    """All trainings: network, baseline or tuned, seed."""
    tuned = json.loads(config.best.read_text())
    return [
        Fit(
            f"{network} {kind}",
            config.dataset,
            model,
            **parameters,
            epochs=config.epochs,
            seed=seed,
            precision=config.precision,
        )
        for network, model in NETWORKS.items()
        for kind, parameters in (("baseline", BASELINE), ("tuned", tuned[model]))
        for seed in config.seeds
    ]


def compare_over_seeds(right_a, right_b, target, names):
    """Difference in recall of two networks by class and over all, with its bootstrap interval.

    `right_a` and `right_b` of shape (seeds, n) say which images each seed gets right. An image
    counts with the mean over the seeds, and the interval is over the images.
    """
    a, b = right_a.mean(axis=0), right_b.mean(axis=0)
    groups = {name: target == label for label, name in enumerate(names)}
    groups["all classes"] = np.ones(len(target), dtype=bool)
    rows = {}
    for name, chosen in groups.items():
        difference = bootstrap_difference(a[chosen], b[chosen], random_state=0)
        values = (chosen.sum(), a[chosen].mean(), b[chosen].mean(), *difference)
        rows[name] = values
    columns = ["n", "recall_a", "recall_b", "recall_difference", "recall_low", "recall_high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("class")


def write_tables(run, fits, scored, test):
    """All tables."""
    keys = [(fit.name, fit.seed) for fit in fits]
    frames, probas = zip(*scored, strict=True)
    rows = pd.concat(frames, keys=keys, names=["network", "seed"]).droplevel(2)
    run.write_table("rows.csv", rows)
    summary = rows.groupby(level="network", sort=False).agg(["mean", "std", "count"])
    summary.columns = ["_".join(column) for column in summary.columns]
    run.write_table("summary.csv", summary)
    probas = dict(zip(keys, probas, strict=True))
    labels = np.arange(len(test.target_names))
    per_class = {
        key: classification_frame(test.target, proba, labels, class_names=test.target_names)
        for key, proba in probas.items()
    }
    run.write_table("per_class.csv", pd.concat(per_class, names=["network", "seed"]))
    seeds = sorted({fit.seed for fit in fits})
    pairs = {
        seed: compare_classifiers(
            test.target, {n: p for (n, s), p in probas.items() if s == seed}, labels
        )
        for seed in seeds
    }
    run.write_table("pairs.csv", pd.concat(pairs, names=["seed", "pair"]))
    return summary, probas


def write_seed_means(run, probas, test, seeds):
    """Where tuned SimpleCNN loses against tuned LeNet-5, by class, over all seeds."""
    right = {
        network: np.array(
            [probas[f"{network} tuned", seed].argmax(axis=1) == test.target for seed in seeds]
        )
        for network in NETWORKS
    }
    names = tuple(NETWORKS)
    frame = compare_over_seeds(*right.values(), test.target, test.target_names)
    run.write_table("simplecnn_minus_lenet5.csv", frame)
    display = ComparisonDisplay.from_frame(frame.drop(index="all classes"), names=names)
    run.write_figure("simplecnn_minus_lenet5.png", display)
    return frame


def write_figures(run, fits, fitted, probas, test):
    """Curves and confusion matrix of the first seed of each network."""
    names, first = np.array(test.target_names), fits[0].seed
    for fit, clf in zip(fits, fitted, strict=True):
        if fit.seed != first:
            continue
        stem = fit.name.lower().replace(" ", "_").replace("-", "")
        proba = probas[fit.name, fit.seed]
        run.write_figure(f"{stem}_history.png", HistoryDisplay.from_estimator(clf))
        roc = RocCurvesDisplay.from_predictions(test.target, proba, clf.classes_, class_names=names)
        run.write_figure(f"{stem}_roc.png", roc)
        run.write_figure(f"{stem}_roc_classes.png", roc, panels=True)
        confusion = ConfusionMatrixDisplay.from_predictions(
            names[test.target], names[proba.argmax(axis=1)], labels=names
        )
        options = {"xticks_rotation": 45, "cmap": "Blues", "colorbar": False}
        run.write_figure(f"{stem}_confusion.png", confusion, **options)


def write_heatmaps(run, fits, fitted, test):
    """Grad-CAM of both tuned networks, first seed, on the first test image of each class."""
    cams = {
        network: GradCAM(FrozenEstimator(clf), layer="features")
        for network in NETWORKS
        for fit, clf in zip(fits, fitted, strict=True)
        if fit.name == f"{network} tuned" and fit.seed == fits[0].seed
    }
    labels, rows = np.unique(test.target, return_index=True)
    display = HeatmapDisplay.from_estimator(
        cams, test.images[rows], labels, class_names=test.target_names
    )
    run.write_figure("gradcam.png", display)


def main(config):
    """Train, score, compare, write."""
    fits = plan(config)
    run = Run(config, "python -m experiments.compare", kept=("checkpoints",))
    data, test = (get_dataset(config.dataset, subset) for subset in ("train", "test"))
    print(f"{len(fits)} trainings of {config.epochs} epochs on {len(data.target):,} images")
    fitted = train(fits, data, run.folder / "checkpoints", config.jobs)
    scored = [score(clf, test.images, test.target) for clf in fitted]
    summary, probas = write_tables(run, fits, scored, test)
    differences = write_seed_means(run, probas, test, config.seeds)
    write_figures(run, fits, fitted, probas, test)
    write_heatmaps(run, fits, fitted, test)
    print(summary[["accuracy_mean", "accuracy_std", "macro_f1_mean", "parameters_mean"]].round(4))
    print("\nRecall of tuned SimpleCNN minus tuned LeNet-5, 95 % intervals over the images")
    print(differences.drop(columns="n").round(4))
    run.finish()
