"""Trainings that were killed end as those that were not."""

import itertools
import os
import signal
import subprocess
import sys
import zipfile
from unittest import mock

import numpy as np
import pytest
import torch
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    PrintLog,
)
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import TensorDataset

from experiments.benchmark._full_disk import files_limited
from fmcam.classifiers import (
    CNNClassifier,
    FlipAndShift,
    Frozen,
    GrowingSize,
    OneCycle,
    RandomResizedCrop,
    Resumable,
)

IMAGES = np.random.default_rng(0).integers(0, 255, (48, 1, 40, 40), dtype=np.uint8)
LABELS = np.array(["cat", "dog", "owl"])[np.arange(48) % 3]
STEPS = 4  # batches in an epoch


class Net(nn.Module):
    """With dropout, which draws from torch's own generator, and running statistics."""

    def __init__(self, n_classes=10, in_channels=1):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(in_channels, 6, 5, stride=3), nn.BatchNorm2d(6))
        self.second = nn.Sequential(nn.ReLU(), nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(0.3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.last = nn.Linear(8, n_classes)

    def forward(self, images):
        return self.last(self.head(self.second(self.first(images))))


def adam():
    return {
        "optimizer": torch.optim.Adam,
        "train_split": ValidSplit(0.25, stratified=True, random_state=1),
        "batch_size": 9,
        "augment": FlipAndShift(2),
        "max_epochs": 12,
        "lr": 0.3,
        "callbacks": [
            ("plateau", LRScheduler("ReduceLROnPlateau", monitor="valid_loss", patience=0)),
            ("early", EarlyStopping(patience=4, threshold=0.1, load_best=True, sink=str)),
        ],
    }


def sgd():
    return {
        "optimizer": torch.optim.SGD,
        "optimizer__momentum": 0.9,
        "optimizer__param_groups": [("last.*", {"lr": 0.1})],
        "batch_size": 12,
        "augment": RandomResizedCrop(64),
        "max_epochs": 6,
        "lr": 0.05,
        "callbacks": [
            ("one_cycle", OneCycle()),
            ("clip", GradientNormClipping(1.0)),
            ("growing", GrowingSize(32, until=0.8)),
            ("frozen", Frozen("first.*")),
        ],
    }


def cosine():
    return {
        "optimizer": torch.optim.SGD,
        "optimizer__momentum": 0.9,
        "batch_size": 12,
        "max_epochs": 6,
        "lr": 0.05,
        "callbacks": [
            ("cosine", LRScheduler("CosineAnnealingLR", T_max=6)),
            ("freezer", Freezer("second.1.*")),
        ],
    }


KINDS = {kind.__name__: kind for kind in (adam, sgd, cosine)}


def make(kind, path=None, every=1, **params):
    """A classifier of some kind; with a path one whose training can be resumed."""
    params = {**KINDS[kind](), "random_state": 0, **params}
    if path is not None:
        params["callbacks"] = [*params["callbacks"], ("resumable", Resumable(path, every))]
    return CNNClassifier(Net, **params)


@pytest.fixture(scope="module")
def whole():
    """The classifiers of trainings that nothing stopped."""
    return {kind: make(kind).fit(IMAGES, LABELS) for kind in KINDS}


def kept_epochs(path):
    return len(torch.load(path, weights_only=True)["history"])


def check_equal(clf, other):
    rows = [
        [{k: v for k, v in row.items() if k not in ("dur", "batches")} for row in c.history]
        for c in (clf, other)
    ]
    assert rows[0] == rows[1]
    batches = [[row["batches"] for row in c.history] for c in (clf, other)]
    assert batches[0] == batches[1]
    for (name, value), expected in zip(
        clf.module_.state_dict().items(), other.module_.state_dict().values(), strict=True
    ):
        assert torch.equal(value, expected), name
    np.testing.assert_array_equal(clf.predict_proba(IMAGES), other.predict_proba(IMAGES))


# Killed -------------------------------------------------------------------------------------------


def fit_and_die(kind, path, name):
    """A training to which a signal comes in its tenth step."""
    augment = type(KINDS[kind]()["augment"])
    change, steps = augment.__call__, itertools.count(1)

    def dying(self, images, generator=None):
        if next(steps) == 10:
            os.kill(os.getpid(), getattr(signal, name))
        return change(self, images, generator)

    with mock.patch.object(augment, "__call__", dying):
        make(kind, path).fit(IMAGES, LABELS)


def killed(kind, path):
    code = f"import sys; from {__name__} import fit_and_die; fit_and_die(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, kind, path, "SIGKILL"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL


def interrupted(kind, path):
    with pytest.raises(KeyboardInterrupt):
        fit_and_die(kind, path, "SIGINT")


@pytest.mark.parametrize(("kind", "stopped"), [("adam", killed), ("sgd", interrupted)])
def test_stopped_in_an_epoch_it_ends_as_if_nothing_had_happened(tmp_path, whole, kind, stopped):
    path = tmp_path / "folder" / "training.pt"
    stopped(kind, path)
    assert kept_epochs(path) == 2
    assert [file.name for file in path.parent.iterdir()] == ["training.pt"]
    steps = []

    class Steps(Callback):
        def on_batch_begin(self, net, training=None, **kwargs):
            steps.append(training)

    clf = make(kind, path, callbacks__print_log=Steps()).fit(IMAGES, LABELS)
    check_equal(clf, whole[kind])
    assert steps.count(True) == STEPS * (len(clf.history) - 2)


class Stopped(Exception):  # noqa: N818, no error
    pass


class StopAfter(PrintLog):  # as the line printed an epoch, it is no part of the training
    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epochs:
            raise Stopped


def stop_after(epochs, clf):
    with pytest.raises(Stopped):
        clf.set_params(callbacks__print_log=StopAfter(epochs)).fit(IMAGES, LABELS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epochs", [1, 5])
def test_stopped_anywhere_it_ends_the_same(tmp_path, whole, kind, epochs):
    stop_after(epochs, make(kind, tmp_path / "t.pt"))
    check_equal(make(kind, tmp_path / "t.pt").fit(IMAGES, LABELS), whole[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_paused_often_it_ends_the_same(tmp_path, whole, kind):
    resumable = Resumable(tmp_path / "t.pt")
    assert resumable.epochs_kept() == 0
    for epochs in (1, 1, 3, 5):
        clf = make(kind, tmp_path / "t.pt").fit(IMAGES, LABELS, epochs=epochs)
        assert len(clf.history) == epochs == resumable.epochs_kept()
    check_equal(make(kind, tmp_path / "t.pt").fit(IMAGES, LABELS), whole[kind])


def test_a_pause_is_written_whatever_every_says(tmp_path):
    make("sgd", tmp_path / "t.pt", every=4).fit(IMAGES, LABELS, epochs=3)
    assert kept_epochs(tmp_path / "t.pt") == 3


@pytest.mark.parametrize(
    ("epochs", "message"),
    [(-1, "epochs == -1, must be >= 0"), (7, "epochs == 7, must be <= 6"), (2.5, "of int, not")],
)
def test_a_pause_is_within_the_training(tmp_path, epochs, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make("sgd", tmp_path / "t.pt").fit(IMAGES, LABELS, epochs=epochs)
    assert not list(tmp_path.iterdir())


def test_a_training_cannot_pause_before_its_state(tmp_path):
    make("sgd", tmp_path / "t.pt").fit(IMAGES, LABELS, epochs=3)
    with pytest.raises(ValueError, match="is that after 3 epochs, but the training is to end af"):
        make("sgd", tmp_path / "t.pt").fit(IMAGES, LABELS, epochs=2)


def test_early_stopping_and_its_best_weights_survive(tmp_path, whole):
    clf = whole["adam"]
    assert 5 < len(clf.history) < 12
    rates = clf.history[:, "event_lr"]
    assert rates[-1] < rates[0]
    stop_after(len(clf.history) - 1, make("adam", tmp_path / "t.pt"))
    again = make("adam", tmp_path / "t.pt").fit(IMAGES, LABELS)
    check_equal(again, clf)


def test_other_callbacks_may_write_to_a_path(tmp_path):
    for _ in range(2):  # the second one compares the settings with those in the file
        clf = make("sgd", tmp_path / "t.pt")
        clf.callbacks.insert(0, ("best", Checkpoint(dirname=tmp_path / "best", monitor=None)))
        clf.fit(IMAGES, LABELS)
    assert (tmp_path / "best" / "params.pt").exists()


def test_a_stopped_training_can_be_stopped_again(tmp_path, whole):
    stop_after(2, make("sgd", tmp_path / "t.pt"))
    stop_after(4, make("sgd", tmp_path / "t.pt"))
    check_equal(make("sgd", tmp_path / "t.pt").fit(IMAGES, LABELS), whole["sgd"])


def test_a_finished_training_is_given_at_once(tmp_path, whole):
    make("sgd", tmp_path / "t.pt").fit(IMAGES, LABELS)
    clf = make("sgd", tmp_path / "t.pt", callbacks__print_log=StopAfter(0))
    check_equal(clf.fit(IMAGES, LABELS), whole["sgd"])
    assert clf.score(IMAGES, LABELS) == whole["sgd"].score(IMAGES, LABELS)


def test_the_file_changes_no_training(tmp_path, whole):
    for kind in KINDS:
        check_equal(make(kind, tmp_path / f"{kind}.pt").fit(IMAGES, LABELS), whole[kind])


def test_a_stream_is_resumed_too(tmp_path):
    data = TensorDataset(torch.as_tensor(IMAGES).float(), torch.arange(48) % 3)
    settings = {"classes": [0, 1, 2], "random_state": 0}
    expected = make("cosine", **settings).fit(data)
    clf = make("cosine", tmp_path / "t.pt", callbacks__print_log=StopAfter(3), **settings)
    with pytest.raises(Stopped):
        clf.fit(data)
    clf = make("cosine", tmp_path / "t.pt", **settings).fit(data)
    check_equal(clf, expected)


def test_written_every_few_epochs_and_at_the_end(tmp_path, whole, monkeypatch):
    saved, save = [], torch.save

    def spy(content, file):
        saved.append(len(content["history"]))
        save(content, file)

    monkeypatch.setattr(torch, "save", spy)
    make("sgd", tmp_path / "t.pt", every=4).fit(IMAGES, LABELS)
    assert saved == [4, 6]
    (tmp_path / "t.pt").unlink()
    stop_after(5, make("sgd", tmp_path / "t.pt", every=4))
    check_equal(make("sgd", tmp_path / "t.pt").fit(IMAGES, LABELS), whole["sgd"])


def test_an_error_in_writing_leaves_the_file_of_before(tmp_path, whole):
    stop_after(2, make("sgd", tmp_path / "t.pt"))
    before = (tmp_path / "t.pt").read_bytes()
    kept = "t.pt cannot be written: .*It holds the state that was last written, from which the same"
    with files_limited(100), pytest.raises(OSError, match=kept):
        make("sgd", tmp_path / "t.pt").fit(IMAGES, LABELS)
    assert [file.name for file in tmp_path.iterdir()] == ["t.pt"]
    assert (tmp_path / "t.pt").read_bytes() == before
    check_equal(make("sgd", tmp_path / "t.pt").fit(IMAGES, LABELS), whole["sgd"])


def test_partial_fit_passes_it_by(tmp_path):
    clf = make("sgd", tmp_path / "t.pt").fit(IMAGES, LABELS)
    before = (tmp_path / "t.pt").read_bytes()
    clf.partial_fit(IMAGES, LABELS)
    assert len(clf.history) == 12
    assert (tmp_path / "t.pt").read_bytes() == before


def test_torchs_own_generator_is_left_alone(tmp_path):
    stop_after(2, make("sgd", tmp_path / "t.pt"))
    before = torch.get_rng_state()
    make("sgd", tmp_path / "t.pt").fit(IMAGES, LABELS)
    assert torch.equal(torch.get_rng_state(), before)


# Another training ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"lr": 0.1}, r"there lr is 0\.05, here 0\.1"),
        ({"max_epochs": 9}, "there max_epochs is 6, here 9"),
        ({"random_state": 1}, "there random_state is 0, here 1"),
        ({"augment": RandomResizedCrop(32)}, "there augment__size is 64, here 32"),
        ({"criterion": nn.MultiMarginLoss}, "criterion is torch.*Cross.*, here torch.*MultiMargin"),
        ({"optimizer__momentum": 0.5}, "there optimizer__momentum is 0.9, here 0.5"),
        ({"callbacks__growing__first": 64}, "there callbacks__growing__first is 32, here 64"),
        ({"train_split": ValidSplit(3)}, "there train_split is None, here ValidSplit"),
        ({"criterion__weight": torch.ones(3)}, "criterion__weight is None, here Tensor"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_other_settings_are_refused(tmp_path, params, message):
    stop_after(1, make("sgd", tmp_path / "t.pt"))
    with pytest.raises(ValueError, match=f"{message}.* Delete it to start again"):
        make("sgd", tmp_path / "t.pt").set_params(**params).fit(IMAGES, LABELS)


def test_other_data_are_refused(tmp_path):
    make("sgd", tmp_path / "t.pt").fit(IMAGES, LABELS)
    changed = IMAGES.copy()
    changed[0, 0, 0, 0] ^= 1
    for X, y, name in (
        (changed, LABELS, "X"),
        (IMAGES[:, :, :36], LABELS, "X"),
        (IMAGES[:45], LABELS[:45], "X"),
        (IMAGES, np.roll(LABELS, 1), "y"),
        (IMAGES, np.char.upper(LABELS), "y"),
    ):
        with pytest.raises(ValueError, match=f"state of another training: there {name} is"):
            make("sgd", tmp_path / "t.pt").fit(X, y)


def test_what_has_no_part_in_the_result_may_change(tmp_path, whole):
    stop_after(2, make("sgd", tmp_path / "t.pt"))
    os.rename(tmp_path / "t.pt", tmp_path / "moved.pt")
    clf = make("sgd", tmp_path / "moved.pt", every=2, verbose=0, device="cpu")
    check_equal(clf.fit(IMAGES, LABELS), whole["sgd"])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"random_state": None}, "needs an integer as the classifier's `random_state`.*got None"),
        ({"train_split": ValidSplit(0.2)}, "gives the same rows again. Pass its `random_state`"),
        ({"callbacks__resumable__every": 0}, "`every` must be a whole number of epochs, got 0"),
    ],
)
def test_trainings_that_cannot_be_repeated(tmp_path, params, message):
    with pytest.raises(ValueError, match=message):
        make("sgd", tmp_path / "t.pt").set_params(**params).fit(IMAGES, LABELS)
    assert not list(tmp_path.iterdir())


def test_it_must_be_the_last_callback(tmp_path):
    clf = make("sgd", callbacks=[Resumable(tmp_path / "t.pt"), OneCycle()])
    with pytest.raises(ValueError, match=r"must be the last of `callbacks`.*OneCycle comes after"):
        clf.fit(IMAGES, LABELS)


# Damaged files ------------------------------------------------------------------------------------


class Evil:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def changed(path, **parts):
    torch.save({**torch.load(path, weights_only=True), **parts}, path)


def with_evil_code(path):
    changed(path, frozen=Evil(path.parent / "evil"))


def cut(path):
    path.write_bytes(path.read_bytes()[:5000])


def emptied(path):
    path.write_bytes(b"")


def of_another_kind(path):
    torch.save({"weights": torch.zeros(3)}, path)


def with_other_weights(path):
    changed(path, weights=nn.Linear(2, 2).state_dict())


def with_no_states(path):
    changed(path, generators={})


def with_other_optimizer(path):
    changed(path, optimizer={"state": {}, "param_groups": []})


def with_a_callback_method(path):
    changed(path, callbacks={"epoch_timer": {"on_epoch_end": 3}})


def with_numbers_for_the_history(path):
    changed(path, history=3)


def with_settings_of_numbers(path):
    changed(path, settings=3)


def with_a_bit_of_a_weight_flipped(path):
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        tensors = [member for member in archive.infolist() if "/data/" in member.filename]
        weights = archive.read(max(tensors, key=lambda member: member.file_size))
    content[content.index(weights) + 8] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        with_a_bit_of_a_weight_flipped,
        *(with_evil_code, cut, emptied, of_another_kind, with_other_weights, with_no_states),
        *(with_other_optimizer, with_a_callback_method, with_numbers_for_the_history),
        with_settings_of_numbers,
    ],
)
def test_a_damaged_file_is_named_and_nothing_in_it_run(tmp_path, damage):
    path = tmp_path / "t.pt"
    stop_after(1, make("sgd", path))
    damage(path)
    message = r"t\.pt is not the state of a training, or it is damaged.*Delete it to start again"
    with pytest.raises(ValueError, match=message):
        make("sgd", path).fit(IMAGES, LABELS)
    assert [file.name for file in tmp_path.iterdir()] == ["t.pt"]


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        make("sgd", tmp_path / "file" / "t.pt").fit(IMAGES, LABELS)
