"""Attention rollout and LeGrad: equal to a computation by hand, whichever way a net is spelled."""

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn

from fmcam.classifiers import CNNClassifier
from fmcam.explain import AttentionRollout, LeGrad
from fmcam.explain._attention_maps import AttentionRecording, token_grid
from tests.tiny_vit import SPELLINGS, TinyViT

IMAGES = np.random.default_rng(0).normal(size=(3, 1, 16, 16)).astype(np.float32)


def make_net(*args, **params):
    torch.manual_seed(0)
    return TinyViT(*args, **params).eval()


def raw(kind, net, X=IMAGES, y=None):
    clf = FrozenEstimator(CNNClassifier.from_module(net))
    return kind(clf, normalize=None, upsample=False).explain(X, y)


def grid_of(net, shape=(1, 16, 16)):
    return token_grid(CNNClassifier.from_module(net), torch.zeros(1, *shape))


def by_hand(net, images):
    """Logits and the attention of each block, (n, heads, t, t), from the weights alone."""
    patches = net.features(torch.as_tensor(images)).mT
    tokens = net.tokens.expand(len(images), -1, -1)
    parts = [tokens[:, : net.n_class], patches, tokens[:, net.n_class :]]
    x, attention = torch.cat(parts, dim=1) + net.places, []
    for block in net.blocks:
        layer = block.layer
        weight, bias = layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias
        q, k, v = (layer.norm1(x) @ weight.T + bias).split(8, dim=2)
        heads = []
        for part in (slice(0, 4), slice(4, 8)):
            scores = q[..., part] @ k[..., part].transpose(1, 2) / 4**0.5
            attention.append(scores.exp() / scores.exp().sum(dim=2, keepdim=True))
            heads.append(attention[-1] @ v[..., part])
        x = x + layer.self_attn.out_proj(torch.cat(heads, dim=2))
        x = x + layer.linear2(nn.functional.gelu(layer.linear1(layer.norm2(x))))
    x = net.norm(x)
    return net.head(x[:, 0] if net.pool == "token" else x[:, net.n_class :][:, :16].mean(1)), [
        attention[:2],
        attention[2:],
    ]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("pool", ["token", "patches"])
class TestByHand:
    def test_the_net_of_the_tests(self, spelling, pool):
        net = make_net(spelling, pool=pool)
        images = torch.as_tensor(IMAGES)
        torch.testing.assert_close(net(images), by_hand(net, images)[0])

    def test_rollout(self, spelling, pool):
        net = make_net(spelling, pool=pool)
        first, last = (
            (sum(heads) / 2 + torch.eye(17)).detach().numpy() / 2
            for heads in by_hand(net, IMAGES)[1]
        )
        rows = (last @ first)[:, :1] if pool == "token" else (last @ first)[:, 1:]
        expected = rows.mean(axis=1)[:, 1:].reshape(3, 4, 4)
        np.testing.assert_allclose(raw(AttentionRollout, net), expected, atol=1e-6)

    def test_legrad(self, spelling, pool):
        net = make_net(spelling, pool=pool)
        logits, layers = by_hand(net, IMAGES)
        score = logits[torch.arange(3), torch.tensor([2, 0, 3])].sum()
        expected = 0
        for heads in layers:
            for gradient in torch.autograd.grad(score, heads, retain_graph=True):
                expected = expected + gradient.clamp(min=0).mean(dim=1) / 4
        found = raw(LeGrad, net, y=[2, 0, 3])
        np.testing.assert_allclose(found, expected[:, 1:].reshape(3, 4, 4), atol=1e-5)


class TestTokenGrid:
    def test_class_tokens_and_tokens_behind_the_patches(self):
        grid = grid_of(make_net(n_class=3, trailing=2))
        assert (grid.start, grid.size, grid.read.tolist()) == (3, (4, 4), [0])

    def test_no_class_token(self):
        grid = grid_of(make_net(n_class=0, pool="patches"))
        assert (grid.start, grid.size, grid.read.tolist()) == (0, (4, 4), list(range(16)))

    def test_a_class_token_that_is_not_read(self):
        assert grid_of(make_net(pool="patches")).read.tolist() == list(range(1, 17))

    def test_weights_that_are_frozen(self):
        assert grid_of(make_net().requires_grad_(False)).start == 1

    @pytest.mark.filterwarnings("ignore::UserWarning:timm")
    @pytest.mark.parametrize(
        ("name", "params", "expected"),
        [
            ("vit_tiny_patch16_224", {"img_size": (64, 96)}, (1, (4, 6), 1)),
            ("vit_tiny_patch16_224", {"img_size": 64, "reg_tokens": 4}, (5, (4, 4), 1)),
            (
                "vit_tiny_patch16_224",
                {"img_size": 64, "global_pool": "map", "class_token": False},
                (0, (4, 4), 1),
            ),
            ("deit_tiny_distilled_patch16_224", {"img_size": 64}, (2, (4, 4), 2)),
            ("beit_base_patch16_224", {"img_size": 64, "embed_dim": 48}, (1, (4, 4), 16)),
        ],
    )
    def test_networks_of_timm(self, name, params, expected):
        timm = pytest.importorskip("timm")
        torch.manual_seed(0)
        net = timm.create_model(name, num_classes=3, depth=2, **params)
        size = params["img_size"] if isinstance(params["img_size"], tuple) else (64, 64)
        grid = grid_of(net, (3, *size))
        assert (grid.start, grid.size, len(grid.read)) == expected


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_hugging_face_gives_the_same_attention(implementation):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        num_labels=3,
        initializer_range=0.5,
    )

    class Logits(nn.Module):
        def __init__(self, implementation):
            super().__init__()
            self.net = transformers.ViTForImageClassification._from_config(
                config, attn_implementation=implementation
            )

        def forward(self, images):
            return self.net(images).logits

    net = Logits(implementation).eval()
    X = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    eager = Logits("eager").eval()
    eager.load_state_dict(net.state_dict())
    with torch.no_grad():
        layers = eager.net(torch.as_tensor(X), output_attentions=True).attentions
    first, last = ((one.mean(dim=1) + torch.eye(17)) / 2 for one in layers)
    expected = (last @ first)[:, 0, 1:].reshape(2, 4, 4)
    np.testing.assert_allclose(raw(AttentionRollout, net, X), expected, atol=1e-6)


