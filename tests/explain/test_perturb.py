"""Score-CAM, Ablation-CAM and occlusion: by hand, and against loops that are slow but plain."""

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn
from torch.nn import functional

from fmcam.classifiers import CNNClassifier
from fmcam.explain import AblationCAM, Occlusion, ScoreCAM, explain_together
from fmcam.explain._occlusion import _windows
from fmcam.models import CNN_CAM, LeNet5, Standardize, StandardizedNet


def frozen(net, **params):
    return FrozenEstimator(CNNClassifier.from_module(net, **params))


def random_images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def seeded(make, **params):
    torch.manual_seed(0)
    return make(**params).eval()


def batches_seen(net):
    """A list that the number of images in each forward of a network is added to."""
    sizes = []
    net.register_forward_pre_hook(lambda module, images: sizes.append(len(images[0])))
    return sizes


class LinearHead(nn.Module):
    """1x1 convolution with given weights, then a linear layer of all cells."""

    def __init__(self, filters, head):
        super().__init__()
        self.features = nn.Conv2d(1, len(filters), 1, bias=False)
        self.features.weight.data = torch.tensor(filters)[:, None, None, None]
        self.head = nn.Linear(len(head[0]), len(head), bias=False)
        self.head.weight.data = torch.tensor(head)

    def forward(self, images):
        return self.head(self.features(images).flatten(1))


JOINS = {
    "sum": lambda before, after: before + after,
    "sum in place": lambda before, after: after.add_(before),
    "sum in place, other way": lambda before, after: before.add_(after),
    "product": lambda before, after: before.sigmoid() * after,
    "concatenation": lambda before, after: torch.cat([before, after], dim=1)[:, 3:9],
    "number of images": lambda before, after: (
        (before + after).reshape(len(before), 6, -1)[:, :, :64].unflatten(2, (8, 8))
    ),
}


class Joined(nn.Module):
    """A layer of stride 2, two layers of which some way joins the maps, and the rest."""

    def __init__(self, join="sum"):
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, stride=2, padding=1)
        self.shortcut = nn.Conv2d(6, 6, 1)
        self.branch = nn.Sequential(nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1))
        self.join = JOINS[join]
        self.rest = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(6, 5, 3), nn.ReLU())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(45, 3))
        for weights in self.parameters():
            weights.data *= 2

    def forward(self, images):
        maps = self.stem(images)
        return self.head(self.rest(self.join(self.shortcut(maps), self.branch(maps))))


class TestScoreCAM:
    # The maps of an image x are x, -x and 0; the first two stretched to [0, 1] are h and 1 - h with
    # h = (x - 1) / 4. Class 0 takes a fifth of the last pixel, so that x h has the logit 1 and
    # x (1 - h) the logit 0. Class 1 takes the first pixel: logits 0 and 1.
    X = np.array([[[[1.0, 2.0], [3.0, 5.0]]]])
    FILTERS = (1.0, -1.0, 0.0)
    HEAD = ([0, 0, 0, 0.2] + [0.0] * 8, [1.0] + [0.0] * 11)

    @pytest.mark.parametrize(("label", "sign"), [(0, 1), (1, -1)])
    def test_by_hand(self, label, sign):
        cam = ScoreCAM(frozen(LinearHead(self.FILTERS, self.HEAD)), layer="features")
        # weights e / (e + 1) and 1 / (e + 1), the map that is 0 left out: their difference times x
        expected = np.maximum(sign * (np.e - 1) / (np.e + 1) * self.X[:, 0], 0)
        found = cam.set_params(normalize=None).explain(self.X, [label])
        np.testing.assert_allclose(found, expected, rtol=1e-6)

    def test_only_flat_maps(self):
        cam = ScoreCAM(frozen(LinearHead(self.FILTERS, self.HEAD)), layer="features")
        maps = cam.set_params(normalize=None).transform(np.zeros((2, 1, 2, 2)))
        np.testing.assert_array_equal(maps, 0)

    def test_the_strongest_maps_are_those_that_vary_most(self):
        cam = ScoreCAM(frozen(LinearHead((1.0, -2.0, 0.0), self.HEAD)), layer="features")
        cam.set_params(normalize=None, rectify=False)
        strongest = cam.set_params(max_channels=1).explain(self.X, [0])
        np.testing.assert_allclose(strongest, -2 * self.X[:, 0], rtol=1e-6)
        every, enough = (cam.set_params(max_channels=n).explain(self.X, [0]) for n in (None, 9))
        assert np.abs(every - strongest).max() > 0.1
        np.testing.assert_array_equal(enough, every)

    def test_no_number_of_maps(self):
        cam = ScoreCAM(frozen(LinearHead(self.FILTERS, self.HEAD)), max_channels=0)
        with pytest.raises(ValueError, match="max_channels == 0, must be >= 1"):
            cam.explain(self.X, [0])

    @pytest.mark.parametrize("align", [True, False])
    def test_equals_a_plain_loop(self, align):
        net, X, columns = seeded(Joined), random_images(2, 1, 32, 32), [2, 0]
        cam = ScoreCAM(frozen(net), layer="stem", align=align, normalize=None, upsample=False)
        expected = []
        for image, column in zip(torch.as_tensor(X), columns, strict=True):
            maps = net.stem(image[None])
            if align:  # cell (i, j) lies at pixel (2 i, 2 j), and the last one goes on
                maps = functional.pad(maps, (0, 1, 0, 1), mode="replicate")
                drawn = functional.interpolate(maps, (33, 33), mode="bilinear", align_corners=True)
            else:
                drawn = functional.interpolate(maps, (32, 32), mode="bilinear")
            maps, drawn = maps[0, :, :16, :16], drawn[0, :, :32, :32]
            low, high = drawn.amin((1, 2), keepdim=True), drawn.amax((1, 2), keepdim=True)
            scores = [net(image[None] * mask)[0, column] for mask in (drawn - low) / (high - low)]
            weights = torch.stack(scores).softmax(dim=0)
            expected.append((weights[:, None, None] * maps).sum(dim=0).relu().detach().numpy())
        assert np.min([one.max() for one in expected]) > 0.1
        np.testing.assert_allclose(cam.explain(X, columns), expected, rtol=1e-4, atol=1e-6)


