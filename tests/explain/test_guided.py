"""Guided backpropagation: by hand, in every spelling of a ReLU, and against captum."""

import copy

import numpy as np
import pytest
import torch
import torchvision
from sklearn.frozen import FrozenEstimator
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from fmcam.classifiers import CNNClassifier
from fmcam.explain import GradCAM, GuidedBackprop, GuidedGradCAM, explain_together
from fmcam.models import CNN_CAM, LeNet5, ResNet18, Standardize, StandardizedNet


def frozen(net, **params):
    return FrozenEstimator(CNNClassifier.from_module(net, **params))


def random_images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def in_place(change):
    """A spelling whose return value nobody takes."""

    def relu(maps):
        change(maps)
        return maps

    return relu


SPELLINGS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "functional.relu": functional.relu,
    "functional.relu in place": in_place(lambda maps: functional.relu(maps, inplace=True)),
    "functional.relu_": in_place(functional.relu_),
    "torch.relu": torch.relu,
    "torch.relu_": in_place(torch.relu_),
    "method": lambda maps: maps.relu(),
    "method in place": in_place(lambda maps: maps.relu_()),
    "keyword": lambda maps: functional.relu(input=maps),
}


class TwoPixels(nn.Module):
    """Maps x and -x, a ReLU, and two logits: two linear functions of the four cells."""

    def __init__(self, relu):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.conv.weight.data = torch.tensor([1.0, -1.0])[:, None, None, None]
        self.relu = relu
        self.head = nn.Linear(4, 2, bias=False)
        self.head.weight.data = torch.tensor([[3.0, 5, 7, -4], [-1, 2, 1, 6]])

    def forward(self, images):
        return self.head(self.relu(self.conv(images)).flatten(1))


class TestByHand:
    # Pixels 1 and -2 give the maps (1, -2) and (-1, 2). Positive are the first cell of the one and
    # the second of the other, so the gradients by the pixels are 3 and -(-4) for class 0, -1 and -6
    # for class 1. Guided, the negative gradients of those cells, -4 and -1, do not pass.
    X = np.array([[[[1.0, -2.0]]]])
    GUIDED = ((0, [3.0, 0.0]), (1, [0.0, -6.0]))

    @pytest.mark.parametrize("spelling", SPELLINGS)
    def test_every_spelling(self, spelling):
        guided = GuidedBackprop(frozen(TwoPixels(SPELLINGS[spelling])))
        for label, expected in self.GUIDED:
            found = guided.attribute(self.X, [label])
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, [[[expected]]])

    @pytest.mark.parametrize("spelling", SPELLINGS)
    def test_the_network_keeps_its_own_gradient(self, spelling):
        net = TwoPixels(SPELLINGS[spelling])
        GuidedBackprop(frozen(net)).transform(self.X)
        pixels = torch.tensor(self.X, dtype=torch.float32, requires_grad=True)
        (gradient,) = torch.autograd.grad(net(pixels)[0, 0], pixels)
        np.testing.assert_array_equal(gradient, [[[[3.0, 4.0]]]])

    def test_also_after_an_exception(self):
        net = TwoPixels(nn.ReLU())
        stop = net.head.register_forward_pre_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            GuidedBackprop(frozen(net)).attribute(self.X, [0])
        stop.remove()
        pixels = torch.tensor(self.X, dtype=torch.float32, requires_grad=True)
        (gradient,) = torch.autograd.grad(net(pixels)[0, 0], pixels)
        np.testing.assert_array_equal(gradient, [[[[3.0, 4.0]]]])

    def test_several_classes(self):
        found = GuidedBackprop(frozen(TwoPixels(nn.ReLU()))).attribute(self.X, [[0, 1, 0]])
        np.testing.assert_array_equal(found[0, :, 0, 0], [[3, 0], [0, -6], [3, 0]])

    def test_heatmap_is_the_largest_magnitude_over_channels(self):
        class Grey(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = TwoPixels(nn.ReLU())

            def forward(self, images):
                return self.net((images * torch.tensor([2.0, -1.0])[:, None, None]).sum(1, True))

        X = np.array([[[[1.0, 0.0]], [[1.0, 2.0]]]])  # 2 a - b: the pixels 1 and -2 of above
        clf = FrozenEstimator(CNNClassifier.from_module(Grey(), classes=[0, 1]))
        guided = GuidedBackprop(clf, normalize=None)
        np.testing.assert_array_equal(guided.attribute(X, [1]), [[[[0, -12]], [[0, 6]]]])
        np.testing.assert_array_equal(guided.explain(X, [1]), [[[0, 12]]])
        np.testing.assert_array_equal(guided.explain(X, [0]), [[[6, 0]]])

    def test_in_units_of_the_raw_image(self):
        clf = frozen(TwoPixels(nn.ReLU())).estimator
        net = StandardizedNet(clf.module_.net, Standardize(1, mean=[100.0], std=[50.0]))
        clf = FrozenEstimator(CNNClassifier(None).adopt(net, clf.classes_))
        X = np.array([[[[150, 0]]]], dtype=np.uint8)  # standardized 1 and -2
        np.testing.assert_allclose(GuidedBackprop(clf).attribute(X, [0]), [[[[3 / 50, 0]]]])


class FunctionalResNet(nn.Module):
    """torchvision's ResNet-18 whose modules share one ReLU, spelled by function and in place."""

    def __init__(self, net):
        super().__init__()
        self.net = copy.deepcopy(net)
        for module in self.net.modules():
            if hasattr(module, "relu"):
                del module.relu
                module.relu = functional.relu_

    def forward(self, images):
        return self.net(images)


class TestAgainstCaptum:
    pytestmark = pytest.mark.filterwarnings("ignore:Setting (forward, )?backward hooks:UserWarning")

    @pytest.mark.parametrize("net_class", [LeNet5, CNN_CAM, ResNet18])
    def test_guided_backprop(self, net_class):
        captum = pytest.importorskip("captum.attr")
        torch.manual_seed(0)
        net = net_class(n_classes=5, in_channels=3).eval()
        X, y = random_images(3, 3, 32, 32), [4, 0, 2]
        found = GuidedBackprop(frozen(net)).attribute(X, y)
        pixels = torch.as_tensor(X).requires_grad_()
        expected = captum.GuidedBackprop(net).attribute(pixels, target=y).detach()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * expected.abs().max())
        assert expected.abs().max() > 0

    def test_functions_equal_modules(self):
        torch.manual_seed(0)
        net = torchvision.models.resnet18(num_classes=3)
        X = random_images(2, 3, 32, 32)
        found = GuidedBackprop(frozen(FunctionalResNet(net))).attribute(X, [0, 2])
        np.testing.assert_array_equal(found, GuidedBackprop(frozen(net)).attribute(X, [0, 2]))

    def test_guided_gradcam(self):
        captum = pytest.importorskip("captum.attr")
        torch.manual_seed(0)
        net = CNN_CAM(n_classes=5).eval()  # its cells divide the image evenly, as captum's do
        X, y = random_images(3, 1, 32, 32), [4, 0, 2]
        found = GuidedGradCAM(frozen(net)).attribute(X, y)
        pixels = torch.as_tensor(X).requires_grad_()
        expected = captum.GuidedGradCam(net, net.features).attribute(
            pixels, target=y, interpolate_mode="bilinear"
        )
        expected = expected.detach()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * expected.abs().max())
        assert expected.abs().max() > 0


