"""Weights of rows and classes, samplers, last rows alone, trainings without a batch."""

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn import model_selection as theirs
from sklearn.metrics import get_scorer
from skorch.callbacks import Callback
from skorch.dataset import Dataset as ArrayDataset
from skorch.dataset import ValidSplit
from skorch.helper import SliceDataset
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    SequentialSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
)

from fmcam._data.batches import ArrayBatches
from fmcam._data.loaders import JoinedBatchSampler
from fmcam._ensemble.eligibility import why_not_together
from fmcam.classifiers import CNNClassifier, LeNet5Classifier, Resumable
from fmcam.model_selection import GridSearchCV

X = np.random.default_rng(0).normal(size=(24, 1, 6, 6)).astype(np.float32)
Y = np.array(["a", "a", "b"] * 8)
WEIGHTS = np.random.default_rng(1).uniform(0.5, 3, 24)


class Net(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.fc = nn.Linear(36, n_classes)

    def forward(self, images):
        return self.fc(images.flatten(1))


def make(**params):
    defaults = {"max_epochs": 1, "lr": 0.0, "random_state": 0, "verbose": 0, "batch_size": 24}
    return CNNClassifier(Net, **{**defaults, **params})


def losses_of(clf, X, y, **options):
    """The loss of each row by torch."""
    with torch.no_grad():
        logits = clf.module_(torch.as_tensor(X))
    columns = torch.as_tensor(np.searchsorted(clf.classes_, y))
    return nn.functional.cross_entropy(logits, columns, reduction="none", **options).numpy()


def weights_of(clf):
    return torch.cat([weight.detach().flatten() for weight in clf.module_.net.parameters()])


def joined(batches):
    return [row for batch in batches for row in batch]


# Losses -------------------------------------------------------------------------------------------


def test_the_loss_is_the_weighted_mean():
    clf = make().fit(X, Y, sample_weight=WEIGHTS)
    expected = np.average(losses_of(clf, X, Y), weights=WEIGHTS)
    assert clf.history[-1, "train_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("class_weight", "a", "b"), [("balanced", 24 / 32, 24 / 16), ({"b": 5.0}, 1, 5)]
)
def test_class_weights_are_torchs(class_weight, a, b):
    clf = make(class_weight=class_weight, lr=0.1, max_epochs=3, batch_size=10).fit(X, Y)
    same = make(criterion__weight=[a, b], lr=0.1, max_epochs=3, batch_size=10).fit(X, Y)
    torch.testing.assert_close(weights_of(clf), weights_of(same))
    assert clf.history[:, "train_loss"] == pytest.approx(same.history[:, "train_loss"])


def test_both_are_multiplied():
    clf = make(class_weight={"a": 2.0}).fit(X, Y, sample_weight=WEIGHTS)
    expected = np.average(losses_of(clf, X, Y), weights=WEIGHTS * np.where(Y == "a", 2, 1))
    assert clf.history[-1, "train_loss"] == pytest.approx(expected, rel=1e-5)


def test_weights_follow_the_rows_through_splits_and_shuffling():
    clf = make(train_split=ValidSplit(3, stratified=True)).fit(X, Y, sample_weight=WEIGHTS)
    parts = clf.train_split(ArrayDataset(X), Y)
    for part, name in zip(parts, ("train_loss", "valid_loss"), strict=True):
        rows = part.indices
        expected = np.average(losses_of(clf, X[rows], Y[rows]), weights=WEIGHTS[rows])
        assert clf.history[-1, name] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"iterator_train__timeout": 0}], ids=["array", "loader"])
def test_weights_of_batches(options):
    seen = []

    class Look(Callback):
        def on_batch_end(self, net, batch=None, training=None, loss=None, **kwargs):
            if training:
                seen.append((batch, loss.item()))

    clf = make(batch_size=10, callbacks=[Look()], **options).fit(X, Y, sample_weight=WEIGHTS)
    weight_of = {image.tobytes(): weight for image, weight in zip(X, WEIGHTS, strict=True)}
    assert len(seen) == 3
    for (images, columns), loss in seen:
        weights = [weight_of[image.numpy().tobytes()] for image in images]
        losses = losses_of(clf, images, clf.classes_[columns])
        assert loss == pytest.approx(np.average(losses, weights=weights), rel=1e-5)