class TestAblationCAM:
    def test_by_hand(self):
        # maps x and -x; without the first class 0 falls by 1 - 12 = -11, without the other by
        # -2 * 2 = -4: negative weights, as the logit itself is negative
        net = LinearHead((1.0, -1.0), ([1.0, 0, 0, -3, 0, 2, 0, 0], [0.0, 0, 0, 0, 0, 0, 0, 1]))
        X = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
        raw = AblationCAM(frozen(net), layer="features", normalize=None)
        np.testing.assert_allclose(raw.explain(-X, [0])[0], 0)  # (11 - 4) * -x
        np.testing.assert_allclose(raw.explain(X, [0])[0], 0)  # (-11 + 4) * x
        np.testing.assert_allclose(raw.explain(X, [1])[0], 4 * X[0, 0])  # 0 * x - 4 * -x

    @pytest.mark.parametrize("layer", ["stem", "branch", "shortcut", "rest"])
    @pytest.mark.parametrize("join", JOINS)
    def test_equals_a_plain_loop(self, join, layer):
        net, X, columns = seeded(Joined, join=join), random_images(2, 1, 16, 16), [2, 0]
        cam = AblationCAM(frozen(net), layer=layer, upsample=False, normalize=None, batch_size=4)
        found = cam.explain(X, columns)
        without, maps = [None], []

        def ablate(module, args, output):
            maps.append(output)
            kept = [k != without[0] for k in range(output.shape[1])]
            return output * torch.tensor(kept)[:, None, None]

        net.get_submodule(layer).register_forward_hook(ablate)
        intact = net(torch.as_tensor(X))
        expected = 0
        for without[0] in range(maps[0].shape[1]):
            falls = (intact - net(torch.as_tensor(X)))[[0, 1], columns]
            expected = expected + falls[:, None, None] * maps[0][:, without[0]]
        expected = expected.relu().detach().numpy()
        assert expected.max() > 0.05
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    def test_closed_form_equals_ablation(self):
        net, X = seeded(CNN_CAM, n_classes=3), random_images(4, 1, 32, 32)

        class WithoutLinear(nn.Module):
            def forward(self, images):
                maps = net.features(images).mean(dim=(2, 3))
                return functional.linear(maps, net.head[2].weight, net.head[2].bias)

        hidden = WithoutLinear()
        hidden.features = net.features
        clf, y = frozen(hidden, classes=[0, 1, 2]), [0, 1, 2, 0]
        raw = {"layer": "features", "normalize": None}
        sizes = batches_seen(net.features)
        closed = AblationCAM(frozen(net), **raw).explain(X, y)
        n_closed = len(sizes)
        np.testing.assert_allclose(AblationCAM(clf, **raw).explain(X, y), closed, atol=1e-5)
        assert n_closed < 4  # one forward, two to look up the layer and its grid
        assert closed.max() > 0

    def test_first_part_runs_on_one_image(self):
        net = seeded(Joined)
        early, late = batches_seen(net.stem), batches_seen(net.rest)
        cam = AblationCAM(frozen(net), layer="branch", batch_size=4)
        cam.explain(random_images(2, 1, 16, 16), [0, 1])
        # noise, the recording, then 6 maps of each image in two batches
        assert early == [5, 2, 1, 1, 1, 1]
        assert late == [5, 2, 4, 2, 4, 2]

    def test_maps_that_are_zero_are_not_ablated(self):
        net = seeded(Joined)
        net.branch[1].weight.data[[0, 2]] = net.branch[1].bias.data[[0, 2]] = 0
        late = batches_seen(net.rest)
        cam = AblationCAM(frozen(net), layer="branch", upsample=False)
        cam.explain(random_images(1, 1, 16, 16), [0])
        assert late == [5, 1, 4]  # first the noise
        net.branch[1].weight.data[:] = net.branch[1].bias.data[:] = 0
        np.testing.assert_array_equal(cam.explain(random_images(1, 1, 16, 16), [0]), 0)
        assert late == [5, 1, 4, 1]

    def test_hooks_are_removed_after_an_exception(self):
        net = seeded(LeNet5)
        late = batches_seen(net.head)

        def fail(module, args):
            if len(late) > 1:
                raise ZeroDivisionError

        net.head.register_forward_pre_hook(fail)
        with pytest.raises(ZeroDivisionError):
            AblationCAM(frozen(net), layer="features.2").transform(random_images(1, 1, 28, 28))
        assert not any(module._forward_hooks for module in net.modules())

    def test_errors_of_the_network_are_told(self):
        net = seeded(LeNet5)
        late = batches_seen(net.head)

        def fail(module, args):
            if len(late) > 1:
                raise RuntimeError("broken head")

        net.head.register_forward_pre_hook(fail)
        with pytest.raises(ValueError, match=r"LeNet5 cannot take images.*broken head"):
            AblationCAM(frozen(net), layer="features.2").transform(random_images(1, 1, 28, 28))


