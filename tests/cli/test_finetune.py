"""The script finetune on a folder of drawn photographs."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image
from sklearn.utils import Bunch

from fmcam.classifiers import load_classifier
from fmcam.cli import _finetune, finetune
from fmcam.cli._report._folder import read_folder
from fmcam.cli._transfer import Transfer
from fmcam.datasets import load_image_folder
from fmcam.models import ResNet18
from tests.small_data import COLORS, draw_photographs

SIZE = 64
ACCURACIES = {"train": "train_acc", "validation": "val_acc", "test": "test_acc"}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """The user's cache, empty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    draw_photographs(home / "photographs", 10)
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


@pytest.mark.slow
def test_each_part_has_its_share_of_every_class(run):
    rows = read(run, "predictions.csv")
    counts = pd.crosstab(rows["part"], rows["y_true"])
    assert counts.loc[list(_finetune.PARTS)].to_numpy().tolist() == [
        [5, 5, 5],
        [2, 2, 2],
        [3, 3, 3],
    ]
    assert rows["file"].is_unique
    assert (rows["file"].str.split("/").str[0] == rows["y_true"]).all()


@pytest.mark.slow
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
    drawn = "(drawn at random)"
    assert f"15 train {drawn}, 6 validation {drawn}, 9 test {drawn}; 1 files not read" in text
    assert f"test accuracy  {summary.loc['test', 'accuracy']:.4f} (" in text


@pytest.mark.slow
def test_both_checkpoints_are_the_classifier(run):
    data = load_image_folder(run.folder, size=SIZE)
    rows = read(run, "predictions.csv")
    ours = load_classifier(f"{run.out}/classifier.safetensors")
    y_proba = ours.predict_proba(data.images)
    assert ours.classes_[y_proba.argmax(axis=1)].tolist() == rows["y_pred"].tolist()
    np.testing.assert_allclose(y_proba.max(axis=1), rows["probability"], atol=6e-5)
    summary = read(run, "summary.csv", index_col="part")["accuracy"]
    accuracies = {name: summary[part] for part, name in ACCURACIES.items()}
    assert ours.checkpoint_["metrics"] == pytest.approx(accuracies)
    assert ours.checkpoint_["class_names"] == list(COLORS)

    content = torch.load(f"{run.out}/classifier_best.pth", weights_only=True)
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

    read_back = load_classifier(f"{run.out}/classifier_best.pth", module=ResNet18)
    assert read_back.classes_.tolist() == list(COLORS)
    assert read_back.checkpoint_["epoch"] == content["epoch"]
    for name, value in read_back.module_.net.state_dict().items():
        assert torch.equal(value.cpu(), ours.module_.net.state_dict()[name].cpu())


@pytest.mark.slow
def test_the_epoch_is_that_of_the_weights(run):
    content = torch.load(f"{run.out}/classifier_best.pth", weights_only=True)
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


@pytest.mark.slow
def test_no_gallery(run):
    config = dataclasses.replace(run, gallery=0, epochs=1, out=f"{run.out}_without")
    finetune.main(config)
    contents = read_folder(Path(config.out))
    assert contents.notes == [] == contents.gallery


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_last_epoch_is_in_a_file_of_its_own(run):
    final, best = (
        torch.load(f"{run.out}/classifier_{name}.pth", weights_only=True)
        for name in ("final", "best")
    )
    assert final["epoch"] == 3
    assert final.keys() == best.keys()
    data = load_image_folder(run.folder, size=SIZE)
    rows = read(run, "predictions.csv")
    clf = load_classifier(f"{run.out}/classifier_final.pth", module=ResNet18)
    right = pd.Series(clf.predict(data.images) == data.target).groupby(rows["part"]).mean()
    assert {part: final[name] for part, name in ACCURACIES.items()} == pytest.approx(dict(right))
    same = [
        torch.equal(w, best["model_state_dict"][n]) for n, w in final["model_state_dict"].items()
    ]
    assert all(same) == (best["epoch"] == 3)


@pytest.mark.slow
def test_labels_of_names(run, tmp_path):
    for path in Path(run.folder).glob("*/*.png"):
        (tmp_path / f"{path.parent.name}_{path.name}").write_bytes(path.read_bytes())
    config = dataclasses.replace(run, folder=str(tmp_path))
    with pytest.raises(SystemExit, match=r"--folder: .* must hold a folder for each class, such"):
        _finetune.load(config)
    data = _finetune.load(dataclasses.replace(config, labels="name"))
    assert data.target_names == list(COLORS)
    parts = _finetune.split(data, config)
    assert parts.tolist() == _finetune.split(data, config).tolist()
    other = _finetune.split(data, dataclasses.replace(config, seed=1))
    assert parts.tolist() != other.tolist()