class TestGuidedGradCAM:
    @pytest.mark.parametrize("align", [True, False])
    def test_is_the_product(self, align):
        torch.manual_seed(0)
        clf, X, y = frozen(ResNet18(n_classes=4)), random_images(2, 3, 64, 64), [3, 1]
        layer = "features.layer3"
        cam = GradCAM(clf, layer=layer, normalize=None, align=align).explain(X, y)
        expected = GuidedBackprop(clf).attribute(X, y) * cam[:, None]
        found = GuidedGradCAM(clf, layer=layer, align=align)
        np.testing.assert_allclose(found.attribute(X, y), expected, rtol=1e-6)
        magnitude = np.abs(expected).max(axis=1)
        maps = found.set_params(normalize=None).explain(X, y)
        np.testing.assert_allclose(maps, magnitude, rtol=1e-6)
        assert (magnitude.max(axis=(1, 2)) > 0).all()

    def test_one_plain_and_one_guided_forward_for_all_classes(self):
        net = LeNet5()
        clf, X = frozen(net), random_images(4, 1, 28, 28)
        explainers = {"guided": GuidedBackprop(clf), "gradcam": GuidedGradCAM(clf)}
        explain_together(explainers, X)  # looks the layer and its grid up
        forwards = []
        net.register_forward_hook(lambda *_: forwards.append(1))
        explain_together(explainers, X, np.tile(np.arange(10), (4, 1)))
        assert len(forwards) == 2

    def test_unknown_layer(self):
        with pytest.raises(ValueError, match="no layer 'feature'"):
            GuidedGradCAM(frozen(LeNet5()), layer="feature").transform(random_images(1, 1, 28, 28))


class TestInputs:
    @pytest.mark.parametrize("relu", [nn.ReLU6(), nn.GELU(), lambda maps: maps.clamp(min=0)])
    def test_a_network_without_relu_is_refused(self, relu):
        with pytest.raises(ValueError, match="changes ReLUs only, and TwoPixels runs none"):
            GuidedBackprop(frozen(TwoPixels(relu))).transform(TestByHand.X)

    def test_batches_made_in_inference_mode(self):
        clf, X = frozen(LeNet5()), random_images(4, 1, 28, 28)
        with torch.inference_mode():
            batch = torch.as_tensor(X), torch.zeros(4)
        loader = DataLoader(range(4), batch_size=4, collate_fn=lambda rows: batch)
        found = GuidedBackprop(clf).attribute(loader)
        np.testing.assert_array_equal(found, GuidedBackprop(clf).attribute(X))

    def test_a_data_set_into_a_file(self, tmp_path):
        net, X, sizes = LeNet5(), random_images(5, 1, 28, 28), []
        net.register_forward_pre_hook(lambda module, images: sizes.append(len(images[0])))
        clf = frozen(net)
        guided = GuidedBackprop(clf, batch_size=2)
        dataset = TensorDataset(torch.as_tensor(X), torch.zeros(5))
        found = guided.attribute(dataset, out=tmp_path / "signed.npy")
        assert isinstance(found, np.memmap)
        assert max(sizes) == 2
        np.testing.assert_allclose(found, GuidedBackprop(clf).attribute(X), atol=1e-7)
        assert found.min() < 0

    def test_bfloat16_is_near_float32(self):
        torch.manual_seed(0)
        net, X, y = LeNet5(), random_images(4, 1, 28, 28), [0, 1, 2, 3]
        exact = GuidedBackprop(frozen(net)).attribute(X, y)
        rough = GuidedBackprop(frozen(net, precision="bfloat16")).attribute(X, y)
        assert rough.dtype == np.float32
        assert np.corrcoef(exact.ravel(), rough.ravel())[0, 1] > 0.99
        assert not np.array_equal(exact, rough)