def test_pooling_by_attention_is_the_last_factor():
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.vit = make_net()
            self.probe = nn.Parameter(torch.randn(1, 1, 8))
            self.attend = nn.MultiheadAttention(8, 1, batch_first=True)
            self.head = nn.Linear(8, 3)

        def forward(self, images):
            tokens = self.vit.features(images).mT + self.vit.places[:, 1:]
            tokens = self.vit.blocks(tokens)
            probe = self.probe.expand(len(images), -1, -1)
            pooled, self.weights = self.attend(probe, tokens, tokens)
            return self.head(pooled[:, 0])

    net = Pooled().eval()
    recording = AttentionRecording(CNNClassifier.from_module(net), torch.as_tensor(IMAGES))
    first, second, pooling = (one.mean(dim=1) for one in recording.attention)
    with torch.no_grad():
        net(torch.as_tensor(IMAGES))
    torch.testing.assert_close(pooling, net.weights)
    eye = torch.eye(16)
    expected = net.weights @ ((second + eye) / 2) @ ((first + eye) / 2)
    found = raw(AttentionRollout, net)
    np.testing.assert_allclose(found, expected.reshape(3, 4, 4).numpy(), atol=1e-6)


def test_maps_lie_on_the_patches():
    net = make_net()
    clf = FrozenEstimator(CNNClassifier.from_module(net))
    coarse = raw(LeGrad, net)
    fine = LeGrad(clf, normalize=None).explain(IMAGES)
    np.testing.assert_allclose(fine[:, :2, :2], np.tile(coarse[:, :1, :1], (1, 2, 2)), rtol=1e-5)
    between = coarse[:, 0, 1] * 0.625 + coarse[:, 0, 2] * 0.375  # pixel 7 between 5.5 and 9.5
    np.testing.assert_allclose(fine[:, 0, 7], between, rtol=1e-5)


class Windows(nn.Module):
    def __init__(self, spelling):
        super().__init__()
        self.spelling = spelling
        self.conv = nn.Conv2d(1, 8, 4, stride=4)
        self.mix = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 3)

    def forward(self, images):
        maps = self.conv(images)
        if self.spelling == "none":
            return self.head(maps.mean(dim=(2, 3)))
        if self.spelling == "windows":
            tokens = (
                maps.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 4, 5, 1).reshape(-1, 1, 4, 8)
            )
        else:
            tokens = maps.flatten(2).mT[:, None]
        if self.spelling == "pooled":
            tokens = torch.softmax(tokens @ tokens.mT, dim=-1) @ tokens
            tokens = tokens[:, :, ::2]
        if self.spelling == "channels":
            tokens = tokens @ torch.softmax(tokens.mT @ tokens, dim=-1)
        causal = self.spelling == "causal"
        tokens = nn.functional.scaled_dot_product_attention(
            tokens, tokens, tokens, is_causal=causal
        )
        tokens = tokens.reshape(len(images), -1, 8)
        if self.spelling == "convolution":
            tokens = self.mix(tokens.mT.reshape(-1, 8, 4, 4)).flatten(2).mT
        return self.head(tokens.mean(dim=1))


@pytest.mark.parametrize("kind", [AttentionRollout, LeGrad])
@pytest.mark.parametrize(
    ("spelling", "message"),
    [
        ("none", "Windows runs no softmax over tokens. Use GradCAM"),
        ("windows", "Windows attends within parts of the image, 4 x 4 tokens. Use GradCAM"),
        ("pooled", "Windows changes its tokens between layers, 16 x 16, 8 x 8. Use GradCAM"),
        ("channels", "Windows changes its tokens between layers, 8 x 8, 16 x 16. Use GradCAM"),
        ("convolution", "Windows mixes its tokens by convolutions as well. Use GradCAM"),
        ("causal", "attention is causal"),
    ],
)
def test_networks_without_one_grid_are_refused(kind, spelling, message):
    with pytest.raises(ValueError, match=message):
        raw(kind, Windows(spelling))


def test_tokens_on_no_grid_are_refused():
    net = make_net()
    net.features = nn.Sequential(net.features, Shuffled())
    with pytest.raises(ValueError, match="lie on no grid of the image's proportions"):
        raw(LeGrad, net)


class Shuffled(nn.Module):
    def forward(self, patches):
        return patches[:, :, torch.randperm(16, generator=torch.Generator().manual_seed(1))]


def test_logits_that_read_no_token_are_refused():
    net = make_net()
    nn.init.zeros_(net.head[0].weight)
    with pytest.raises(ValueError, match="gives logits that do not depend on its last attention"):
        raw(AttentionRollout, net)


def test_masks_of_a_module_are_refused():
    class Masked(TinyViT):
        def forward(self, images):
            tokens = self.features(images).mT
            mask = torch.zeros(16, 16)
            attend = self.blocks[0].layer.self_attn
            return self.head(attend(tokens, tokens, tokens, attn_mask=mask)[0].mean(dim=1))

    with pytest.raises(ValueError, match="has masks, further keys or separate projections"):
        raw(LeGrad, Masked())
