"""Grad-CAM and LayerCAM of networks of others: equal to autograd by hand, and to pytorch-grad-cam.

The networks run in float64, or torch's several ways to compute attention differ by 2e-5 of a map.
"""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig

from fmcam.explain import GradCAM, LayerCAM

LABELS = [3, 1]


def of_timm(name, **params):
    return pytest.importorskip("timm").create_model(name, **params)


def maps_of_tokens(output, first):
    """Tokens (n, t, d) as maps: a square of them, row by row, from the token `first` on."""
    side = round((output.shape[1] - first) ** 0.5)
    return output[:, first:].transpose(1, 2).reshape(len(output), -1, side, side)


def maps_of_channels_last(output):
    return output.permute(0, 3, 1, 2)


after_class = partial(maps_of_tokens, first=1)
after_class_and_distillation = partial(maps_of_tokens, first=2)

SMALL = {  # what makes a network of a kind, the layer to explain, and its output as maps
    "vit": (
        partial(models.VisionTransformer, 64, 16, 3, 2, 32, 64),
        ("encoder.layers.encoder_layer_1", after_class),
    ),
    "deit": (
        partial(of_timm, "deit_tiny_distilled_patch16_224", img_size=64, depth=3),
        ("blocks.1", after_class_and_distillation),
    ),
    "swin": (
        partial(models.SwinTransformer, [4, 4], 24, [2, 2], [2, 4], [4, 4]),
        ("norm", maps_of_channels_last),
    ),
    "convnext": (
        partial(models.ConvNeXt, [CNBlockConfig(24, 48, 1), CNBlockConfig(48, None, 1)]),
        ("features", nn.Identity()),
    ),
    "hybrid": (
        partial(of_timm, "vit_tiny_r_s16_p8_224", img_size=64, depth=3),
        ("blocks.1", after_class),
    ),
}
LARGE = {
    "vit_b_16": (models.vit_b_16, ("encoder.layers.encoder_layer_10", after_class)),
    "deit_tiny_distilled": (
        partial(of_timm, "deit_tiny_distilled_patch16_224"),
        ("blocks.10", after_class_and_distillation),
    ),
    "swin_t": (models.swin_t, ("norm", maps_of_channels_last)),
    "convnext_tiny": (models.convnext_tiny, ("features", nn.Identity())),
    "vit_tiny_r_s16": (partial(of_timm, "vit_tiny_r_s16_p8_224"), ("blocks.10", after_class)),
}


@pytest.fixture(scope="module", params=list(SMALL))
def small(request):
    return made(*SMALL[request.param], side=64)


@pytest.fixture(scope="module", params=list(LARGE))
def large(request):
    return made(*LARGE[request.param], side=224)


def made(make, layer, side):
    torch.manual_seed(0)
    net = make().eval()
    *_, head = (part for part in net.modules() if isinstance(part, nn.Linear))
    nn.init.normal_(head.weight)  # torchvision's begins with zeros
    return net.double(), *layer, torch.rand(2, 3, side, side)


def by_hand(kind, net, layer, as_maps, images):
    """The formula of the paper, its gradient by autograd alone."""
    kept = []
    handle = net.get_submodule(layer).register_forward_hook(lambda *args: kept.append(args[2]))
    logits = net(images.double())
    handle.remove()
    (gradient,) = torch.autograd.grad(logits[[0, 1], LABELS].sum(), kept[0])
    A, G = as_maps(kept[0]).detach(), as_maps(gradient)
    weights = G.mean(dim=(2, 3), keepdim=True) if kind is GradCAM else G.clamp(min=0)
    return (weights * A).sum(dim=1).clamp(min=0).numpy()


def of_peer(kind, net, layer, as_maps, images):
    """The raw map of pytorch-grad-cam: its `forward` stretches it by max + 1e-7, not by max."""
    peer = pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layers, targets = [net.get_submodule(layer)], [ClassifierOutputTarget(y) for y in LABELS]
    with getattr(peer, kind.__name__)(net, layers, as_maps) as cam:
        cam(images.double(), targets)
        kept = cam.activations_and_grads
        A, G = kept.activations[0].numpy(), kept.gradients[0].numpy()
        return cam.get_cam_image(images, layers[0], targets, A, G, False).clip(min=0)


def check(kind, reference, net, layer, as_maps, images):
    found = kind(net, layer=layer, normalize=None, upsample=False).explain(images, LABELS)
    expected = reference(kind, net, layer, as_maps, images)
    largest = expected.max(axis=(1, 2), keepdims=True)
    assert largest.any()
    largest[largest == 0] = 1  # a map that the ReLU leaves empty
    np.testing.assert_allclose(found / largest, expected / largest, rtol=0, atol=1e-6)


class TestEqual:
    @pytest.mark.parametrize("reference", [by_hand, of_peer])
    @pytest.mark.parametrize("kind", [GradCAM, LayerCAM])
    def test_small_networks(self, kind, reference, small):
        check(kind, reference, *small)

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::UserWarning:timm")
    @pytest.mark.parametrize(("kind", "reference"), [(GradCAM, of_peer), (LayerCAM, by_hand)])
    def test_published_architectures(self, kind, reference, large):
        check(kind, reference, *large)


@pytest.mark.parametrize("kind", [GradCAM, LayerCAM])
def test_drawn_maps_equal_those_of_pytorch_grad_cam(kind, small):
    """Upsampled and stretched, of a logit so large that its 1e-7 beside the maximum is nothing."""
    peer = pytest.importorskip("pytorch_grad_cam")
    net, layer, as_maps, images = small
    with getattr(peer, kind.__name__)(net, [net.get_submodule(layer)], as_maps) as cam:
        expected = cam(images.double(), [lambda logits, y=y: 1e6 * logits[y] for y in LABELS])
    found = kind(net, layer=layer, align=False).explain(images, LABELS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