class TestPartsThatFoldersName:
    """What a folder says is kept; what none says is drawn from the photographs to train on."""

    config = finetune.Config(validation=0.25, test=0.25)

    def bunch(self, **counts):
        target = [name for n in counts.values() for name in ("fern", "rose") for _ in range(n)]
        subset = [part for part, n in counts.items() for _ in range(2 * n)]
        return Bunch(target=np.array(target), subset=np.array(subset))

    def counts(self, data, **changes):
        parts = _finetune.split(data, dataclasses.replace(self.config, **changes))
        return parts, pd.Series(parts).value_counts().to_dict()

    def test_all_three(self):
        data = self.bunch(train=5, validation=1, test=2)
        assert self.counts(data)[0].tolist() == data.subset.tolist()

    @pytest.mark.parametrize(("given", "missing"), [("validation", "test"), ("test", "validation")])
    def test_one_is_missing(self, given, missing):
        data = self.bunch(train=8, **{given: 3})
        parts, counts = self.counts(data)
        assert counts == {"train": 12, missing: 4, given: 6}
        assert ((parts == given) == (data.subset == given)).all()

    def test_but_for_a_random_split(self):
        data = self.bunch(train=4, validation=4, test=4)
        parts, counts = self.counts(data, split="random")
        assert counts == {"train": 12, "validation": 6, "test": 6}
        assert parts.tolist() != data.subset.tolist()

    def test_nothing_to_train_on(self):
        message = "Needed to train are two classes of 1 photographs or more, got 0 of fern, 0 of"
        with pytest.raises(SystemExit, match=message):
            self.counts(self.bunch(validation=4, test=4))
        data = self.bunch(train=4, validation=1, test=1)
        data.target[-1] = "moss"
        with pytest.raises(SystemExit, match=r"classes of 1 photographs or more, .* 0 of moss"):
            self.counts(data)


def test_every_class_has_photographs(tmp_path):
    for name in ("0_a.png", "2_b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    names = ("Rudo", "Baya", "Greg")
    config = finetune.Config(folder=str(tmp_path), labels="name", class_names=names, image_size=8)
    with pytest.raises(SystemExit, match=r"--class-names: there is no photograph of Baya \(1\)\.$"):
        _finetune.load(config)


class TestOptimizer:
    """Naming one asks for a plain training."""

    def transfer(self, **settings):
        return Transfer.of(finetune.Config(**settings), "DEFAULT")

    def stage(self, training):
        changes = {"patience": training.patience or training.epochs, "weights": None}
        return training._classifier(np.arange(4) < 2, changes)

    def test_plain(self):
        clf = self.stage(self.transfer(optimizer="adam", lr=0.01))
        assert clf.optimizer is torch.optim.Adam
        assert (clf.lr, clf.optimizer__weight_decay, clf.criterion__label_smoothing) == (0.01, 0, 0)
        assert [name for name, _ in clf.callbacks] == ["clip", "early"]
        assert self.transfer(optimizer="adam").head_epochs == 0

    def test_what_is_asked_for_is_done(self):
        asked = {"label_smoothing": 0.2, "weight_decay": 0.3, "scheduler": "cosine", "patience": 2}
        training = self.transfer(optimizer="sgd", head_epochs=1, **asked)
        clf = self.stage(training)
        assert clf.optimizer is torch.optim.SGD
        assert (clf.optimizer__weight_decay, clf.criterion__label_smoothing) == (0.3, 0.2)
        assert [name for name, _ in clf.callbacks] == ["cosine", "clip", "early"]
        assert dict(clf.callbacks)["early"].patience == 2
        assert training.head_epochs == 1

    def test_two_stages(self):
        training = self.transfer()
        clf = self.stage(training)
        assert (clf.optimizer__weight_decay, clf.criterion__label_smoothing) == (1e-4, 0.05)
        assert [name for name, _ in clf.callbacks] == ["plateau", "clip", "early"]
        assert (training.head_epochs, training.patience) == (3, 6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folder": None}, "--folder must name the folder of the photographs"),
        ({"test": 0.6, "validation": 0.4}, "--validation and --test leave nothing to train"),
        ({"test": 0.0}, "--validation and --test must be positive"),
        ({"image_size": 32}, "--image-size must be over 32, or .* have one cell"),
        ({"patience": 0}, "--patience must be 1 or more"),
        ({"epochs": 0}, "--epochs must be 1 or more"),
        ({"batch_size": 0}, "--batch-size must be 1 or more, got 0"),
        ({"lr": -1.0}, "--lr must be positive"),
        ({"head_epochs": -1}, "--head-epochs must be 0 or more"),
        ({"label_smoothing": 1.1}, r"--label-smoothing must be in \[0, 1\]"),
        ({"class_names": ("Rudo",)}, "--class-names: there is no file Rudo"),
    ],
)
def test_wrong_settings(tmp_path, changes, message):
    with pytest.raises(SystemExit, match=message):
        finetune.main(finetune.Config(**{"folder": str(tmp_path), **changes}))


def test_too_few_photographs():
    config = finetune.Config()
    few = Bunch(target=np.array(["fern"] * 9 + ["rose"] * 2), subset=None)
    with pytest.raises(SystemExit, match="two classes of 3 photographs or more, got 9 of fern, 2"):
        _finetune.split(few, config)
    with pytest.raises(SystemExit, match=r"photographs or more, got 9 of fern$"):
        _finetune.split(Bunch(target=few.target[:9], subset=None), config)
    few = Bunch(target=np.array(["fern"] * 3 + ["rose"] * 3), subset=None)
    with pytest.raises(SystemExit, match="3 photographs cannot be held out: The "):
        _finetune.split(few, dataclasses.replace(config, test=0.3, validation=0.5))
