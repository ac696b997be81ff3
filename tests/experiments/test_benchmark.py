"""The speed benchmarks: their arithmetic, and what a small run writes."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torchvision.datasets import Imagenette

from experiments.benchmark import (
    _files,
    _fuzz,
    _halving,
    _state,
    _threads,
    _wsol,
    fit,
    fuzz,
    halving,
    photographs,
    reliability,
    score_cam,
    steps,
    wsol,
)
from experiments.benchmark._timing import in_turns, ratios


def test_ratios_by_hand():
    seconds = pd.DataFrame({"ours": [1.0, 2.0, 4.0], "rival": [3.0, 4.0, 4.0]})
    (row,) = ratios(seconds, "ours").to_dict("records")
    expected = {
        **{"rival": "rival", "seconds_rival": 4.0, "seconds_ours": 2.0},
        **{"median": 2.0, "min": 1.0, "max": 3.0, "count": 3.0},
    }
    assert row == expected


def test_made_up_maps_and_boxes_are_what_both_evaluators_take(monkeypatch):
    monkeypatch.setattr(_wsol, "SIZE", 28)
    maps, boxes = _wsol.make_batch(3, 40)
    assert (maps.shape, maps.dtype) == ((40, 28, 28), np.float64)
    np.testing.assert_array_equal(
        [maps.min(axis=(1, 2)), maps.max(axis=(1, 2))], [[0] * 40, [1] * 40]
    )
    assert {len(of_image) for of_image in boxes} == {1, 2, 3, 4}
    np.testing.assert_array_equal(_wsol.make_batch(3, 40)[0], maps)
    assert (_wsol.make_batch(4, 40)[0] != maps).any()
    rows = _wsol.alone(wsol.Config(alone=200, batch=50))
    assert rows["maps"].tolist() == [100, 200]
    assert (np.diff([0, *rows["seconds"]]) > 0).all()


def test_a_missing_rival_is_told_before_any_work(tmp_path, monkeypatch):
    out = tmp_path / "out"
    config = wsol.Config(rival=str(tmp_path), out=str(out))
    with pytest.raises(SystemExit, match=r"--rival: there is no clone .* `git clone https://"):
        wsol.main(config)
    (tmp_path / "evaluation.py").touch()
    monkeypatch.setattr(wsol, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="needs cv2 and munch"):
        wsol.main(config)
    assert not out.exists()


@pytest.mark.parametrize(
    ("benchmark", "settings", "message"),
    [
        (score_cam, {"repeats": 0}, "--repeats must be 1 or more, got 0"),
        (score_cam, {"channels": (64, 0)}, "--channels must be numbers of 1 or more"),
        (halving, {"cv": 1}, "--cv must be 2 or more, got 1"),
        (halving, {"rows": 29}, "--rows must be 30 or more, got 29"),
    ],
)
def test_numbers_are_checked_before_any_work(benchmark, settings, message, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match=message):
        benchmark.main(benchmark.Config(**settings, out=str(out)))
    assert not out.exists()


def test_missing_packages_are_told_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(
        score_cam, "NEEDED", {"no_such_package": "no-such-package", "torch": "torch"}
    )
    with pytest.raises(SystemExit, match=r"python -m pip install no-such-package\."):
        score_cam.main(score_cam.Config(out=str(tmp_path)))


@pytest.mark.slow
@pytest.mark.real_data
def test_score_cam_of_all_channels_is_that_without_a_limit(tmp_path, data_home, cache):
    for package in ("torchcam", "pytorch_grad_cam"):
        pytest.importorskip(package)
    config = {"image_size": 96, "repeats": 1, "channels": (8, 1280), "data_dir": str(data_home)}
    score_cam.main(score_cam.Config(**config, out=str(tmp_path)))
    found = pd.read_csv(tmp_path / "correlation.csv", index_col="channels")["median"]
    assert found[1280] == pytest.approx(1)
    assert found[8] < 0.999
    seconds = pd.read_csv(tmp_path / "rows.csv").iloc[0]
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert len(summary) == 3 * 2
    for row in summary.to_dict("records"):
        assert row["median"] == pytest.approx(seconds[row["rival"]] / seconds[row["ours"]])


def test_ways_take_turns():
    called = []
    ways = {name: lambda name=name: called.append(name) for name in "ab"}
    assert in_turns(ways, 2).shape == (2, 2)
    assert called == list("abab")


def test_ranks_and_what_rungs_choose_by_hand():
    scores = pd.DataFrame(
        {1: [1, 2, 3, 4, 5, 6], 3: [6, 5, 4, 3, 2, 1], 9: [9, 8, 7, 6, 5, 4]}, dtype=float
    )
    assert _halving.choice(scores, [1, 3, 9]) == 4  # 4 and 5 are left, then 4
    assert _halving.choice(scores, [3, 9]) == 0
    rows = _halving.ranks_of(scores)
    assert rows["epochs"].tolist() == [1, 3]
    assert rows["rank_correlation"].tolist() == pytest.approx([-1, 1])
    assert rows["lost_from_here"].tolist() == [4, 0]


def test_interval_of_the_mean_by_hand():
    mean, low, high, n = _halving.mean_with_interval(pd.Series([0, 0.1, 0.3]))
    half = 4.302653 * 0.0881917  # t of 97.5 % and two degrees of freedom, standard error
    assert (mean, n) == (pytest.approx(0.4 / 3), 3)
    assert [low, high] == pytest.approx([mean - half, mean + half], rel=1e-5)


@pytest.mark.slow
def test_halving(tmp_path):
    config = {"nets": ("lenet5",), "dataset": "shapes", "lr": (0.01, 0.1), "batch_size": (32, 64)}
    config |= {"rows": 120, "epochs": 3, "cv": 2, "seeds": (0, 1), "weight_decay": (0.0,)}
    halving.main(halving.Config(**config, out=str(tmp_path)))
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert len(summary) == 3
    assert set(summary["count"]) == {2}
    regret = pd.read_csv(tmp_path / "regret.csv")
    same = regret["fmcam halving winner"] == regret["fmcam exhaustive winner"]
    assert (same == (regret["regret"] == 0)).all()
    assert pd.read_csv(tmp_path / "regret_summary.csv")["n"].tolist() == [2]
    ranks = pd.read_csv(tmp_path / "ranks.csv")
    assert ranks["epochs"].tolist() == [1, 1, 1, 1]


@pytest.fixture
def imagenette(tmp_path):
    """A data home with four training pictures of each class."""
    rng = np.random.default_rng(0)
    for wnid in Imagenette._WNID_TO_CLASS:
        folder = tmp_path / "home" / "imagenette2-160" / "train" / wnid
        folder.mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.JPEG")
    return tmp_path / "home"


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_photographs(imagenette, tmp_path):
    photographs.main(
        photographs.Config(
            **{"images": 20, "size": 32, "batch_size": 10, "workers": 0, "repeats": 2},
            **{"data_dir": str(imagenette), "out": str(tmp_path / "run")},
        )
    )
    rows = pd.read_csv(tmp_path / "run" / "rows.csv").set_index(["net", "turn"])
    summary = pd.read_csv(tmp_path / "run" / "summary.csv").set_index(["net", "ours", "rival"])
    assert rows.index.tolist() == list(product(["nearly free", "resnet18"], range(2)))
    assert len(summary) == 2 * 2 * 3  # nets, our ways, theirs
    one = summary.loc[("resnet18", "fmcam", "ImageFolder")]
    times = rows.loc["resnet18", ["ImageFolder", "fmcam"]]
    assert one["median"] == pytest.approx((times["ImageFolder"] / times["fmcam"]).median())
    assert one["images_per_second_ours"] == pytest.approx(20 / times["fmcam"].median())
    (decode,) = pd.read_csv(tmp_path / "run" / "decode.csv").to_dict("records")
    assert decode["images"] == 40


def test_fit(tmp_path):
    fit.main(fit.Config(rows=64, predicted=100, repeats=1, out=str(tmp_path / "run")))
    summary = pd.read_csv(tmp_path / "run" / "summary.csv")
    cases = [f"fit {net} batch {n}" for net in ("LeNet5", "SimpleCNN") for n in (32, 128)]
    assert summary["case"].tolist() == [*cases, "predict_proba, nearly free net"]
    assert summary["rival"].tolist() == 4 * ["bare loop"] + ["skorch"]


@pytest.mark.slow
def test_steps(tmp_path):
    settings = {"nets": ("simplecnn",), "steps": 110, "repeats": 3}
    steps.main(steps.Config(**settings, out=str(tmp_path / "run")))
    rows = pd.read_csv(tmp_path / "run" / "rows.csv")
    summary = pd.read_csv(tmp_path / "run" / "summary.csv").set_index("way")
    assert list(summary.index) == ["skorch", "fmcam", "fmcam, 1 as one", "fmcam, 3 as one"]
    for way, row in summary.iterrows():
        assert row["milliseconds_median"] == pytest.approx(rows[way].median() / 110 * 1000)
    bounds = 27 * rows["skorch"] / rows["fmcam, 1 as one"]
    assert summary.loc["fmcam, 1 as one", "bound_min"] == pytest.approx(bounds.min())


def test_reliability_goes_on_where_it_stopped(tmp_path):
    settings = {"calls": 4, "out": str(tmp_path / "run")}
    reliability.main(reliability.Config(only=("compressed_table",), **settings))
    (first,) = pd.read_csv(tmp_path / "run" / "rows.csv").to_dict("records")
    assert (first["what"], first["tried"], first["held"]) == ("full disk", 2, 2)
    assert first["note"].startswith("FOLDER/to/rows.csv.gz cannot be written: File too large.")
    reliability.main(reliability.Config(only=("table", "memory fitted"), resume=True, **settings))
    rows = pd.read_csv(tmp_path / "run" / "rows.csv")
    assert rows["setting"].tolist() == ["compressed_table", "table", "fitted"]
    assert rows.loc[0, "seconds"] == first["seconds"]
    summary = pd.read_csv(tmp_path / "run" / "summary.csv", index_col="what")
    assert summary.loc["full disk"].tolist() == [4, 4]


def test_reliability_counts_what_did_not_hold():
    """An answer, and a mode, a buffer and a hook that are not as they were."""
    before, after = ([_threads.SETTINGS["fitted"]()[0]] for _ in range(2))
    net = after[0].module_.net
    net[1].running_mean += 1
    net[3].train()
    net[0].register_forward_hook(print)
    changed = _state.changes(*map(_state.state_of, (before, after)))
    assert sorted(changed) == [
        *("buffer 0 net.1.running_mean", "hooks of 0 net.0", "mode of 0 net.3")
    ]
    proba = before[0].predict_proba(_threads.images_of())
    assert _threads.difference(proba, proba) == ""
    assert _threads.difference(proba + 1, proba) == "off by 1"


# Files that lie -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["checkpoint", "settings", "picture png", "page"])
def test_changed_files_are_read_or_refused(kind):
    outcomes = list(_files.tried(kind, range(12)))
    assert {*outcomes} <= {"read", "refused"}
    assert outcomes == list(_files.tried(kind, range(12)))


class Broken(_files.Kind):
    """A reader that does with each first letter of a file what no reader may do."""

    steady = True

    def make(self, folder):
        (folder / "a.txt").write_text("whole" * 99)

    def read(self, folder):
        content = (folder / "a.txt").read_bytes()
        if len(content) > 99 * 5:
            raise ValueError("a file is damaged")
        if len(content) < 99 * 5:
            raise KeyError("whole")
        return np.frombuffer(content, np.uint8)


def test_harm_is_seen(monkeypatch, tmp_path):
    monkeypatch.setitem(_files.KINDS, "broken", Broken())
    outcomes = {*_files.tried("broken", range(40))} - {"read"}
    assert outcomes == {
        "said 17 characters: 'a file is damaged'",
        "KeyError: 'whole'",
        "gave something else without a word",
    }
    monkeypatch.setattr(_fuzz, "KINDS", {"broken": Broken()})
    with pytest.raises(SystemExit, match=r"Wrong:\nbroken, seed \d+: "):
        fuzz.main(fuzz.Config(seconds=0.2, out=str(tmp_path / "run")))
    (row,) = pd.read_csv(tmp_path / "run" / "summary.csv").to_dict("records")
    assert row["wrong"] == row["files"] - row["read"] > 0
