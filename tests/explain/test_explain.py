"""The engine of the explainers and the CAM family: golden rows, oracles, sharing, errors."""

import copy

import numpy as np
import pytest
import torch
import torchvision
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from fmcam.classifiers import CNNClassifier, LeNet5Classifier
from fmcam.explain import (
    CAM,
    EigenCAM,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    SmoothedExplainer,
    XGradCAM,
    explain_together,
)
from fmcam.explain._layout import Layout
from fmcam.explain._recording import Recording
from fmcam.localize import HeatmapToBox, boxes_from_heatmaps
from fmcam.metrics import energy_in_box_score, max_box_accuracy_score
from fmcam.models import CNN_CAM, LeNet5
from fmcam.report import localization_frame

GRADIENT_CAMS = [GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, XGradCAM]


def frozen(net, **params):
    return FrozenEstimator(CNNClassifier.from_module(net, **params))


def random_images(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture
def lenet():
    torch.manual_seed(0)
    return LeNet5()


class FunctionalHead(nn.Module):
    """CNN_CAM with its linear layer spelled so that no module shows it."""

    def __init__(self, net):
        super().__init__()
        self.features = net.features
        self.weight, self.bias = net.head[2].weight, net.head[2].bias

    def forward(self, images):
        return functional.linear(self.features(images).mean(dim=(2, 3)), self.weight, self.bias)


class Doubling(nn.Module):
    """Maps 2x and -x of a grey image, then a linear layer of the flattened 2x2 maps."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(1, 2, 1, bias=False)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(8, 2, bias=False))
        self.features.weight.data = torch.tensor([2.0, -1.0])[:, None, None, None]
        self.head[1].weight.data = torch.tensor(
            [[1.0, 0.0, 0.0, -3.0, 0.0, 1.0, 0.0, 0.0], [0.0, 0, 0, 0, 0, 0, 0, 1]]
        )

    def forward(self, images):
        return self.head(self.features(images))


class TestGoldenRows:
    """X = [[1, 2], [3, 4]]: A1 = 2X, A2 = -X; G1 = [[1, 0], [0, -3]], G2 = [[0, 1], [0, 0]]."""

    X = np.array([[[[1, 2], [3, 4]]]], dtype=np.float32)

    def raw(self, kind):
        cam = kind(frozen(Doubling()), normalize=None, upsample=False)
        return cam.explain(self.X, [0])[0]

    def test_gradcam(self):
        # weights (1 - 3) / 4 = -0.5 and 1 / 4: -0.5 * 2X - 0.25 X = -1.25 X, nothing after the ReLU
        np.testing.assert_array_equal(self.raw(GradCAM), np.zeros((2, 2)))
        # class 1: weights 0 and 1/4: -0.25 X
        cam = GradCAM(frozen(Doubling()), normalize=None, upsample=False)
        np.testing.assert_array_equal(cam.explain(self.X, [1]), np.zeros((1, 2, 2)))
        np.testing.assert_allclose(cam.explain(-self.X, [1])[0], [[0.25, 0.5], [0.75, 1.0]])

    def test_before_the_relu(self):
        # as above, and nothing lost: -1.25 X, the largest magnitude 5
        cam = GradCAM(frozen(Doubling()), rectify=False, normalize=None, upsample=False)
        np.testing.assert_array_equal(cam.explain(self.X, [0])[0], -1.25 * self.X[0, 0])
        cam.set_params(normalize="minmax")
        np.testing.assert_array_equal(cam.explain(self.X, [0])[0], -self.X[0, 0] / 4)
        assert not cam.explain(0 * self.X, [0]).any()

    def test_hirescam(self):
        # 2 * 1 * 1 = 2 at the first pixel, -X at the second: -2, -3 * 8 = -24 at the last
        np.testing.assert_array_equal(self.raw(HiResCAM), [[2, 0], [0, 0]])

    def test_layercam(self):
        np.testing.assert_array_equal(self.raw(LayerCAM), [[2, 0], [0, 0]])

    def test_xgradcam(self):
        # w1 = (2 - 24) / 20 = -1.1, w2 = -2 / -10 = 0.2: -2.2 X - 0.2 X
        np.testing.assert_array_equal(self.raw(XGradCAM), np.zeros((2, 2)))
        cam = XGradCAM(frozen(Doubling()), normalize=None, upsample=False)
        # class 1: only A2 counts, w2 = -4 / -10 = 0.4, on -X: 0.4 X
        np.testing.assert_allclose(cam.explain(-self.X, [1])[0], 0.4 * self.X[0, 0], rtol=1e-6)

    def test_gradcam_plus_plus(self):
        # A1 sums to 20, the positive part of A2 to 0. w1 = 1 / (2 + 20), w2 = 1 / 2
        expected = (2 / 22 - 0.5) * self.X[0, 0]
        np.testing.assert_array_equal(self.raw(GradCAMPlusPlus), np.maximum(expected, 0))
        # the image negated: A1 = -2X, A2 = X sums to 10: w1 = 1 / 2, w2 = 1 / (2 + 10)
        cam = GradCAMPlusPlus(frozen(Doubling()), normalize=None, upsample=False)
        found = GradCAMPlusPlus(None).combine(
            torch.tensor([[[[-2.0, -4], [-6, -8]], [[1, 2], [3, 4]]]]),
            torch.tensor([[[[1.0, 0], [0, -3]], [[0, 1], [0, 0]]]]),
        )
        np.testing.assert_allclose(found[0], (-2 / 2 + 1 / 12) * self.X[0, 0], rtol=1e-6)
        assert cam.explain(-self.X, [0]).max() == 0

    def test_gradcam_plus_plus_divides(self):
        """torch-cam's division has no effect: its weights are sum(relu(g) g^2)."""
        A, G = torch.tensor([[[[1.0, 2, 3]]]]), torch.tensor([[[[0.5, 1, -1]]]])
        # eq. 19: a = g^2 / (2 g^2 + sum(A) g^3) with sum(A) = 6
        w = 0.25 / (0.5 + 6 * 0.125) * 0.5 + 1 / (2 + 6) * 1
        found = GradCAMPlusPlus(None).combine(A, G)
        np.testing.assert_allclose(found[0, 0], w * np.array([1, 2, 3]), rtol=1e-6)

    def test_eigencam(self):
        # A1 = 2X, A2 = -X: the direction is (2, -1) / sqrt(5), so the map is sqrt(5) X
        np.testing.assert_allclose(self.raw(EigenCAM), np.sqrt(5) * self.X[0, 0], rtol=1e-5)

    def test_min_max(self):
        cam = HiResCAM(frozen(Doubling()), upsample=False)
        # class 0 of the negated image: -2, 2, 0, 24 -> ReLU -> divided by 24
        np.testing.assert_allclose(cam.explain(-self.X, [0])[0], [[0, 2 / 24], [0, 1]], rtol=1e-6)


def test_eigencam_shows_the_object_whatever_the_sign_of_the_vector():
    """pytorch-grad-cam's EigenCAM may show the background instead."""
    net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    cam = EigenCAM(frozen(net, classes=[0, 1, 2]), layer="1")
    for seed in range(5):
        torch.manual_seed(seed)
        nn.init.uniform_(net[0].weight, 0.1, 1)
        nn.init.zeros_(net[0].bias)
        X = np.zeros((1, 1, 8, 8), dtype=np.float32)
        X[0, 0, 2:5, 3:6] = 1
        np.testing.assert_allclose(cam.transform(X)[0], X[0, 0], atol=1e-5)


class TestOracles:
    def test_captum_before_the_relu(self, lenet):
        captum = pytest.importorskip("captum.attr")
        X, y = random_images((5, 1, 28, 28)), np.array([0, 1, 2, 3, 0])
        layer = captum.LayerGradCam(lenet, lenet.features)
        expected = layer.attribute(torch.as_tensor(X), torch.as_tensor(y)).detach()[:, 0]
        assert (expected < 0).any()
        cam = GradCAM(frozen(lenet), rectify=False, normalize=None, upsample=False)
        np.testing.assert_allclose(cam.explain(X, y), expected, rtol=1e-4, atol=1e-7)

    @pytest.mark.parametrize("spoil", ["as it is", "frozen", "no_grad", "inference_mode", "train"])
    @pytest.mark.parametrize("layer", ["0", "1", "3"])
    def test_captum_on_convolution_with_inplace_relu(self, spoil, layer):
        captum = pytest.importorskip("captum.attr")
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 6, 3, stride=2),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(6 * 7 * 7, 4),
        ).eval()
        X, y = random_images((5, 3, 16, 16)), np.array([0, 1, 2, 3, 0])
        expected = captum.LayerGradCam(net, net[int(layer)]).attribute(
            torch.as_tensor(X), torch.as_tensor(y), relu_attributions=True
        )
        cam = GradCAM(frozen(net), layer=layer, normalize=None, upsample=False)
        if spoil == "frozen":
            net.requires_grad_(False)
        if spoil == "train":
            net.train()
        modes = {"no_grad": torch.no_grad(), "inference_mode": torch.inference_mode()}
        with modes.get(spoil, torch.enable_grad()):
            found = cam.explain(X, y)
        np.testing.assert_allclose(found, expected.detach()[:, 0], rtol=1e-4, atol=1e-7)

    @pytest.mark.parametrize(
        "name", ["resnet18", "vgg11_bn", "densenet121", "mobilenet_v2", "convnext_tiny"]
    )
    def test_captum_on_torchvision_networks(self, name):
        captum = pytest.importorskip("captum.attr")
        torch.manual_seed(0)
        once = {"init_weights": False} if name == "vgg11_bn" else {}  # else a second time, in 1 s
        net = torchvision.models.get_model(name, num_classes=5, **once).eval()
        X, y = random_images((2, 3, 64, 64)), np.array([1, 4])
        layer = net.layer4 if name == "resnet18" else net.features
        expected = (
            captum.LayerGradCam(net, layer)
            .attribute(torch.as_tensor(X), torch.as_tensor(y), relu_attributions=True)
            .detach()[:, 0]
        )
        found = GradCAM(frozen(net), normalize=None, upsample=False).explain(X, y)
        np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())