class TestOcclusion:
    @staticmethod
    def net(weights):
        """One logit is the weighted sum of the pixels, the other its negative."""
        weights = torch.as_tensor(weights).flatten().tolist()
        return LinearHead((1.0,), (weights, [-w for w in weights]))

    def test_patches_side_by_side(self):
        weights = np.array([[1.0, 2, 0, 0], [0, 1, 0, -5], [0, 0, 1, 0], [3, 0, 0, 1]])
        occlusion = Occlusion(frozen(self.net(weights)), size=2, stride=2, normalize=None)
        X = np.full((1, 1, 4, 4), 10.0)
        # the logit falls by 10 times the sum of the weights of a patch, where that is positive
        expected = np.kron([[40, 0], [30, 20]], np.ones((2, 2)))
        np.testing.assert_allclose(occlusion.explain(X, [0])[0], expected)
        expected = np.kron([[0, 50], [0, 0]], np.ones((2, 2)))
        np.testing.assert_allclose(occlusion.explain(X, [1])[0], expected)

    def test_overlapping_patches_are_averaged(self):
        weights = np.zeros((3, 3))
        weights[0, 0] = 1  # only the first of four patches covers it
        occlusion = Occlusion(frozen(self.net(weights)), size=2, stride=1, normalize=None)
        found = occlusion.explain(np.ones((1, 1, 3, 3)), [0])[0]
        np.testing.assert_allclose(found, [[1, 1 / 2, 0], [1 / 2, 1 / 4, 0], [0, 0, 0]])

    def test_the_last_patch_ends_at_the_border(self):
        expected = [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]
        np.testing.assert_array_equal(_windows(5, 2, 2), expected)
        np.testing.assert_array_equal(_windows(4, 2, 2), [[1, 1, 0, 0], [0, 0, 1, 1]])
        np.testing.assert_array_equal(_windows(3, 3, 1), [[1, 1, 1]])

    def test_patches_have_the_mean_colour_of_the_training_images(self):
        inner = self.net(np.ones((2, 2)))
        net = StandardizedNet(inner, Standardize(1, mean=[100.0], std=[50.0]))
        clf = FrozenEstimator(CNNClassifier(None).adopt(net, np.arange(2)))
        X = np.array([[[[100, 150], [50, 250]]]], dtype=np.uint8)
        found = Occlusion(clf, size=1, normalize=None).explain(X, [0])[0]
        np.testing.assert_allclose(found, [[0, 1], [0, 3]])  # in standard deviations over the mean

    def test_by_default_225_patches_of_an_eighth_of_the_side(self):
        net = self.net(np.ones((32, 48)))
        sizes = batches_seen(net)
        occlusion = Occlusion(frozen(net), batch_size=100, normalize=None)
        found = occlusion.explain(np.ones((2, 1, 32, 48)), [0, 0])
        np.testing.assert_allclose(found, 16, rtol=1e-5)  # 4x4 pixels
        assert sizes == [*[100] * 6, 2 * 15 * 23 - 600, 2]  # and the images themselves

    def test_equals_captum(self):
        captum = pytest.importorskip("captum.attr")
        net, X, y = seeded(LeNet5), random_images(3, 1, 28, 20), [1, 7, 4]
        found = Occlusion(frozen(net), size=8, stride=4, normalize=None).explain(X, y)
        with torch.no_grad():
            expected = captum.Occlusion(net).attribute(
                torch.as_tensor(X), (1, 8, 8), strides=(1, 4, 4), target=y
            )
        np.testing.assert_allclose(found, expected[:, 0].relu(), atol=1e-6)
        assert found.max(axis=(1, 2)).min() > 0

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"size": 0}, r"`size` must be in 1..20 for images of 28x20 pixels, got 0"),
            ({"size": 21}, "got 21"),
            ({"size": 4, "stride": 5}, r"`stride` must be in 1..4, .* got 5"),
            ({"stride": 0}, r"`stride` must be in 1..3"),
        ],
    )
    def test_impossible_patches(self, params, message):
        with pytest.raises(ValueError, match=message):
            Occlusion(frozen(LeNet5()), **params).transform(random_images(1, 1, 28, 20))