def test_equal_weights_change_nothing_and_their_scale_neither():
    plain = make(lr=0.1, max_epochs=3, batch_size=7).fit(X, Y)
    for scale in (1.0, 1e-6, 1e6):
        clf = make(lr=0.1, max_epochs=3, batch_size=7).fit(X, Y, sample_weight=np.full(24, scale))
        torch.testing.assert_close(weights_of(clf), weights_of(plain), rtol=1e-4, atol=1e-5)


def test_a_row_of_weight_0_is_as_if_it_were_not_there():
    keep = np.arange(24) % 4 > 0
    clf = make(lr=0.1, max_epochs=3, batch_size=7).fit(X, Y, sample_weight=WEIGHTS * keep)
    same = make(lr=0.1, max_epochs=3, batch_size=7).fit(X[keep], Y[keep], WEIGHTS[keep])
    assert torch.equal(weights_of(clf), weights_of(same))
    only = make().fit(X, Y, sample_weight=(Y == "a").astype(int))
    assert only.classes_.tolist() == ["a", "b"]


def test_weights_of_one_fit_are_gone_in_the_next():
    clf = make(warm_start=True).fit(X, Y, sample_weight=WEIGHTS)
    clf.fit(X[:9], Y[:9])
    expected = losses_of(clf, X[:9], Y[:9]).mean()
    assert clf.history[-1, "train_loss"] == pytest.approx(expected, rel=1e-5)
    clf.partial_fit(X[:9], Y[:9], sample_weight=WEIGHTS[:9])
    expected = np.average(losses_of(clf, X[:9], Y[:9]), weights=WEIGHTS[:9])
    assert clf.history[-1, "train_loss"] == pytest.approx(expected, rel=1e-5)
    assert clf.criterion_.reduction == "mean"


def test_a_batch_of_classes_without_weight():
    clf = make(lr=0.1, batch_size=1, class_weight={"a": 0}).fit(X, Y)
    assert np.isfinite(clf.history[-1, "train_loss"])
    assert torch.isfinite(weights_of(clf)).all()


def test_class_weights_of_a_data_set():
    numbers = torch.as_tensor((Y == "b").astype(int))
    data = TensorDataset(torch.as_tensor(X), numbers)
    clf = make(class_weight="balanced", classes=["a", "b"])
    for stream in (data, DataLoader(data, batch_size=24)):
        clf.fit(stream)
        weights = np.where(Y == "b", 1.5, 0.75)
        expected = np.average(losses_of(clf, X, Y), weights=weights)
        assert clf.history[-1, "train_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(23), r"sample_weight.shape == \(23,\), expected \(24,\)"),
        (np.ones((24, 2)), "must be 1D"),
        (-WEIGHTS, "Negative values in data passed to `sample_weight`"),
        (np.zeros(24), "at least one non-zero number"),
        ([np.nan] + [1] * 23, "sample_weight contains NaN"),
    ],
    ids=["short", "2-D", "negative", "zero", "nan"],
)
def test_weights_that_are_none(weights, message):
    with pytest.raises(ValueError, match=message):
        make().fit(X, Y, sample_weight=weights)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"class_weight": "equal"}, "must be 'balanced', a dictionary.*got 'equal'"),
        ({"class_weight": [1, 2]}, r"must be 'balanced', a dictionary.*got \[1, 2\]"),
        ({"class_weight": {"c": 1}}, r"has a weight for 'c', which is not in.*\['a', 'b'\]"),
        ({"class_weight": {"a": -1}}, "not negative, got -1 for 'a'"),
        ({"class_weight": {"a": np.nan}}, "not negative, got nan for 'a'"),
        ({"class_weight": {"a": 2}, "criterion__weight": [1.0, 2.0]}, "cannot be combined"),
        ({"class_weight": {"a": 2}, "criterion__reduction": "sum"}, "reduction='mean'"),
    ],
    ids=str,
)
def test_class_weights_that_are_none(params, message):
    with pytest.raises(ValueError, match=message):
        make(**params).fit(X, Y)


