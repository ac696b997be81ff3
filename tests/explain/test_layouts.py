"""Layers that give channels first, channels last or tokens, and what is explained of them."""

import copy

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from fmcam.classifiers import CNNClassifier
from fmcam.explain import (
    CAM,
    AblationCAM,
    GradCAM,
    HiResCAM,
    LayerCAM,
    Occlusion,
    ScoreCAM,
    explain_together,
)
from fmcam.explain._geometry import layer_grid
from fmcam.explain._layout import Layout, possible_layouts
from fmcam.explain._survey import Survey, survey_of
from fmcam.models import CNN_CAM, LeNet5

RAW = {"normalize": None, "upsample": False}
X = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)


def seeded(make, **params):
    torch.manual_seed(0)
    return make(**params).eval()


class Transformer(nn.Module):
    """Patches of 8 pixels, further tokens before or behind, two blocks, a head on one token."""

    def __init__(self, before=1, behind=0, read=0):
        super().__init__()
        self.embed = nn.Conv2d(3, 12, 8, stride=8)
        self.before = nn.Parameter(torch.randn(1, before, 12))
        self.behind = nn.Parameter(torch.randn(1, behind, 12))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(12, 2, 24, dropout=0, batch_first=True) for _ in range(2)
        )
        self.read = read
        self.head = nn.Linear(12, 5)

    def forward(self, images):
        patches = self.embed(images).flatten(2).mT
        further = [one.expand(len(images), -1, -1) for one in (self.before, self.behind)]
        tokens = torch.cat([further[0], patches, further[1]], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(tokens[:, self.read])


class Attending(nn.Module):
    """Maps of 4x4 cells, and as much of them as is kept beside nearly even attention to all."""

    def __init__(self, kept=0):
        super().__init__()
        self.kept = kept
        self.stem, self.mixed = nn.Conv2d(3, 12, 8, stride=8), nn.Identity()
        self.weights = nn.Softmax(dim=3)
        self.head = nn.Linear(12, 5)

    def forward(self, images):
        maps = self.stem(images)
        cells = maps.flatten(2)
        weights = self.weights((cells.mT @ cells)[:, None] / 100)
        attended = (weights[:, 0] @ cells.mT).mT.unflatten(2, (4, 4))
        return self.head(self.mixed(self.kept * maps + attended).tanh().mean((2, 3)))


class ChannelsLast(nn.Module):
    """Maps as (n, h, w, c), then their mean."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 12, 8, stride=8)
        self.norm = nn.LayerNorm(12)
        self.head = nn.Linear(12, 5)

    def forward(self, images):
        return self.head(self.norm(self.embed(images).movedim(1, -1)).mean(dim=(1, 2)))


def tokens_to_maps(tokens):
    return tokens[:, 1:].mT.unflatten(2, (4, 4))


class TestLayout:
    @pytest.mark.parametrize(("before", "behind"), [(0, 0), (1, 0), (2, 0), (5, 0), (0, 1)])
    def test_tokens_of_classes_and_registers_are_left_out(self, before, behind):
        net = seeded(Transformer, before=before, behind=behind, read=-1)
        survey = survey_of(CNNClassifier.from_module(net), torch.as_tensor(X))
        assert survey.layout("blocks.0") == Layout("ntd", (4, 4), start=before)

    def test_channels_last(self):
        survey = survey_of(CNNClassifier.from_module(seeded(ChannelsLast)), torch.as_tensor(X))
        assert survey.layout("norm") == Layout("nhwc", (4, 4))

    def test_a_matrix_of_tokens_by_tokens_is_no_map(self):
        cam = GradCAM(seeded(Transformer), layer="pairs")
        net = cam.estimator
        net.pairs = nn.Identity()
        plain = net.forward
        net.forward = lambda images: plain(images) + net.pairs(_products(net, images)).sum()
        with pytest.raises(ValueError, match=r"no reading follows the image.*pass `layout`"):
            cam.explain(X, [0, 1])

    def test_wide_images_have_wide_grids(self):
        net = seeded(Transformer)
        images = torch.zeros(1, 3, 24, 48)
        survey = survey_of(CNNClassifier.from_module(net), images)
        assert survey.layout("blocks.0") == Layout("ntd", (3, 6), start=1)

    @pytest.mark.parametrize("scale", [1, 1e-30])
    def test_the_evidence_by_hand(self, scale):
        outputs = torch.zeros(5, 4, 2)  # 2x2 cells, of which each changes with its own quarter most
        for quarter in range(4):
            outputs[1 + quarter] = 1.0
            outputs[1 + quarter, quarter] = 3.0
        (among_cells, among_quarters, layout), *_ = possible_layouts(outputs * scale, (8, 8))
        # a cell changes by 9 with its own quarter and by 1 with each other: 9/12 beside 1/12
        assert layout == Layout("ntd", (2, 2), start=0)
        assert (among_cells, among_quarters) == pytest.approx((9, 9))

    def test_the_evidence_where_all_cells_follow_one_quarter_by_hand(self):
        outputs = torch.zeros(5, 1, 2, 2)
        for quarter in range(4):
            outputs[1 + quarter, 0, quarter // 2, quarter % 2] = 1.0
        outputs[1] = torch.tensor([[4.0, 2.0], [2.0, 2.0]])
        # the upper left quarter has all of its own cell and 4/5 of the others, which have 1/5 left
        (evidence,) = (e for e in possible_layouts(outputs, (8, 8)) if e.layout.axes == "nchw")
        assert evidence.among_cells == pytest.approx(1 / 0.8)
        assert evidence.among_quarters == pytest.approx(0.25)

    def test_weights_of_attention_are_no_map(self):
        """Of a network that has no tokens in any module, 4x4 cells give squares of 16x16."""
        expected = r"gives \(1, 16, 16\).* rows that sum to one.*pass `layout`.*: stem, mixed\.$"
        with pytest.raises(ValueError, match=expected):
            GradCAM(seeded(Attending), layer="weights").explain(X, [0, 1])


def _products(net, images):
    tokens = net.embed(images).flatten(2).mT
    tokens = tokens + net.blocks[0](tokens)
    return (tokens @ tokens.mT)[:, None]


def default_layer_of(net):
    """The default layer, the same whether asked for at once or later."""
    clf = CNNClassifier.from_module(net)
    at_once, later = (Survey(clf, torch.as_tensor(X), default) for default in (True, False))
    assert at_once.default_layer(clf) == later.default_layer(clf)
    return at_once.default_layer(clf)


class TestDefaultLayer:
    def test_tokens_that_nobody_reads_are_passed_over(self):
        """Behind the last block the logits see the class token alone."""
        assert default_layer_of(seeded(Transformer)) == "blocks.0"

    def test_a_head_of_zeros_hides_nothing(self):
        net = seeded(Transformer)
        nn.init.zeros_(net.head.weight)
        assert default_layer_of(net) == "blocks.0"

    @pytest.mark.parametrize(("kept", "expected"), [(0, "stem"), (1, "mixed")])
    def test_attention_that_spreads_all_over_the_cells_is_passed_over(self, kept, expected):
        clf = CNNClassifier.from_module(seeded(Attending, kept=kept))
        survey = survey_of(clf, torch.as_tensor(X))
        assert survey.layers == ["stem", "mixed"]
        assert survey.default_layer(clf) == expected

    def test_all_of_the_image_passes_through_it(self):
        """Not a branch inside the last block of a residual network."""

        class Residual(nn.Module):
            def __init__(self):
                super().__init__()
                self.stem, self.branch = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
                self.head = nn.Linear(4, 5)

            def forward(self, images):
                maps = self.stem(images)
                return self.head((maps + self.branch(maps)).mean((2, 3)))

        assert default_layer_of(seeded(Residual)) == "stem"

    def test_one_forward_finds_all_there_is_to_know(self):
        net = seeded(CNN_CAM, in_channels=3)
        clf = CNNClassifier.from_module(net)
        runs = []
        net.register_forward_hook(lambda *_: runs.append(1))
        survey = Survey(clf, torch.as_tensor(X), default=True)
        assert survey.default_layer(clf) == "features"
        assert survey.grid("features").stride == (4.0, 4.0)
        assert len(runs) == 1
        expected = {
            name: layer_grid(net, net.get_submodule(name), torch.as_tensor(X[:1]))
            for name in survey.layers
        }
        assert {name: survey.grid(name) for name in survey.layers} == expected

    def test_large_images_are_differentiated_one_alone(self):
        clf = CNNClassifier.from_module(seeded(CNN_CAM, in_channels=3))
        sizes = []
        clf.module_.net.register_forward_hook(
            lambda module, args, outputs: sizes.append((len(outputs), outputs.requires_grad))
        )
        survey = Survey(clf, torch.zeros(1, 3, 257, 256), default=True)
        assert survey.default_layer(clf) == "features"
        assert sizes == [(5, False), (1, True)]


@pytest.mark.parametrize("kind", [GradCAM, LayerCAM])
class TestTokensEqual:
    def test_an_independent_gradient(self, kind):
        net, y = seeded(Transformer).double(), [3, 1]
        tokens = torch.cat(
            [net.before.expand(2, -1, -1), net.embed(torch.as_tensor(X).double()).flatten(2).mT], 1
        )
        tokens = net.blocks[0](tokens).detach().requires_grad_()
        net.head(net.blocks[1](tokens)[:, 0])[[0, 1], y].sum().backward()
        A, G = tokens_to_maps(tokens.detach()), tokens_to_maps(tokens.grad)
        weights = G.mean(dim=(2, 3), keepdim=True) if kind is GradCAM else G.relu()
        found = kind(net, layer="blocks.0", **RAW).explain(X, y)
        expected = (weights * A).sum(1).relu()
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * expected.max())

    def test_pytorch_grad_cam(self, kind):
        """Of a logit so large that the 1e-7 which it adds to a map's maximum is nothing."""
        peer = pytest.importorskip("pytorch_grad_cam")
        net, y = seeded(Transformer), [3, 1]
        with getattr(peer, kind.__name__)(net, [net.blocks[0]], tokens_to_maps) as cam:
            targets = [lambda logits, one=one: 1e6 * logits[one] for one in y]
            expected = cam(torch.as_tensor(X), targets)
        found = kind(net, layer="blocks.0").explain(X, y)
        assert (found.max(axis=(1, 2)) == 1).all()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)

    def test_a_layout_of_ones_own(self, kind):
        net = seeded(Transformer)
        own = kind(net, layer="blocks.0", layout=tokens_to_maps, **RAW).explain(X, [3, 1])
        found = kind(net, layer="blocks.0", **RAW).explain(X, [3, 1])
        np.testing.assert_array_equal(own, found)


