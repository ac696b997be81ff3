"""Maps that know nothing of the network."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import kstest
from sklearn.frozen import FrozenEstimator

from fmcam._overlap import best_iou
from fmcam.classifiers import CNNClassifier
from fmcam.explain import CenterMap, EdgeMap, ForegroundMap, RandomMap, chance_heatmaps
from fmcam.localize import boxes_from_heatmaps
from fmcam.models import LeNet5

NAN = np.nan


def raw(kind, in_channels=1, **params):
    clf = CNNClassifier.from_module(LeNet5(in_channels=in_channels))
    return kind(FrozenEstimator(clf), normalize=None, **params)


def random_images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("kind", [CenterMap, EdgeMap, ForegroundMap, RandomMap])
def test_classes_make_no_difference(kind):
    X = random_images(3, 1, 28, 28)
    params = {"random_state": 0} if kind is RandomMap else {}
    maps = raw(kind, **params).explain(X, [[0, 9]] * 3)
    np.testing.assert_array_equal(maps[:, 0], maps[:, 1])


class TestCenterMap:
    def test_by_hand(self):
        found = raw(CenterMap).transform(random_images(2, 1, 13, 21))
        half = np.sqrt(0.5)
        # centre, middle of an upper half, corners, middle of a side
        np.testing.assert_allclose(found[1, 6, 10], 1)
        np.testing.assert_allclose(found[1, 3, 10], 1 - half / 2, rtol=1e-6)
        np.testing.assert_allclose(found[1][[0, 0, -1, -1], [0, -1, 0, -1]], 0, atol=1e-6)
        np.testing.assert_allclose(found[1, 6, [0, -1]], 1 - half, rtol=1e-6)
        np.testing.assert_array_equal(found[0], found[1])


class TestRandomMap:
    X = random_images(6, 1, 28, 28)

    def test_a_map_depends_on_the_seed_and_its_image_alone(self):
        maps = raw(RandomMap, random_state=0).transform(self.X)
        order = [4, 1, 5, 0]
        again = raw(RandomMap, random_state=0, batch_size=3).transform(self.X[order])
        np.testing.assert_array_equal(again, maps[order])
        assert len({one.tobytes() for one in maps}) == 6
        others = raw(RandomMap, random_state=1).transform(self.X)
        assert not (others == maps).any(axis=(1, 2)).all()
        assert np.abs(np.corrcoef(maps.ravel(), others.ravel())[0, 1]) < 0.05

    def test_uniform(self):
        maps = raw(RandomMap, random_state=0).transform(self.X)
        assert kstest(maps.ravel(), "uniform").pvalue > 0.01
        assert np.abs(np.corrcoef(maps.reshape(6, -1)) - np.eye(6)).max() < 0.15

    def test_unseeded_maps_differ_from_call_to_call(self):
        random = raw(RandomMap)
        assert not np.array_equal(random.transform(self.X), random.transform(self.X))


class TestEdgeMap:
    def test_a_step_by_hand(self):
        X = np.zeros((1, 1, 28, 28), dtype=np.uint8)
        X[..., 14:] = 10
        expected = np.zeros((28, 28))
        expected[:, 13:15] = 40  # 1 + 2 + 1 rows, 10 higher on the right
        np.testing.assert_array_equal(raw(EdgeMap).transform(X)[0], expected)
        np.testing.assert_array_equal(raw(EdgeMap).transform(X.swapaxes(2, 3))[0], expected.T)

    def test_equals_scipy(self):
        X = random_images(2, 3, 28, 20)
        lengths = [
            [np.hypot(ndimage.sobel(p, 0, mode="nearest"), ndimage.sobel(p, 1, mode="nearest"))]
            for image in X
            for p in image
        ]
        expected = np.reshape(lengths, X.shape).max(axis=1)
        np.testing.assert_allclose(raw(EdgeMap, 3).transform(X), expected, rtol=1e-5)


class TestForegroundMap:
    def test_an_item_on_a_blank_canvas(self):
        X = np.full((1, 1, 28, 28), 200, dtype=np.uint8)
        item = np.arange(1, 26).reshape(5, 5)
        X[0, 0, 4:9, 20:25] = 200 - item
        expected = np.zeros((28, 28))
        expected[4:9, 20:25] = item
        np.testing.assert_array_equal(raw(ForegroundMap).transform(X)[0], expected)

    def test_an_item_over_less_than_half_of_the_border(self):
        X = np.zeros((1, 1, 28, 28))
        X[..., :13, :] = 7  # the first row and 12 pixels of each side: 52 of 108
        np.testing.assert_array_equal(raw(ForegroundMap).transform(X)[0], X[0, 0])

    def test_each_pixel_of_the_border_counts_once(self):
        X = np.zeros((1, 1, 13, 13))  # 48 pixels on the border, 25 of them 3, with all corners
        X[0, 0, 0] = X[0, 0, -1, :10] = X[0, 0, -1, -1] = X[0, 0, 1, 0] = 3
        assert (X[0, 0] == 3).sum() == 25
        np.testing.assert_array_equal(raw(ForegroundMap).transform(X)[0, 5:7, 5:7], 3)
        X[0, 0, 1, 0] = X[0, 0, 0, 5] = 0  # 23 of 48, but 27 of 52 with the corners twice
        np.testing.assert_array_equal(raw(ForegroundMap).transform(X)[0, 5:7, 5:7], 0)

    def test_the_largest_over_the_channels_each_with_its_own_background(self):
        X = np.zeros((1, 3, 28, 28))
        X[0] += np.array([5.0, -1.0, 100.0])[:, None, None]
        X[0, :, 10, 10] = 3, 4, 99  # 2, 5 and 1 from the background
        X[0, :, 11, 11] = 15, -1, 120  # 10, 0 and 20
        maps = raw(ForegroundMap, 3).transform(X)[0]
        assert (maps[10, 10], maps[11, 11], maps.sum()) == (5, 20, 25)


# Chance


@pytest.mark.parametrize(
    ("size", "given", "centre", "constant"),
    [
        # Two of three lie in a corner: no box in the middle comes near them.
        ((4, 6), [[0, 0, 2, 1], [0, 0, 2, 1], [1, 1, 5, 3]], [1, 1, 5, 3], [0, 0, 2, 1]),
        # Widths of 2, 2 and 6 in the middle: a box of the mean width 3 would be .56 of them.
        ((2, 8), [[3, 0, 5, 2], [3, 0, 5, 2], [1, 0, 7, 2]], [3, 0, 5, 2], [3, 0, 5, 2]),
        ((5, 7), [[2, 2, 5, 3], [NAN] * 4], [2, 2, 5, 3], [2, 2, 5, 3]),
        ((4, 4), [[0, 0, 4, 4]], [0, 0, 4, 4], [0, 0, 4, 4]),
        # Of two boxes in an image one is enough.
        ((3, 5), [[[0, 0, 1, 1], [1, 1, 4, 2]], [[1, 1, 4, 2], [NAN] * 4]], *[[1, 1, 4, 2]] * 2),
        # A box that ends where it starts has no area, and meets none.
        ((1, 3), [[1, 0, 1, 1], [1, 0, 2, 1]], [1, 0, 2, 1], [1, 0, 2, 1]),
    ],
)
def test_boxes_of_chance_by_hand(size, given, centre, constant):
    h, w = size
    maps = chance_heatmaps((3, h, w), given)
    found = {name: boxes_from_heatmaps(one, 0.5).tolist() for name, one in maps.items()}
    expected = {"centre box": centre, "constant box": constant, "full frame": [0, 0, w, h]}
    assert found == {name: [box] * 3 for name, box in expected.items()}
    for name, (x0, y0, x1, y1) in expected.items():
        if name != "full frame":
            assert maps[name][2].argmax() == (y0 + y1) // 2 * w + (x0 + x1) // 2


def boxes_of_scene(kind, size, rng):
    """Boxes (n, 3, 4) of images of that size: few, many, in two places, or several an image."""
    n = 3 if kind == "few" else 25
    corners = rng.uniform(0, 1, (n, 3, 2, 2))
    if kind == "two places":
        corners = 0.2 * corners + np.where(rng.random((n, 1, 1, 1)) < 0.5, 0.1, 0.7)
    boxes = np.sort(corners, axis=2).reshape(n, 3, 4) * np.tile(size[::-1], 2)
    if kind != "several":
        boxes[:, 1:] = NAN
    boxes[: n // 3, 2] = NAN
    return boxes


@pytest.mark.parametrize("kind", ["few", "many", "two places", "several"])
def test_boxes_of_chance_are_the_best_of_all(kind):
    """Every box of whole pixels is tried. Its IoU is that of `best_iou`."""
    rng = np.random.default_rng(0)
    for size in [(6, 9), (9, 5), (10, 11), (7, 8)]:
        boxes = boxes_of_scene(kind, size, rng)
        rows, columns = (
            [(i, j) for i in range(side) for j in range(i + 1, side + 1)] for side in size
        )
        every = np.array([(x0, y0, x1, y1) for x0, x1 in columns for y0, y1 in rows])
        scores = best_iou(boxes, every[:, None].astype(float)).mean(axis=1)
        middle = np.abs(every[:, :2] + every[:, 2:] - size[::-1]).max(axis=1) <= 1
        found = {}
        for name in ("centre box", "constant box"):
            (box,) = boxes_from_heatmaps(chance_heatmaps((1, *size), boxes)[name], 0.5)
            found[name] = best_iou(boxes, box[None]).mean()
        assert found["constant box"] == pytest.approx(scores.max())
        # Where the middle is between two pixels there are boxes half a pixel off on either side.
        assert found["centre box"] <= scores[middle].max() + 1e-12
        assert (
            found["centre box"]
            >= scores[middle & (every[:, :2] + every[:, 2:] >= size[::-1]).all(axis=1)].max()
            - 1e-12
        )


def test_chance_needs_a_box():
    with pytest.raises(ValueError, match=r"`boxes` must hold at least one box, got NaN only"):
        chance_heatmaps((1, 4, 4), [[NAN] * 4])
