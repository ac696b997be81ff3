"""What `python -m experiments.refit_references` does."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd

from experiments import pets
from experiments._pets import load, metrics_summary, take, write_localization
from experiments._pets_methods import fused, numbers_of
from fmcam.cli._localization_pictures import CORNERS
from fmcam.cli._run import Run
from fmcam.explain import chance_heatmaps
from fmcam.localize import HeatmapToBox
from fmcam.metrics import mask_iou_score
from fmcam.report import localization_error_types, localization_frame

ANSWERS = ["id", "y", "predicted", "probability", "correct", "rank", "file"]
NOT_CHOSEN = ("edges", "random weights", "resolution oracle")


def read_settings(config):
    """The settings of the folder."""
    settings = json.loads((Path(config.out) / "config.json").read_text())
    layers = tuple(settings.get("layers", pets.LAYERS))
    settings |= {"layers": layers, "out": config.out}
    return pets.Config(**settings)


def references(rows, validation, test):
    """Rows of maps that know nothing, with the answers of any method's, and their numbers.

    Parameters
    ----------
    rows : DataFrame
        Of `experiments.pets`.
    validation, test : Bunch
        With boxes and masks.
    """
    answers = rows[rows["method"] == rows["method"].iloc[0]].reset_index(drop=True)
    answers = answers[[name for name in ANSWERS if name in answers]]  # older rows have no rank
    size = test.masks.shape[1:]
    known = chance_heatmaps((len(validation.boxes), *size), validation.boxes)
    frames, numbers = [], {}
    for name, maps in chance_heatmaps((len(test.boxes), *size), validation.boxes).items():
        to_box = HeatmapToBox(region="fit").fit(known[name], validation.boxes)
        cut = {"thresholds": to_box.threshold_, "region": to_box.region_}
        found = localization_frame(
            {name: maps}, answers["y"], boxes=test.boxes, masks=test.masks, **cut
        ).assign(
            **answers,
            region=to_box.region_,
            mask_threshold=to_box.threshold_,
            mask_iou=mask_iou_score(test.masks, maps >= to_box.threshold_, average=None),
        )
        found["error_type"] = localization_error_types(
            found["y"], found["predicted"], test.boxes, found[CORNERS]
        )
        frames.append(found)
        numbers[name] = numbers_of(found, to_box, maps, test)
    return pd.concat(frames), pd.DataFrame.from_dict(numbers, orient="index")


def main(config):
    """Fit, score, write."""
    folder, settings = Path(config.out), read_settings(config)
    data, held_out, test = load(replace(settings, data_dir=config.data_dir))
    rows = pd.read_csv(folder / "rows.csv.gz").fillna({"error_type": ""})
    before = pd.read_csv(folder / "summary.csv", index_col="method")
    found, numbers = references(rows, take(data, held_out), test)
    kept = rows[~rows["method"].isin(numbers.index)]
    is_oracle = kept["method"] == "resolution oracle"
    rows = pd.concat([kept[~is_oracle], found, kept[is_oracle]], ignore_index=True)[rows.columns]
    columns = before.columns.intersection(numbers.columns)
    numbers = pd.concat([before.loc[kept["method"].unique(), columns], numbers[columns]])

    of_methods = folder / "provenance_methods.json"
    if not of_methods.exists():
        (folder / "provenance.json").rename(of_methods)
    run = Run(settings, "python -m experiments.refit_references")
    summary = write_localization(run, rows, numbers, fused(settings.layers))
    explained = kept.loc[~kept["method"].str.startswith(NOT_CHOSEN), "method"].unique()
    chosen = summary.loc[explained, "validation_mean_iou"].idxmax()
    accuracy = pd.read_csv(folder / "classification.csv")
    text = metrics_summary(settings, accuracy, chosen, summary, held_out, test)
    run.write_text("metrics_summary.txt", text)
    print(text)
    run.finish()