def test_other_methods_on_tokens():
    """Ablation by a plain loop: without a channel's cells, the class token untouched."""
    net = seeded(Transformer).double()
    found = AblationCAM(net, layer="blocks.0", batch_size=5, **RAW).explain(X, [3, 1])
    kept = []
    hook = net.blocks[0].register_forward_hook(lambda *args: kept.append(args[2]))
    intact = net(torch.as_tensor(X).double())[[0, 1], [3, 1]]
    hook.remove()
    maps, expected = tokens_to_maps(kept[0]), 0
    for channel in range(12):
        tokens = kept[0].clone()
        tokens[:, 1:, channel] = 0
        without = net.head(net.blocks[1](tokens)[:, 0])[[0, 1], [3, 1]]
        expected = expected + (intact - without)[:, None, None] * maps[:, channel]
    np.testing.assert_allclose(found, expected.relu().detach(), rtol=1e-6)


def test_a_network_that_freezes_its_features_by_no_grad():
    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

        def forward(self, images):
            with torch.no_grad():
                maps = self.features(images)
            return self.head(maps.tanh().mean((2, 3)))

    net, y = seeded(Frozen), [3, 1]
    maps = net.features(torch.as_tensor(X)).detach().requires_grad_()
    net.head(maps.tanh().mean((2, 3)))[[0, 1], y].sum().backward()
    expected = (maps.grad * maps).sum(dim=1).relu().detach()
    assert expected.max() > 0
    found = HiResCAM(net, **RAW).explain(X, y)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


