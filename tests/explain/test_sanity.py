"""Networks with weights drawn anew, and the best maps that a layer allows."""

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn

from fmcam.classifiers import CNNClassifier, LeNet5Classifier
from fmcam.datasets import make_fashion_shapes
from fmcam.explain import GradCAM, LayerCAM, oracle_heatmaps, randomized
from fmcam.localize import HeatmapToBox
from fmcam.models import CNN_CAM, LeNet5

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


# The best maps that a layer allows


def stack(*layers):
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2)]
    return FrozenEstimator(CNNClassifier.from_module(nn.Sequential(*layers, *head)))


def conv(stride=1):
    return nn.Conv2d(1, 1, 3, stride=stride, padding=1)


def test_a_layer_of_the_size_of_the_image_shows_the_masks_themselves():
    cam = GradCAM(stack(conv(), conv()), layer="1")
    maps = oracle_heatmaps(cam, SHAPES.images, SHAPES.masks)
    np.testing.assert_array_equal(maps, SHAPES.masks.astype(np.float32))


def test_cells_of_a_pooling_by_hand():
    cam = GradCAM(stack(conv(), nn.MaxPool2d(2)), layer="1")
    mask = np.zeros((1, 2, 8), dtype=int)
    mask[0, :, 2:5] = 1  # the second cell and half of the third
    # Cells 0, 1, 1/2, 0 at the pixels 0.5, 2.5, 4.5, 6.5, then divided by the largest, 7/8.
    expected = np.array([0, 2, 6, 7, 5, 3, 1, 0]) / 7
    (heatmap,) = oracle_heatmaps(cam, np.zeros((1, 2, 8)), mask)
    np.testing.assert_allclose(heatmap, [expected, expected], rtol=1e-6)


def test_cells_of_a_strided_convolution_by_hand():
    cam = GradCAM(stack(conv(stride=2)), layer="0")
    mask = np.zeros((1, 1, 8), dtype=int)
    mask[0, 0, 3:7] = 1
    # Cell i is around pixel 2i and covers half of the pixels before and after: 0, 1/4, 1, 3/4.
    by_cell = np.interp(np.arange(8), [0, 2, 4, 6], [0, 0.25, 1, 0.75])
    maps = oracle_heatmaps(cam, np.zeros((1, 1, 8)), mask)
    np.testing.assert_allclose(maps[0, 0], by_cell, rtol=1e-6)
    # Drawn as if they covered the image evenly, the same cells are half a pixel off.
    moved = np.interp(np.arange(8), [0.5, 2.5, 4.5, 6.5], [0, 0.25, 1, 0.75])
    moved = (moved - moved.min()) / np.ptp(moved)
    maps = oracle_heatmaps(cam.set_params(align=False), np.zeros((1, 1, 8)), mask)
    np.testing.assert_allclose(maps[0, 0], moved, rtol=1e-6)


def test_cells_at_the_border_average_the_pixels_they_have():
    cam = GradCAM(stack(conv(stride=2)), layer="0")
    mask = np.zeros((1, 1, 8), dtype=int)
    mask[0, 0, :2] = 1
    # All that cell 0 has in the image, pixel 0 and half of pixel 1, is object.
    by_cell = np.interp(np.arange(8), [0, 2, 4, 6], [1, 0.25, 0, 0])
    maps = oracle_heatmaps(cam, np.zeros((1, 1, 8)), mask)
    np.testing.assert_allclose(maps[0, 0], by_cell, rtol=1e-6)


def test_several_layers_are_averaged():
    clf = stack(conv(), nn.MaxPool2d(2), nn.MaxPool2d(2))
    maps = {
        layer: oracle_heatmaps(GradCAM(clf, layer=layer), SHAPES.images, SHAPES.masks)
        for layer in ("0", "2")
    }
    fused = oracle_heatmaps(LayerCAM(clf, layer=["0", "2"]), SHAPES.images, SHAPES.masks)
    mean = (maps["0"] + maps["2"]) / 2
    low, high = mean.min(axis=(1, 2), keepdims=True), mean.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(fused, (mean - low) / (high - low), atol=1e-6)


def test_ignored_pixels_and_empty_masks_are_background():
    masks = np.full((3, 8, 8), 255)
    masks[:, :, 4:] = 0
    masks[2] = 1  # beside which 255 is no object
    cam = GradCAM(stack(conv(), nn.MaxPool2d(2)), layer="1")
    assert not oracle_heatmaps(cam, np.zeros((1, 8, 8)), masks)[:2].any()


def test_oracle_boxes_are_the_better_the_finer_the_layer():
    clf = stack(conv(), nn.MaxPool2d(2), nn.MaxPool2d(2), nn.MaxPool2d(2))
    scores = []
    for layer in "0123":
        maps = oracle_heatmaps(GradCAM(clf, layer=layer), SHAPES.images, SHAPES.masks)
        scores.append(HeatmapToBox().fit(maps, SHAPES.boxes).score(maps, SHAPES.boxes))
    assert scores[0] == 1
    assert sorted(scores, reverse=True) == scores
    assert scores[3] < 0.9


def test_oracle_needs_a_layer_and_masks_of_the_images():
    clf = FrozenEstimator(CNNClassifier.from_module(LeNet5()))
    with pytest.raises(TypeError, match=r"`explainer` must draw maps of a layer, as GradCAM does"):
        oracle_heatmaps(clf, SHAPES.images, SHAPES.masks)
    with pytest.raises(ValueError, match=r"\(h, w\) = \(28, 28\), got \(14, 14\)"):
        oracle_heatmaps(GradCAM(clf), SHAPES.images, SHAPES.masks[:, ::2, ::2])
