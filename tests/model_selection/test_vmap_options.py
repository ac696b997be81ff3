"""Networks trained as one with rows held out, early stopping, a compiled step; each as if alone."""

import shutil

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold
from skorch.callbacks import EarlyStopping
from skorch.dataset import ValidSplit
from torch import nn

from fmcam._ensemble.eligibility import why_not_together
from fmcam._ensemble.memory import trained_ensembles
from fmcam._interrupts import stopped_early
from fmcam.classifiers import CNNClassifier
from fmcam.model_selection import GridSearchCV
from fmcam.models import StandardizedNet

RATES = [0.3, 0.03, 1e-4, 3.0]
ROWS = np.arange(60)


@pytest.fixture(scope="module", name="data")
def images_and_labels():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 120, (60, 1, 16, 16), dtype=np.uint8)
    y = np.arange(60) % 2
    X[y == 1, :, 4:12, 4:12] += 60
    return X, y


class Net(nn.Module):
    """A very small network with batch normalization, in double precision."""

    def __init__(self, n_classes):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 3, 5, stride=3), nn.BatchNorm2d(3), nn.ReLU()
        ).double()
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, n_classes)
        ).double()

    def forward(self, images):
        return self.head(self.features(images.double()))


def make(**params):
    defaults = {
        "optimizer": torch.optim.SGD,
        "optimizer__momentum": 0.9,
        "max_epochs": 15,
        "batch_size": 8,
        "random_state": 0,
        "verbose": 0,
    }
    return CNNClassifier(Net, **{**defaults, **params})


def stopping(**params):
    callbacks = [EarlyStopping(patience=2, threshold=1e-3, **params)]
    return make(callbacks=callbacks, train_split=ValidSplit(3, stratified=True))


def fit_both_ways(clf, X, y):
    """The members of an ensemble with several rates, and the same fitted one by one."""
    clfs = [clone(clf).set_params(lr=rate) for rate in RATES]
    assert why_not_together(clf, X, y) is None
    ((_, ensemble),) = trained_ensembles(clfs, X, y, [ROWS] * len(RATES))
    return ensemble, [one.fit(X, y) for one in clfs]


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        expected = other.module_.state_dict()
        for name, tensor in one.module_.state_dict().items():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-9, atol=1e-10)
        for column in ("train_loss", "train_acc", "valid_loss", "valid_acc"):
            if column in other.history[-1]:
                np.testing.assert_allclose(
                    one.history[:, column], other.history[:, column], rtol=1e-6, atol=1e-9
                )


@pytest.mark.parametrize("load_best", [False, True])
def test_each_stops_when_it_would_alone(data, load_best):
    ensemble, alone = fit_both_ways(stopping(load_best=load_best), *data)
    lengths = [len(clf.history) for clf in alone]
    assert len(set(lengths)) > 1
    assert min(lengths) < 15
    assert [len(clf.history) for clf in ensemble.clfs] == lengths
    assert_same(ensemble.clfs, alone)


def test_stopped_ones_predict_as_they_would_alone(data):
    X, y = data
    ensemble, alone = fit_both_ways(stopping(), X, y)
    for ours, clf in zip(ensemble.predict_proba([ROWS] * len(RATES)), alone, strict=True):
        np.testing.assert_allclose(ours, clf.predict_proba(X), atol=1e-6)
    assert not any(clf.module_.training for clf in ensemble.clfs)


def test_the_ensemble_ends_when_all_have_stopped(data):
    clf = stopping(monitor="train_loss", lower_is_better=False)  # never better after the first
    ensemble, alone = fit_both_ways(clf.set_params(max_epochs=50), *data)
    assert max(len(one.history) for one in alone) < 50
    assert [len(one.history) for one in ensemble.clfs] == [len(one.history) for one in alone]


def test_rows_held_out_without_stopping(data):
    ensemble, alone = fit_both_ways(make(max_epochs=3, train_split=ValidSplit(4)), *data)
    assert_same(ensemble.clfs, alone)


def test_weighted_losses_are_averaged_over_the_same_batches(data):
    weighted = {"criterion__weight": torch.tensor([1.0, 5.0], dtype=torch.float64)}
    clf = make(max_epochs=2, train_split=ValidSplit(2), batch_size=20, **weighted)
    ensemble, alone = fit_both_ways(clf, *data)
    assert_same(ensemble.clfs, alone)


def test_a_search_with_early_stopping(data):
    X, y = (part[:58] for part in data)  # folds of two sizes, each in an ensemble of its own
    search = {"param_grid": {"lr": RATES[:2]}, "refit": False}
    search |= {"cv": StratifiedKFold(3, shuffle=True, random_state=0)}
    ours = GridSearchCV(stopping(), strategy="vmap", **search).fit(X, y).cv_results_
    theirs = GridSearchCV(stopping(), strategy="processes", **search).fit(X, y).cv_results_
    for fold in range(3):
        name = f"split{fold}_test_score"
        np.testing.assert_allclose(ours[name], theirs[name])


def fit_compiled(data, **params):
    clf = make(max_epochs=2, compile=True, **params)
    clfs = [clone(clf).set_params(lr=rate) for rate in RATES]
    ((_, ensemble),) = trained_ensembles(clfs, *data, [ROWS] * len(RATES))
    assert [clf.compile for clf in ensemble.clfs] == [True] * len(RATES)
    assert {type(clf.module_) for clf in ensemble.clfs} == {StandardizedNet}
    assert_same(ensemble.clfs, [make(max_epochs=2, lr=rate).fit(*data) for rate in RATES])


def test_the_step_is_compiled_where_asked_for(data):
    seen = []

    def backend(graph, inputs):
        seen.append(graph)
        return graph.forward

    fit_compiled(data, compile__backend=backend)
    # one whole step each for the batches of 8 and for the last, of 4; torch 2.9 splits a step
    assert len(seen) == (4 if torch.__version__.startswith("2.9.") else 2)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_for_this_processor(data):
    fit_compiled(data)


def test_a_person_is_told_from_a_callback():
    class Deaf(EarlyStopping):
        def on_epoch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    def press():
        raise KeyboardInterrupt

    for action, by_callback in ((lambda: Deaf().on_epoch_end(None), True), (press, False)):
        with pytest.raises(KeyboardInterrupt) as caught:
            action()
        assert stopped_early(caught.value) == by_callback
