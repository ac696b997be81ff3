"""Callbacks, splits and scores see the labels that `fit` was given; names of numbered labels."""

import copy
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.metrics import f1_score, make_scorer
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LoadInitState,
    LRScheduler,
    TrainEndCheckpoint,
)
from skorch.dataset import Dataset as ArrayDataset
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from torch import nn
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from fmcam._data.labels import class_indices_of, label_array, labels_of_dataset, names_of_dataset
from fmcam.classifiers import LeNet5Classifier

LABELS = [[0, 1], [1, 2], [0, 5], [-1.0, 1.0], [False, True], ["cat", "dog"], ["dog", "Cat"]]
SPLIT = ValidSplit(4, stratified=True)


@pytest.fixture(scope="module")
def squares():
    """Images of 16x16 pixels: those of class 1 have a bright square."""
    X = np.random.default_rng(0).integers(0, 40, (40, 1, 16, 16), dtype=np.uint8)
    X[1::2, :, 4:12, 4:12] += 180
    return X, np.arange(40) % 2


def make(**params):
    return LeNet5Classifier(
        **{"max_epochs": 3, "lr": 0.01, "random_state": 0, "verbose": 0, **params}
    )


# Callbacks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_scores_of_skorch_are_those_of_the_epoch(squares, labels):
    X, y = squares[0], np.array(labels)[squares[1]]
    positive = np.sort(labels)[1].item()

    def seen(net, X, y):
        assert set(np.unique(y)) <= set(labels)
        return f1_score(y, net.predict(X), pos_label=positive)

    def higher(name, scoring, **options):
        return name, EpochScoring(scoring, lower_is_better=False, name=name, **options)

    precision = make_scorer(f1_score, pos_label=positive)
    callbacks = [
        higher("epoch", "accuracy"),
        higher("uncached", "accuracy", use_caching=False),
        higher("own", None),
        higher("train", "accuracy", on_train=True),
        higher("f1", precision),
        higher("called", seen),
        higher("auc", "roc_auc"),
        ("log_loss", EpochScoring("neg_log_loss", lower_is_better=False, name="log_loss")),
        ("batch", BatchScoring("accuracy", lower_is_better=False, name="batch")),
    ]
    clf = make(callbacks=callbacks, train_split=SPLIT).fit(X, y)
    rows = SPLIT(ArrayDataset(X), y)[1].indices
    found = clf.history[-1]
    accuracy = clf.score(X[rows], y[rows])
    for name in ("epoch", "uncached", "own", "batch", "valid_acc"):
        assert found[name] == pytest.approx(accuracy), name
    assert found["train"] == pytest.approx(found["train_acc"])
    expected = f1_score(y[rows], clf.predict(X[rows]), pos_label=positive)
    assert found["f1"] == found["called"] == pytest.approx(expected)
    assert found["log_loss"] == pytest.approx(-found["valid_loss"], rel=1e-5)
    assert found["auc"] == 1


@pytest.mark.parametrize("labels", [[0, 1], [1, 2], ["a", "b"]], ids=str)
def test_the_best_epoch_by_such_a_score_comes_back(squares, labels):
    X, y = squares[0], np.array(labels)[squares[1]]
    stop = EarlyStopping("f1", patience=3, lower_is_better=False, load_best=True)
    score = EpochScoring("f1_macro", lower_is_better=False, name="f1")
    clf = make(callbacks=[score, stop], train_split=SPLIT, max_epochs=6).fit(X, y)
    reached = clf.history[:, "f1"]
    assert reached[0] < max(reached)
    assert stop.best_epoch_ == 1 + int(np.argmax(reached))
    rows = SPLIT(ArrayDataset(X), y)[1].indices
    assert f1_score(y[rows], clf.predict(X[rows]), average="macro") == max(reached)