NCHW = Layout("nchw", (2, 2))


class TestGlobalAveragePooling:
    """The gradient of a linear layer of averages is its weights over the number of cells."""

    def test_four_methods_coincide(self):
        torch.manual_seed(0)
        clf, X = frozen(CNN_CAM(n_classes=4)), random_images((3, 1, 32, 32))
        maps = explain_together({k.__name__: k(clf) for k in (CAM, *GRADIENT_CAMS)}, X)
        for name in ("GradCAM", "HiResCAM", "XGradCAM"):
            np.testing.assert_allclose(maps[name], maps["CAM"], atol=2e-5)
        assert np.abs(maps["LayerCAM"] - maps["CAM"]).max() > 0.05

    @pytest.mark.parametrize("kind", GRADIENT_CAMS)
    def test_closed_form_equals_the_gradient(self, kind):
        torch.manual_seed(0)
        net = CNN_CAM(n_classes=4).eval()
        X, y = random_images((3, 1, 32, 32)), [3, 0, 1]
        known = kind(frozen(net), layer="features", normalize=None)
        hidden = kind(
            frozen(FunctionalHead(net), classes=range(4)), layer="features", normalize=None
        )
        found, expected = known.explain(X, y), hidden.explain(X, y)
        assert expected.max() > 0
        np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())

    def test_no_graph_is_built_before_the_layer_nor_any_backward_run(self):
        torch.manual_seed(0)
        clf = CNNClassifier.from_module(CNN_CAM(n_classes=4))
        images = torch.as_tensor(random_images((2, 1, 32, 32)))
        recording = Recording(clf, images, {"features.3": NCHW})
        assert recording._nodes["features.3"].is_leaf
        head = Recording(clf, images, {"features": NCHW})
        gradient = head.gradient("features", torch.tensor([1, 2]))
        assert gradient.stride()[2:] == (0, 0)  # one number a map, never written out
        assert head._key is None

    def test_a_head_that_only_looks_alike_is_differentiated(self):
        """A ReLU between the pooling and the linear layer, met by negative averages."""
        torch.manual_seed(0)
        features = nn.Conv2d(1, 6, 3)
        net = nn.Sequential(
            features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.ReLU(), nn.Linear(6, 3)
        )
        clf = CNNClassifier.from_module(net)
        images = torch.as_tensor(random_images((4, 1, 8, 8)))
        recording = Recording(clf, images, {"0": NCHW})
        assert recording.head_weights("0") is None
        maps = features(images).detach().requires_grad_()
        net[1:](maps)[:, 1].sum().backward()
        found = recording.gradient("0", torch.ones(4, dtype=torch.int64))
        np.testing.assert_allclose(found, maps.grad, atol=1e-7)

    def test_activations_that_vanish_beside_the_bias(self):
        """As behind many layers of random weights: the rounding of the bias hides them."""
        torch.manual_seed(0)
        head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 100)
        net = nn.Sequential(nn.Conv2d(1, 256, 3, bias=False), nn.ReLU(), *head)
        X, y = random_images((4, 1, 32, 32)), [0, 1, 2, 3]
        expected = CAM(frozen(net)).explain(X, y)
        net[0].weight.data *= 1e-7
        np.testing.assert_allclose(CAM(frozen(net)).explain(X, y), expected, atol=1e-4)


