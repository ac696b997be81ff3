"""What `fmcam grid-search` does."""

import pandas as pd
from sklearn.model_selection import StratifiedKFold, train_test_split

from fmcam.cli._cluster import on_cluster
from fmcam.cli._pipeline import Fit, crop_size, make_classifier, score, train
from fmcam.cli._run import Run
from fmcam.cli._script import mistakes_named
from fmcam.datasets import get_dataset
from fmcam.model_selection import GridSearchCV, HalvingGridSearchCV
from fmcam.plot import SearchDisplay

GRID = {"lr": "lr", "batch_size": "batch_size", "weight_decay": "optimizer__weight_decay"}


def make_search(config, classifier, memory):
    """The search that the settings ask for, not fitted."""
    grid = {parameter: list(getattr(config, name)) for name, parameter in GRID.items()}
    settings = {
        "refit": False,
        "cv": StratifiedKFold(config.cv, shuffle=True, random_state=config.seed),
        "n_jobs": config.jobs,
        "error_score": "raise",
        "memory": memory,
    }
    if config.halving:
        return HalvingGridSearchCV(classifier, grid, scoring="accuracy", **settings)
    scoring = {"accuracy": "accuracy", "log_loss": "neg_log_loss"}
    return GridSearchCV(classifier, grid, scoring=scoring, **settings)


def search(config, model, X, y, image_size, run):
    """Best values and their cross-validated accuracy, mean and std; writes table and picture."""
    first = {name: getattr(config, name)[0] for name in GRID}
    classifier = make_classifier(
        model,
        **first,
        epochs=config.epochs,
        seed=config.seed,
        precision=config.precision,
        image_size=image_size,
    )
    found = make_search(config, classifier, run.folder / "fits").fit(X, y)
    results = pd.DataFrame(found.cv_results_).drop(columns="params")
    results = results.rename(columns=lambda name: name.replace("_test_score", "_test_accuracy"))
    run.write_table(f"{model}_cv_results.csv", results)
    results = results.rename(columns=lambda name: name.replace("_accuracy", "_score"))
    candidates = [f"param_{parameter}" for parameter in GRID.values()]
    display = SearchDisplay.from_results(
        results.drop_duplicates(candidates, keep="last"),  # each as far as it was trained
        x="lr",
        y="optimizer__weight_decay",
        by="batch_size",
    )
    run.write_figure(f"{model}_grid.png", display)
    winner = found.best_index_ if config.halving else int(results["mean_test_score"].argmax())
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
        of_all = ", of which the best train on" if config.halving else ""
        print(f"{model}: {n_fits} fits on {len(y):,} images{of_all}", flush=True)
        best[model], accuracy = search(config, model, X, y, crop_size(data), run)
        cross_validated.append(accuracy)
    return best, cross_validated


def main(config):
    """Search, train the winners, score them, write everything."""
    with on_cluster(config.scheduler, config.out):
        run = Run(config, "fmcam grid-search", kept=("fits", "checkpoints"))
        with mistakes_named():
            data, test = (get_dataset(config.dataset, subset) for subset in ("train", "test"))
        best, cross_validated = search_all(config, run, data)
    run.write_json("best.json", best)
    settings = {"epochs": config.final_epochs, "seed": config.seed, "precision": config.precision}
    settings["image_size"] = crop_size(data)
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
