"""Box and heatmap scores against hand arithmetic and other libraries; wrong input."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, jaccard_score, top_k_accuracy_score
from torchvision.ops import box_iou as torchvision_box_iou

from fmcam.localize import boxes_from_heatmaps
from fmcam.metrics import (
    box_accuracy_score,
    energy_in_box_score,
    max_box_accuracy_score,
    max_pixel_iou_score,
    mean_iou_score,
    paired_box_iou,
    pixel_average_precision_score,
    pointing_game_score,
    rank_correlation,
    sparseness_score,
    top1_localization_score,
    top_k_localization_score,
)

NAN = np.nan
NO_BOX = [NAN] * 4


def random_boxes(n, seed, size=50):
    corners = np.random.default_rng(seed).integers(0, size + 1, (n, 2, 2))
    return np.sort(corners, axis=1).reshape(n, 4).astype(float)


# Boxes


def test_box_iou_by_hand():
    truth = np.array([[10, 10, 38, 38]] * 4 + [[0, 0, 4, 4]] * 4 + [[3, 3, 3, 5]], dtype=float)
    boxes = np.array(
        [
            [10, 10, 38, 38],
            [11, 11, 39, 39],
            [10, 10, 38, 24],
            [12.5, 10, 40.5, 38],
            [4, 0, 8, 4],
            [6, 6, 9, 9],
            [-2, -2, 2, 2],
            NO_BOX,
            [3, 3, 3, 5],
        ]
    )
    shifted = 27 * 27 / (2 * 28 * 28 - 27 * 27)
    expected = [1, shifted, 1 / 2, 25.5 / 30.5, 0, 0, 4 / 28, 0, 0]
    np.testing.assert_allclose(paired_box_iou(truth, boxes), expected, rtol=1e-15)
    np.testing.assert_array_equal(
        paired_box_iou([NO_BOX, NO_BOX], [[0, 0, 2, 2], NO_BOX]), [NAN, NAN]
    )


def test_box_iou_equals_torchvision():
    truth, boxes = random_boxes(300, 0), random_boxes(300, 1)
    expected = torchvision_box_iou(torch.tensor(truth), torch.tensor(boxes)).diagonal().numpy()
    without_area = np.isnan(expected)
    assert without_area.sum() < 20
    np.testing.assert_allclose(
        paired_box_iou(truth, boxes), np.where(without_area, 0, expected), rtol=1e-14
    )
    np.testing.assert_array_equal(paired_box_iou(truth, boxes), paired_box_iou(boxes, truth))


def test_disjoint_boxes_have_no_overlap():
    # Two negative overlaps would multiply to a positive area.
    truth, boxes = random_boxes(300, 0), random_boxes(300, 1) + 51
    np.testing.assert_array_equal(paired_box_iou(truth, boxes), 0)


def test_box_accuracy_counts_the_threshold_itself_as_right():
    truth = np.array([[0, 0, 10, 1]] * 4 + [NO_BOX], dtype=float)
    boxes = np.array([[0, 0, 3, 1], [0, 0, 5, 1], [0, 0, 7, 1], NO_BOX, NO_BOX])
    for threshold, share in [(0.3, 3 / 4), (0.5, 2 / 4), (0.7, 1 / 4), (0.71, 0)]:
        assert box_accuracy_score(truth, boxes, iou_threshold=threshold) == share
    np.testing.assert_array_equal(box_accuracy_score(truth, boxes, average=None), [0, 1, 1, 0, NAN])
    assert mean_iou_score(truth, boxes) == pytest.approx(1.5 / 4, abs=1e-15)


def test_top1_localization_by_hand():
    truth = np.array([[0, 0, 4, 4]] * 4 + [NO_BOX], dtype=float)
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 1, 1], NO_BOX, [0, 0, 4, 4]])
    y_true, y_pred = ["a", "a", "b", "b", "a"], ["a", "b", "b", "b", "a"]
    hits = top1_localization_score(y_true, y_pred, truth, boxes, average=None)
    np.testing.assert_array_equal(hits, [1, 0, 0, 0, NAN])
    assert top1_localization_score(y_true, y_pred, truth, boxes) == 1 / 4


def test_top1_is_at_most_accuracy_and_box_accuracy():
    rng = np.random.default_rng(0)
    for seed in range(20):
        truth = random_boxes(30, seed)
        boxes = np.where(rng.random((30, 1)) < 0.5, truth, random_boxes(30, seed + 100))
        y_true, y_pred = rng.integers(0, 2, (2, 30))
        top1 = top1_localization_score(y_true, y_pred, truth, boxes)
        right_class, right_box = (y_true == y_pred).mean(), box_accuracy_score(truth, boxes)
        assert 0 < top1 <= min(right_class, right_box)
        assert top1 >= right_class + right_box - 1


def test_top1_refuses_labels_that_can_never_be_equal():
    with pytest.raises(ValueError, match="Mix of label input types"):
        top1_localization_score(["0"], [0], [[0, 0, 1, 1]], [[0, 0, 1, 1]])


def test_top_k_localization_by_hand():
    truth = np.array([[0, 0, 4, 4]] * 5 + [NO_BOX], dtype=float)
    boxes = np.array([[0, 0, 4, 4]] * 3 + [[0, 0, 1, 1], NO_BOX, [0, 0, 4, 4]])
    y_true = ["b", "c", "a", "b", "b", "b"]
    y_score = [[0.5, 0.3, 0.2]] * 6
    scores = [
        top_k_localization_score(
            y_true, y_score, truth, boxes, k=k, classes=["a", "b", "c"], average=None
        )
        for k in (1, 2, 3)
    ]
    of_last = [0, 0, NAN]
    np.testing.assert_array_equal(
        scores, [[0, 0, 1, *of_last], [1, 0, 1, *of_last], [1, 1, 1, *of_last]]
    )
    # Of equal scores the first column is the better one, as for argmax; classes in any order.
    ties = [[1, 1, 0]] * 6
    for k, hits in [(1, [0, 0, 1]), (2, [1, 0, 1])]:
        found = top_k_localization_score(
            y_true, ties, truth, boxes, k=k, classes=["a", "b", "c"], average=None
        )
        np.testing.assert_array_equal(found, [*hits, *of_last])
    turned = top_k_localization_score(
        y_true, ties, truth, boxes, k=2, classes=["c", "b", "a"], average=None
    )
    np.testing.assert_array_equal(turned, [1, 1, 0, *of_last])


def test_top_k_is_the_accuracy_of_scikit_learn_where_boxes_are_right():
    rng = np.random.default_rng(0)
    y_true, y_score = rng.integers(0, 8, 40), rng.normal(size=(40, 8))
    truth = random_boxes(40, 0) + np.array([0, 0, 1, 1])
    before = 0
    for k in range(1, 9):
        score = top_k_localization_score(y_true, y_score, truth, truth, k=k)
        assert score == top_k_accuracy_score(y_true, y_score, k=min(k, 7)) or k == 8
        assert before <= score
        before = score
    boxes = np.where(rng.random((40, 1)) < 0.5, truth, random_boxes(40, 100))
    assert before == 1
    one = top_k_localization_score(y_true, y_score, truth, boxes, k=1)
    assert one == top1_localization_score(y_true, y_score.argmax(axis=1), truth, boxes)
    assert top_k_localization_score(y_true, y_score, truth, boxes, k=8) == box_accuracy_score(
        truth, boxes
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 0}, "k == 0, must be >= 1"),
        ({"y_true": [0, 3]}, r"labels of `classes` \[0, 1, 2\] only, got also \[3\]"),
        ({"y_true": ["0", "1"]}, r"`y_true` must hold labels of `classes`"),
        ({"classes": [0, 1]}, r"`classes` must name the 3 columns of `y_score`, got shape \(2,\)"),
        ({"y_score": [[0.1, NAN, 0.2]] * 2}, "`y_score` contains NaN in 2 of 2 rows"),
        ({"y_score": [0, 1]}, r"`y_score` must have shape \(n, k\), .* got \(2,\)"),
        ({"y_score": [[0, 1]] * 3}, r"one row for each of the n labels"),
    ],
)
def test_top_k_refuses_labels_and_scores_that_do_not_fit(changes, message):
    boxes = [[0, 0, 4, 4]] * 2
    arguments = {"y_true": [0, 1], "y_score": [[0.5, 0.3, 0.2]] * 2, **changes}
    with pytest.raises(ValueError, match=message):
        top_k_localization_score(boxes_true=boxes, boxes_pred=boxes, **arguments)


# Masks


def test_max_pixel_iou_by_hand_and_by_scikit_learn():
    # At 0.9: 1 of 3; at 0.6: 2 of 3; at 0.4: 2 of 4; at 0.1: 3 of 6. Ignored: the hottest pixel.
    masks = np.array([[[1, 1, 0]], [[255, 0, 1]], [[0, 255, 0]]])
    maps = np.array([[[0.9, 0.6, 0.4]], [[1.0, 0.1, 0.1]], [[0.1, 0.0, 0.0]]])
    assert max_pixel_iou_score(masks, maps) == 2 / 3
    rng = np.random.default_rng(0)
    masks = rng.choice([0, 1, 255], p=[0.7, 0.2, 0.1], size=(6, 9, 7))
    for maps in (rng.random(masks.shape) + masks / 600, rng.integers(0, 4, masks.shape) - 2.0):
        counted = masks != 255
        best = max(
            jaccard_score(masks[counted], maps[counted] >= value) for value in np.unique(maps)
        )
        assert max_pixel_iou_score(masks, maps) == pytest.approx(best, rel=1e-14)
    assert np.isnan(max_pixel_iou_score(np.zeros((1, 2, 2), int), np.ones((1, 2, 2))))


def test_pixel_average_precision_equals_scikit_learn_on_pooled_pixels():
    rng = np.random.default_rng(0)
    masks = rng.choice([0, 1, 255], p=[0.7, 0.2, 0.1], size=(6, 9, 7))
    for maps in (rng.random(masks.shape), rng.integers(0, 4, masks.shape) / 4 - 2.0):
        counted = masks != 255
        expected = average_precision_score(masks[counted], maps[counted])
        assert pixel_average_precision_score(masks, maps) == pytest.approx(expected, rel=1e-13)


# Numbers of pixels of evaluation_test.py of clovaai/wsolevaluation; the rest of 224 x 224 is
# ignored.
@pytest.mark.parametrize(("n_object", "n_beside"), [(43031, 7145), (833, 49342), (347, 13909)])
def test_pixel_average_precision_of_constant_and_perfect_maps(n_object, n_beside):
    mask = np.full(224 * 224, 255)
    mask[:n_object], mask[n_object : n_object + n_beside] = 1, 0
    mask = np.random.default_rng(0).permutation(mask).reshape(1, 224, 224)
    for value in (0, 0.5, 1):
        score = pixel_average_precision_score(mask, np.full(mask.shape, value))
        assert score == pytest.approx(n_object / (n_object + n_beside), rel=1e-12)
    for ignored in (0, 1):
        perfect = np.where(mask == 255, ignored, mask)
        assert pixel_average_precision_score(mask, perfect) == 1


def test_sparseness_by_hand_and_by_its_other_formulas():
    assert sparseness_score([[[0.5, 0.5]]]) == 0
    # 1, 2 and 5 of 8: (-2 * 1 + 0 * 2 + 2 * 5) / (3 * 8)
    assert sparseness_score([[[2, -5, 1]]]) == pytest.approx(1 / 3, rel=1e-15)
    maps = np.random.default_rng(0).normal(size=(5, 6, 7))
    maps[4] = 0
    found = sparseness_score(maps, average=None)
    assert np.isnan(found[4])
    values = np.abs(maps[:4].reshape(4, -1))
    # Half the mean difference of all pairs, divided by the mean.
    pairs = np.abs(values[:, :, None] - values[:, None]).mean(axis=(1, 2))
    np.testing.assert_allclose(found[:4], pairs / 2 / values.mean(axis=1), rtol=1e-12)
    # As Quantus 0.6 has it, which adds 1e-7 to each value.
    rows = np.sort(values + 1e-7, axis=1)
    ranks = np.arange(1, 43)
    quantus = (rows * (2 * ranks - 43)).sum(axis=1) / (rows.sum(axis=1) * 42)
    np.testing.assert_allclose(found[:4], quantus, rtol=1e-6)
    np.testing.assert_allclose(sparseness_score(3 * maps, average=None), found, rtol=1e-12)


def test_pixel_average_precision_without_an_object_is_undefined():
    assert np.isnan(pixel_average_precision_score(np.zeros((1, 2, 2), int), np.ones((1, 2, 2))))


def test_pointing_game_by_hand():
    mask = np.zeros((1, 9, 9), dtype=bool)
    mask[0, 4, 4] = True
    heatmap = np.zeros((1, 9, 9))
    heatmap[0, 7, 8] = 1  # three rows and four columns away: five pixels
    assert pointing_game_score(mask, heatmap, tolerance=4.99) == 0
    assert pointing_game_score(mask, heatmap, tolerance=5) == 1
    assert pointing_game_score(mask, heatmap.transpose(0, 2, 1), tolerance=5) == 1
    assert pointing_game_score(mask, mask) == 1
    assert pointing_game_score(~mask, mask) == 0


def test_pointing_game_agrees_with_distances():
    rng = np.random.default_rng(0)
    masks, maps = rng.random((40, 6, 8)) < 0.03, rng.random((40, 6, 8))
    rows, columns = np.indices((6, 8))
    for tolerance in (0, 1, 1.5, 3, 20):
        for mask, heatmap in zip(masks, maps, strict=True):
            y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
            distances = np.hypot(rows - y, columns - x)[mask]
            expected = distances.min() <= tolerance if mask.any() else NAN
            hit = pointing_game_score(mask[None], heatmap[None], tolerance=tolerance)
            np.testing.assert_equal(hit, float(expected))


def test_pointing_game_empty_mask_is_not_a_hit():
    # Quantus 0.6.0 writes NaN into a bool array here and counts a hit.
    masks, maps = np.array([[[0, 0]], [[0, 1]]]), np.array([[[0.1, 0.9]], [[0.9, 0.1]]])
    np.testing.assert_array_equal(pointing_game_score(masks, maps, average=None), [NAN, 0])
    assert pointing_game_score(masks, maps) == 0
    assert np.isnan(pointing_game_score(masks[:1], maps[:1]))


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_pointing_game_constant_map_is_not_a_hit(value):
    # Quantus 0.6.0 counts it as one.
    masks, maps = np.ones((2, 3, 3), dtype=int), np.full((2, 3, 3), value)
    assert pointing_game_score(masks, maps, tolerance=2) == 0
    masks[:, 0] = 255
    for ignored in (-7, 7):  # only ignored pixels stand out
        maps[:, 0] = ignored
        assert pointing_game_score(masks, maps) == 0


def test_ignored_pixels_are_never_pointed_at():
    masks, maps = np.array([[[255, 1, 0]]]), np.array([[[0.9, 0.5, 0.1]]])
    assert pointing_game_score(masks, maps) == 1
    assert pointing_game_score(masks, maps[..., [0, 2, 1]]) == 0


def test_weighted_energy_of_any_number_of_images_is_finite():
    # Quantus 0.6.0 divides by the size of a slice of the batch: inf for two images.
    boxes, maps = np.tile([[1.0, 0, 3, 2]], (5, 1)), np.ones((5, 4, 4))
    for n in range(1, 6):
        assert energy_in_box_score(boxes[:n], maps[:n]) == 4 / 16


def test_energy_in_box_by_hand():
    # Rows are y: a box two wide and one high in the upper right corner.
    heatmap = np.array([[[1.0, 2, 4], [8, 16, 32]]])
    assert energy_in_box_score([[1, 0, 3, 1]], heatmap) == 6 / 63
    assert energy_in_box_score([[0, 0, 3, 2]], heatmap) == 1
    # Half of a column and a quarter of a row.
    share = (0.5 * (1 + 0.25 * 8) + 2 + 0.25 * 16) / 63
    assert energy_in_box_score([[0.5, 0, 2, 1.25]], heatmap) == pytest.approx(share, rel=1e-15)
    assert energy_in_box_score([[1.25, 0.25, 1.75, 0.5]], heatmap) == 0.25 / 63
    values = energy_in_box_score(
        [NO_BOX, [0, 0, 1, 1]], np.concatenate([heatmap, 0 * heatmap]), average=None
    )
    np.testing.assert_array_equal(values, [NAN, NAN])


def test_rank_correlation_equals_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (2, 8, 5, 6)) / 4
    b[:4] = b[:4] * 0.2 + a[:4] ** 2
    expected = [spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(rank_correlation(a, b), expected, rtol=1e-12)
    np.testing.assert_allclose(rank_correlation(a, np.exp(a)), 1, rtol=1e-12)
    np.testing.assert_allclose(rank_correlation(a, -a), -1, rtol=1e-12)
    np.testing.assert_array_equal(rank_correlation(a, np.full_like(a, 0.3)), NAN)


# Errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes_true": [[0, 0, 4]]}, r"`boxes_true` must have shape \(n, 4\).*got \(1, 3\)"),
        ({"boxes_true": [0, 0, 4, 4]}, r"got \(4,\)\. For one box pass `\[boxes_true\]`"),
        ({"boxes_true": [[4, 0, 0, 4]]}, r"x0 <= x1 and y0 <= y1, got \[4.0, 0.0, 0.0, 4.0\] in"),
        ({"boxes_true": [[0, NAN, 4, 4]]}, r"finite, or NaN in all columns for no box, got \[0.0"),
        ({"boxes_true": [[0, 0, np.inf, 4]]}, r"finite, .*, got \[0.0, 0.0, inf, 4.0\] in row 0"),
        ({"boxes_true": [[0, 0, 7, 4]]}, r"inside the image of 5 rows and 6 columns, got \[0.0, 0"),
        ({"boxes_true": [[0, 0, 5, 6]]}, r"inside the image of 5 rows and 6 columns"),
        ({"boxes_true": [[-1, 0, 5, 5]]}, r"inside the image of 5 rows and 6 columns"),
        ({"boxes_true": [[0, 0, 1, 1]] * 2}, r"`boxes_true` and `heatmaps`.* got 2 and 1"),
        ({"heatmaps": np.ones((5, 6))}, r"\(n, h, w\).*got \(5, 6\)\. For one map pass `heatm"),
        ({"heatmaps": np.ones((0, 5, 6))}, r"\(n, h, w\) without a 0, got \(0, 5, 6\)"),
        ({"heatmaps": np.full((1, 5, 6), NAN)}, r"`heatmaps` contains NaN or infinity in 1 of 1"),
        ({"heatmaps": np.full((1, 5, 6), -1)}, r"`heatmaps` must not be negative, got .* -1\."),
    ],
)
def test_energy_of_wrong_boxes_and_maps_is_an_error(change, message):
    arguments = {"boxes_true": [[0, 0, 6, 5]], "heatmaps": np.ones((1, 5, 6)), **change}
    with pytest.raises(ValueError, match=message):
        energy_in_box_score(**arguments)


def test_heatmaps_outside_the_unit_interval_are_an_error():
    maps = np.full((1, 2, 2), 255, dtype=np.uint8)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got values from 255 to 255"):
        boxes_from_heatmaps(maps, 0.5)
    with pytest.raises(TypeError, match="`heatmaps` must hold real numbers"):
        boxes_from_heatmaps([[["a"]]], 0.5)
    within_rounding = np.full((1, 2, 2), 1 + 1e-7)
    np.testing.assert_array_equal(boxes_from_heatmaps(within_rounding, 1), [[0, 0, 2, 2]])


def test_masks_of_another_size_or_with_other_values_are_an_error():
    maps = np.ones((2, 4, 4))
    with pytest.raises(ValueError, match=r"`masks_true` must have the shape of `heatmaps`"):
        pointing_game_score(np.ones((2, 28, 28), dtype=int), maps)
    with pytest.raises(ValueError, match=r"`masks_true` must be of bool, hold 0 .*got 128\."):
        pixel_average_precision_score(np.full((2, 4, 4), 128), maps)
    with pytest.raises(ValueError, match=r"got \(4, 4\)\. For one mask pass `masks_true\[None\]`"):
        pointing_game_score(np.ones((4, 4), dtype=int), maps)
    with pytest.raises(ValueError, match=r"`others` must have the shape of `heatmaps`"):
        rank_correlation(maps, maps[:1])
    with pytest.raises(ValueError, match="tolerance == -1, must be >= 0"):
        pointing_game_score(np.ones((2, 4, 4), dtype=int), maps, tolerance=-1)


def test_numbers_of_images_that_differ_are_an_error():
    boxes = np.array([[0, 0, 2, 2]] * 3)
    with pytest.raises(ValueError, match=r"`boxes_true` and `boxes_pred`.* got 3 and 2"):
        mean_iou_score(boxes, boxes[:2])
    with pytest.raises(ValueError, match=r"`y_true` and `boxes_true`.* got 2 and 3"):
        top1_localization_score([0, 1], [0, 1, 1], boxes, boxes)
    with pytest.raises(ValueError, match=r"`y_pred` and `boxes_true`.* got 2 and 3"):
        top1_localization_score([0, 1, 1], [0, 1], boxes, boxes)


@pytest.mark.parametrize("threshold", [0, -0.5, 50, NAN])
def test_iou_threshold_out_of_range_is_an_error(threshold):
    boxes = np.array([[0, 0, 2, 2]])
    with pytest.raises(ValueError, match=r"IoU thresholds must lie in \(0, 1\], got .*pass 0.5"):
        box_accuracy_score(boxes, boxes, iou_threshold=threshold)
    with pytest.raises(ValueError, match=r"IoU thresholds must lie in \(0, 1\]"):
        max_box_accuracy_score(boxes, np.ones((1, 2, 2)), iou_thresholds=[0.5, threshold])


@pytest.mark.parametrize(
    ("thresholds", "error", "message"),
    [
        ([], ValueError, r"must lie in \(0, 1\], got \[\]"),
        (0.5, ValueError, r"must lie in \(0, 1\], got 0.5"),
        ([[0.3, 0.5]], ValueError, r"must lie in \(0, 1\], got \[\[0.3, 0.5\]\]"),
        ([[0.3], [0.5, 0.7]], ValueError, "`iou_thresholds` must be of one size"),
        ("0.5", TypeError, "`iou_thresholds` must hold real numbers, got a str"),
        (["half"], TypeError, "`iou_thresholds` must hold real numbers"),
    ],
)
def test_iou_thresholds_must_be_a_list_of_numbers(thresholds, error, message):
    with pytest.raises(error, match=message):
        max_box_accuracy_score([[0, 0, 2, 2]], np.ones((1, 2, 2)), iou_thresholds=thresholds)