class TestSharing:
    def test_together_equals_apart(self, lenet):
        clf, X = frozen(lenet), random_images((5, 1, 28, 28))
        explainers = {
            "late": GradCAM(clf),
            "early": LayerCAM(clf, layer="features.2"),
            "fused": LayerCAM(clf, layer=["features.2", "features"]),
            "raw": HiResCAM(clf, normalize=None, upsample=False),
        }
        y = [7, 1, 0, 0, 9]
        together = explain_together(explainers, X, y)
        for name, explainer in explainers.items():
            np.testing.assert_allclose(together[name], explainer.explain(X, y), atol=1e-6)

    def test_probabilities_of_the_same_forward(self, lenet):
        clf, X = frozen(lenet), random_images((5, 1, 28, 28))
        explainers = {"a": GradCAM(clf, batch_size=2), "b": GradCAM(clf, layout=lambda maps: maps)}
        for y in (None, [7, 1, 0, 0, 9]):
            maps, proba = explain_together(explainers, X, y, return_proba=True)
            np.testing.assert_allclose(proba, clf.predict_proba(X), atol=1e-6)
            np.testing.assert_array_equal(maps["a"], explain_together(explainers, X, y)["a"])
        two = {"a": GradCAM(clf), "b": GradCAM(frozen(copy.deepcopy(lenet)))}
        with pytest.raises(ValueError, match="With `return_proba` all explainers must be of one"):
            explain_together(two, X, return_proba=True)

    def test_several_classes_equal_one_by_one(self, lenet):
        clf, X = frozen(lenet), random_images((4, 1, 28, 28))
        y = np.array([[0, 5], [9, 9], [1, 2], [3, 0]])
        for kind in GRADIENT_CAMS:
            found = kind(clf).explain(X, y)
            assert found.shape == (4, 2, 28, 28)
            for k in range(2):
                np.testing.assert_allclose(found[:, k], kind(clf).explain(X, y[:, k]), atol=1e-6)

    def test_one_forward_for_all(self, lenet):
        forwards = []
        lenet.register_forward_hook(lambda *_: forwards.append(1))
        clf, X = frozen(lenet), random_images((4, 1, 28, 28))
        GradCAM(clf).transform(X[:1])  # looks the layer and its grid up
        forwards.clear()
        y = np.tile(np.arange(10), (4, 1))
        explain_together({kind.__name__: kind(clf) for kind in GRADIENT_CAMS}, X, y)
        assert len(forwards) == 1

    def test_explainers_of_several_classifiers(self, lenet):
        torch.manual_seed(1)
        X = random_images((3, 1, 28, 28))
        explainers = {
            "a": GradCAM(frozen(lenet)),
            "b": CAM(frozen(CNN_CAM())),
            "c": LayerCAM(frozen(lenet)),
        }
        together = explain_together(explainers, X)
        assert list(together) == ["a", "b", "c"]
        for name, explainer in explainers.items():
            np.testing.assert_allclose(together[name], explainer.transform(X), atol=1e-6)

    def test_none_is_refused(self):
        with pytest.raises(ValueError, match="at least one explainer"):
            explain_together({}, random_images((1, 1, 28, 28)))


