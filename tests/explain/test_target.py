"""The numbers that explainers explain: all kinds take the same, or say why they do not."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone

from fmcam.classifiers import CNNClassifier
from fmcam.explain import (
    CAM,
    EigenCAM,
    FullGrad,
    GradCAM,
    GuidedBackprop,
    LeGrad,
    Occlusion,
    SmoothedExplainer,
    explain_together,
    get_explainer,
    list_explainers,
    logit_difference,
)
from fmcam.models import CNN_CAM
from tests.tiny_vit import TinyViT

X = np.random.default_rng(0).normal(size=(4, 1, 16, 16)).astype(np.float32)
LABELS = [0, 1, 2, 1]
KINDS = {name: get_explainer(name) for name in list_explainers()}
WITH_TARGET = [
    name
    for name, kind in KINDS.items()
    if "target" in kind(None).get_params() and kind not in (CAM, EigenCAM)
]


def make_net(kind):
    torch.manual_seed(1)
    return (TinyViT() if kind is LeGrad else CNN_CAM(n_classes=4)).eval()


def logit(outputs, class_indices):
    return outputs.gather(1, class_indices[:, None])[:, 0]


def margin(outputs, class_indices):
    return logit(outputs, class_indices) - outputs[:, 3]


def probability(outputs, class_indices):
    return logit(outputs.softmax(dim=1), class_indices)


def test_all_that_have_a_class_take_a_target():
    without = {"attention-rollout", "center-map", "edge-map", "foreground-map", "random-map"}
    assert set(KINDS) - set(WITH_TARGET) == without | {"cam", "eigen-cam"}


@pytest.mark.parametrize("name", WITH_TARGET)
def test_a_margin_is_the_logit_of_a_network_whose_head_subtracts(name):
    kind = KINDS[name]
    net, y = make_net(kind), [[0, 1, 2]] * 4
    net.head[-1].weight.data *= 30  # far enough from zero for the softmax of Score-CAM
    subtracting = copy.deepcopy(net)
    for weight in (subtracting.head[-1].weight, subtracting.head[-1].bias):
        weight.data = weight.data - weight.data[3]
    expected = kind(subtracting).explain(X, y)
    assert expected.max() == 1
    found = kind(net, target=margin).explain(X, y)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    if name != "finer-cam":  # of differences to other classes what is subtracted from all is gone
        assert abs(found - kind(net).explain(X, y)).max() > 1e-2


@pytest.mark.parametrize("kind", [GradCAM, LeGrad, GuidedBackprop])
def test_a_probability_is_explained_by_the_chain_rule(kind):
    net = make_net(kind)
    p = torch.as_tensor(CNNClassifier.from_module(net).predict_proba(X))
    slopes = p[:, 2:3] * (torch.eye(4)[2] - p)  # of the probability of class 2, by each logit

    def linear(outputs, class_indices):
        return (outputs * slopes).sum(dim=1)

    found, expected = (
        kind(net, target=target, normalize=None).explain(X, [2] * 4)
        for target in (probability, linear)
    )
    assert expected.max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * expected.max())


def test_full_grad_refuses_what_is_no_weighted_sum():
    with pytest.raises(ValueError, match=r"sum to the target.*or the target is no weighted sum"):
        FullGrad(make_net(FullGrad), target=probability).explain(X, LABELS)


class TestLogitDifference:
    def test_on_the_last_layer_it_is_the_difference_of_two_maps(self):
        net = make_net(GradCAM)
        with torch.no_grad():
            maps, head = net.features(torch.as_tensor(X)), net.head[-1]
            three, one = (torch.einsum("nkhw,k->nhw", maps, head.weight[k]) for k in (3, 1))
        n_cells = maps.shape[-2] * maps.shape[-1]
        raw = {"normalize": None, "upsample": False}
        highest = []
        for of, other, expected in ((3, 1, three - one), (1, 3, one - three)):
            found = GradCAM(net, target=logit_difference(other), **raw).explain(X, [of] * 4)
            np.testing.assert_allclose(found, expected.relu() / n_cells, rtol=1e-4, atol=1e-7)
            highest.append(found.max())
        assert max(highest) > 0

    def test_one_output_counts_for_the_second_class_and_against_the_first(self):
        outputs = torch.tensor([[2.0], [-3.0]])
        found = logit_difference(0)(outputs, torch.tensor([1, 1]))
        assert found.tolist() == [4, -6]

    def test_it_can_be_copied_and_pickled(self):
        cam = pickle.loads(pickle.dumps(clone(GradCAM(None, target=logit_difference(3)))))
        outputs = torch.tensor([[1.0, 2.0, 4.0, 8.0]])
        assert cam.target(outputs, torch.tensor([1])).tolist() == [-6]

    @pytest.mark.parametrize(
        ("other", "message"),
        [
            (1, r"Class 1 differs in nothing from itself. Explain another class"),
            (4, r"`other` must be the position of a class, in 0..3, got 4"),
            (-1, "in 0..3, got -1"),
        ],
    )
    def test_what_it_refuses(self, other, message):
        with pytest.raises(ValueError, match=message):
            GradCAM(make_net(GradCAM), target=logit_difference(other)).explain(X, LABELS)


@pytest.mark.parametrize("kind", [CAM, EigenCAM])
def test_methods_without_a_target_refuse_one(kind):
    with pytest.raises(ValueError, match=r"got the target <function margin.*Use \w*GradCAM"):
        kind(make_net(kind), target=margin).explain(X, LABELS)


@pytest.mark.parametrize("kind", [GradCAM, LeGrad, GuidedBackprop, FullGrad, SmoothedExplainer])
def test_a_target_that_no_gradient_passes(kind):
    def chosen(outputs, class_indices):
        return logit(outputs.detach(), class_indices)

    cam = GradCAM if kind is SmoothedExplainer else kind
    cam = cam(make_net(kind), target=chosen)
    cam = SmoothedExplainer(cam) if kind is SmoothedExplainer else cam
    with pytest.raises(ValueError, match="computed from the outputs by torch"):
        cam.explain(X, LABELS)


@pytest.mark.parametrize(
    ("target", "came"),
    [
        (lambda outputs, class_indices: outputs, r"torch.float32 \(4, 4\)"),
        (lambda outputs, class_indices: outputs.argmax(dim=1), r"torch.int64 \(4,\)"),
        (lambda outputs, class_indices: outputs.detach().numpy()[:, 0], "ndarray"),
    ],
)
@pytest.mark.parametrize("kind", [GradCAM, Occlusion])
def test_a_function_that_gives_no_numbers(kind, target, came):
    with pytest.raises(ValueError, match=rf"one number an image.*\(4,\), got {came}"):
        kind(make_net(kind), target=target).explain(X, LABELS)


class TestSmoothed:
    def test_the_target_is_that_of_the_explainer(self):
        net = make_net(GradCAM)
        smoothed = SmoothedExplainer(GradCAM(net, target=margin), n_samples=1, noise=0)
        expected = GradCAM(net, target=margin).explain(X, LABELS)
        np.testing.assert_allclose(smoothed.explain(X, LABELS), expected, atol=1e-5)
        with pytest.raises(ValueError, match="`target` must be 'logit' or a function"):
            SmoothedExplainer(GradCAM(net, target="probability")).explain(X, LABELS)

    def test_layouts_of_two_explainers_of_one_layer_are_kept_apart(self):
        net = make_net(GradCAM)

        def mirrored(output):
            return output.flip(-1)

        plain = GradCAM(net, upsample=False)
        other = SmoothedExplainer(
            GradCAM(net, layer="features", layout=mirrored, upsample=False), n_samples=1, noise=0
        )
        together = explain_together({"plain": plain, "other": other}, X, LABELS)
        np.testing.assert_allclose(together["other"], together["plain"][..., ::-1], atol=1e-5)
        np.testing.assert_allclose(together["plain"], plain.explain(X, LABELS), atol=1e-5)


def test_a_network_for_regression():
    """Its one output is the number, whatever class is named."""
    torch.manual_seed(0)
    net = CNN_CAM(n_classes=1).eval()
    maps = net.features(torch.as_tensor(X)).detach()
    expected = torch.einsum("nkhw,k->nhw", maps, net.head[-1].weight[0]).relu().detach()
    cam = GradCAM(net, target=lambda outputs, class_indices: outputs[:, 0], normalize=None)
    found = cam.set_params(upsample=False).transform(X)
    assert found.max() > 0
    np.testing.assert_allclose(16 * found, expected, rtol=1e-4, atol=1e-6)


def test_several_labels_an_image():
    """Each has a map of its own, in the order in which they are named."""
    net = make_net(GradCAM)
    found = GradCAM(net).explain(X, [[0, 2], [3, 1], [1, 0], [2, 3]])
    for place, labels in enumerate(([0, 3, 1, 2], [2, 1, 0, 3])):
        np.testing.assert_allclose(found[:, place], GradCAM(net).explain(X, labels), atol=1e-6)
