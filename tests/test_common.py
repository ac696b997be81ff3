"""What holds for every explainer; each property is also shown a broken one that it rejects."""

import pickle
from contextlib import contextmanager, suppress

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from torch import nn

import fmcam.explain
from fmcam.classifiers import CNNClassifier
from fmcam.explain._base import BaseExplainer
from fmcam.explain._base_cam import BaseCAM
from tests.tiny_cnn import TinyCNN
from tests.tiny_vit import TinyViT

KINDS = [*map(fmcam.explain.get_explainer, fmcam.explain.list_explainers())]
KINDS.append(fmcam.explain.SmoothedExplainer)
CAMS = [kind for kind in KINDS if issubclass(kind, BaseCAM)]
OF_TRANSFORMERS = {"AttentionRollout", "LeGrad"}
NOT_SCALE_FREE = {"GradCAMPlusPlus", "ScoreCAM"}  # both take exponentials of the logit


def make_net(kind=None):
    torch.manual_seed(0)
    of_transformers = kind is not None and kind.__name__ in OF_TRANSFORMERS
    return (TinyViT() if of_transformers else TinyCNN()).eval()


def make(kind, net=None, **params):
    clf = CNNClassifier.from_module(make_net(kind) if net is None else net)
    if kind is fmcam.explain.SmoothedExplainer:
        return kind(fmcam.explain.GradCAM(FrozenEstimator(clf)), random_state=0, **params)
    if "random_state" in kind(None).get_params():
        params = {"random_state": 0, **params}
    return kind(FrozenEstimator(clf), **params)


@pytest.fixture(scope="module", name="X")
def images():
    return np.random.default_rng(0).normal(size=(5, 1, 16, 16)).astype(np.float32)


class Broken(BaseExplainer):
    """Breaks one property after the other."""

    def __init__(self, estimator, how="", *, normalize="minmax", batch_size=128):
        super().__init__(estimator, normalize=normalize, batch_size=batch_size)
        self.how = how

    def maps_of_batch(self, batch, columns):
        maps = batch.images.abs().sum(dim=1)
        if self.how == "range":
            return maps * 3
        if self.how == "batch":
            return maps / maps.max() + maps.mean()
        if self.how == "scale":
            return maps + batch.recording.logits[:, :1, None]
        net = batch.clf.module_.net
        if self.how == "gradients":
            net.head[-1](torch.ones(1, 8)).sum().backward()
        if self.how == "modes":
            net.train()
        if self.how == "hooks":
            net.register_forward_hook(lambda *_: None)
        if self.how == "random":
            torch.rand(1)
        if self.how == "weights":
            next(net.parameters()).data += 1
        return maps


def check_range(explainer, X):
    maps = explainer.transform(X)
    assert maps.dtype == np.float32
    assert maps.shape == (len(X), *X.shape[2:])
    np.testing.assert_array_equal(maps.min(axis=(1, 2)), 0)
    flat = maps.max(axis=(1, 2)) == 0
    np.testing.assert_allclose(maps.max(axis=(1, 2))[~flat], 1, rtol=1e-6)


def check_batch_size(explainer, X):
    y = [0, 1, 2, 3, 1]
    whole = explainer.explain(X, y)
    parts = clone(explainer).set_params(batch_size=2).explain(X, y)
    np.testing.assert_allclose(parts, whole, atol=1e-4)


def check_row_order(explainer, X):
    y = np.array([0, 1, 2, 3, 1])
    order = [3, 0, 4, 1, 2]
    found = explainer.explain(X[order], y[order])
    np.testing.assert_allclose(found, explainer.explain(X, y)[order], atol=1e-4)


def check_rectify(explainer, X):
    """The ReLU of a signed map is the rectified one; normalizing keeps each sign and 0."""
    y = [0, 1, 2, 3, 1]
    found = {}
    for rectify in (True, False):
        raw = clone(explainer).set_params(rectify=rectify, normalize=None, upsample=False)
        found[rectify] = raw.explain(X, y)
    np.testing.assert_allclose(np.maximum(found[False], 0), found[True], atol=1e-6)
    signed = clone(explainer).set_params(rectify=False, upsample=False).explain(X, y)
    largest = np.abs(found[False]).max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(signed * largest, found[False], atol=1e-6)


@contextmanager
def untouched(net):
    """Weights, gradients, modes, hooks and random numbers are the same afterwards."""
    net.train()
    net.features[1].eval()
    next(net.parameters()).grad = torch.ones_like(next(net.parameters()))

    def state():
        return {
            "weights": [value.clone() for value in net.state_dict().values()],
            "gradients": [None if p.grad is None else p.grad.clone() for p in net.parameters()],
            "modes": [module.training for module in net.modules()],
            "hooks": [
                len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks)
                for m in net.modules()
            ],
            "parts": [id(module) for module in net.modules()],
            "random": [torch.get_rng_state()],
            "graph": [torch.is_grad_enabled()],
        }

    before = state()
    yield
    for name, values in state().items():
        for now, then in zip(values, before[name], strict=True):
            tensors = isinstance(now, torch.Tensor) and isinstance(then, torch.Tensor)
            same = torch.equal(now, then) if tensors else now is then or now == then
            assert same, f"{name} changed"