class TestFusion:
    def test_mean_of_stretched_maps(self, lenet):
        clf, X = frozen(lenet), random_images((3, 1, 28, 28))
        single = [LayerCAM(clf, layer=name).transform(X) for name in ("features.2", "features")]
        mean = np.mean(single, axis=0)
        low, high = mean.min(axis=(1, 2), keepdims=True), mean.max(axis=(1, 2), keepdims=True)
        fused = LayerCAM(clf, layer=["features.2", "features"]).transform(X)
        np.testing.assert_allclose(fused, (mean - low) / (high - low), atol=1e-5)

    def test_mean_of_maps_with_their_sign(self, lenet):
        clf, X, y = frozen(lenet), random_images((3, 1, 28, 28)), [0, 1, 2]
        options = {"rectify": False, "normalize": None}
        layers = ["features.2", "features"]
        single = [HiResCAM(clf, layer=name, **options).explain(X, y) for name in layers]
        scaled = [one / np.abs(one).max(axis=(1, 2), keepdims=True) for one in single]
        fused = HiResCAM(clf, layer=layers, **options).explain(X, y)
        assert (fused < 0).any()
        np.testing.assert_allclose(fused, np.mean(scaled, axis=0), atol=1e-6)

    def test_smoothed_maps_keep_their_sign(self, lenet):
        cam = HiResCAM(frozen(lenet), rectify=False)
        same = SmoothedExplainer(cam, n_samples=1, noise=0)
        X = random_images((3, 1, 28, 28))
        np.testing.assert_allclose(same.transform(X), cam.transform(X), atol=1e-6)

    def test_sizes_must_agree_without_upsampling(self, lenet):
        cam = LayerCAM(frozen(lenet), layer=["features.2", "features"], upsample=False)
        with pytest.raises(ValueError, match=r"differ in size, \[\(14, 14\), \(5, 5\)\]"):
            cam.transform(random_images((1, 1, 28, 28)))