def test_a_checkpoint_by_a_score_brings_the_best_epoch_back(squares, tmp_path):
    X, y = squares[0], np.array(["no", "yes"])[squares[1]]
    score = EpochScoring("neg_log_loss", lower_is_better=False, name="ll")
    keeper = Checkpoint(monitor="ll_best", load_best=True, dirname=str(tmp_path))
    split = predefined_split(ArrayDataset(X[:10], y[:10]))
    clf = make(callbacks=[score, keeper], train_split=split, lr=0.05, max_epochs=5).fit(X, y)
    proba = clf.predict_proba(X[:10])[np.arange(10), squares[1][:10]]
    assert np.log(proba).mean() == pytest.approx(max(clf.history[:, "ll"]), rel=1e-4)


def test_what_callbacks_are_handed(squares):
    X, y = squares[0], np.array([7, 3])[squares[1]]
    seen = {}

    class Look(Callback):
        def on_train_begin(self, net, X=None, y=None, **kwargs):
            seen["y"] = y

        def on_batch_end(self, net, batch=None, training=None, y_pred=None, **kwargs):
            if training:
                right = (y_pred.argmax(dim=1) == batch[1]).float().mean().item()
                seen["accuracy"] = right

        def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
            seen["valid"] = [label for _, label in dataset_valid]

    clf = make(callbacks=[Look()], train_split=SPLIT).fit(X, y)
    np.testing.assert_array_equal(seen["y"], y)
    rows = SPLIT(ArrayDataset(X), y)[1].indices
    assert seen["valid"] == y[rows].tolist()
    assert seen["accuracy"] == pytest.approx(clf.history[-1, "train_acc"])


def test_a_split_of_ones_own_sees_labels(squares):
    X, y = squares[0], np.array(["b", "a"])[squares[1]]
    seen = []

    def split(dataset, y):
        seen.extend(y)
        return Subset(dataset, range(30)), Subset(dataset, range(30, 40))

    make(train_split=split, max_epochs=1).fit(X, y)
    assert seen == y.tolist()


