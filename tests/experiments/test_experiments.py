"""The scripts: settings, resuming, what they write and what they say."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from inspect import signature
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.utils import Bunch

from experiments import compare
from experiments._compare import compare_over_seeds, plan
from fmcam import datasets
from fmcam.classifiers import FlipAndShift, OneCycle, load_classifier
from fmcam.cli import grid_search, train
from fmcam.cli._config import parse
from fmcam.cli._pipeline import Fit, crop_size, make_classifier
from fmcam.cli._run import Run, _commit
from fmcam.cli._settings import PHOTOGRAPHS, SCHEDULERS
from fmcam.datasets import get_dataset
from fmcam.datasets._registry import _fetchers

ROOT = Path(__file__).parents[2]
TINY = {
    "models": ("simplecnn",),
    "dataset": "shapes",
    "lr": (0.001, 0.03),
    "batch_size": (64,),
    "weight_decay": (1e-4,),
    "rows": 300,
    "epochs": 2,
    "final_epochs": 1,
    "jobs": 1,
}


# The folder ---------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    config = grid_search.Config(out=str(tmp_path / "file" / "run"))
    with pytest.raises(SystemExit, match=r"--out must be a folder .*run.*Not a directory"):
        Run(config, "grid_search")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_the_code_and_not_of_the_working_folder(tmp_path, monkeypatch):
    def git(*arguments):
        me = ["-c", "user.name=me", "-c", "user.email=me@here"]
        done = subprocess.run(["git", *me, *arguments], cwd=home, capture_output=True, check=True)
        return done.stdout.decode().strip()

    home, code = tmp_path / "home", tmp_path / "home" / "fmcam"
    code.mkdir(parents=True)
    (code / "__init__.py").touch()
    monkeypatch.setattr("fmcam.__file__", str(code / "__init__.py"))
    assert _commit() == "unknown: fmcam is not in a git checkout"
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    assert _commit() == git("rev-parse", "HEAD")
    (home / "notes.txt").touch()
    assert _commit() == git("rev-parse", "HEAD")
    (code / "__init__.py").write_text("changed = True")
    assert _commit() == git("rev-parse", "HEAD") + " with changes"


def test_finished_work_is_emptied_unless_resumed(tmp_path):
    (tmp_path / "fits").mkdir()
    (tmp_path / "fits" / "a.json").write_text("{}")
    Run(grid_search.Config(out=str(tmp_path), resume=True), "grid_search", kept=("fits",))
    assert (tmp_path / "fits" / "a.json").exists()
    Run(grid_search.Config(out=str(tmp_path)), "grid_search", kept=("fits",))
    assert not (tmp_path / "fits").exists()


# The scripts --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    grid_search.main(grid_search.Config(**TINY, out=str(folder)))
    return folder


def test_grid_search_writes_what_it_names(searched):
    best = json.loads((searched / "best.json").read_text())
    results = pd.read_csv(searched / "simplecnn_cv_results.csv")
    winner = results.loc[results["mean_test_accuracy"].idxmax()]
    assert best["simplecnn"]["lr"] == winner["param_lr"] == 0.03
    summary = pd.read_csv(searched / "summary.csv").loc[0]
    assert summary["cv_accuracy"] == pytest.approx(winner["mean_test_accuracy"])
    assert summary["parameters"] == 15898
    provenance = json.loads((searched / "provenance.json").read_text())
    assert provenance["versions"]["scikit-learn"].startswith("1.9")
    assert provenance["command"].startswith("fmcam grid-search")
    assert (searched / "figures" / "simplecnn_grid.png").read_bytes()[:4] == b"\x89PNG"


def test_the_winner_is_trained_on_all_images_and_scored_on_the_test_images(searched):
    (checkpoint,) = (searched / "checkpoints").iterdir()
    clf = load_classifier(checkpoint)
    test = get_dataset("shapes", "test")
    summary = pd.read_csv(searched / "summary.csv").loc[0]
    assert clf.score(test.images, test.target) == pytest.approx(summary["accuracy"])
    assert summary["n"] == 2000
    mean = get_dataset("shapes", "train").images.mean()
    assert clf.module_.standardize.mean.item() == pytest.approx(mean, rel=1e-6)


def test_resuming_repeats_no_fit_and_changes_no_number(searched):
    before = pd.read_csv(searched / "simplecnn_cv_results.csv")
    times = {path: path.stat().st_mtime_ns for path in (searched / "fits").iterdir()}
    assert len(times) == 6
    grid_search.main(grid_search.Config(**TINY, out=str(searched), resume=True))
    assert {path: path.stat().st_mtime_ns for path in (searched / "fits").iterdir()} == times
    pd.testing.assert_frame_equal(pd.read_csv(searched / "simplecnn_cv_results.csv"), before)


def test_halving_trains_the_best_on(tmp_path):
    grid = {"lr": (0.03, 1e-6), "weight_decay": (0.0, 1e-4), "epochs": 3}
    config = {**TINY, **grid, "halving": True, "final_epochs": 1}
    grid_search.main(grid_search.Config(**config, out=str(tmp_path)))
    results = pd.read_csv(tmp_path / "simplecnn_cv_results.csv")
    rungs = results.groupby("iter")["n_resources"].agg(["first", "size"])
    assert rungs.to_numpy().tolist() == [[1, 4], [3, 2]]
    assert json.loads((tmp_path / "best.json").read_text())["simplecnn"]["lr"] == 0.03
    summary = pd.read_csv(tmp_path / "summary.csv").loc[0]
    assert summary["cv_accuracy"] == results.loc[results["iter"] == 1, "mean_test_accuracy"].max()
    assert (tmp_path / "figures" / "simplecnn_grid.png").exists()


def test_compare_needs_a_search(tmp_path):
    config = compare.Config(search=str(tmp_path), dataset="shapes")
    with pytest.raises(SystemExit, match=r"no .*best.json.*grid-search --dataset shapes"):
        compare.main(config)


def test_compare_trains_in_the_precision_asked_for(searched, tmp_path):
    best = json.loads((searched / "best.json").read_text())
    (tmp_path / "best.json").write_text(json.dumps({**best, "lenet5": best["simplecnn"]}))
    fits = plan(compare.Config(search=str(tmp_path), precision="bfloat16"))
    assert {fit.classifier().precision for fit in fits} == {"bfloat16"}


@pytest.mark.slow
def test_compare_trains_each_network_for_each_seed(searched, tmp_path):
    best = json.loads((searched / "best.json").read_text())
    (tmp_path / "best.json").write_text(json.dumps({**best, "lenet5": best["simplecnn"]}))
    out = tmp_path / "compare"
    compare.main(
        compare.Config("shapes", str(tmp_path), epochs=1, seeds=(0, 1), jobs=1, out=str(out))
    )
    rows = pd.read_csv(out / "rows.csv")
    assert rows.groupby("network")["seed"].apply(list).to_dict() == {
        f"{network} {kind}": [0, 1]
        for network in ("SimpleCNN", "LeNet-5")
        for kind in ("baseline", "tuned")
    }
    summary = pd.read_csv(out / "summary.csv", index_col="network")
    tuned = rows.loc[rows["network"] == "SimpleCNN tuned", "accuracy"]
    assert summary.loc["SimpleCNN tuned", "accuracy_mean"] == pytest.approx(tuned.mean())
    assert summary.loc["SimpleCNN tuned", "accuracy_std"] == pytest.approx(tuned.std(ddof=1))
    differences = pd.read_csv(out / "simplecnn_minus_lenet5.csv", index_col="class")
    assert differences.loc["all classes", "recall_a"] == pytest.approx(tuned.mean())
    figures = {path.name for path in (out / "figures").iterdir()}
    assert len(figures) == 18  # four of each network, gradcam and the difference
    assert "gradcam.png" in figures


def test_differences_over_seeds_by_hand():
    target = np.array([0, 0, 1, 1])
    a = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], dtype=bool)
    b = np.array([[0, 0, 0, 1], [0, 0, 0, 1]], dtype=bool)
    frame = compare_over_seeds(a, b, target, ["shoe", "bag"])
    # shoe: images count 1 and 1/2 for a, 0 for b; bag: 0 for a, 0 and 1 for b
    assert frame["recall_difference"].tolist() == [0.75, -0.5, 0.125]
    assert frame.loc["shoe", ["recall_low", "recall_high"]].tolist() == [0.5, 1.0]


def test_train_writes_tables_and_pictures(tmp_path):
    config = train.Config(
        "simplecnn", "shapes", 0.03, 64, 1e-4, epochs=1, jobs=1, out=str(tmp_path)
    )
    train.main(config)
    rows = pd.read_csv(tmp_path / "rows.csv", index_col="seed")
    per_class = pd.read_csv(tmp_path / "per_class.csv")
    assert rows.loc[0, "accuracy"] == pytest.approx(per_class["recall"].mean())  # balanced classes
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {
        "history.png",
        "roc.png",
        "confusion.png",
    }
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    names = get_dataset("shapes").target_names
    assert load_classifier(checkpoint).checkpoint_["class_names"] == names


def train_config(out, **settings):
    settings = {"lr": 0.03, "batch_size": 64, "epochs": 4, "jobs": 1, "out": str(out), **settings}
    return train.Config("simplecnn", "shapes", **settings)


@pytest.mark.slow
def test_a_training_goes_on_in_the_middle(tmp_path, monkeypatch):
    steps, change = [], FlipAndShift.__call__

    def interrupted(self, images, generator=None):
        steps.append(len(images))
        if len(steps) == 210:  # of 94 in an epoch
            raise KeyboardInterrupt
        return change(self, images, generator)

    with monkeypatch.context() as patch:
        patch.setattr(FlipAndShift, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train.main(train_config(tmp_path / "stopped", save_every=1))
        (state,) = (tmp_path / "stopped" / "checkpoints").iterdir()
        assert state.suffix == ".unfinished"
        train.main(train_config(tmp_path / "stopped", resume=True))
    assert len(steps) == 210 + 2 * 94
    assert not state.exists()
    train.main(train_config(tmp_path / "whole"))
    loss = [
        pd.read_csv(tmp_path / out / "rows.csv")["log_loss"].item() for out in ("stopped", "whole")
    ]
    assert loss[0] == loss[1]
    history = [pd.read_csv(tmp_path / out / "history.csv") for out in ("stopped", "whole")]
    assert history[0]["epoch"].max() == 4
    pd.testing.assert_frame_equal(*history)


@pytest.mark.slow
def test_without_resume_a_training_in_any_folder_begins_anew(tmp_path):
    folder = tmp_path / "kept"
    config = train_config(tmp_path / "out", epochs=1, checkpoint_dir=str(folder))
    train.main(config)
    (file,) = folder.iterdir()
    (folder / "mine.txt").write_text("")
    before = file.stat().st_mtime_ns
    train.main(dataclasses.replace(config, resume=True))
    assert file.stat().st_mtime_ns == before
    train.main(config)
    assert file.stat().st_mtime_ns > before
    assert sorted(path.name for path in folder.iterdir()) == sorted([file.name, "mine.txt"])


def test_lines_about_a_training_go_into_a_pipe(tmp_path, capsys):
    train.main(train_config(tmp_path, epochs=1, log_every=40, val_size=600, patience=1))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == [
        "epoch 1/1, batch 40/85",  # (6000 - 600) / 64
        "epoch 1/1, batch 80/85",
        "epoch 1/1",
    ]
    assert {"train_loss", "valid_acc", "lr", "dur"} <= set(lines[2].replace(",", "").split())


WNIDS = (
    "n01440764 n02102040 n02979186 n03000684 n03028079 "
    "n03394916 n03417042 n03425413 n03445777 n03888257"
)


def photographs(folder):
    """Imagenette in little: pictures of ten brightnesses in its folders."""
    rng = np.random.default_rng(0)
    for subset, n in (("train", 6), ("val", 2)):
        for label, wnid in enumerate(WNIDS.split()):
            for number in range(n):
                image = rng.integers(0, 60, (170, 180, 3)) + 18 * label
                path = folder / "imagenette2-160" / subset / wnid / f"{wnid}_{number}.JPEG"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.astype(np.uint8)).save(path)


@pytest.mark.slow
def test_photographs_by_the_recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photographs(tmp_path)
    arguments = ["--config", str(ROOT / "configs" / "imagenette.yaml"), "--epochs", "2"]
    sizes = ["--image-size", "64", "--first-size", "32", "--batch-size", "20"]
    folders = ["--data-dir", str(tmp_path), "--out", str(tmp_path / "out")]
    config = parse(train.Config, [*arguments, *sizes, *folders], prog="train", description="d")
    train.main(config)
    (checkpoint,) = (tmp_path / "out" / "checkpoints").iterdir()
    clf = load_classifier(checkpoint)
    assert clf.history[:, "size"] == [32, 32]
    assert clf.image_shape_ == (3, 160, 160)
    assert clf.precision == "bfloat16"
    assert clf.get_params()["optimizer__weight_decay"] == config.weight_decay
    with pytest.raises(SystemExit, match=r"num_classes is 7, but imagenette has 10"):
        train.main(dataclasses.replace(config, num_classes=7))
    with pytest.raises(SystemExit, match=r"input_shape is \(3, 99, 99\), but .* \(3, 160, 160\)"):
        train.main(dataclasses.replace(config, input_shape=(3, 99, 99)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": "shapes", "image_size": 64}, "of cub200, imagenette, pets; shapes has none"),
        ({"dataset": "shapes", "color": 0.1}, "of cub200, imagenette, pets; shapes has none"),
        ({"dataset": "imagenette", "color": 1.1}, r"--color must be in \[0, 1\], got 1.1"),
        ({"dataset": "imagenette", "first_size": 64}, "--first-size grows to --image-size"),
        ({"patience": 2}, "--patience watches held-out images: hold some out with --val-size"),
        ({"weights": "DEFAULT"}, "--weights is for resnet18, not for lenet5"),
        ({"weights": "DEFAULTS", "model": "resnet18"}, "no file DEFAULTS. Did you mean 'DEFAULT'"),
        ({"checkpoint_dir": "setup.cfg"}, "--checkpoint-dir must be a folder that can be written"),
    ],
    ids=str,
)
def test_settings_of_a_training_that_contradict_each_other(tmp_path, settings, message):
    with pytest.raises(SystemExit, match=message):
        train.main(train.Config(**settings, out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_photographs_are_what_is_in_colour_and_has_a_size_to_choose():
    taken = {
        name: signature(getattr(datasets, fetch)).parameters for name, fetch in _fetchers().items()
    }
    sized = {name for name, options in taken.items() if "size" in options}
    assert sized - {"canvas"} == {*PHOTOGRAPHS}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_schedules_end_where_they_should(scheduler):
    clf = make_classifier(
        "lenet5",
        **{"lr": 0.01, "batch_size": 20, "weight_decay": 0.0, "epochs": 10, "seed": 0},
        **{"scheduler": scheduler, "optimizer": "adam", "val_size": 8},
    )
    images = np.random.default_rng(0).integers(0, 255, (48, 1, 16, 16), dtype=np.uint8)
    clf.fit(images, np.arange(48) % 2)  # noise: the held-out loss soon rises
    rate = clf.optimizer_.param_groups[0]["lr"]
    if scheduler == "reduce-on-plateau":
        assert rate in [pytest.approx(0.01 * 0.1**drops) for drops in (1, 2, 3)]
    else:
        expected = {"one-cycle": 0.01 * OneCycle().factor(0.95), "cosine": 0, "none": 0.01}
        assert rate == pytest.approx(expected[scheduler])
    assert len(clf.history) == 10
    assert "valid_loss" in clf.history[-1]


@pytest.mark.parametrize(("channels", "expected"), [(3, 64), (1, None)])
def test_parts_of_images_in_colour_are_trained_on(channels, expected):
    assert crop_size(Bunch(images=np.zeros((2, channels, 64, 64)))) == expected


def test_checkpoints_of_other_settings_have_other_names(tmp_path):
    fit = Fit("LeNet-5 tuned", "shapes", "lenet5", 0.1, 64, 1e-4, 3, seed=1)
    assert fit.file(tmp_path).name.startswith("lenet-5-tuned-seed1-")
    for change in ({"lr": 0.2}, {"dataset": "fashion-mnist"}, {"precision": "bfloat16"}):
        assert fit.file(tmp_path) != dataclasses.replace(fit, **change).file(tmp_path)
    assert fit.classifier().get_params()["optimizer__weight_decay"] == 1e-4


@pytest.mark.slow
def test_ctrl_c_leaves_a_folder_to_resume_and_says_how(tmp_path):
    out = tmp_path / "run"
    grid = [
        *["--lr", "0.001", "0.003", "0.01", "0.03", "--batch-size", "64", "--weight-decay", "1e-4"]
    ]
    sizes = [
        *[
            "--dataset",
            "shapes",
            "--rows",
            "1500",
            "--epochs",
            "2",
            "--final-epochs",
            "1",
            "--jobs",
            "1",
        ]
    ]
    arguments = ["--models", "simplecnn", *sizes, *grid, "--out", str(out)]
    command = [sys.executable, "-m", "experiments.grid_search", *arguments]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.time() + 300
    while time.time() < deadline and len(list(out.glob("fits/*.json"))) < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    kept = {path: path.stat().st_mtime_ns for path in out.glob("fits/*.json")}
    assert process.returncode == 1
    assert 2 <= len(kept) < 12
    assert "Stopped. Finished work is kept; go on with" in errors
    advice = errors.strip().splitlines()[-1].split()
    assert advice[:2] == ["fmcam", "grid-search"]
    assert advice[-1] == "--resume"
    subprocess.run([sys.executable, "-m", *advice], cwd=ROOT, check=True, capture_output=True)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list(out.glob("fits/*.json"))) == 12
    assert (out / "summary.csv").exists()
