"""The scripts localize and compare_methods on a few drawn garments."""

import dataclasses
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator

from experiments import compare_methods, localize
from experiments._canvas import (
    canvases_of,
    first,
    split_rows,
    trained,
    training_canvases,
    validation_canvases,
)
from experiments._localization import BLOCKS, FUSED, REFERENCE
from experiments._localize import plan
from fmcam.datasets import get_dataset
from fmcam.explain import GradCAMPlusPlus
from fmcam.localize import HeatmapToBox, boxes_from_heatmaps

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = localize.Config(
        dataset="shapes",
        canvas=40,
        feature_canvas=32,
        rows=300,
        epochs=1,
        seeds=(1, 2),
        images=10,
        validation=12,
        batch_size=32,
        precision="float32",
        out=str(tmp_path_factory.mktemp("localize") / "blank"),
    )
    localize.main(config)
    return config


def read(config, name):
    return pd.read_csv(f"{config.out}/{name}")


def test_rows_and_summary(run):
    rows, summary, seeds = (read(run, name) for name in ("rows.csv.gz", "summary.csv", "seeds.csv"))
    assert (rows.groupby(["seed", "method"]).size() == 10).all()
    means = rows.groupby(["seed", "method"])["iou"].mean()
    found = summary.set_index(["seed", "method"])["mean_iou"]
    np.testing.assert_allclose(found, means.loc[found.index], atol=1e-3)
    over_seeds = means.groupby("method").agg(["mean", "std"])
    found = seeds.set_index("method")
    for number in ("mean", "std"):
        np.testing.assert_allclose(
            found[f"mean_iou_{number}"], over_seeds.loc[found.index, number], atol=1e-3
        )


def test_what_is_not_black_is_the_item_on_a_blank_canvas(run):
    rows = read(run, "rows.csv.gz")
    assert rows.loc[rows["method"] == REFERENCE, "iou"].min() > 0.95  # but for a faint pixel


def test_thresholds_come_from_held_out_canvases(run):
    """The validation canvases hold other images than those trained on."""
    data = get_dataset("shapes", "train")
    train, held_out = split_rows(data.target, run.rows, 1)
    assert not set(train) & set(held_out)
    canvases = validation_canvases(run, data, 1)
    masks = canvases.masks.astype(bool)
    for item, canvas, mask in zip(data.images[held_out], canvases.images, masks, strict=False):
        assert sorted(canvas[0][mask]) == sorted(item[item > 0])
    assert len(masks) == 12


def test_finished_trainings_are_kept(run):
    files = sorted(Path(run.out, "checkpoints").iterdir())
    times, before = [file.stat().st_mtime_ns for file in files], read(run, "rows.csv.gz")
    localize.main(dataclasses.replace(run, resume=True))
    assert [file.stat().st_mtime_ns for file in files] == times
    pd.testing.assert_frame_equal(read(run, "rows.csv.gz"), before)


def test_the_summary_names_accuracies_and_methods(run):
    text = Path(run.out, "metrics_summary.txt").read_text()
    classified = read(run, "classification.csv")
    for name, column in (
        ("train accuracy     ", "train_accuracy"),
        ("validation accuracy", "validation_accuracy"),
        ("test accuracy      ", "accuracy"),
        ("one-vs-rest AUC    ", "roc_auc_ovr"),
    ):
        values = classified[column]
        assert f"{name} {values.mean():.4f} (std {values.std():.4f})" in text
    assert "device cpu, 1 epochs" in text
    assert FUSED in text
    assert "knows the objects" in text
    assert "thresholds from 12 held-out ones" in text


def test_accuracies_are_those_of_the_final_networks_on_full_canvases(run):
    data = get_dataset("shapes", "train")
    fitted = trained(plan(run), data.images, data.target, Path(run.out, "checkpoints"))
    classified = read(run, "classification.csv").set_index("seed")
    for seed, clf in zip(run.seeds, fitted, strict=True):
        known = validation_canvases(run, data, seed)
        assert known.images.shape == (12, 1, 40, 40)
        expected = (clf.predict(known.images) == known.target).mean()
        assert classified.loc[seed, "validation_accuracy"] == pytest.approx(expected)
        trained_on = training_canvases(run, data, seed)
        expected = (clf.predict(trained_on.images) == trained_on.target).mean()
        assert classified.loc[seed, "train_accuracy"] == pytest.approx(expected)


