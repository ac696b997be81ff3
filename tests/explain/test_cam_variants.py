"""EigenGradCAM, ShapleyCAM and Finer-CAM against hand arithmetic and pytorch-grad-cam."""

from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn

from fmcam.classifiers import CNNClassifier
from fmcam.explain import EigenGradCAM, FinerCAM, GradCAM, HiResCAM, ShapleyCAM, SmoothedExplainer
from fmcam.explain._layout import Layout
from fmcam.explain._together import Batch

IMAGES = np.random.default_rng(0).normal(size=(4, 1, 8, 8)).astype(np.float32)
RAW = {"normalize": None, "upsample": False}


def frozen(net, classes=None):
    return FrozenEstimator(CNNClassifier.from_module(net.eval(), classes=classes))


def smooth_net(n_classes=5):
    """A net whose logits have second derivatives."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(27, 6),
        nn.Tanh(),
        nn.Linear(6, n_classes),
    )


class TestEigenGradCAM:
    def test_equals_a_singular_value_decomposition(self):
        rng = np.random.default_rng(1)
        A, G = rng.normal(size=(2, 3, 4, 3, 2)).astype(np.float32)
        found = EigenGradCAM(None).combine(torch.as_tensor(A), torch.as_tensor(G))
        for maps, product in zip(found.numpy(), A * G, strict=True):
            cells = product.reshape(4, 6).T
            direction = np.linalg.svd(cells)[2][0]
            direction = direction * np.sign(direction.sum())
            np.testing.assert_allclose(maps.ravel(), cells @ direction, atol=1e-5)

    def test_evidence_against_the_class_stays_negative(self):
        A = torch.tensor([[[[1.0, 3.0]], [[2.0, 6.0]]]])
        assert (EigenGradCAM(None).combine(A, -torch.ones_like(A)) < 0).all()

    def test_goes_with_the_hirescam_map(self):
        A, G = torch.randn(2, 5, 4, 3, 3, generator=torch.Generator().manual_seed(0))
        own, summed = EigenGradCAM(None).combine(A, G), HiResCAM(None).combine(A, G)
        assert ((own * summed).sum(dim=(1, 2)) > 0).all()

    def test_other_classes_have_other_maps(self):
        clf = frozen(smooth_net())
        first, second = (EigenGradCAM(clf, **RAW).explain(IMAGES, [y] * 4) for y in (0, 1))
        assert abs(first - second).max() > 1e-3


class Quadratic(nn.Module):
    """Two constant maps a and b of 2x2 cells; the logit is 3 a + 2 b - a b / 2 + a^2, and 0."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Identity()

    @staticmethod
    def value(a, b):
        return 3 * a + 2 * b - a * b / 2 + a**2

    def forward(self, images):
        a, b = self.maps(images).mean(dim=(2, 3)).unbind(dim=1)
        value = self.value(a, b)
        return torch.stack([value, torch.zeros_like(value)], dim=1)


class TestShapleyCAM:
    def test_channels_share_the_logit_by_their_shapley_values(self):
        """Of constant maps, the sum of a channel's part is its Shapley value, by enumeration."""
        players = [2.0, 5.0]
        expected = np.zeros(2)
        for order in permutations(range(2)):
            present = [0.0, 0.0]
            for player in order:
                before = Quadratic.value(*present)
                present[player] = players[player]
                expected[player] += (Quadratic.value(*present) - before) / 2
        X = np.broadcast_to(np.array(players, np.float32)[:, None, None], (1, 2, 2, 2)).copy()
        maps = ShapleyCAM(frozen(Quadratic(), [0, 1]), layer="maps", **RAW).explain(X, [0])
        np.testing.assert_allclose(maps, np.full((1, 2, 2), expected.sum() / 4), rtol=1e-6)

    def test_curvature_is_the_hessian_times_the_maps(self):
        layers = {"maps": Layout("nchw", (2, 2))}
        clf = frozen(Quadratic(), [0, 1]).estimator
        batch = Batch(clf, torch.full((1, 2, 2, 2), 2.0), layers)
        found = batch.recording.curvature("maps", torch.tensor([0]))
        # by the means (a, b): H = [[2, -1/2], [-1/2, 0]], H (2, 2) = (3, -1), a quarter a cell
        expected = torch.tensor([3.0, -1.0])[:, None, None].expand(1, 2, 2, 2) / 4
        torch.testing.assert_close(found, expected)

    @pytest.mark.parametrize("frozen_weights", [False, True])
    @pytest.mark.parametrize("middle", [nn.ReLU(), nn.Identity()])
    def test_a_piecewise_linear_net_has_no_curvature(self, middle, frozen_weights):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(108, 6), middle, nn.Linear(6, 4)
        )
        clf = frozen(net.requires_grad_(not frozen_weights))
        found = ShapleyCAM(clf, **RAW).explain(IMAGES, [0, 1, 2, 3])
        expected = GradCAM(clf, **RAW).explain(IMAGES, [0, 1, 2, 3])
        np.testing.assert_allclose(found, expected, atol=1e-6)

    def test_equals_pytorch_grad_cam(self):
        peer = pytest.importorskip("pytorch_grad_cam")
        net, y = smooth_net().double(), [0, 1, 2, 3]
        found = ShapleyCAM(frozen(net), layer="1", **RAW).explain(IMAGES, y)
        activations = net[:2](torch.as_tensor(IMAGES).double())
        score = net[2:](activations)[range(4), y].sum()
        (gradients,) = torch.autograd.grad(score, activations, create_graph=True)
        cam = SimpleNamespace(activations_and_grads=SimpleNamespace(reshape_transform=None))
        weights = peer.ShapleyCAM.get_cam_weights(cam, None, None, None, activations, gradients)
        expected = np.einsum("nkhw,nk->nhw", activations.detach().numpy(), weights)
        np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-6)
        grad_cam = GradCAM(frozen(net), layer="1", **RAW).explain(IMAGES, y)
        assert abs(found - grad_cam).max() > 0.1 * found.max()

    def test_behind_fused_attention(self):
        class Attends(nn.Module):
            def __init__(self, fused):
                super().__init__()
                self.conv, self.head, self.fused = nn.Conv2d(1, 4, 3), nn.Linear(4, 2), fused

            def forward(self, images):
                x = self.conv(images).flatten(2).mT[:, None]
                if self.fused:
                    x = nn.functional.scaled_dot_product_attention(x, x, x)
                else:
                    x = torch.softmax(x @ x.mT / 2, dim=-1) @ x
                return self.head(x[:, 0].square().mean(dim=1))

        torch.manual_seed(0)
        fused = Attends(True)
        plain = Attends(False)
        plain.load_state_dict(fused.state_dict())
        y = [0, 1, 0, 1]
        found, expected = (
            ShapleyCAM(frozen(net), layer="conv", **RAW).explain(IMAGES, y)
            for net in (fused, plain)
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)
        grad_cam = GradCAM(frozen(fused), layer="conv", **RAW).explain(IMAGES, y)
        assert abs(found - grad_cam).max() > 1e-3