@pytest.mark.parametrize("kind", [ScoreCAM, AblationCAM, Occlusion])
class TestAll:
    def test_classes_share_the_forwards(self, kind):
        net, X = seeded(LeNet5), random_images(3, 1, 28, 28)
        kind(frozen(net)).transform(X)
        sizes = batches_seen(net)
        one = kind(frozen(net)).explain(X, [3, 5, 0])
        n_forwards = len(sizes)
        all_classes = kind(frozen(net)).explain(X, np.tile(np.arange(10), (3, 1)))
        assert len(sizes) == 2 * n_forwards
        np.testing.assert_allclose(all_classes[[0, 1, 2], [3, 5, 0]], one, atol=1e-6)

    def test_no_batch_is_larger_than_asked_for(self, kind):
        net = seeded(LeNet5)
        late = batches_seen(net.head)
        kind(frozen(net), batch_size=3).transform(random_images(4, 1, 28, 28))
        assert max(late[late[0] == 5 :]) == 3  # five images of noise, to find the layers

    def test_unlike_parameters_share_nothing(self, kind):
        clf, X = frozen(seeded(Joined)), random_images(2, 1, 16, 16)
        options = [{"layer": "stem"}, {}]
        if kind is Occlusion:
            options = [{"size": size, "stride": stride} for size, stride in ((6, 2), (6, 6))]
        explainers = {str(params): kind(clf, **params) for params in options}
        one, other = explain_together(explainers, X).values()
        assert np.abs(one - other).max() > 0.1
        for explainer, maps in zip(explainers.values(), (one, other), strict=True):
            np.testing.assert_allclose(maps, explainer.transform(X), atol=1e-6)


def test_scorecam_shares_nothing_with_maps_put_elsewhere():
    clf, X = frozen(seeded(Joined)), random_images(2, 1, 16, 16)
    options = {"layer": "stem", "upsample": False, "normalize": None}
    explainers = {str(align): ScoreCAM(clf, align=align, **options) for align in (True, False)}
    one, other = explain_together(explainers, X).values()
    assert np.abs(one - other).max() > 1e-4
