"""Drawn garments: exact boxes and masks, reproducible, and as hard as they claim to be."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, roc_auc_score

from fmcam.datasets import make_fashion_shapes
from fmcam.datasets._fashion_mnist import TARGET_NAMES
from fmcam.datasets._garments import GARMENTS
from fmcam.datasets._shapes import _OVERSAMPLING, _draw, _pose, _render


@pytest.fixture(scope="module")
def shapes():
    return make_fashion_shapes(2500, random_state=0)


def boxes_of(shapes, name):
    return shapes.boxes[shapes.target == shapes.target_names.index(name)]


def height_over_width(boxes):
    return (boxes[:, 3] - boxes[:, 1]) / (boxes[:, 2] - boxes[:, 0])


def test_types_and_names(shapes):
    assert shapes.images.shape == (2500, 1, 28, 28)
    assert shapes.images.dtype == np.uint8
    assert shapes.target.dtype == np.int64
    assert shapes.boxes.dtype == np.float64
    assert shapes.masks.dtype == bool
    assert shapes.target_names == list(TARGET_NAMES)


def test_boxes_are_the_extents_of_the_masks(shapes):
    for mask, box in zip(shapes.masks, shapes.boxes, strict=True):
        y, x = np.nonzero(mask)
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]


def test_masks_are_the_pixels_that_are_not_black(shapes):
    np.testing.assert_array_equal(shapes.images[:, 0] > 0, shapes.masks)


@pytest.mark.parametrize("garment", GARMENTS.values(), ids=GARMENTS)
def test_texture_turns_no_covered_pixel_black(garment):
    for seed in range(60):
        rng = np.random.RandomState(seed)
        covered = _render(_pose(rng, garment(rng), 28 * _OVERSAMPLING), 28) > 0
        image = _draw(np.random.RandomState(seed), garment, 28)
        np.testing.assert_array_equal(image > 0, covered)


@pytest.mark.parametrize("image_size", [16, 28, 64])
def test_items_fill_the_image_and_stay_inside(image_size):
    boxes = make_fashion_shapes(200, image_size=image_size, random_state=0).boxes
    longest = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    assert longest.min() >= 0.75 * image_size - 1
    assert longest.max() <= image_size


def test_classes_have_the_proportions_of_their_names(shapes):
    assert height_over_width(boxes_of(shapes, "Trouser")).min() > 1
    assert height_over_width(boxes_of(shapes, "Sneaker")).max() < 1
    tall = {
        name: np.median(height_over_width(boxes_of(shapes, name))) for name in shapes.target_names
    }
    assert tall["Trouser"] > tall["Dress"] > tall["Coat"] > tall["Pullover"]
    assert tall["Ankle boot"] > tall["Sandal"] > tall["Sneaker"]


def test_same_seed_same_bytes():
    first, second = (make_fashion_shapes(30, random_state=5) for _ in range(2))
    for key in ("images", "target", "boxes", "masks"):
        np.testing.assert_array_equal(first[key], second[key])
    other = make_fashion_shapes(30, random_state=6)
    assert not np.array_equal(first.images, other.images)
    assert not np.array_equal(first.target, other.target)


def test_generator_is_passed_on_and_the_global_one_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    rng = np.random.RandomState(0)
    first, second = (make_fashion_shapes(10, random_state=rng) for _ in range(2))
    assert not np.array_equal(first.images, second.images)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_classes_are_balanced_and_shuffled():
    counts = np.bincount(make_fashion_shapes(37, random_state=0).target, minlength=10)
    assert sorted(counts) == [3, 3, 3, 4, 4, 4, 4, 4, 4, 4]
    target = make_fashion_shapes(40, random_state=0).target
    assert not np.array_equal(target, np.arange(40) % 10)
    assert np.any(np.diff(target) < 0)


def test_no_two_images_are_the_same(shapes):
    assert len({image.tobytes() for image in shapes.images}) == 2500


def test_every_class_can_be_learned_but_not_perfectly(shapes):
    rows = shapes.images.reshape(2500, -1)
    forest = RandomForestClassifier(100, random_state=0).fit(rows[:1800], shapes.target[:1800])
    probabilities, target = forest.predict_proba(rows[1800:]), shapes.target[1800:]
    areas = roc_auc_score(target, probabilities, multi_class="ovr", average=None)
    assert areas.min() > 0.8  # chance: 0.5
    assert 0.6 < accuracy_score(target, probabilities.argmax(axis=1)) < 0.9  # chance: 0.1
    assert areas.argmin() == shapes.target_names.index("Shirt")  # the hardest in the real set too


@pytest.mark.parametrize("argument", ["n_samples", "image_size"])
def test_errors(argument):
    with pytest.raises(ValueError, match=f"{argument} == 0, must be >= 1"):
        make_fashion_shapes(**{argument: 0})
    with pytest.raises(TypeError, match=f"{argument} must be an instance of int"):
        make_fashion_shapes(**{argument: 2.5})