@pytest.mark.parametrize(
    ("callback", "name", "watched"),
    [
        (EarlyStopping(), "EarlyStopping", "valid_loss"),
        (EarlyStopping("valid_acc"), "EarlyStopping", "valid_acc"),
        (Checkpoint(), "Checkpoint", "valid_loss_best"),
        (LRScheduler("ReduceLROnPlateau", monitor="valid_loss"), "LRScheduler", "valid_loss"),
        ([EpochScoring("f1", name="f1"), EarlyStopping("f1")], "EarlyStopping", "f1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_scores_that_need_a_split(squares, callback, name, watched):
    callbacks = callback if isinstance(callback, list) else [callback]
    message = f"{name} watches '{watched}', which is only recorded with a `train_split`"
    with pytest.raises(ValueError, match=message):
        make(callbacks=callbacks).fit(*squares)


@pytest.mark.parametrize(
    "callback",
    [EarlyStopping("val_loss"), Checkpoint("val_loss_best")],
    ids=lambda callback: type(callback).__name__,
)
def test_a_score_that_nobody_records(squares, callback):
    message = "watches 'val_loss.*', which is not recorded before.*'train_loss'.*'valid_loss'"
    with pytest.raises(ValueError, match=message):
        make(callbacks=[callback], train_split=SPLIT).fit(*squares)


def test_scores_of_the_training_need_no_split(squares):
    plateau = LRScheduler("ReduceLROnPlateau", monitor="train_loss")
    steps = LRScheduler("StepLR", step_size=1, monitor="valid_loss")
    callbacks = [EarlyStopping("train_loss"), plateau, steps]
    assert len(make(callbacks=callbacks).fit(*squares).history) == 3


# predefined_split ---------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_rows_of_ones_own_to_validate_on(squares, labels):
    X, y = squares[0], np.array(labels)[squares[1]]
    split = predefined_split(ArrayDataset(X[:9].astype(np.float32), y[:9]))
    clf = make(train_split=split).fit(X[9:], y[9:])
    assert clf.history[-1, "valid_acc"] == pytest.approx(clf.score(X[:9], y[:9]))


def test_unknown_labels_to_validate_on(squares):
    X, y = squares
    for split_labels, labels in ((y, y + 1), (np.array(["x", "b"])[y], np.array(["a", "b"])[y])):
        split = predefined_split(ArrayDataset(X, split_labels))
        with pytest.raises(ValueError, match=r"data set holds the labels .*not in the classes"):
            make(train_split=split).fit(X, labels)
    with pytest.raises(ValueError, match="labels are numbers, such as 0, and the classes are"):
        make(train_split=predefined_split(ArrayDataset(X, y))).fit(X, np.array(["a", "b"])[y])


def test_a_loader_with_rows_to_validate_on(squares):
    X, y = (torch.as_tensor(part) for part in squares)
    loader = torch.utils.data.DataLoader(TensorDataset(X, y), batch_size=10)
    clf = make(train_split=predefined_split(TensorDataset(X[:6], y[:6]))).fit(loader)
    assert clf.history[-1, "valid_acc"] == pytest.approx(clf.score(X[:6], y[:6]))


# Names of numbered labels -------------------------------------------------------------------------


class Folder(TensorDataset):
    """Numbers as labels and names beside them, as torchvision's ImageFolder has."""

    def __init__(self, images, targets, classes):
        super().__init__(torch.as_tensor(images), torch.as_tensor(targets))
        self.targets, self.classes = list(targets), classes


def test_names_are_those_of_the_numbers(squares):
    X, y = squares
    folder = Folder(X, y, ["dark", "bright"])
    clf = make(classes=folder.classes).fit(folder)
    assert clf.classes_.tolist() == ["bright", "dark"]
    expected = np.array(["dark", "bright"])[y]
    np.testing.assert_array_equal(clf.predict(X), expected)
    assert clf.score(folder) == clf.score(X, expected) == 1.0
    np.testing.assert_array_equal(make(classes=["bright", "dark"]).fit(folder).predict(X), expected)


def test_names_in_the_order_that_was_given_where_the_data_set_has_none(squares):
    X, y = squares
    plain = TensorDataset(torch.as_tensor(X), torch.as_tensor(y))
    clf = make(classes=["dark", "bright"]).fit(plain)
    np.testing.assert_array_equal(clf.predict(X), np.array(["dark", "bright"])[y])
    with pytest.raises(ValueError, match="the label 2, but `classes` names 2 classes, 0 to 1"):
        clf.score(TensorDataset(torch.as_tensor(X), torch.as_tensor(y + 1)))


def test_numbers_without_names(squares):
    X, y = squares
    with pytest.raises(ValueError, match=r"`y` holds labels \[0, 1\] that are not in \['a', 'b'\]"):
        make(classes=["a", "b"]).fit(X, y)
    with pytest.raises(ValueError, match="`y` holds numbers, such as 0, and `classes` names"):
        make(classes=["a", "b"]).fit(Folder(X, y, ["a", "b"]), y)
    with pytest.raises(ValueError, match="each once"):
        make(classes=["a", "b", "a"]).fit(TensorDataset(torch.as_tensor(X), torch.as_tensor(y)))
    with pytest.raises(ValueError, match="`classes` must be a list of labels, got a dict"):
        make(classes={"a": 0, "b": 1}).fit(X, y)


def test_columns_in_an_order_that_is_not_sorted():
    assert class_indices_of(np.array([5, 1, 3]), np.array([3, 5, 1])).tolist() == [1, 2, 0]


def test_names_of_another_data_set_are_left_out():
    folder = Folder(np.zeros((2, 1, 4, 4)), [0, 1], ["x", "y"])
    assert names_of_dataset(folder, np.array(["b", "a"])).tolist() == ["b", "a"]
    assert names_of_dataset(Subset(folder, [0]), np.array(["y", "x"])).tolist() == ["x", "y"]
    assert names_of_dataset(folder, None) is None


# Labels as they come ------------------------------------------------------------------------------


def test_known_labels_of_data_sets():
    plain = TensorDataset(torch.zeros(3, 1), torch.tensor([4, 5, 6]))
    assert labels_of_dataset(plain).tolist() == [4, 5, 6]
    assert labels_of_dataset(Subset(plain, [2, -3])).tolist() == [6, 4]
    assert labels_of_dataset(ConcatDataset([plain, plain])).tolist() == [4, 5, 6, 4, 5, 6]
    assert labels_of_dataset(ArrayDataset(np.zeros((2, 3)), np.array(["a", "b"]))).tolist() == [
        "a",
        "b",
    ]
    assert labels_of_dataset(TensorDataset(torch.zeros(3, 1))) is None

    class Medical(torch.utils.data.Dataset):
        labels = np.array([[1], [0]])

        def __len__(self):
            return 2

    assert labels_of_dataset(Medical()).tolist() == [1, 0]
    Medical.labels = np.zeros((2, 14))
    assert labels_of_dataset(Medical()) is None
    Medical.labels = ["names", "of all", "classes"]
    assert labels_of_dataset(Medical()) is None


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.eye(2)[[0, 1, 0]], r"one label for each image, got shape \(3, 2\).*argmax"),
        (torch.eye(3), r"one label for each image, got shape \(3, 3\).*argmax"),
        ([0, None, 1], r"got NaN or None in 1 of 3 rows, the first of them row 1"),
        (["a", np.nan, None], r"got NaN or None in 2 of 3 rows, the first of them row 1"),
        (["a", 1, "b"], "labels of one kind, got texts such as 'a' and others such as 1"),
        (np.array(["a", 1], dtype=object), "labels of one kind"),
    ],
    ids=["one-hot", "tensor", "none", "nan", "mixed", "object"],
)
def test_labels_that_are_none(y, message):
    with pytest.raises(ValueError, match=message):
        label_array(y)