def test_weights_for_a_data_set_are_refused():
    data = TensorDataset(torch.as_tensor(X), torch.zeros(24))
    with pytest.raises(ValueError, match=r"needs images in an array.*WeightedRandomSampler"):
        make(classes=[0, 1]).fit(data, sample_weight=WEIGHTS)


def test_a_training_with_other_weights_is_not_gone_on_with(tmp_path):
    def fit(weights):
        return make(callbacks=[Resumable(tmp_path / "state.pt")]).fit(X, Y, sample_weight=weights)

    fit(WEIGHTS)
    fit(WEIGHTS)
    with pytest.raises(ValueError, match="state of another training"):
        fit(None)


# Searches -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("search", [GridSearchCV, theirs.GridSearchCV])
@pytest.mark.parametrize("routed", [False, True])
def test_a_search_hands_each_fold_its_weights(search, routed):
    clf, folds = make(lr=0.05, max_epochs=3), theirs.KFold(3)
    scorer = get_scorer("neg_log_loss")
    with config_context(enable_metadata_routing=routed):
        if routed:
            clf.set_fit_request(sample_weight=True)
            scorer.set_score_request(sample_weight=True)
        found = search(clf, {"lr": [0.05]}, cv=folds, scoring=scorer, refit=False)
        found.fit(X, Y, sample_weight=WEIGHTS)
    for number, (train, test) in enumerate(folds.split(X)):
        alone = make(lr=0.05, max_epochs=3).fit(X[train], Y[train], sample_weight=WEIGHTS[train])
        expected = -np.average(losses_of(alone, X[test], Y[test]), weights=WEIGHTS[test])
        score = found.cv_results_[f"split{number}_test_score"][0]
        assert score == pytest.approx(expected, rel=1e-4)


def test_a_stack_refuses_weights():
    assert why_not_together(make(class_weight="balanced"), X, Y) == "class_weight is set"
    search = GridSearchCV(make(), {"lr": [0.01, 0.1]}, cv=2, strategy="vmap", refit=False)
    with pytest.warns(UserWarning, match="parameters are passed to `fit`"):
        search.fit(X, Y, sample_weight=WEIGHTS)


@pytest.mark.parametrize("search", [GridSearchCV, theirs.GridSearchCV])
@pytest.mark.parametrize("form", ["Dataset", "SliceDataset", "Subset"])
@pytest.mark.parametrize("given", [True, False])
def test_a_search_over_a_data_set_is_that_over_the_arrays(search, form, given):
    numbers = (Y == "b").astype(int)
    data = TensorDataset(torch.as_tensor(X), torch.as_tensor(numbers))
    rows = {"Dataset": data, "SliceDataset": SliceDataset(data), "Subset": Subset(data, range(24))}
    options = {"cv": theirs.StratifiedKFold(2), "error_score": "raise"}
    grid = {"lr": [0.01, 0.1]}
    if not given and search is theirs.GridSearchCV:
        options["cv"] = theirs.KFold(2)  # it does not look for labels
    expected = search(make(max_epochs=2), grid, **options).fit(X, numbers)
    clf = make(max_epochs=2, classes=[0, 1])
    found = search(clf, grid, **options).fit(rows[form], numbers if given else None)
    for number in range(2):
        name = f"split{number}_test_score"
        np.testing.assert_allclose(found.cv_results_[name], expected.cv_results_[name])
    assert found.best_estimator_.classes_.tolist() == [0, 1]
    assert found.predict(rows[form]).shape == (24,)


def test_a_search_over_names():
    data = TensorDataset(torch.as_tensor(X), torch.as_tensor((Y == "b").astype(int)))
    names = make(classes=["a", "b"], max_epochs=2)
    found = GridSearchCV(names, {"lr": [0.01]}, cv=2, error_score="raise").fit(data)
    expected = GridSearchCV(make(max_epochs=2), {"lr": [0.01]}, cv=2).fit(X, Y)
    assert found.best_score_ == expected.best_score_


def test_searches_that_cannot_take_rows_out():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(())

    for stream in (Stream(), DataLoader(TensorDataset(torch.zeros(4)))):
        with pytest.raises(TypeError, match="takes rows out of its data, which a"):
            GridSearchCV(make(), {"lr": [0.1]}).fit(stream)
    with pytest.raises(ValueError, match="labels of a TensorDataset are not known"):
        GridSearchCV(make(), {"lr": [0.1]}).fit(TensorDataset(torch.zeros(4)))