def test_a_layer_that_is_no_name():
    net = seeded(Transformer)
    with pytest.raises(TypeError, match=r"dotted name of a module.*This one is called 'blocks\.0'"):
        GradCAM(net, layer=net.blocks[0]).explain(X, [0, 1])
    with pytest.raises(TypeError, match="got a int"):
        GradCAM(net, layer=0).explain(X, [0, 1])


@pytest.mark.parametrize("layout", ["nwhc", 3, ["nchw"]])
def test_no_layout(layout):
    cam = GradCAM(seeded(Transformer), layer="blocks.0", layout=layout)
    with pytest.raises(ValueError, match="`layout` must be one of"):
        cam.explain(X, [0, 1])


def test_maps_with_channels_last_are_drawn_on_the_even_division():
    class Thinned(nn.Module):
        """Cells of 8x4 pixels, of which every second column is kept."""

        def __init__(self):
            super().__init__()
            self.embed, self.norm = nn.Conv2d(3, 12, (8, 4), stride=(8, 4)), nn.LayerNorm(12)
            self.head = nn.Linear(12, 5)

        def forward(self, images):
            maps = self.embed(images).movedim(1, -1)[:, :, ::2]
            return self.head(self.norm(maps).mean(dim=(1, 2)).tanh())

    cam = GradCAM(seeded(Thinned), layer="norm", normalize=None)
    raw = torch.as_tensor(cam.set_params(upsample=False).explain(X, [3, 1]))
    expected = functional.interpolate(raw[:, None], (32, 32), mode="bilinear")[:, 0]
    assert raw.std() > 0
    drawn = cam.set_params(upsample=True).explain(X, [3, 1])
    np.testing.assert_allclose(drawn, expected, rtol=1e-5, atol=1e-8)


