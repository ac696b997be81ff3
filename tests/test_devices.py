"""All that runs on an accelerator, on one that the tests make up.

Its tensors say that they are on "cuda:0" and hold their numbers in the processor's memory.
Operators compute there, but refuse tensors of both places as CUDA does. So results must be equal to
the last bit, and what has been left behind on the processor is an error.
"""

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import EarlyStopping
from skorch.dataset import ValidSplit
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_map_only
from torch.utils.data import DataLoader, TensorDataset

import fmcam.explain
from fmcam._ensemble.eligibility import why_not_together
from fmcam._ensemble.memory import trained_ensembles
from fmcam.classifiers import (
    CNNClassifier,
    FlipAndShift,
    LeNet5Classifier,
    OneCycle,
    load_classifier,
    save_classifier,
)
from fmcam.model_selection import GridSearchCV
from fmcam.models import LeNet5
from tests.tiny_cnn import TinyCNN

aten = torch.ops.aten
CUDA = torch.device("cuda", 0)
# these take indices or numbers from the processor
_INDEXED = (aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default)
_MIXED = (*_INDEXED, aten.copy_.default)


class There(torch.Tensor):
    """A tensor of the made-up device. To torch's C++ it is on "meta", which needs no driver."""

    @staticmethod
    def __new__(cls, held):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device="meta",
        )

    def __init__(self, held):
        self.held = held

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)

    def tolist(self):
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, operator, types, args=(), kwargs=None):
        raise AssertionError(f"{operator} ran outside of the device")


def _tensors(tree):
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, tuple | list | dict):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from _tensors(part)


def _mapped(kind, change, tree):
    """torch's `tree_map_only`, which takes most of the time of these tests."""
    if isinstance(tree, kind):
        return change(tree)
    if isinstance(tree, tuple | list):
        return type(tree)([_mapped(kind, change, part) for part in tree])
    if isinstance(tree, dict):
        return {key: _mapped(kind, change, part) for key, part in tree.items()}
    return tree


class _Operators(TorchDispatchMode):
    """Runs operators on what the tensors hold, and notes what comes back to the processor."""

    def __init__(self):
        super().__init__()
        self.read = []
        self.has_float64 = True

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = list(_tensors((args, kwargs)))
        theirs = [tensor for tensor in tensors if isinstance(tensor, There)]
        ours = [tensor for tensor in tensors if not isinstance(tensor, There)]
        assert not any(tensor.is_meta for tensor in ours)
        if theirs and any(tensor.ndim for tensor in ours) and operator not in _MIXED:
            raise RuntimeError(f"Expected all tensors to be on the same device ({operator})")
        there = isinstance(args[0], There) if operator in _MIXED else bool(theirs)
        if kwargs.get("device") is not None:
            there = kwargs["device"].type in ("cuda", "meta")
            kwargs["device"] = torch.device("cpu")
        if theirs and (not there or operator is aten._local_scalar_dense.default):
            self.read.append(operator)
        held, named = _mapped(There, lambda tensor: tensor.held, (args, kwargs))
        output = operator(*held, **named)
        if not there:
            return output
        dtypes = {tensor.dtype for tensor in _tensors(output)}
        if torch.float64 in dtypes and not self.has_float64:
            raise TypeError(f"The device has no float64 ({operator})")
        output = _mapped(torch.Tensor, There, output)
        return return_and_correct_aliasing(operator, args, kwargs, output)