# Data sets with labels ----------------------------------------------------------------------------


class Known(torch.utils.data.Dataset):
    targets = tuple(Y)

    def __len__(self):
        return 24

    def __getitem__(self, index):
        return X[index], Y[index]


class Images(Known):
    targets = None

    def __getitem__(self, index):
        return X[index]


@pytest.mark.parametrize("stratified", [True, False])
def test_a_data_set_is_split_as_the_array(stratified):
    split = ValidSplit(0.25, stratified=stratified, random_state=0)
    expected = make(train_split=split).fit(X, Y).history[-1, "valid_loss"]
    for data, y in ((Known(), None), (Known(), Y), (Images(), Y), (Images(), list(Y))):
        clf = make(train_split=split).fit(data, y)
        assert clf.history[-1, "valid_loss"] == pytest.approx(expected, rel=1e-5)
        assert clf.classes_.tolist() == ["a", "b"]


def test_a_stratified_split_needs_labels():
    class Unknown(Known):
        targets = None

    split = ValidSplit(0.25, stratified=True)
    with pytest.raises(
        ValueError, match="stratified `train_split` needs the labels of the Unknown"
    ):
        make(train_split=split, classes=["a", "b"]).fit(Unknown())


# Weights of the criterion -------------------------------------------------------------------------


def test_weights_of_the_criterion_of_any_kind():
    expected = weights_of(make(lr=0.1, criterion__weight=torch.tensor([1.0, 3.0])).fit(X, Y))
    pandas = pytest.importorskip("pandas")
    given = np.array([1.0, 3.0])
    kinds = (given, given.tolist(), (1, 3), torch.tensor(given), pandas.Series(given, ["a", "b"]))
    for weight in kinds:
        assert torch.equal(weights_of(make(lr=0.1, criterion__weight=weight).fit(X, Y)), expected)
    own = nn.CrossEntropyLoss(torch.tensor(given))
    assert torch.equal(weights_of(make(lr=0.1, criterion=own).fit(X, Y)), expected)
    assert own.weight.dtype == torch.float64


@pytest.mark.parametrize("weight", [[1.0], [1.0, 2.0, 3.0], [[1.0, 2.0]]])
def test_weights_of_the_criterion_for_other_classes(weight):
    with pytest.raises(ValueError, match=r"one weight for each of the 2 classes \['a', 'b'\], got"):
        make(criterion__weight=weight).fit(X, Y)


@pytest.mark.parametrize("weight", [{"a": 1.0, "b": 2.0}, "balanced"], ids=str)
def test_weights_of_the_criterion_that_are_no_numbers(weight):
    with pytest.raises(ValueError, match=r"one number for each class.*as `class_weight`"):
        make(criterion__weight=weight).fit(X, Y)


# Samplers -----------------------------------------------------------------------------------------


def trained_rows(**params):
    """The numbers of the rows that one epoch trains on, batch by batch."""
    numbered = np.arange(24, dtype=np.float32).repeat(36).reshape(24, 1, 6, 6)
    batches = []

    class Look(Callback):
        def on_batch_end(self, net, batch=None, training=None, **kwargs):
            if training:
                batches.append(batch[0][:, 0, 0, 0].int().tolist())

    make(callbacks=[Look()], batch_size=10, **params).fit(numbered, Y)
    return batches


def test_samplers_of_skorch():
    weights = np.arange(24) % 2
    drawn = joined(trained_rows(iterator_train__sampler=WeightedRandomSampler(weights, 24)))
    assert len(drawn) == 24
    assert {row % 2 for row in drawn} == {1}
    drawn = trained_rows(iterator_train__sampler=WeightedRandomSampler(np.ones(24), 30))
    assert [len(batch) for batch in drawn] == [10, 10, 10]
    backwards = list(range(23, -1, -1))
    assert joined(trained_rows(iterator_train__sampler=backwards)) == backwards
    batches = BatchSampler(SequentialSampler(range(24)), 9, False)
    assert [len(batch) for batch in trained_rows(iterator_train__batch_sampler=batches)] == [
        9,
        9,
        6,
    ]
    assert joined(trained_rows(iterator_train__shuffle=False)) == list(range(24))