@pytest.mark.parametrize("kind", KINDS)
class TestEveryExplainer:
    def test_range(self, kind, X):
        check_range(make(kind), X)

    def test_batch_size(self, kind, X):
        check_batch_size(make(kind), X)

    def test_row_order(self, kind, X):
        check_row_order(make(kind), X)

    def test_logit_scale(self, kind, X):
        if kind.__name__ in NOT_SCALE_FREE:
            pytest.skip("takes exponentials of the logit")
        net, scaled = make_net(kind), make_net(kind)
        scaled.head[-1].weight.data *= 1000
        scaled.head[-1].bias.data *= 1000
        y = [0, 1, 2, 3, 1]
        expected = make(kind, net).explain(X, y)
        np.testing.assert_allclose(make(kind, scaled).explain(X, y), expected, atol=1e-3)

    def test_clone_and_pickle(self, kind, X):
        explainer = make(kind)
        expected = explainer.transform(X)
        for copy in (clone(explainer), pickle.loads(pickle.dumps(explainer))):
            np.testing.assert_array_equal(copy.transform(X), expected)
            assert repr(copy) == repr(explainer)

    def test_two_calls_agree(self, kind, X):
        explainer = make(kind)
        np.testing.assert_array_equal(explainer.transform(X), explainer.transform(X))

    def test_network_is_left_as_found(self, kind, X):
        net = make_net(kind)
        explainer = make(kind, net)
        with untouched(net):
            maps = explainer.transform(X)
        assert not isinstance(maps, torch.Tensor)

    def test_network_is_left_as_found_after_an_exception(self, kind, X):
        net = make_net(kind)
        explainer = make(kind, net)

        def fail(module, args):
            raise ZeroDivisionError

        stop = net.head[-1].register_forward_pre_hook(fail)
        with untouched(net), suppress(ZeroDivisionError):
            explainer.transform(X)
        stop.remove()

    def test_under_no_grad_and_frozen(self, kind, X):
        net = make_net(kind)
        expected = make(kind, net).explain(X, [0, 1, 2, 3, 1])
        net.requires_grad_(False)
        with torch.inference_mode():
            found = make(kind, net).explain(X, [0, 1, 2, 3, 1])
        np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_blank_images_give_no_nan(self, kind, X):
        assert np.isfinite(make(kind).transform(np.zeros_like(X))).all()


@pytest.mark.parametrize("kind", CAMS)
def test_maps_with_their_sign(kind, X):
    check_rectify(make(kind), X)
    if kind is not fmcam.explain.CAM:  # which explains the last layer alone
        check_rectify(make(kind, layer="features.0"), X)


def test_the_property_of_signs_rejects_a_broken_cam(X):
    class Doubled(BaseCAM):
        def raw_map(self, batch, layer, class_indices):
            return batch.recording.activations[layer].sum(dim=1) * (1 if self.rectify else 2)

    with pytest.raises(AssertionError):
        check_rectify(make(Doubled), X)


@pytest.mark.parametrize(("how", "check"), [("range", check_range), ("batch", check_batch_size)])
def test_properties_reject_a_broken_explainer(how, check, X):
    clf = FrozenEstimator(CNNClassifier.from_module(make_net()))
    check(Broken(clf), X)
    with pytest.raises(AssertionError):
        check(Broken(clf, how, normalize=None), X)


@pytest.mark.parametrize("how", ["gradients", "modes", "hooks", "random", "weights"])
def test_a_touched_network_is_noticed(how, X):
    net = make_net()
    explainer = Broken(FrozenEstimator(CNNClassifier.from_module(net)), how)

    def explain_and_compare():
        with untouched(net), torch.enable_grad():
            batch = fmcam.explain._together.Batch(explainer.classifier_, torch.as_tensor(X))
            explainer.maps_of_batch(batch, None)

    with pytest.raises(AssertionError, match=f"{how} changed"):
        explain_and_compare()


def test_all_explainers_of_the_design_are_here():
    cams = {"CAM", "GradCAM", "GradCAMPlusPlus", "HiResCAM", "XGradCAM", "LayerCAM", "EigenCAM"}
    others = {"ScoreCAM", "AblationCAM", "Occlusion", "GuidedBackprop", "GuidedGradCAM"}
    baselines = {"CenterMap", "RandomMap", "EdgeMap"}
    assert cams | others | baselines <= {kind.__name__ for kind in KINDS}


def test_modules_of_any_kind_are_explained(X):
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.LazyLinear(3))
    net(torch.zeros(1, 1, 16, 16))
    assert make(fmcam.explain.GradCAM, net).transform(X).max() == 1
