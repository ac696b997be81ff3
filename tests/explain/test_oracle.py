"""The best maps that a layer allows: cells by hand, boxes, and what is refused."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from torch import nn

from fmcam.classifiers import CNNClassifier
from fmcam.datasets import make_fashion_shapes
from fmcam.explain import GradCAM, LayerCAM, oracle_heatmaps
from fmcam.localize import HeatmapToBox
from fmcam.models import LeNet5

SHAPES = make_fashion_shapes(60, random_state=0)


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


@pytest.mark.parametrize("layer", ["1", ["0", "1"]])
def test_an_object_that_fills_the_image_is_no_empty_map(layer):
    cam = LayerCAM(stack(conv(), nn.MaxPool2d(2)), layer=layer)
    masks = np.ones((3, 8, 8), dtype=int)
    masks[1, 0, 0] = 0
    masks[2, 1::2] = 0  # half of each cell of two lines
    maps = oracle_heatmaps(cam, np.zeros((1, 8, 8)), masks)
    assert (maps[0] == 1).all()
    assert (maps[1].min(), maps[1].max()) == (0, 1)
    assert (maps[2] == 1).all() == (layer == "1")


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