class _Functions(TorchFunctionMode):
    """Sees to what torch's C++ would do with a driver, or with its own idea of the device."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            return function(*args, **kwargs).to(device)
        if function is torch.Tensor.new_tensor:
            return torch.tensor(args[1], dtype=args[0].dtype).to(args[0].device)
        if function is torch.Tensor.__getitem__:  # lists would become tensors without numbers
            args = (args[0], tree_map_only(list, torch.tensor, args[1], is_leaf=_is_list))
        output = function(*args, **kwargs)
        if function == torch.Tensor.device.__get__ and output.type == "meta":
            return CUDA  # of a tensor inside vmap
        return output


def _is_list(index):
    return isinstance(index, list)


@pytest.fixture
def device(monkeypatch):
    """The made-up device; its `read` are the operators that have read from it."""
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.get_rng_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: None)
    with _Functions(), _Operators() as operators:
        yield operators


@pytest.fixture(scope="module", name="data")
def images_and_labels():
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (40, 1, 20, 20), dtype=np.uint8), np.arange(40) % 3


def make(kind=LeNet5Classifier, **params):
    defaults = {"max_epochs": 1, "batch_size": 8, "random_state": 0, "verbose": 0}
    return kind(**{**defaults, **params})


def both(clf):
    return [clone(clf).set_params(device=device) for device in ("cpu", "cuda:0")]


def assert_same(here, there):
    assert {type(weight) for weight in there.module_.state_dict().values()} == {There}
    theirs = there.module_.state_dict()
    for name, weight in here.module_.state_dict().items():
        assert torch.equal(weight, theirs[name].cpu()), name


def test_the_device_refuses_to_mix(device):
    theirs = torch.arange(3.0).to("cuda:0")
    assert (theirs.device, theirs.cpu().device) == (CUDA, torch.device("cpu"))
    assert (theirs * 2).sum().item() == 6.0
    with pytest.raises(RuntimeError, match="same device"):
        theirs + torch.ones(3)
    assert device.read == [aten._to_copy.default, aten._local_scalar_dense.default]


RECIPES = {
    "plain": make(),
    "sgd": make(optimizer=torch.optim.SGD, optimizer__momentum=0.9, callbacks=[OneCycle()]),
    "augmented": make(augment=FlipAndShift(2)),
    "weighted": make(criterion__weight=torch.tensor([1.0, 2.0, 3.0])),
    "held out": make(train_split=ValidSplit(2), callbacks=[EarlyStopping("train_loss")]),
    "batch norm": make(CNNClassifier, module=TinyCNN),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_fits(device, data, recipe):
    X, y = data
    here, there = [clf.fit(X, y) for clf in both(RECIPES[recipe])]
    assert_same(here, there)
    np.testing.assert_array_equal(here.predict_proba(X), there.predict_proba(X))
    assert here.history[:, "train_loss"] == there.history[:, "train_loss"]


@pytest.mark.parametrize("clf", RECIPES.values(), ids=RECIPES)
def test_fits_of_an_ensemble(device, data, clf):
    X, y = data
    rows = [np.arange(30), np.arange(30), np.arange(10, 40)]
    tests = [np.arange(30, 40), np.arange(30, 40), np.arange(10)]
    found = []
    for one in both(clf):
        assert why_not_together(one, X, y) is None
        clfs = [clone(one).set_params(lr=lr) for lr in (0.01, 0.1, 0.1)]
        ((_, ensemble),) = trained_ensembles(clfs, X, y, rows)
        found.append((ensemble.clfs, ensemble.predict_proba(tests)))
    (here, of_here), (there, of_there) = found
    for one, other in zip(here, there, strict=True):
        assert_same(one, other)
    np.testing.assert_array_equal(of_here, of_there)


def test_a_search_trains_its_fits_together_there(device, data):
    here, there = (
        GridSearchCV(clf, {"lr": [0.01, 0.1]}, cv=2, strategy="vmap", n_jobs=1, refit=False)
        .fit(*data)
        .cv_results_
        for clf in both(make())
    )
    np.testing.assert_array_equal(here["mean_test_score"], there["mean_test_score"])
    assert len(set(there["mean_fit_time"])) == 1  # an equal share of the time of all


@pytest.mark.parametrize("train_split", [None, ValidSplit(2)])
def test_an_ensemble_reads_few_numbers_an_epoch(device, data, train_split):
    def n_read(max_epochs, batch_size):
        device.read.clear()
        params = {"max_epochs": max_epochs, "batch_size": batch_size, "train_split": train_split}
        clfs = [make(device="cuda:0", lr=lr, **params) for lr in (0.01, 0.1)]
        for _, ensemble in trained_ensembles(clfs, *data, [np.arange(40)] * 2):
            assert len(ensemble.clfs[0].history) == max_epochs
        return len(device.read)

    one, two = n_read(1, batch_size=8), n_read(2, batch_size=8)
    assert one == n_read(1, batch_size=20)
    assert two - one == (1 if train_split is None else 2)


def test_streams_and_further_training(device, data):
    X, y = data
    stream = DataLoader(TensorDataset(torch.as_tensor(X), torch.as_tensor(y)), batch_size=8)
    here, there = [clf.fit(stream).partial_fit(X, y) for clf in both(make(classes=[0, 1, 2]))]
    assert_same(here, there)
    np.testing.assert_array_equal(here.predict_proba(stream), there.predict_proba(stream))


def test_saved_there_and_loaded_here(device, data, tmp_path):
    X, y = data
    there = make(device="cuda:0").fit(X, y)
    save_classifier(there, tmp_path / "net.safetensors")
    here = load_classifier(tmp_path / "net.safetensors")
    assert_same(here, there)


def test_a_network_is_not_moved(device):
    with pytest.raises(ValueError, match=r"on cpu and shared, .*`net.to\('cuda:0'\)`"):
        CNNClassifier.from_module(LeNet5(), device="cuda:0")
    net = LeNet5().to("cuda:0")
    with pytest.raises(ValueError, match=r"on cuda:0 and shared, .* got device='cpu'"):
        CNNClassifier.from_module(net, device="cpu")
    assert CNNClassifier.from_module(net).device == "cuda:0"


OF_TRANSFORMERS = {"attention-rollout", "legrad"}
EXPLAINERS = [
    fmcam.explain.get_explainer(name)
    for name in fmcam.explain.list_explainers()
    if name not in OF_TRANSFORMERS
]
EXPLAINERS.append(fmcam.explain.SmoothedExplainer)


@pytest.fixture(scope="module", name="trained")
def trained_here(data):
    return make(CNNClassifier, module=TinyCNN).fit(*data)


@pytest.mark.parametrize("kind", EXPLAINERS)
def test_explainers(device, data, trained, kind):
    X, y = data[0][:6], data[1][:6]
    there = copy_there(trained)
    params = {"random_state": 0} if "random_state" in kind(None).get_params() else {}
    maps = []
    for clf in (trained, there):
        estimator = FrozenEstimator(clf)
        if kind is fmcam.explain.SmoothedExplainer:
            estimator = fmcam.explain.GradCAM(estimator)
        maps.append(kind(estimator, **params).explain(X, y))
    assert maps[0].std() > 0
    np.testing.assert_array_equal(*maps)


class TestWithoutFloat64:
    """As on Apple's MPS."""

    @pytest.fixture(autouse=True)
    def without_float64(self, device):
        device.has_float64 = False

    def test_the_device_refuses_it(self):
        with pytest.raises(TypeError, match="no float64"):
            torch.zeros(2, dtype=torch.float64).to("cuda:0")

    @pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
    def test_streams(self, data, trained, dtype):
        images = torch.as_tensor(data[0]).to(dtype)
        stream = DataLoader(TensorDataset(images, torch.as_tensor(data[1])), batch_size=8)
        there = copy_there(trained)
        np.testing.assert_array_equal(there.predict_proba(stream), trained.predict_proba(stream))
        maps = [
            fmcam.explain.GradCAM(FrozenEstimator(clf)).explain(stream, data[1])
            for clf in (there, trained)
        ]
        assert maps[0].std() > 0
        np.testing.assert_array_equal(*maps)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_further_training(self, data, trained, weighted):
        X, y = data
        weights = np.linspace(1, 2, len(X)) if weighted else None
        there = copy_there(trained).partial_fit(X.astype(float), y, sample_weight=weights)
        assert np.isfinite(there.history[-1, "train_loss"])

    @pytest.mark.parametrize("kind", EXPLAINERS)
    def test_explainers(self, data, trained, kind):
        estimator = FrozenEstimator(copy_there(trained))
        if kind is fmcam.explain.SmoothedExplainer:
            estimator = fmcam.explain.GradCAM(estimator)
        assert kind(estimator).explain(data[0][:2].astype(float), data[1][:2]).std() > 0


def copy_there(clf):
    module = copy.deepcopy(clf.module_).to("cuda:0")
    there = make(CNNClassifier, module=TinyCNN, device="cuda:0")
    return there.adopt(module, clf.classes_, clf.image_shape_)
