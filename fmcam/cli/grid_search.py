"""Search learning rate, batch size and weight decay for each network, then score the winners.

Every network goes through the same pipeline and the same grid. The search sees a stratified subset
of the training images; each winner is trained on all of them and scored once on the test images.
"""

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

import pandas as pd
from sklearn.model_selection import StratifiedKFold, train_test_split

from fmcam.cli._cluster import on_cluster
from fmcam.cli._config import option
from fmcam.cli._pipeline import CLASSIFIERS, DATASETS, Fit, make_classifier, score, train
from fmcam.cli._run import Run, run_script
from fmcam.datasets import get_dataset
from fmcam.model_selection import GridSearchCV
from fmcam.plot import SearchDisplay

SIZES = {  # images searched over, epochs of a search fit, epochs of the winners
    "fashion-mnist": (15_000, 6, 30),
    "shapes": (2_000, 3, 8),
}
GRID = {"lr": "lr", "batch_size": "batch_size", "weight_decay": "optimizer__weight_decay"}


@dataclass(frozen=True)
class Config:
    """Settings of a grid search."""

    models: tuple[str, ...] = option(("simplecnn", "lenet5"), "networks", CLASSIFIERS)
    dataset: str = option("fashion-mnist", "images", DATASETS)
    lr: tuple[float, ...] = option((0.01, 0.03, 0.1), "peak learning rates")
    batch_size: tuple[int, ...] = option((32, 64, 128), "batch sizes")
    weight_decay: tuple[float, ...] = option((1e-4, 5e-4, 1e-3), "weight decays (L2)")
    cv: int = option(3, "folds of the cross-validation")
    rows: int | None = option(None, "training images searched over; None: by data set")
    epochs: int | None = option(None, "epochs of each fit in the search; None: by data set")
    final_epochs: int | None = option(None, "epochs of the winners; None: by data set")
    precision: str = option("float32", "float32 or bfloat16", ("float32", "bfloat16"))
    seed: int = option(0, "random state of subset, folds and networks")
    jobs: int = option(os.cpu_count(), "processes at a time")
    scheduler: str | None = option(None, "dask scheduler, tcp://host:port, whose workers search")
    out: str | None = option(None, "folder of the results; None: runs/grid_search/DATASET")
    resume: bool = option(False, "keep the finished fits that the folder holds")

    def complete(self):
        """The same with every None filled in."""
        rows, epochs, final_epochs = SIZES[self.dataset]
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


def search(config, model, X, y, run):
    """Best values and their cross-validated accuracy, mean and std; writes table and picture."""
    first = {name: getattr(config, name)[0] for name in GRID}
    found = GridSearchCV(
        make_classifier(
            model, **first, epochs=config.epochs, seed=config.seed, precision=config.precision
        ),
        {parameter: list(getattr(config, name)) for name, parameter in GRID.items()},
        scoring={"accuracy": "accuracy", "log_loss": "neg_log_loss"},
        refit=False,
        cv=StratifiedKFold(config.cv, shuffle=True, random_state=config.seed),
        n_jobs=config.jobs,
        error_score="raise",
        memory=run.folder / "fits",
    ).fit(X, y)
    results = pd.DataFrame(found.cv_results_).drop(columns="params")
    run.write_table(f"{model}_cv_results.csv", results)
    results = results.rename(columns=lambda name: name.replace("_accuracy", "_score"))
    display = SearchDisplay.from_results(
        results, x="lr", y="optimizer__weight_decay", by="batch_size"
    )
    run.write_figure(f"{model}_grid.png", display)
    winner = int(results["mean_test_score"].argmax())
    parameters = found.cv_results_["params"][winner]
    best = {name: parameters[parameter] for name, parameter in GRID.items()}
    return best, results.loc[winner, ["mean_test_score", "std_test_score"]].tolist()


def search_all(config, run, data):
    """For each network the best values, and their cross-validated accuracy, mean and std."""
    X, y = data.images, data.target
    if config.rows < len(y):
        X, _, y, _ = train_test_split(
            X, y, train_size=config.rows, stratify=y, random_state=config.seed
        )
    best, cross_validated = {}, []
    for model in config.models:
        n_fits = config.cv * len(config.lr) * len(config.batch_size) * len(config.weight_decay)
        print(f"{model}: {n_fits} fits on {len(y):,} images", flush=True)
        best[model], accuracy = search(config, model, X, y, run)
        cross_validated.append(accuracy)
    return best, cross_validated


def main(config):
    """Search, train the winners, score them, write everything."""
    config = config.complete()
    with on_cluster(config.scheduler, config.out):
        run = Run(config, "fmcam grid-search", kept=("fits", "checkpoints"))
        data, test = (get_dataset(config.dataset, subset) for subset in ("train", "test"))
        best, cross_validated = search_all(config, run, data)
    run.write_json("best.json", best)
    settings = {"epochs": config.final_epochs, "seed": config.seed, "precision": config.precision}
    fits = [Fit(model, config.dataset, model, **best[model], **settings) for model in config.models]
    print(f"Training the winners on all {len(data.target):,} images", flush=True)
    fitted = train(fits, data, run.folder / "checkpoints", config.jobs)
    summary = pd.concat([score(clf, test.images, test.target)[0] for clf in fitted])
    means, deviations = zip(*cross_validated, strict=True)
    chosen = pd.DataFrame.from_dict(best, orient="index").assign(
        cv_accuracy=means, cv_std=deviations
    )
    summary = pd.concat(
        [chosen.rename_axis("model").reset_index(), summary.reset_index(drop=True)], axis=1
    )
    run.write_table("summary.csv", summary)
    shown = ["model", *GRID, "cv_accuracy", "accuracy", "accuracy_low", "accuracy_high"]
    print(summary[shown].round(4).to_string(index=False))
    run.finish()


if __name__ == "__main__":
    run_script(main, Config, "fmcam grid-search", __doc__)
