import numpy as np
import pytest

from fmcam.metrics import (
    average_drop_error,
    deletion_auc_error,
    increase_in_confidence_score,
    insertion_auc_score,
)

METRICS = [
    average_drop_error,
    deletion_auc_error,
    increase_in_confidence_score,
    insertion_auc_score,
]


def sum_of_pixels(images):
    """The sum of the pixels as the probability of class 1."""
    total = images.sum(axis=(1, 2, 3))
    return np.column_stack([1 - total, total])


X = np.array([0.4, 0.3, 0.2, 0.1], dtype=np.float32).reshape(1, 1, 2, 2)
IN_ORDER = np.array([[[0.9, 0.5], [0.3, 0.1]]])


def test_insertion_and_deletion_by_hand():
    # 0, 0.4, 0.7, 0.9, 1 put in; 1, 0.6, 0.3, 0.1, 0 taken out; trapezoids of width 1/4.
    insertion = insertion_auc_score(sum_of_pixels, X, [1], IN_ORDER, n_steps=4)
    deletion = deletion_auc_error(sum_of_pixels, X, [1], IN_ORDER, n_steps=4)
    assert insertion == pytest.approx((0.4 + 0.7 + 0.9 + 0.5) / 4, abs=1e-7)
    assert deletion == pytest.approx((0.5 + 0.6 + 0.3 + 0.1) / 4, abs=1e-7)
    # Coldest first: 0, 0.1, 0.3, 0.6, 1.
    worst = insertion_auc_score(sum_of_pixels, X, [1], 1 - IN_ORDER, n_steps=4)
    assert worst == pytest.approx((0.1 + 0.3 + 0.6 + 0.5) / 4, abs=1e-7)
    other_class = insertion_auc_score(sum_of_pixels, X, [0], IN_ORDER, n_steps=4)
    assert other_class == pytest.approx(1 - insertion, abs=1e-7)


def test_steps_that_do_not_divide_the_pixels_keep_their_true_width():
    # 0, 1, 3 and 4 of 4 pixels.
    score = insertion_auc_score(sum_of_pixels, X, [1], IN_ORDER, n_steps=3)
    by_hand = 0.4 / 2 * 0.25 + (0.4 + 0.9) / 2 * 0.5 + (0.9 + 1) / 2 * 0.25
    assert score == pytest.approx(by_hand, abs=1e-7)


def test_equally_hot_pixels_go_row_by_row():
    images = np.random.default_rng(0).dirichlet(np.ones(400)).reshape(1, 1, 20, 20)
    place = np.arange(400).reshape(1, 20, 20)
    few_values = place % 3
    for metric in (insertion_auc_score, deletion_auc_error):
        expected = metric(sum_of_pixels, images, [1], few_values - place / 1000)
        assert metric(sum_of_pixels, images, [1], few_values) == expected
        assert metric(sum_of_pixels, images, [1], few_values + place / 1000) != expected


def test_baseline_images_take_the_place_of_missing_pixels():
    baseline = np.full_like(X, 0.1)
    # From 0.4 in steps of 0.3, 0.2, 0.1 and 0 to 1, and back.
    insertion = insertion_auc_score(sum_of_pixels, X, [1], IN_ORDER, baseline=baseline, n_steps=4)
    deletion = deletion_auc_error(sum_of_pixels, X, [1], IN_ORDER, baseline=baseline, n_steps=4)
    assert insertion == pytest.approx((0.2 + 0.7 + 0.9 + 1 + 0.5) / 4, abs=1e-7)
    assert deletion == pytest.approx((0.5 + 0.7 + 0.5 + 0.4 + 0.2) / 4, abs=1e-7)
    # Half of the first pixel: 0.25 + 0.1 + 0.1 + 0.1 of 1.
    half = np.array([[[0.5, 0], [0, 0]]])
    drop = average_drop_error(sum_of_pixels, X, [1], half, baseline=baseline)
    assert drop == pytest.approx(0.45, abs=1e-7)


def test_the_object_hidden_by_its_background_is_all_that_counts():
    rng = np.random.default_rng(0)
    background = rng.integers(0, 100, (3, 1, 6, 6), dtype=np.uint8)
    canvas = background.copy()
    canvas[:, :, 2:4, 1:3] = 255

    def sees_object(images):
        whole = (images[:, 0, 2:4, 1:3] == 255).mean(axis=(1, 2))
        return np.column_stack([1 - whole, whole])

    on_object = np.zeros((3, 6, 6))
    on_object[:, 2:4, 1:3] = 1
    options = {"baseline": background, "n_steps": 36}
    # Gone after four of 36 pixels, one after the other.
    lost = (0.5 + 0.75 + 0.5 + 0.25) / 36
    assert deletion_auc_error(sees_object, canvas, [1] * 3, on_object, **options) == pytest.approx(
        lost, rel=1e-12
    )
    assert average_drop_error(sees_object, canvas, [1] * 3, on_object, baseline=background) == 0
    hidden = average_drop_error(sees_object, canvas, [1] * 3, 1 - on_object, baseline=background)
    assert hidden == 1


