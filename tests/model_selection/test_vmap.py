"""Fits trained as one network against single ones: weights, scores, files, what falls back."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch.callbacks import EarlyStopping, GradientNormClipping, LRScheduler
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import Subset

from fmcam._ensemble.eligibility import why_not_together
from fmcam._ensemble.memory import trained_ensembles
from fmcam.classifiers import (
    CNNClassifier,
    FlipAndShift,
    Frozen,
    LeNet5Classifier,
    OneCycle,
    SimpleCNNClassifier,
)
from fmcam.model_selection import GridSearchCV, SeedEnsembleClassifier, fit_many
from fmcam.models import CNN_CAM, LeNet5, SimpleCNN

SGD, Adam, AdamW = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW
FOLDS = [np.delete(np.arange(60), np.s_[start : start + 20]) for start in (0, 40)]


@pytest.fixture(scope="module", name="data")
def images_and_labels():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 120, (60, 1, 16, 16), dtype=np.uint8)
    y = np.array(["cat", "dog", "eel"])[np.arange(60) % 3]
    X[y == "cat", :, 4:12, 1:7] += 100
    X[y == "dog", :, 4:12, 9:15] += 100
    return X, y


class Double(nn.Module):
    """A network in double precision, where rounding hides no mistake."""

    def __init__(self, kind, n_classes):
        super().__init__()
        self.net = kind(n_classes).double()

    def forward(self, images):
        return self.net(images.double())


class Pooled(nn.Module):
    """A very small network with batch normalization."""

    def __init__(self, n_classes, dropout=0.0):
        super().__init__()
        convolution = nn.Conv2d(1, 4, 5, stride=3, bias=False)
        self.features = nn.Sequential(convolution, nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, n_classes))
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, images):
        return self.head(self.dropout(self.features(images)))


def make(kind=Pooled, **params):
    defaults = {"max_epochs": 4, "batch_size": 8, "random_state": 0, "lr": 0.01, "verbose": 0}
    return CNNClassifier(kind, **{**defaults, **params})


def double(kind=Pooled, **params):
    return make(Double, module__kind=kind, **params)


def fit_singly(clfs, X, y, rows):
    return [clone(clf).fit(X[own], y[own]) for clf, own in zip(clfs, rows, strict=True)]


def fit_together(clfs, X, y, rows):
    assert why_not_together(clfs[0], X, y) is None
    ((places, ensemble),) = trained_ensembles(clfs, X, y, rows)
    assert places == list(range(len(clfs)))
    return ensemble.clfs


def assert_same_weights(ours, theirs, **tolerance):
    for one, other in zip(ours, theirs, strict=True):
        states = one.module_.state_dict(), other.module_.state_dict()
        assert states[0].keys() == states[1].keys()
        for name, tensor in states[0].items():
            torch.testing.assert_close(tensor, states[1][name], **tolerance)


# Weights ------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "sgd": {"optimizer": SGD},
    "momentum": {"optimizer": SGD, "optimizer__momentum": 0.9},
    "nesterov": {"optimizer": SGD, "optimizer__momentum": 0.9, "optimizer__nesterov": True},
    "adam": {"optimizer": Adam},
    "adam betas": {"optimizer": Adam, "optimizer__betas": (0.8, 0.9), "optimizer__eps": 1e-3},
    "adamw": {"optimizer": AdamW},
}


@pytest.mark.parametrize(
    ("kind", "optimizer"),
    [
        *((Pooled, optimizer) for optimizer in OPTIMIZERS),
        (CNN_CAM, "nesterov"),
        (SimpleCNN, "adam"),
        (LeNet5, "adamw"),
    ],
)
def test_weights_equal_those_of_single_fits(data, kind, optimizer):
    X, y = data
    X = X[..., ::2, ::2] if kind is CNN_CAM else X
    clfs = [
        double(kind, lr=lr, optimizer__weight_decay=decay, **OPTIMIZERS[optimizer])
        for lr, decay in [(0.003, 0.0), (0.01, 0.1)]
    ]
    ours, theirs = fit_together(clfs, X, y, FOLDS), fit_singly(clfs, X, y, FOLDS)
    assert len(theirs[0].history[-1, "batches"]) * len(theirs[0].history) == 20
    assert_same_weights(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", [Pooled, LeNet5])
def test_in_single_precision_but_for_rounding(data, kind):
    clfs = [make(kind, lr=lr, **OPTIMIZERS["nesterov"]) for lr in (0.003, 0.01)]
    rows = [FOLDS[0]] * 2
    ours, theirs = fit_together(clfs, *data, rows), fit_singly(clfs, *data, rows)
    assert_same_weights(ours, theirs, rtol=0, atol=2e-5)


RECIPE = {
    "optimizer": SGD,
    "optimizer__momentum": 0.9,
    "criterion__label_smoothing": 0.1,
    "augment": FlipAndShift(1),
}


@pytest.mark.parametrize(
    "params",
    [
        {"callbacks": [("cycle", OneCycle())]},
        {"callbacks": [("clip", GradientNormClipping(0.05))]},
        {"callbacks": [("clip", GradientNormClipping(0.05, "inf"))]},
        {"callbacks": [("cycle", OneCycle()), ("clip", GradientNormClipping(None))]},
        {"callbacks": "disable", "criterion__weight": torch.tensor([1.0, 2.0, 3.0]).double()},
        {"iterator_valid__batch_size": 7, "callbacks__print_log": None},
    ],
    ids=["cycle", "clip", "largest gradient", "cycle, no clip", "weights", "options"],
)
def test_recipe_equals_that_of_single_fits(data, params):
    seeds = [0, 1, 0, np.random.RandomState(3)]
    rows = [FOLDS[0], FOLDS[0], FOLDS[1], FOLDS[1]]
    clfs = [double(random_state=seed, max_epochs=2, **RECIPE, **params) for seed in seeds]
    ours, theirs = fit_together(clfs, *data, rows), fit_singly(clfs, *data, rows)
    assert_same_weights(ours, theirs, rtol=0, atol=1e-10)
    assert not torch.equal(*(clf.module_.net.net.head[2].weight for clf in ours[:2]))
    for one, other in zip(ours, theirs, strict=True):
        assert one.classes_.tolist() == other.classes_.tolist()
        assert one.image_shape_ == other.image_shape_
        assert not one.module_.training
        np.testing.assert_array_equal(one.predict(data[0]), other.predict(data[0]))
        for name in {"train_loss", "train_acc", "lr"} & other.history[-1].keys():
            np.testing.assert_allclose(one.history[:, name], other.history[:, name], rtol=1e-6)


def test_probabilities_of_an_ensemble_are_those_of_its_members(data):
    X, y = data
    clfs = [make(lr=lr) for lr in (0.01, 0.1, 0.1)]
    ((_, ensemble),) = trained_ensembles(clfs, X, y, [FOLDS[0], FOLDS[0], FOLDS[1]])
    tests = [np.arange(20), np.arange(20), np.arange(40, 53)]
    for clf, rows, ours in zip(ensemble.clfs, tests, ensemble.predict_proba(tests), strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, clf.predict_proba(X[rows]), atol=1e-6)


class Short(TorchDispatchMode):
    """A device that finds its memory full in some of the steps."""

    def __init__(self, full):
        super().__init__()
        self.calls, self.full = 0, full

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        if operator is torch.ops.aten.convolution_backward.default and len(args[0]) > 2:
            self.calls += 1  # two images are those that a layout is tried on
            if self.calls in self.full:
                raise torch.OutOfMemoryError
        return operator(*args, **(kwargs or {}))


def test_ensemble_is_split_where_memory_is_short(data):
    clfs = [
        make(lr=lr, random_state=seed, **OPTIMIZERS["momentum"])
        for lr in (0.003, 0.01)
        for seed in range(4)
    ]
    rows = FOLDS * 4
    with Short(full=(2, 40)):
        ensembles = list(trained_ensembles(clfs, *data, rows))
    # 20 steps for the first four, then the memory is full again: two, and the last two
    assert [places for places, _ in ensembles] == [[0, 1, 2, 3], [4, 5], [6, 7]]
    ours = [clf for _, ensemble in ensembles for clf in ensemble.clfs]
    assert_same_weights(ours, fit_singly(clfs, *data, rows), rtol=0, atol=2e-5)


def test_one_network_that_does_not_fit_is_an_error(data):
    with pytest.raises(torch.OutOfMemoryError), Short(full=range(1, 10**6)):
        list(trained_ensembles([make()] * 2, *data, [FOLDS[0]] * 2))


# What cannot be trained together -----------------------------------------------------------------


class Halved(nn.Module):
    """A network with a weight that no output depends on."""

    def __init__(self, n_classes):
        super().__init__()
        self.net = Pooled(n_classes)
        self.spare = nn.Linear(2, 2)

    def forward(self, images):
        return self.net(images)


class Peeking(Pooled):
    """A network that looks at its values."""

    def forward(self, images):
        return super().forward(images) * float(images.sum() > -1)


class Mixed(Pooled):
    """A network with weights of two data types."""

    def __init__(self, n_classes):
        super().__init__(n_classes)
        self.head.double()

    def forward(self, images):
        return self.head(self.features(images).double())


class OwnStep(CNNClassifier):
    def train_step(self, batch, **params):
        return super().train_step(batch, **params)


def halves(dataset, y=None):
    return Subset(dataset, range(0, len(dataset), 2)), Subset(dataset, range(1, len(dataset), 2))


@pytest.mark.parametrize(
    ("clf", "reason"),
    [
        (SVC(), "SVC is no CNNClassifier"),
        (OwnStep(Pooled), "OwnStep has a 'train_step' of its own"),
        (make(precision="bfloat16"), "precision is 'bfloat16'"),
        (make(train_split=halves), "train_split is no ValidSplit with a number"),
        (make(train_split=ValidSplit(KFold(3))), "train_split is no ValidSplit with a number"),
        (make(iterator_train__drop_last=True), "iterator_train__drop_last is set"),
        (make(criterion=nn.MultiMarginLoss), "the criterion is MultiMarginLoss"),
        (make(optimizer=torch.optim.RMSprop), "the optimizer is RMSprop"),
        (make(optimizer__amsgrad=True), "optimizer__amsgrad is True"),
        (make(optimizer=SGD, optimizer__dampening=0.1), "optimizer__dampening is 0.1"),
        (
            make(optimizer__param_groups=[("*.bias", {"weight_decay": 0})]),
            "the optimizer has several parameter groups",
        ),
        (make(callbacks=[EarlyStopping()]), "EarlyStopping monitors 'valid_loss'"),
        (
            make(callbacks=[EarlyStopping("f1")], train_split=ValidSplit(3)),
            "EarlyStopping monitors 'f1'",
        ),
        (make(callbacks=[OneCycle(), OneCycle()]), "it has the callback OneCycle twice"),
        (make(callbacks=[Frozen([])]), "it has the callback Frozen"),
        (make(callbacks=[("plan", LRScheduler("StepLR"))]), "it has the callback LRScheduler"),
        (make(Halved), "its weight 'net.spare.weight' takes no gradient"),
        (make(Mixed), "its weights are of several data types"),
        (make(Peeking), "torch.func.vmap refuses its network: vmap: It looks like"),
        (make(module__dropout=0.5), "torch.func.vmap refuses its network: vmap: called random"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_why_not_together(data, clf, reason):
    found = why_not_together(clf, *data)
    assert found.startswith(reason)
    assert not hasattr(clf, "module_")


@pytest.mark.parametrize("params", [{}, {"callbacks": "disable"}, {"train_split": None}])
def test_named_classifiers_can_be_trained_together(data, params):
    assert why_not_together(LeNet5Classifier(**params), *data) is None


def test_faulty_data_are_told_as_by_fit(data):
    X, y = data
    with pytest.raises(ValueError, match="needs at least two classes"):
        why_not_together(make(), X, np.zeros(60))
    with pytest.raises(ValueError, match="contains NaN or infinity in 60 of 60 images"):
        why_not_together(make(), X * np.nan, y)


# The search ---------------------------------------------------------------------------------------


def search(clf, grid, **options):
    return GridSearchCV(clf, grid, **{"cv": 3, "refit": False, **options})


def assert_same_results(ours, theirs, atol):
    assert list(ours) == list(theirs)
    assert ours["params"] == theirs["params"]
    for key in set(ours) - {"params"}:
        assert (ours[key].dtype, ours[key].shape) == (theirs[key].dtype, theirs[key].shape), key
        if "score" in key and not key.endswith("_time"):
            np.testing.assert_allclose(ours[key], theirs[key], atol=atol, err_msg=key)


def seen(estimator, X, y):
    """Two scores that need all of a classifier."""
    assert isinstance(estimator, CNNClassifier)
    assert len(estimator.history) == estimator.max_epochs
    return {"loss": log_loss(y, estimator.predict_proba(X)), "images": len(X)}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scoring": "neg_log_loss", "return_train_score": True},
        {"scoring": ["accuracy", "neg_log_loss", "roc_auc_ovr"]},
        {"scoring": {"loss": "neg_log_loss", "custom": lambda e, X, y: e.module_ is not None}},
        {"scoring": seen},
        {"cv": [([0, 1, 3, 4, 6, 7], [9, 10]), ([1, 2, 4, 5], [7, 8]), (range(30), range(30, 60))]},
        {"cv": [(np.arange(60) < 40, np.arange(60) >= 40)]},
    ],
    ids=["plain", "train scores", "several", "mixed", "callable", "odd folds", "masks"],
)
def test_scores_equal_those_of_processes(data, options):
    X, y = data[0][:58], data[1][:58]
    if "cv" in options:
        X, y = data
    clf = double(max_epochs=1)
    grid = [{"lr": [0.01, 0.1]}, {"batch_size": [16]}]
    ours = search(clf, grid, strategy="vmap", **options).fit(X, y).cv_results_
    theirs = search(clf, grid, strategy="processes", **options).fit(X, y).cv_results_
    assert_same_results(ours, theirs, atol=1e-7)
    assert (ours["mean_fit_time"] > 0).all()


def test_best_estimator_is_refitted(data):
    found = search(make(max_epochs=3), {"lr": [1e-5, 0.1]}, strategy="vmap", refit=True)
    found.fit(*data)
    assert found.best_params_ == {"lr": 0.1}
    assert found.best_estimator_.score(*data) == found.score(*data) > 0.5


def test_kept_fits_are_not_trained_again(data, tmp_path):
    grid = {"lr": [0.01, 0.1], "batch_size": [8, 16]}
    clf = double(max_epochs=2)
    found = search(clf, grid, strategy="vmap", memory=tmp_path, scoring="neg_log_loss")
    first = found.fit(*data).cv_results_
    kept = {file: file.read_bytes() for file in sorted(tmp_path.iterdir())}
    assert len(kept) == 12
    lost = list(kept)[::5]
    for file in lost:
        file.unlink()
    again = found.fit(*data).cv_results_
    assert_same_results(again, first, atol=1e-9)
    now = {file: file.read_bytes() for file in sorted(tmp_path.iterdir())}
    assert now.keys() == kept.keys()
    assert [file for file in kept if now[file] != kept[file]] == lost  # the times differ
    # and the other strategy takes them for its own
    other = clone(found).set_params(strategy="processes").fit(*data).cv_results_
    for name in ("mean_fit_time", "mean_score_time", "mean_test_score"):
        np.testing.assert_array_equal(other[name], found.cv_results_[name])


def test_what_cannot_be_trained_together_runs_in_processes_and_is_told(data):
    grid = [{"lr": [0.01, 0.1]}, {"train_split": [halves]}, {"optimizer": [torch.optim.RMSprop]}]
    text = (
        "strategy='vmap': 6 of 12 fits cannot be trained together and run in processes instead: "
        r"train_split is no ValidSplit with a number \(3 fits\); "
        r"the optimizer is RMSprop \(3 fits\)"
    )
    clf = double(max_epochs=2)
    with pytest.warns(UserWarning, match=text):
        ours = search(clf, grid, strategy="vmap").fit(*data).cv_results_
    theirs = search(clf, grid, strategy="processes").fit(*data).cv_results_
    assert_same_results(ours, theirs, atol=1e-9)


def test_parameters_of_fit_are_not_trained_together(data):
    X, y = data
    with (
        pytest.warns(UserWarning, match="parameters are passed to `fit`"),
        pytest.raises(ValueError, match="All the 3 fits failed"),
    ):
        search(make(), {"lr": [0.1]}, strategy="vmap").fit(X, y, depth=3)


def test_faulty_fits_fail_as_ever(data):
    grid = {"lr": [0.01, -1.0]}
    with (
        pytest.warns(UserWarning, match=r"3 of 6 fits .* Invalid learning rate: -1.0 \(3 fits\)"),
        pytest.warns(FitFailedWarning, match="3 fits failed out of a total of 6"),
    ):
        found = search(make(max_epochs=1), grid, strategy="vmap", error_score=-7.0).fit(*data)
    assert found.cv_results_["mean_test_score"][1] == -7
    assert found.cv_results_["mean_test_score"][0] >= 0


def test_folds_with_one_class_fail_as_ever(data):
    folds = [([0, 3, 6], [1]), (range(30), range(30, 60))]
    with (
        pytest.warns(UserWarning, match="1 of 2 fits .* needs at least two classes"),
        pytest.warns(FitFailedWarning, match="1 fits failed out of a total of 2"),
    ):
        search(make(max_epochs=1), {"lr": [0.1]}, strategy="vmap", cv=folds, error_score=0.0).fit(
            *data
        )


def test_other_estimators_are_told_and_searched():
    X, y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 2
    with pytest.warns(UserWarning, match="SVC is no CNNClassifier"):
        found = search(SVC(), {"C": [0.1, 1]}, strategy="vmap").fit(X, y)
    expected = search(SVC(), {"C": [0.1, 1]}).fit(X, y)
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )


def test_strategy_must_be_known(data):
    with pytest.raises(
        ValueError, match="'strategy' parameter of GridSearchCV must be a str among"
    ):
        search(make(), {"lr": [0.1]}, strategy="stacked").fit(*data)


def test_fits_are_done_by_themselves_unless_asked(data):
    clf, grid = make(max_epochs=2), {"lr": [0.01, 0.1]}
    ours = search(clf, grid, scoring="neg_log_loss").fit(*data).cv_results_
    theirs = search(clf, grid, scoring="neg_log_loss", strategy="processes").fit(*data).cv_results_
    assert_same_results(ours, theirs, atol=0)


# Many seeds ---------------------------------------------------------------------------------------


def test_fit_many_equals_single_fits(data):
    X, y = data
    ours = fit_many(double(**RECIPE), X, y, seeds=[3, 1])
    theirs = [double(**RECIPE, random_state=seed).fit(X, y) for seed in (3, 1)]
    assert [clf.random_state for clf in ours] == [3, 1]
    assert_same_weights(ours, theirs, rtol=0, atol=1e-10)


def test_fit_many_one_after_another(data):
    clf = make(module__dropout=0.5, max_epochs=2)
    with pytest.warns(UserWarning, match="2 fits are done one after another.*vmap refuses"):
        ours = fit_many(clf, *data, seeds=[3, 1])
    theirs = [clone(clf).set_params(random_state=seed).fit(*data) for seed in (3, 1)]
    assert_same_weights(ours, theirs, rtol=0, atol=0)


def test_fit_many_needs_seeds_and_labels(data):
    with pytest.raises(ValueError, match="`seeds` must hold at least one integer, got none"):
        fit_many(make(), *data, seeds=[])
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        fit_many(make(), data[0], None, seeds=[0])


def test_fitted_members_train_on_and_pickle(data):
    X, y = data
    clf = fit_many(make(), X, y, seeds=[0])[0]
    before = clf.predict_proba(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X), before)
    clf.partial_fit(X, y)
    assert len(clf.history) == 8
    assert not np.array_equal(clf.predict_proba(X), before)


def test_ensemble_is_the_mean_of_its_members(data):
    X, y = data
    ensemble = SeedEnsembleClassifier(make(lr=0.03), seeds=[4, 5, 6, 7]).fit(X, y)
    assert [clf.random_state for clf in ensemble.members_] == [4, 5, 6, 7]
    each = np.stack([clf.predict_proba(X) for clf in ensemble.members_])
    mean = each.sum(axis=0) / 4
    np.testing.assert_allclose(ensemble.predict_proba(X), mean, atol=1e-6)
    spread = np.sqrt(((each - mean) ** 2).sum(axis=0) / 3)
    np.testing.assert_allclose(ensemble.predict_proba_std(X), spread, atol=1e-6)
    np.testing.assert_array_equal(
        ensemble.predict(X), np.array(["cat", "dog", "eel"])[mean.argmax(1)]
    )
    assert ensemble.score(X, y) > 0.5


def test_ensemble_of_one_has_no_spread(data):
    ensemble = SeedEnsembleClassifier(make(max_epochs=1), seeds=[0]).fit(*data)
    with pytest.raises(ValueError, match="A spread needs at least two members, got one"):
        ensemble.predict_proba_std(data[0])


@pytest.mark.slow
@parametrize_with_checks(
    [
        SeedEnsembleClassifier(
            SimpleCNNClassifier(image_shape="pad", lr=0.02, max_epochs=5), seeds=[0, 1]
        )
    ]
)
def test_ensemble_passes_all_checks_of_scikit_learn(estimator, check):
    check(estimator)
