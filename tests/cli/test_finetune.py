"""The script finetune on a folder of drawn photographs."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image

from fmcam.classifiers import load_classifier
from fmcam.cli import _finetune, finetune
from fmcam.cli._report._folder import read_folder
from fmcam.datasets import load_image_folder
from fmcam.models import ResNet18

COLORS = {"fern": (40, 160, 60), "moss": (120, 140, 20), "rose": (200, 40, 80)}
SIZE = 64

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """The user's cache, empty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(0)
    for name, color in COLORS.items():
        (home / "photographs" / name).mkdir(parents=True)
        for number in range(10):
            pixels = rng.normal(color, 30, (70, 90, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(home / "photographs" / name / f"{number}.png")
    (home / "photographs" / "fern" / "empty.jpg").touch()
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18(num_classes=10).state_dict(), home / "other.pt")
    config = finetune.Config(
        folder=str(home / "photographs"),
        weights=str(home / "other.pt"),
        image_size=SIZE,
        test=0.3,
        validation=0.2,
        head_epochs=1,
        epochs=2,
        batch_size=5,
        gallery=3,
        out=str(home / "run"),
    )
    finetune.main(config)
    return config


def read(config, name, **options):
    return pd.read_csv(f"{config.out}/{name}", **options)


def test_each_part_has_its_share_of_every_class(run):
    rows = read(run, "predictions.csv")
    counts = pd.crosstab(rows["part"], rows["y_true"])
    assert counts.loc[["training", "validation", "test"]].to_numpy().tolist() == [
        [5, 5, 5],
        [2, 2, 2],
        [3, 3, 3],
    ]
    assert rows["file"].is_unique
    assert (rows["file"].str.split("/").str[0] == rows["y_true"]).all()


def test_the_report_is_that_of_the_predictions(run):
    rows, summary = read(run, "predictions.csv"), read(run, "summary.csv", index_col="part")
    right = (rows["y_true"] == rows["y_pred"]).groupby(rows["part"])
    np.testing.assert_allclose(summary["accuracy"], right.mean()[summary.index])
    assert (summary["n"] == right.size()[summary.index]).all()
    test = rows[rows["part"] == "test"]
    per_class = read(run, "per_class.csv", index_col="class")
    hits = test[test["y_true"] == test["y_pred"]].groupby("y_true").size()
    np.testing.assert_allclose(per_class["recall"], hits.reindex(COLORS, fill_value=0) / 3)
    unreadable = read(run, "unreadable.csv")
    assert unreadable.to_dict("records") == [
        {"file": "fern/empty.jpg", "reason": "is empty: it has no bytes"}
    ]
    text = Path(run.out, "metrics_summary.txt").read_text()
    assert "15 training, 6 validation, 9 test photographs; 1 files not read" in text
    assert f"test accuracy  {summary.loc['test', 'accuracy']:.4f} (" in text


def test_both_checkpoints_are_the_classifier(run):
    data = load_image_folder(run.folder, size=SIZE)
    rows = read(run, "predictions.csv")
    ours = load_classifier(f"{run.out}/classifier.safetensors")
    y_proba = ours.predict_proba(data.images)
    assert ours.classes_[y_proba.argmax(axis=1)].tolist() == rows["y_pred"].tolist()
    np.testing.assert_allclose(y_proba.max(axis=1), rows["probability"], atol=6e-5)
    summary = read(run, "summary.csv", index_col="part")["accuracy"]
    accuracies = {f"{part}_accuracy": summary[part] for part in _finetune.PARTS}
    assert ours.checkpoint_["metrics"] == pytest.approx(accuracies)
    assert ours.checkpoint_["class_names"] == list(COLORS)

    content = torch.load(f"{run.out}/classifier.pth", weights_only=True)
    assert content["class_names"] == list(COLORS)
    assert content["epoch"] in (2, 3)  # after the one of the head
    assert content["image_size"] == SIZE
    for name, accuracy in accuracies.items():
        assert content[name] == pytest.approx(accuracy)
    peer = torchvision.models.resnet18(num_classes=3)
    peer.load_state_dict(content["model_state_dict"])
    mean, std = (torch.tensor(content[name])[:, None, None] for name in ("mean", "std"))
    with torch.no_grad():
        logits = peer.eval()((torch.tensor(data.images) - mean) / std)
    np.testing.assert_allclose(logits.softmax(dim=1), y_proba, atol=1e-5)

    read_back = load_classifier(f"{run.out}/classifier.pth", module=ResNet18)
    assert read_back.classes_.tolist() == list(COLORS)
    assert read_back.checkpoint_["epoch"] == content["epoch"]
    for name, value in read_back.module_.net.state_dict().items():
        assert torch.equal(value.cpu(), ours.module_.net.state_dict()[name].cpu())


def test_the_epoch_is_that_of_the_weights(run):
    content = torch.load(f"{run.out}/classifier.pth", weights_only=True)
    history = read(run, "history.csv").query("metric == 'loss' and split == 'validation'")
    losses = history.set_index("epoch")["value"]
    assert len(losses) == 3
    assert content["epoch"] == losses[2:].idxmin()
    data = load_image_folder(run.folder, size=SIZE)
    rows = read(run, "predictions.csv")
    held_out = (rows["part"] == "validation").to_numpy()
    clf = load_classifier(f"{run.out}/classifier.safetensors")
    y_proba = clf.predict_proba(data.images[held_out])
    of_truth = y_proba[np.arange(6), np.searchsorted(clf.classes_, data.target[held_out])]
    smoothed = 0.95 * np.log(of_truth) + 0.05 * np.log(y_proba).mean(axis=1)
    assert -smoothed.mean() == pytest.approx(losses[content["epoch"]], rel=1e-4)


def test_the_report_reads_the_folder(run):
    contents = read_folder(Path(run.out))
    assert contents.notes == []
    names = ("confusion", "guided", "history", "layers", "roc")
    assert contents.figures.keys() == {f"figures/{name}.png" for name in names}
    rows = read(run, "predictions.csv").query("part == 'test'").set_index("file")
    assert len(contents.gallery) == 3 * len(_finetune.IN_GALLERY)
    for row, _ in contents.gallery:
        known = rows.loc[row["photograph"]]
        assert (row["y_true"], row["y_pred"]) == (known["y_true"], known["y_pred"])
        right = known["y_true"] == known["y_pred"]
        assert row["error_type"] == ("correct" if right else "wrong class")


def test_labels_of_names(run, tmp_path):
    for path in Path(run.folder).glob("*/*.png"):
        (tmp_path / f"{path.parent.name}_{path.name}").write_bytes(path.read_bytes())
    config = dataclasses.replace(run, folder=str(tmp_path))
    with pytest.raises(SystemExit, match=r"--folder: .* must hold a folder for each class, such"):
        _finetune.load(config)
    data = _finetune.load(dataclasses.replace(config, labels="name"))
    assert data.target_names == list(COLORS)
    parts = _finetune.split(data.target, config)
    assert parts.tolist() == _finetune.split(data.target, config).tolist()
    other = _finetune.split(data.target, dataclasses.replace(config, seed=1))
    assert parts.tolist() != other.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folder": None}, "--folder must name the folder of the photographs"),
        ({"test": 0.6, "validation": 0.4}, "--validation and --test must be positive"),
        ({"test": 0.0}, "--validation and --test must be positive"),
    ],
)
def test_wrong_settings(run, changes, message):
    with pytest.raises(SystemExit, match=message):
        finetune.main(dataclasses.replace(run, **changes))


def test_too_few_photographs(run):
    few = np.array(["fern"] * 9 + ["rose"] * 2)
    with pytest.raises(SystemExit, match="two classes of 3 photographs or more, got 9 of fern, 2"):
        _finetune.split(few, run)
    with pytest.raises(SystemExit, match=r"photographs or more, got 9 of fern$"):
        _finetune.split(few[:9], run)
    few = np.array(["fern"] * 3 + ["rose"] * 3)
    with pytest.raises(SystemExit, match="3 photographs cannot be held out: The "):
        _finetune.split(few, dataclasses.replace(run, test=0.3, validation=0.5))