def test_labels_of_pandas():
    pandas = pytest.importorskip("pandas")
    series = pandas.Series(["a", "b", "a"], dtype="category", index=[7, 8, 9])
    assert label_array(series).tolist() == ["a", "b", "a"]
    assert label_array(pandas.Series([1, 2], dtype="Int64")).tolist() == [1, 2]
    with pytest.raises(ValueError, match="got NaN or None in 1 of 2 rows"):
        label_array(pandas.Series(["a", None]))


def test_lists_of_tensors_are_labels():
    assert label_array([torch.tensor(3), torch.tensor(1)]).tolist() == [3, 1]
    assert label_array(torch.tensor([True, False])).tolist() == [True, False]


# The way back of skorch ---------------------------------------------------------------------------


def test_initialize_and_load(squares, tmp_path):
    X, y = squares[0], np.array(["a", "b"])[squares[1]]
    fitted = make().fit(X, y)
    files = {f"f_{part}": tmp_path / part for part in ("params", "optimizer", "history")}
    fitted.save_params(**files)
    again = make(classes=["a", "b"], image_shape=(1, 16, 16)).initialize()
    again.load_params(**files)
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert again.history[:, "train_loss"] == fitted.history[:, "train_loss"]
    assert again.predict(X).tolist() == y.tolist()
    mean = again.module_.standardize.mean.item()
    assert mean == pytest.approx(X.mean())
    again.partial_fit(X // 2, y)
    assert again.module_.standardize.mean.item() == mean  # what was loaded stays


def test_what_was_only_initialized_learns_to_standardize(squares):
    X, y = squares
    clf = make(classes=[0, 1], image_shape=(1, 16, 16)).initialize()
    before = clf.module_.net.head[-1].weight.clone()
    clf.set_params(max_epochs=0).partial_fit(X, y)
    assert torch.equal(clf.module_.net.head[-1].weight, before)
    assert clf.module_.standardize.mean.item() == pytest.approx(X.mean())
    first = make().fit(X, y)
    weights = make(classes=[0, 1], image_shape=(1, 16, 16)).initialize().partial_fit(X, y)
    assert first.history[-1, "train_acc"] == weights.history[-1, "train_acc"] == 1.0


@pytest.mark.parametrize(
    "as_given", [np.asarray, torch.tensor, lambda X: X / 255], ids=["array", "tensor", "floats"]
)
def test_a_step_on_a_batch_by_hand(squares, as_given):
    """The step that torch's SGD takes on the standardized images, for any kind of batch."""
    X, y = squares
    clf = make(classes=[3, 7], image_shape=(1, 16, 16)).initialize()
    reference = copy.deepcopy(clf.module_.net)
    pixels = torch.tensor((X - X.mean()) / X.std()).float()
    loss = nn.functional.cross_entropy(reference(pixels), torch.tensor(y))
    gradients = torch.autograd.grad(loss, [*reference.parameters()])
    clf.optimizer_.param_groups[0]["lr"] = 0.0  # what Adam makes of gradients is torch's business
    step = clf.train_step([as_given(X), np.array([3, 7])[y]])
    assert step["loss"].item() == pytest.approx(loss.item(), rel=1e-4)
    assert step["y_pred"].shape == (40, 2)
    for parameter, gradient in zip(clf.module_.net.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5)


def test_steps_teach(squares):
    X, y = squares[0], np.array(["moss", "fern"])[squares[1]]
    clf = make(classes=["fern", "moss"], image_shape=(1, 16, 16)).initialize()
    mean = None
    for rows in [slice(0, 20), slice(20, 40)] * 10:
        clf.train_step((X[rows], y[rows]))
        mean = mean or clf.module_.standardize.mean.item()
    assert mean == clf.module_.standardize.mean.item() == pytest.approx(X[:20].mean())
    assert clf.predict(X).tolist() == y.tolist()
    assert len(clf.history) == 0


def test_steps_that_cannot_be_taken(squares):
    X, y = squares
    clf = make(classes=[0, 1], image_shape=(1, 16, 16))
    with pytest.raises(NotFittedError, match="no network to train yet"):
        clf.train_step((X, y))
    clf.initialize()
    for batch, message in (
        (X, r"`batch` must be \(images, labels\), got a ndarray"),
        ((X[..., :9], y), r"\(c, h, w\) = \(1, 16, 9\), but .* \(1, 16, 16\)"),
        ((X, y + 1), r"holds the labels \[2\], which are not in the classes \[0, 1\]"),
        ((X, y[1:]), r"inconsistent numbers of samples: \[40, 39\]"),
    ):
        with pytest.raises(ValueError, match=message):
            clf.train_step(batch)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"classes": [0, 1]},
        {"image_shape": (1, 16, 16)},
        {"classes": [0, 1], "image_shape": "pad"},
    ],
    ids=str,
)
def test_initialize_needs_classes_and_shape(params):
    with pytest.raises(ValueError, match=r"Pass `classes=\[...\]` and `image_shape=\(c, h, w\)`"):
        make(**params).initialize()


def test_a_fitted_one_can_be_initialized_anew(squares):
    clf = make().fit(*squares)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.initialize()
    assert len(clf.history) == 0
    assert clf.classes_.tolist() == [0, 1]


def test_a_checkpoint_of_the_end_is_gone_on_from(squares, tmp_path):
    X, y = squares[0], np.array([2, 9])[squares[1]]
    end = TrainEndCheckpoint(dirname=str(tmp_path))
    first = make(callbacks=[end]).fit(X, y)
    again = make(callbacks=[LoadInitState(end)], max_epochs=0).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), first.predict_proba(X))
    again = make(callbacks=[LoadInitState(end)], max_epochs=2).fit(X, y)
    assert len(again.history) == 5  # skorch trains `max_epochs` more