class Canvases(Dataset):
    """Images with labels and boxes, as data sets of localization have them."""

    def __init__(self, X):
        self.X = X

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        return self.X[index], 3, torch.zeros(4)


class TestInput:
    def test_streams_equal_arrays(self, lenet):
        X = random_images((7, 1, 28, 28))
        cam = GradCAM(frozen(lenet), batch_size=3)
        expected = cam.transform(X)
        for stream in (Canvases(X), DataLoader(TensorDataset(torch.as_tensor(X)), batch_size=2)):
            np.testing.assert_allclose(cam.transform(stream), expected, atol=1e-6)
        y = np.arange(7)
        np.testing.assert_allclose(cam.explain(Canvases(X), y), cam.explain(X, y), atol=1e-6)
        ready = DataLoader(torch.as_tensor(X).split(2), batch_size=None)  # batches already
        np.testing.assert_allclose(cam.transform(ready), expected, atol=1e-6)

    def test_output_file(self, lenet, tmp_path):
        X = random_images((7, 1, 28, 28))
        cam = GradCAM(frozen(lenet), batch_size=3)
        maps = cam.explain(X, out=tmp_path / "maps.npy")
        assert isinstance(maps, np.memmap)
        assert not maps.flags.writeable
        np.testing.assert_array_equal(np.load(tmp_path / "maps.npy"), cam.transform(X))
        assert [file.name for file in tmp_path.iterdir()] == ["maps.npy"]

    def test_an_interrupted_call_leaves_no_output_file(self, lenet, tmp_path):
        X = random_images((7, 1, 28, 28))

        class Breaking(Canvases):
            def __getitem__(self, index):
                if index == 5:
                    raise RuntimeError("unreadable")
                return super().__getitem__(index)

        cam = GradCAM(frozen(lenet), batch_size=3)
        with pytest.raises(RuntimeError, match="unreadable"):
            cam.explain(Breaking(X), out=tmp_path / "maps.npy")
        assert not (tmp_path / "maps.npy").exists()

    def test_labels_of_any_kind(self, lenet):
        names = np.array(list("abcdefghij"))
        X, columns = random_images((3, 1, 28, 28)), [4, 0, 9]
        found = GradCAM(frozen(lenet, classes=names)).explain(X, names[columns])
        np.testing.assert_array_equal(found, GradCAM(frozen(lenet)).explain(X, columns))

    def test_an_estimator_that_is_not_frozen_is_cloned_and_fitted(self):
        X = np.zeros((20, 16, 16), dtype=np.uint8)
        X[10:, 4:12, 4:12] = 255
        y = np.repeat(["dark", "square"], 10)
        clf = LeNet5Classifier(max_epochs=3, random_state=0)
        cam = GradCAM(clf)
        with pytest.raises(NotFittedError, match=r"GradCAM\(FrozenEstimator\(clf\)\)"):
            cam.transform(X)
        maps = cam.fit(X, y).transform(X)
        assert not clf.initialized_
        again = GradCAM(FrozenEstimator(cam.estimator_)).explain(X, cam.estimator_.predict(X))
        np.testing.assert_array_equal(maps, again)

    def test_bfloat16_maps_are_close(self):
        torch.manual_seed(0)
        net, X = CNN_CAM(), random_images((4, 1, 32, 32))
        exact = GradCAM(frozen(net)).explain(X, [1, 2, 3, 4])
        fast = GradCAM(frozen(net, precision="bfloat16")).explain(X, [1, 2, 3, 4])
        assert 0 < np.abs(fast - exact).mean() < 0.03


