"""What holds for every metric; each property is also shown a broken one that it rejects."""

import numpy as np
import pytest

from fmcam import _per_image as images_module
from fmcam import localize, metrics
from fmcam.metrics import paired_box_iou


def predict_proba(images):
    """The mean of the right half of the images, as the probability of class 1."""
    right = images[..., images.shape[-1] // 2 :].mean(axis=(1, 2, 3)) / 255
    return np.column_stack([1 - right, right])


BOXES = ("boxes_true", "boxes_pred")
FAITHFULNESS = ("X", "y", "heatmaps")
AVERAGED = {  # names of arguments; with average=None one value an image
    "average_drop_error": FAITHFULNESS,
    "box_accuracy_score": BOXES,
    "deletion_auc_error": FAITHFULNESS,
    "energy_in_box_score": ("boxes_true", "heatmaps"),
    "increase_in_confidence_score": FAITHFULNESS,
    "insertion_auc_score": FAITHFULNESS,
    "mask_iou_score": ("masks_true", "masks_pred"),
    "pointing_game_score": ("masks_true", "heatmaps"),
    "road_lerf_score": FAITHFULNESS,
    "road_morf_error": FAITHFULNESS,
    "road_score": FAITHFULNESS,
    "sparseness_score": ("heatmaps",),
    "top1_localization_score": ("y_true", "y_pred", *BOXES),
    "top_k_localization_score": ("y_true", "y_score", *BOXES),
}
PER_IMAGE = {  # one value, or one row, an image
    "paired_box_iou": BOXES,
    "rank_correlation": ("heatmaps", "others"),
}
POOLED = {  # one number of all images
    "max_box_accuracy_score": ("boxes_true", "heatmaps"),
    "max_pixel_iou_score": ("masks_true", "heatmaps"),
    "mean_iou_score": BOXES,
    "pixel_average_precision_score": ("masks_true", "heatmaps"),
}
REGIONS = {  # of fmcam.localize: a box, or a number, an image
    "boxes_from_heatmaps": ("heatmaps",),
    "count_regions": ("heatmaps",),
}
ARGUMENTS = AVERAGED | PER_IMAGE | POOLED | REGIONS
BOUNDS = {
    "rank_correlation": (-1, 1),
    "road_score": (-0.5, 0.5),
    "boxes_from_heatmaps": (0, 10),
    "count_regions": (0, 80),
}


def evaluate(name, data, rows=slice(None), metric=None, **options):
    arguments = [data[key][rows] for key in ARGUMENTS[name]]
    metric = getattr(localize if name in REGIONS else metrics, name) if metric is None else metric
    if "X" in ARGUMENTS[name]:
        arguments = [predict_proba, *arguments]
    if name in REGIONS:
        arguments.append(0.6)
    if name in AVERAGED:
        options = {"average": None, **options}
    return metric(*arguments, **options)


def check_single_images(name, data, metric=None):
    values = evaluate(name, data, metric=metric)
    each = [evaluate(name, data, [row], metric) for row in range(len(data["X"]))]
    np.testing.assert_allclose(values, np.concatenate(each), rtol=1e-14)


def check_order_of_images(name, data, metric=None):
    order = np.random.default_rng(1).permutation(len(data["X"]))
    values = evaluate(name, data, metric=metric)
    permuted = evaluate(name, data, order, metric)
    if name in POOLED:
        assert permuted == pytest.approx(values, rel=1e-14)
    else:
        np.testing.assert_allclose(permuted, values[order], rtol=1e-14)


def check_bounds(name, data, metric=None):
    values = np.asarray(evaluate(name, data, metric=metric), dtype=float)
    defined = values[~np.isnan(values)]
    low, high = BOUNDS.get(name, (0, 1))
    assert defined.size
    assert (defined >= low).all()
    assert (defined <= high + 1e-12).all()


def test_every_metric_is_in_one_set():
    functions = {name for name in metrics.__all__ if not isinstance(getattr(metrics, name), type)}
    assert ARGUMENTS.keys() - REGIONS == functions


@pytest.mark.parametrize("name", [*AVERAGED, *PER_IMAGE, *REGIONS])
def test_an_image_scores_the_same_alone_and_among_others(name, data):
    check_single_images(name, data)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_order_of_images_does_not_matter(name, data):
    check_order_of_images(name, data)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_scores_keep_their_bounds(name, data):
    check_bounds(name, data)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_are_left_as_they_were(name, data):
    kept = {key: array.copy() for key, array in data.items()}
    for array in data.values():
        array.flags.writeable = False
    evaluate(name, data)
    for key, array in kept.items():
        np.testing.assert_array_equal(data[key], array)


@pytest.mark.parametrize("name", AVERAGED)
def test_the_mean_is_over_defined_values(name, data):
    values = evaluate(name, data)
    mean = evaluate(name, data, average="mean")
    assert type(mean) is float
    assert mean == pytest.approx(np.nanmean(values), rel=1e-15)
    with pytest.raises(ValueError, match="`average` must be \"mean\" or None, got 'macro'"):
        evaluate(name, data, average="macro")


@pytest.mark.parametrize("name", [*AVERAGED, *PER_IMAGE, *REGIONS])
def test_batches_change_nothing(name, data, monkeypatch):
    expected = evaluate(name, data)
    monkeypatch.setattr(images_module, "_PIXELS_AT_ONCE", 3 * 80)
    np.testing.assert_allclose(evaluate(name, data), expected, rtol=1e-14)


def test_the_checks_reject_broken_metrics(data):
    def among_others(boxes_true, boxes_pred):
        return paired_box_iou(boxes_true, boxes_pred) / len(boxes_true)

    def by_place(boxes_true, boxes_pred):
        return paired_box_iou(boxes_true, boxes_pred) * np.arange(len(boxes_true))

    def unclamped(boxes_true, boxes_pred):
        return 1.01 + paired_box_iou(boxes_true, boxes_pred)

    for check, broken in [
        (check_single_images, among_others),
        (check_order_of_images, by_place),
        (check_bounds, unclamped),
    ]:
        check("paired_box_iou", data)
        with pytest.raises(AssertionError):
            check("paired_box_iou", data, broken)