def test_the_same_run_with_a_threshold_of_ones_own_on_paste_boxes(run, tmp_path):
    shutil.copytree(run.out, tmp_path / "run")
    config = dataclasses.replace(
        run,
        out=str(tmp_path / "run"),
        resume=True,
        seeds=(1,),
        threshold=0.4,
        boxes="paste",
        explain="predicted",
        visualize=2,
        eval_batch_size=5,
    )
    localize.main(config)
    rows, before = read(config, "rows.csv.gz"), read(run, "rows.csv.gz")
    assert (rows["threshold"] == 0.4).all()
    assert rows["iou"].tolist() == rows["iou_paste"].tolist()
    before = before[before["seed"] == 1]
    assert before["iou"].tolist() == before["iou_tight"].tolist()
    # "full frame" has one box whatever is fitted, so both runs agree on its two IoUs
    of_frame = [frame.query("method == 'full frame'") for frame in (rows, before)]
    for column in ("iou_tight", "iou_paste"):
        assert of_frame[0][column].tolist() == of_frame[1][column].tolist()
    assert (of_frame[0]["iou_paste"] > of_frame[0]["iou_tight"]).all()
    np.testing.assert_allclose(of_frame[0]["iou_paste"], 28 * 28 / 1600, atol=1e-3)
    text = Path(config.out, "metrics_summary.txt").read_text()
    assert "localization of paste boxes by heatmaps of the predicted class" in text
    assert "all at the threshold 0.4" in text
    assert "std" not in text
    figures = Path(config.out, "figures")
    for row, method in itertools.product(range(2), ("cam", "gradcam")):
        assert (figures / f"{method}_overlay_{row}.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threshold": 1.5}, r"--threshold must be in \[0, 1\], got 1.5"),
        ({"visualize": -1}, "--visualize must be 0 or more, got -1"),
        ({"eval_batch_size": 0}, "--eval-batch-size must be 1 or more, got 0"),
        ({"item_size": 33}, "--item-size must be from 1 to 32, .*, got 33"),
    ],
)
def test_settings_out_of_range_are_told_before_anything_is_written(tmp_path, changes, message):
    config = localize.Config(canvas=40, feature_canvas=32, out=str(tmp_path / "run"), **changes)
    with pytest.raises(SystemExit, match=message):
        localize.main(config)
    assert not (tmp_path / "run").exists()


def test_the_chosen_blocks_and_region_fit_held_out_canvases_best(run):
    data = get_dataset("shapes", "train")
    (clf,) = trained(plan(run)[:1], data.images, data.target, Path(run.out, "checkpoints"))
    canvases = validation_canvases(run, data, run.seeds[0])

    def best_score(blocks, region):
        cam = GradCAMPlusPlus(FrozenEstimator(clf), layer=list(blocks))
        maps = cam.explain(canvases.images, canvases.target)
        return HeatmapToBox(region=region).fit(maps, canvases.boxes).scores_.max()

    chosen = json.loads(Path(run.out, "chosen.json").read_text())[f"seed {run.seeds[0]}"]
    others = itertools.product([BLOCKS[:3], BLOCKS, BLOCKS[2:]], ["largest", "all"])
    assert best_score(**chosen) >= max(best_score(*other) for other in others)


def test_boxes_go_around_the_chosen_region(run):
    chosen = json.loads(Path(run.out, "chosen.json").read_text())
    data, items = (get_dataset("shapes", subset) for subset in ("train", "test"))
    fitted = trained(plan(run), data.images, data.target, Path(run.out, "checkpoints"))
    test = first(canvases_of(run, items, random_state=0), run.images)
    rows = read(run, "rows.csv.gz").set_index("method").loc[FUSED]
    for seed, clf in zip(run.seeds, fitted, strict=True):
        found, settings = rows[rows["seed"] == seed], chosen[f"seed {seed}"]
        cam = GradCAMPlusPlus(FrozenEstimator(clf), layer=settings["blocks"])
        maps = cam.explain(test.images, test.target)
        threshold = found["threshold"].iloc[0]
        boxes = boxes_from_heatmaps(maps, threshold, region=settings["region"])
        np.testing.assert_array_equal(found[["x0", "y0", "x1", "y1"]], boxes)


def test_every_method_on_the_same_canvases(run, tmp_path):
    config = compare_methods.Config(
        runs=(run.out,), images=6, validation=6, slow=3, out=str(tmp_path)
    )
    compare_methods.main(config)
    table = read(config, "summary.csv").set_index("method")
    assert (table["n"] == 6).all()
    last = table.loc[["CAM", "Grad-CAM", "HiResCAM", "XGrad-CAM"], "pixel_average_precision"]
    np.testing.assert_allclose(last, last.iloc[0], rtol=1e-3)
    early = table.loc[[f"{name}, block 3" for name in ("Grad-CAM", "HiResCAM", "XGrad-CAM")]]
    assert early["pixel_average_precision"].nunique() == 3
    class_blind = table.loc[["centre", "edges", REFERENCE]]
    np.testing.assert_allclose(class_blind["rank_correlation_random_weights"], 1)
    assert table.loc[REFERENCE, "oracle_max_box_accuracy_v2"] == 1