class TestErrors:
    X = random_images((3, 1, 28, 28))

    @pytest.mark.parametrize("y", [[0, 1], [0, 1, 2, 3]])
    def test_another_number_of_labels(self, lenet, y):
        """pytorch-grad-cam gives all-zero maps where targets are missing."""
        with pytest.raises(ValueError, match=r"a row for each of 3 images, got \(\d,\)"):
            GradCAM(frozen(lenet)).explain(self.X, y)

    def test_unknown_labels(self, lenet):
        with pytest.raises(ValueError, match=r"labels \[10, 11\] that the classifier does not"):
            GradCAM(frozen(lenet)).explain(self.X, [10, 0, 11])

    def test_layer_that_does_not_exist(self, lenet):
        message = r"no layer 'feature'. Did you mean 'features'\? Layers that give maps: .*features"
        with pytest.raises(ValueError, match=message):
            GradCAM(frozen(lenet), layer="feature").transform(self.X)

    def test_layer_without_spatial_size(self, lenet):
        with pytest.raises(
            ValueError, match=r"but 'head.2' gives \(120,\).*Layers that give maps: "
        ):
            GradCAM(frozen(lenet), layer="head.2").transform(self.X)

    def test_layer_that_runs_twice(self):
        net = torchvision.models.resnet18(num_classes=3)
        with pytest.raises(ValueError, match=r"'layer4\.0\.relu' runs more than once"):
            GradCAM(frozen(net), layer="layer4.0.relu").transform(random_images((1, 3, 64, 64)))

    def test_no_layer_has_maps(self):
        net = nn.Sequential(nn.Flatten(), nn.Linear(784, 3))
        with pytest.raises(ValueError, match="Sequential has no layer that gives maps"):
            GradCAM(frozen(net)).transform(self.X)

    def test_empty_list_of_layers(self, lenet):
        with pytest.raises(ValueError, match="at least one layer"):
            GradCAM(frozen(lenet), layer=[]).transform(self.X)

    def test_cam_without_pooling_and_linear_layer(self, lenet):
        with pytest.raises(ValueError, match=r"those of LeNet5 are not\. Use GradCAM"):
            CAM(frozen(lenet)).transform(self.X)

    def test_what_cuts_maps_refuses_those_with_a_sign(self, lenet):
        cam, X = HiResCAM(frozen(lenet), rectify=False), random_images((2, 1, 28, 28))
        maps, boxes = cam.transform(X), [[0, 0, 9, 9]] * 2
        advice = r"got values from -.*Of maps with a sign \(`rectify=False`\) pass `maps.clip\(0\)`"
        for cut in (
            lambda: boxes_from_heatmaps(maps, 0.5),
            lambda: HeatmapToBox().fit(maps, boxes),
            lambda: max_box_accuracy_score(boxes, maps),
            lambda: localization_frame({"cam": maps}, [0, 1], np.eye(10)[:2], range(10)),
        ):
            with pytest.raises(ValueError, match=advice):
                cut()
        with pytest.raises(ValueError, match=r"must not be negative.*np.maximum\(heatmaps, 0\)"):
            energy_in_box_score(boxes, maps)
        rectified = HiResCAM(frozen(lenet), upsample=False)
        signed = HiResCAM(frozen(lenet), upsample=False, rectify=False)
        positive = signed.transform(X).clip(0)
        for ours, theirs in zip(positive, rectified.transform(X), strict=True):
            np.testing.assert_allclose(ours / ours.max(), theirs, atol=1e-6)

    def test_rectify_is_a_truth_value(self, lenet):
        with pytest.raises(ValueError, match="`rectify` must be True or False, got 'no'"):
            GradCAM(frozen(lenet), rectify="no").transform(random_images((1, 1, 28, 28)))

    def test_unknown_normalization(self, lenet):
        with pytest.raises(ValueError, match="must be 'minmax' or None, got 'max'"):
            GradCAM(frozen(lenet), normalize="max").transform(self.X)

    def test_estimator_of_another_kind(self):
        message = "must be a CNNClassifier or a torch network, got a LogisticRegression"
        with pytest.raises(TypeError, match=message):
            GradCAM(FrozenEstimator(LogisticRegression())).transform(self.X)

    def test_unfitted_classifier(self):
        with pytest.raises(NotFittedError, match="LeNet5Classifier to explain is not fitted"):
            GradCAM(FrozenEstimator(LeNet5Classifier())).transform(self.X)