class TestTarget:
    def test_a_margin(self):
        net = seeded(LeNet5, n_classes=4)
        images = X[:, :1, :28, :28]

        def margin(outputs, class_indices):
            return outputs.gather(1, class_indices[:, None])[:, 0] - outputs[:, 3]

        raw = {"layer": "features", **RAW}
        pixels = torch.as_tensor(images)
        A = net.features(pixels).detach().requires_grad_()
        outputs = net.head(A)
        (outputs[:, 1] - outputs[:, 3]).sum().backward()
        expected = (A.grad.mean((2, 3), keepdim=True) * A).sum(1).relu().detach()
        found = GradCAM(net, target=margin, **raw).explain(images, [1, 1])
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
        for kind in (ScoreCAM, AblationCAM):
            assert np.isfinite(kind(net, target=margin, **raw).explain(images, [1, 1])).all()
        assert np.isfinite(Occlusion(net, target=margin).explain(images, [1, 1])).all()

    def test_one_output_speaks_for_the_second_class_and_against_the_first(self):
        torch.manual_seed(0)
        net = nn.Sequential(
            *(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
        ).eval()
        images = X[:, :1]
        maps = net[:2](torch.as_tensor(images))
        expected = torch.einsum("nkhw,k->nhw", maps, net[4].weight[0] / maps[0, 0].numel()).detach()
        cam = GradCAM(net, layer="1", **RAW)
        np.testing.assert_allclose(cam.explain(images, [1, 1]), expected.relu(), atol=1e-6)
        np.testing.assert_allclose(cam.explain(images, [0, 0]), (-expected).relu(), atol=1e-6)

    @pytest.mark.parametrize("kind", [GradCAM, AblationCAM])
    def test_of_one_output_where_the_head_is_not_linear(self, kind):
        net = seeded(LeNet5, n_classes=1)
        images = X[:, :1, :28, :28]
        negated = copy.deepcopy(net)
        negated.head[-1].weight.data *= -1
        negated.head[-1].bias.data *= -1
        maps, against = (kind(net, **RAW).explain(images, [y, y]) for y in (1, 0))
        second = GradCAM(net, target=lambda outputs, class_indices: outputs[:, 0], **RAW)
        if kind is GradCAM:
            np.testing.assert_allclose(maps, second.explain(images, [0, 0]), rtol=1e-5)
        np.testing.assert_allclose(
            against, kind(negated, **RAW).explain(images, [1, 1]), rtol=1e-4, atol=1e-7
        )
        assert abs(maps - against).max() > 1e-4

    def test_explainers_of_several_targets_share_a_forward_and_no_gradient(self):
        net, images = seeded(LeNet5), X[:, :1, :28, :28]
        explainers = {
            "logit": GradCAM(net, **RAW),
            "other": GradCAM(net, target=lambda outputs, class_indices: outputs[:, 7], **RAW),
        }
        together = explain_together(explainers, images, [3, 1])
        for name, cam in explainers.items():
            np.testing.assert_allclose(together[name], cam.explain(images, [3, 1]), rtol=1e-6)
        assert abs(together["logit"] - together["other"]).max() > 1e-4

    def test_what_is_no_target(self):
        with pytest.raises(ValueError, match="`target` must be 'logit' or a function"):
            GradCAM(seeded(LeNet5), target="probability").explain(X[:, :1, :28, :28], [0, 1])
        with pytest.raises(ValueError, match=r"one number an image.*\(2,\), got .* \(2, 10\)"):
            GradCAM(seeded(LeNet5), target=lambda o, c: o, layer="features.0").explain(
                X[:, :1, :28, :28], [0, 1]
            )


@pytest.mark.parametrize(("kind", "make"), [(GradCAM, LeNet5), (CAM, CNN_CAM)])
def test_classes_in_another_order_are_explained_by_their_own_output(kind, make):
    net = seeded(make, n_classes=3)
    clf = CNNClassifier.from_module(net, classes=["b", "c", "a"])
    images = X[:, :1, :28, :28]
    found = kind(FrozenEstimator(clf), **RAW).explain(images, ["a", "c"])
    assert found.max() > 0
    np.testing.assert_allclose(found, kind(net, **RAW).explain(images, [2, 1]), rtol=1e-5)


class TestLoaders:
    DATA = TensorDataset(torch.rand(10, 1, 28, 28), torch.zeros(10, dtype=torch.int64))

    def test_rows_are_those_that_come(self):
        cam = GradCAM(seeded(LeNet5))
        found = cam.explain(DataLoader(self.DATA, 4, drop_last=True))
        np.testing.assert_allclose(found, cam.explain(self.DATA.tensors[0][:8]), atol=1e-6)

    def test_to_a_file(self, tmp_path):
        cam = GradCAM(seeded(LeNet5))
        loader = DataLoader(self.DATA, batch_sampler=[[0, 3], [1, 1, 2]])
        found = cam.explain(loader, out=tmp_path / "maps.npy")
        expected = cam.explain(self.DATA.tensors[0][[0, 3, 1, 1, 2]])
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert [file.name for file in tmp_path.iterdir()] == ["maps.npy"]

    def test_one_that_shuffles_is_refused(self):
        with pytest.raises(ValueError, match="DataLoader that shuffles"):
            GradCAM(seeded(LeNet5)).explain(DataLoader(self.DATA, 4, shuffle=True))

    def test_images_of_several_sizes(self, tmp_path):
        batches = [(torch.rand(1, 1, side, side), torch.zeros(1)) for side in (28, 32)]
        loader = DataLoader(batches, batch_size=None)
        with pytest.raises(ValueError, match=r"one shape .*\(1, 28, 28\) and, after 1 images"):
            GradCAM(seeded(LeNet5)).explain(loader, out=tmp_path / "maps.npy")
        assert not list(tmp_path.iterdir())
