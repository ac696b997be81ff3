"""The layers that an explainer can take."""

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator

from fmcam.classifiers import CNNClassifier
from fmcam.explain import GradCAM, list_layers
from fmcam.models import LeNet5
from tests.tiny_vit import TinyViT

SHAPE = (1, 28, 28)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return LeNet5()


def test_those_listed_are_taken_and_no_others(net):
    images = np.random.default_rng(0).random((1, *SHAPE), np.float32)
    layers = list_layers(net, SHAPE)
    assert layers == [*(f"features.{number}" for number in range(6)), "features", "head.0"]
    for name, _ in net.named_modules():
        if name in layers:
            assert GradCAM(net, layer=name).transform(images).shape == (1, 28, 28)
        elif name:
            with pytest.raises(ValueError, match=r"Layers that give maps: features\.0, "):
                GradCAM(net, layer=name).transform(images)


def test_of_a_network_a_classifier_and_a_frozen_one_alike(net):
    clf = CNNClassifier.from_module(net)
    assert list_layers(clf, SHAPE) == list_layers(FrozenEstimator(clf), SHAPE)
    assert list_layers(clf, SHAPE) == list_layers(net, SHAPE)


def test_the_list_is_the_callers(net):
    list_layers(net, SHAPE).clear()
    assert len(list_layers(net, SHAPE)) == 8


@pytest.mark.parametrize("shape", [(28, 28), 28, (1, 1, 28, 28), (-1, 28, 28), (1, 0, 28)])
def test_shapes_that_no_image_has_are_refused(net, shape):
    with pytest.raises(ValueError, match=r"`image_shape` must be \(c, h, w\), got .* pass \(1, 28"):
        list_layers(net, shape)


def test_layers_of_tokens_are_listed():
    """A layer that makes one of all tokens is none."""
    torch.manual_seed(0)
    layers = list_layers(TinyViT(), (1, 16, 16))
    assert "blocks.0.layer.norm1" in layers
    assert "head" not in layers
