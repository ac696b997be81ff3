"""Images in the units of a network's published weights, and in others."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn

from fmcam.classifiers import CNNClassifier
from fmcam.explain import GradCAM
from fmcam.models import Standardize, StandardizedNet


class Pooled(nn.Module):
    def __init__(self, n_channels=3):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(n_channels, 4, 3), nn.Linear(4, 2)

    def forward(self, images):
        return self.fc(self.conv(images).relu().mean(dim=(2, 3)))


def test_images_are_standardized_as_for_published_weights():
    torch.manual_seed(0)
    net = Pooled()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 8), dtype=np.uint8)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    by_hand = (pixels / 255 - mean[:, None, None]) / std[:, None, None]
    expected = net(torch.tensor(by_hand, dtype=torch.float32)).softmax(dim=1).detach()
    clf = CNNClassifier.from_module(net, preprocessing="imagenet")
    np.testing.assert_allclose(clf.predict_proba(pixels), expected, atol=1e-5)


def test_published_mean_and_deviation_are_of_as_many_channels():
    with pytest.raises(ValueError, match="of 'imagenet' must be 1 numbers each"):
        CNNClassifier.from_module(Pooled(n_channels=1), preprocessing="imagenet")


def predict(clf, X):
    clf.predict(X)


def predict_data_set(clf, X):
    clf.predict([*zip(torch.tensor(X), [0, 1], strict=True)])


def explain(clf, X):
    GradCAM(FrozenEstimator(clf)).transform(X)


@pytest.mark.parametrize("units", ["of ToTensor", "standardized"])
@pytest.mark.parametrize("use", [predict, predict_data_set, explain])
def test_images_in_other_units_are_refused(units, use):
    clf = CNNClassifier.from_module(Pooled(), preprocessing="imagenet")
    raw = np.random.default_rng(0).uniform(0, 255, (2, 3, 8, 8)).astype(np.float32)
    X = raw / 255 if units == "of ToTensor" else (raw - 118) / 58
    with pytest.raises(ValueError, match=r"got values from .* multiply those in 0\.\.1 by 255"):
        use(clf, X)
    assert len({*clf.predict_proba(raw)[:, 0]}) == 2


@pytest.mark.parametrize("image", [np.zeros, np.ones, partial(np.full, fill_value=7)])
def test_images_without_contrast_may_be_in_any_units(image):
    clf = CNNClassifier.from_module(Pooled(), preprocessing="imagenet")
    assert len(clf.predict(image((2, 3, 8, 8), dtype=np.float32))) == 2


def test_dark_images_are_usual_where_the_mean_is_small():
    module = StandardizedNet(Pooled(), Standardize(3, [5.0] * 3, [100.0] * 3))
    clf = CNNClassifier(Pooled).adopt(module)
    assert len(clf.predict(np.random.default_rng(0).random((2, 3, 8, 8)))) == 2
