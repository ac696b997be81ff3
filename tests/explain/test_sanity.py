"""Networks with weights drawn anew."""

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn

from fmcam.classifiers import CNNClassifier, LeNet5Classifier
from fmcam.datasets import make_fashion_shapes
from fmcam.explain import randomized
from fmcam.models import CNN_CAM

SHAPES = make_fashion_shapes(60, random_state=0)


@pytest.fixture(scope="module")
def trained():
    return LeNet5Classifier(max_epochs=1, random_state=0, verbose=0).fit(
        SHAPES.images, SHAPES.target
    )


def weights(clf):
    return {name: weight.clone() for name, weight in clf.module_.net.state_dict().items()}


def changed(before, after):
    return [name for name in before if not torch.equal(before[name], after[name])]


# Weights drawn anew


def test_all_weights_are_drawn_anew_and_the_original_keeps_its_own(trained):
    before, y_proba = weights(trained), trained.predict_proba(SHAPES.images)
    noise = torch.get_rng_state()
    drawn = randomized(trained, random_state=1)
    assert torch.equal(torch.get_rng_state(), noise)
    assert changed(before, weights(drawn)) == list(before)
    assert changed(before, weights(trained)) == []
    np.testing.assert_array_equal(trained.predict_proba(SHAPES.images), y_proba)
    assert np.abs(drawn.predict_proba(SHAPES.images) - y_proba).max() > 0.01


def test_classes_and_standardizing_stay(trained):
    drawn = randomized(trained, random_state=1)
    assert type(drawn) is LeNet5Classifier
    assert drawn.classes_.tolist() == trained.classes_.tolist()
    assert drawn.image_shape_ == (1, 28, 28)
    for name in ("mean", "std"):
        kept = getattr(trained.module_.standardize, name)
        assert kept.item() != {"mean": 0, "std": 1}[name]
        assert torch.equal(getattr(drawn.module_.standardize, name), kept)


def test_random_state_fixes_the_weights(trained):
    first, again, other = (weights(randomized(trained, random_state=seed)) for seed in (1, 1, 2))
    assert changed(first, again) == []
    assert changed(first, other) == list(first)


def test_only_the_named_layers_change(trained):
    before = weights(trained)
    cascade = [["head.6"], ["head.6", "head.4"], ["features", "head.6"]]
    expected = [
        ["head.6.weight", "head.6.bias"],
        ["head.4.weight", "head.4.bias", "head.6.weight", "head.6.bias"],
        [name for name in before if name.startswith(("features", "head.6"))],
    ]
    for layers, names in zip(cascade, expected, strict=True):
        assert changed(before, weights(randomized(trained, layers, random_state=0))) == names


def test_weights_of_a_frozen_classifier_stay(trained):
    before = weights(trained)
    drawn = randomized(FrozenEstimator(trained), random_state=1)
    assert isinstance(drawn, LeNet5Classifier)
    assert changed(before, weights(trained)) == []
    assert changed(weights(drawn), weights(randomized(trained, random_state=1))) == []


def test_batch_normalization_forgets_its_statistics():
    net = CNN_CAM()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.constant_(part.running_mean, 5)
    drawn = weights(randomized(CNNClassifier.from_module(net)))
    assert all((drawn[name] == 0).all() for name in drawn if name.endswith("running_mean"))


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.arange(6.0).reshape(2, 3))
        self.head = nn.Linear(6, 2)

    def forward(self, images):
        return self.head((images[:, 0] * self.scale).flatten(1))


def test_weights_of_a_module_that_cannot_draw_them_are_shuffled():
    net = Scaled()
    drawn = randomized(CNNClassifier.from_module(net), random_state=0).module_.net
    assert not torch.equal(drawn.scale, net.scale)
    assert sorted(drawn.scale.flatten().tolist()) == [0, 1, 2, 3, 4, 5]
    assert drawn.scale.shape == (2, 3)
    assert net.scale.flatten().tolist() == [0, 1, 2, 3, 4, 5]


def test_unknown_layer_is_named_with_those_there_are(trained):
    with pytest.raises(ValueError, match=r"modules of LeNet5, got \['fc'\]. It has \['features', "):
        randomized(trained, ["head.6", "fc"])