class Linear(nn.Module):
    """Logits are weighted means of two maps, which are the image and its square."""

    def __init__(self, weights):
        super().__init__()
        self.maps = nn.Identity()
        self.head = nn.Linear(2, len(weights), bias=False)
        self.head.weight.data = torch.tensor(weights)

    def forward(self, images):
        maps = self.maps(torch.cat([images, images**2], dim=1))
        return self.head(maps.mean(dim=(2, 3)))


class TestFinerCAM:
    # the image of ones has the logits 3, 2.5, 9 and 1, so 1, 3 and 2 are most like 0
    NET = ([2.0, 1.0], [2.0, 0.5], [4.0, 5.0], [0.0, 1.0])
    X = np.ones((1, 1, 2, 2), np.float32)

    @pytest.mark.parametrize(
        ("alpha", "n_similar", "expected"),
        [
            (0, 3, 3.0),
            (1.0, 1, 3 - 2.5),
            (0.5, 2, 3 - 0.5 * (2.5 + 1) / 2),
            (0.5, 3, 3 - 0.5 * (2.5 + 1 + 9) / 3),
            (0.5, 9, 3 - 0.5 * (2.5 + 1 + 9) / 3),
        ],
    )
    def test_by_hand(self, alpha, n_similar, expected):
        cam = FinerCAM(frozen(Linear(self.NET)), alpha=alpha, n_similar=n_similar, **RAW)
        found = cam.set_params(layer="maps").explain(self.X, [0])
        np.testing.assert_allclose(found, np.full((1, 2, 2), expected / 4), rtol=1e-6)

    def test_several_classes_of_an_image(self):
        cam = FinerCAM(frozen(Linear(self.NET)), n_similar=1, layer="maps", **RAW)
        found = cam.explain(self.X, [[0, 2]])
        np.testing.assert_allclose(found[0, :, 0, 0], [(3 - 2.5) / 4, (9 - 3) / 4], rtol=1e-6)

    def test_without_the_other_classes_it_is_grad_cam(self):
        clf = frozen(smooth_net())
        found = FinerCAM(clf, alpha=0).explain(IMAGES, [0, 1, 2, 3])
        np.testing.assert_allclose(found, GradCAM(clf).explain(IMAGES, [0, 1, 2, 3]), atol=1e-6)

    def test_one_class_equals_pytorch_grad_cam(self):
        peer = pytest.importorskip("pytorch_grad_cam")
        net, images = smooth_net().double(), torch.as_tensor(IMAGES).double()
        with peer.FinerCAM(net, [net[1]]) as finer:
            finer(images, alpha=0.6, comparison_categories=[1])
            cam = finer.base_cam  # raw, without the 1e-7 that it adds to a map's maximum
            kept = cam.activations_and_grads
            A, G = kept.activations[0].numpy(), kept.gradients[0].numpy()
            expected = cam.get_cam_image(images, net[1], None, A, G).clip(min=0)
        found = FinerCAM(frozen(net), alpha=0.6, n_similar=1, layer="1", **RAW).transform(IMAGES)
        assert (expected.max(axis=(1, 2)) > 0).all()
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * expected.max())

    @pytest.mark.parametrize("n_similar", [0, -1])
    def test_refuses_no_other_class(self, n_similar):
        cam = FinerCAM(frozen(smooth_net()), n_similar=n_similar)
        with pytest.raises(ValueError, match=f"`n_similar` must be 1 or more, got {n_similar}"):
            cam.transform(IMAGES)

    def test_of_one_output_the_other_class_is_its_negative(self):
        clf = frozen(smooth_net(n_classes=1))
        raw = {"layer": "1", "normalize": None}
        found = FinerCAM(clf, **raw).explain(IMAGES, [1] * 4)
        expected = GradCAM(clf, **raw).explain(IMAGES, [1] * 4)
        np.testing.assert_allclose(found, 2 * expected, rtol=1e-5)


@pytest.mark.parametrize("kind", [EigenGradCAM, ShapleyCAM, FinerCAM])
def test_smoothed_without_noise_is_the_map(kind):
    cam = kind(frozen(smooth_net()))
    smoothed = SmoothedExplainer(cam, n_samples=1, noise=0)
    np.testing.assert_allclose(smoothed.transform(IMAGES), cam.transform(IMAGES), atol=1e-5)