def test_samplers_for_other_rows():
    for sampler in (WeightedRandomSampler(np.ones(23), 24), SequentialSampler(range(23))):
        with pytest.raises(ValueError, match="was made for 23 rows, but the training has 24"):
            trained_rows(iterator_train__sampler=sampler)
        with pytest.raises(ValueError, match="was made for 23 rows"):
            trained_rows(iterator_train__batch_sampler=BatchSampler(sampler, 4, False))
    with pytest.raises(ValueError, match=r"24 rows, but the training has 18.*take rows away"):
        trained_rows(
            iterator_train__sampler=WeightedRandomSampler(np.ones(24), 24),
            train_split=ValidSplit(4),
        )


# A last row alone ---------------------------------------------------------------------------------


class Normalized(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.norm, self.fc = nn.BatchNorm1d(36), nn.Linear(36, n_classes)

    def forward(self, images):
        return self.fc(self.norm(images.flatten(1)))


def test_batches_with_a_last_row_alone():
    data = ArrayDataset(X, np.arange(24))

    def sizes(n, batch_size, **options):
        batches = ArrayBatches(
            Subset(data, range(n)), "cpu", batch_size=batch_size, join_last=True, **options
        )
        found = [labels.tolist() for _, labels in batches]
        assert len(found) == len(batches)
        assert joined(found) == list(range(sum(map(len, found))))
        return [len(labels) for labels in found]

    assert sizes(21, 10) == [10, 11]
    assert sizes(22, 10) == [10, 10, 2]
    assert sizes(11, 10) == [11]
    assert sizes(10, 10) == [10]
    assert sizes(1, 10) == [1]
    assert sizes(3, 1) == [1, 1, 1]
    assert sizes(21, 10, drop_last=True) == [10, 10]
    for n in (21, 22, 1):
        sampler = JoinedBatchSampler(SequentialSampler(range(n)), 10, False)
        assert [len(batch) for batch in sampler] == sizes(n, 10)
        assert len(sampler) == len(sizes(n, 10))


@pytest.mark.parametrize("form", ["array", "data set", "loader of ours"])
def test_each_row_is_trained_where_one_is_left_alone(form):
    clf = CNNClassifier(Normalized, max_epochs=2, batch_size=20, verbose=0, classes=["a", "b"])
    data, y = X[:21], Y[:21]
    if form == "data set":
        data, y = Subset(Known(), range(21)), None
    if form == "loader of ours":
        clf.set_params(iterator_train__timeout=0)
    clf.fit(data, y)
    assert clf.history[-1, "train_batch_count"] == 1
    assert clf.history[-1, "batches", :, "train_batch_size"] == [21]


def test_a_batch_of_one_row_that_cannot_be_helped():
    clf = CNNClassifier(Normalized, max_epochs=1, batch_size=20, verbose=0, classes=["a", "b"])
    loader = DataLoader(TensorDataset(torch.as_tensor(X[:21]), torch.zeros(21)), batch_size=20)
    for data, y, kind in ((X[:1], Y[:1], clf), (loader, None, clf.set_params(classes=[0, 1]))):
        kind = kind.set_params(classes=["a", "b"] if y is not None else [0, 1])
        with pytest.raises(ValueError, match="cannot be trained on a batch of one row"):
            kind.fit(data, y)


# No batch at all ----------------------------------------------------------------------------------


def test_a_training_without_a_batch():
    with pytest.raises(ValueError, match="There was no batch to train on"):
        LeNet5Classifier(iterator_train__drop_last=True).fit(np.zeros((20, 14, 14)), [0, 1] * 10)
    data = TensorDataset(torch.as_tensor(X), torch.zeros(24))
    clf = make(classes=[0, 1])
    for empty in (DataLoader(data, batch_size=25, drop_last=True), Subset(data, [])):
        with pytest.raises(ValueError, match="holds no images to train on"):
            clf.fit(empty)

    class Nothing(IterableDataset):
        def __iter__(self):
            return iter(())

    with pytest.raises(ValueError, match="holds no images to train on"):
        clf.fit(Nothing())
    fitted = make().fit(X, Y)
    with pytest.raises(ValueError, match="`X` holds no images"):
        fitted.predict(Subset(data, []))