def test_drop_and_increase_by_hand():
    # 0.4 + 0.3 / 2 is left of class 1, and class 0, at 0, gains.
    shown = np.array([[[1, 0.5], [0, 0]]])
    assert average_drop_error(sum_of_pixels, X, [1], shown) == pytest.approx(0.45, abs=1e-7)
    assert increase_in_confidence_score(sum_of_pixels, X, [1], shown) == 0
    assert increase_in_confidence_score(sum_of_pixels, X, [0], shown) == 1
    assert average_drop_error(sum_of_pixels, X / 2, [1], shown) == pytest.approx(0.45, abs=1e-7)
    assert average_drop_error(sum_of_pixels, X / 2, [0], shown) == 0
    assert increase_in_confidence_score(sum_of_pixels, X, [1], np.ones((1, 2, 2))) == 0


def test_drop_from_zero_is_undefined():
    images = np.concatenate([X, 0 * X])
    errors = average_drop_error(sum_of_pixels, images, [1, 1], np.zeros((2, 2, 2)), average=None)
    np.testing.assert_array_equal(errors, [1, np.nan])
    assert average_drop_error(sum_of_pixels, images, [1, 1], np.zeros((2, 2, 2))) == 1


def test_the_classifier_sees_the_dtype_it_was_trained_on():
    seen = []

    def record(images):
        seen.append(images)
        return np.full((len(images), 2), 0.5)

    images = np.array([[[[203, 100]]]], dtype=np.uint8)
    average_drop_error(record, images, [0], [[[0.5, 0.25]]])
    deletion_auc_error(record, images, [0], [[[0.5, 0.25]]], n_steps=2)
    assert all(images.dtype == np.uint8 for images in seen)
    assert [images.ravel().tolist() for images in seen] == [
        [203, 100],
        [102, 25],
        [203, 100],
        [0, 100],
        [0, 0],
    ]


def test_labels_name_the_columns():
    classes = np.array(["bag", "coat"])
    for metric in METRICS:
        expected = metric(sum_of_pixels, X, [1], IN_ORDER)
        assert metric(sum_of_pixels, X, ["coat"], IN_ORDER, classes=classes) == expected
        assert metric(sum_of_pixels, X, ["bag"], IN_ORDER, classes=classes) != expected


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": [1, 1]}, "`y` and `X` must have one row for each image, got 2 and 1"),
        ({"y": [7]}, r"labels of `classes` \[0, 1\] only, got also \[7\]\. Pass `classes=clf.cl"),
        ({"y": ["bag"]}, r"labels of `classes` \[0, 1\] only, got also \['bag'\]"),
        ({"classes": [0, 1, 2]}, r"`classes` must name the 2 columns .*got shape \(3,\)"),
        ({"heatmaps": np.ones((1, 7, 7))}, r"`heatmaps` must have shape .*got \(1, 7, 7\) for \(1"),
        ({"heatmaps": np.ones((2, 2, 2))}, r"`heatmaps` must have shape .*got \(2, 2, 2\) for \(1"),
        ({"baseline": np.zeros_like(X, dtype=np.uint8)}, r"`baseline` must have .*float32, got"),
        ({"baseline": X[:, :, :1]}, r"`baseline` must have the shape and dtype of `X`"),
        ({"predict_proba": lambda images: np.array([[5.0, -5.0]])}, "Apply a softmax to logits"),
        ({"predict_proba": lambda images: np.ones(1)}, r"must return shape \(1, k\) for 1 images"),
    ],
)
def test_arguments_that_do_not_fit_are_an_error(metric, change, message):
    arguments = {"predict_proba": sum_of_pixels, "X": X, "y": [1], "heatmaps": IN_ORDER, **change}
    with pytest.raises(ValueError, match=message):
        metric(**arguments)


def test_maps_that_mask_must_lie_in_the_unit_interval():
    for metric in (average_drop_error, increase_in_confidence_score):
        with pytest.raises(ValueError, match=r"`heatmaps` must lie in \[0, 1\]"):
            metric(sum_of_pixels, X, [1], 2 * IN_ORDER)
    doubled = insertion_auc_score(sum_of_pixels, X, [1], 2 * IN_ORDER - 3)
    assert doubled == insertion_auc_score(sum_of_pixels, X, [1], IN_ORDER)


def test_number_of_steps_must_be_positive():
    for metric in (insertion_auc_score, deletion_auc_error):
        with pytest.raises(ValueError, match="n_steps == 0, must be >= 1"):
            metric(sum_of_pixels, X, [1], IN_ORDER, n_steps=0)
