import numpy as np
import pytest
from scipy import ndimage

from fmcam import _growth as growth_module
from fmcam.localize import HeatmapToBox, boxes_from_heatmaps, count_regions
from fmcam.metrics import box_accuracy_score, max_box_accuracy_score, mean_iou_score
from fmcam.metrics._wsol import best_iou_of_outlines

NAN = np.nan


def smooth_maps(n, seed=0, size=24):
    rng = np.random.default_rng(seed)
    maps = ndimage.gaussian_filter(rng.normal(size=(n, size, size)), (0, 2, 2))
    maps -= maps.min(axis=(1, 2), keepdims=True)
    return (maps / maps.max(axis=(1, 2), keepdims=True)).astype(np.float32)


def rough_maps(rng):
    """A few small maps, often of few values, so that regions are alike in size and mean."""
    maps = rng.random((rng.integers(1, 6), *rng.integers(1, 12, 2)))
    maps = maps.astype(rng.choice([np.float32, np.float64]))
    if rng.random() < 0.5:
        maps = np.round(maps * 4) / 4
    maps[rng.random(len(maps)) < 0.1] = 0
    return maps


def label_one(heatmap, threshold):
    """Number of regions and the box of the largest, by scipy, one map and threshold at a time."""
    labels, count = ndimage.label((heatmap >= threshold) & (heatmap > 0), np.ones((3, 3)))
    if count == 0:
        return 0, [NAN] * 4
    numbers = np.arange(1, count + 1)
    n_pixels = ndimage.sum_labels(np.ones_like(heatmap), labels, numbers)
    mean = ndimage.mean(heatmap.astype(float), labels, numbers)
    best = max(range(count), key=lambda region: (n_pixels[region], mean[region], -region))
    y, x = ndimage.find_objects(labels)[best]
    return count, [x.start, y.start, x.stop, y.stop]


# Regions


def test_largest_region_by_hand():
    # A diagonal of three pixels, which corners join, and two pixels of a higher mean.
    heatmap = np.array(
        [[0.5, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, 0], [0, 0.9, 0.9, 0]]
    )
    turned = heatmap[::-1].copy()
    maps = np.stack([heatmap, turned, np.where(heatmap > 0.5, heatmap, 0)])
    largest = [[0, 0, 3, 3], [0, 2, 3, 5], [1, 4, 3, 5]]
    np.testing.assert_array_equal(boxes_from_heatmaps(maps, 0.5), largest)
    np.testing.assert_array_equal(count_regions(maps, 0.5), [2, 2, 1])
    around_all = [[0, 0, 3, 5], [0, 0, 3, 5], [1, 4, 3, 5]]
    np.testing.assert_array_equal(boxes_from_heatmaps(maps, 0.5, region="all"), around_all)


def test_ties_go_to_the_higher_mean_then_to_the_upper_left():
    maps = np.array(
        [
            [[0.6, 0.6, 0, 0.7, 0.7]],
            [[0.7, 0.7, 0, 0.6, 0.6]],
            [[0.6, 0.6, 0, 0.6, 0.6]],
            [[0.9, 0, 0.6, 0.6, 0]],
        ]
    )
    np.testing.assert_array_equal(
        boxes_from_heatmaps(maps, 0.5), [[3, 0, 5, 1], [0, 0, 2, 1], [0, 0, 2, 1], [2, 0, 4, 1]]
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_does_not_decide_ties(dtype):
    rng = np.random.default_rng(0)
    maps = rng.uniform(0, 0.4, (50, 20, 20)).astype(dtype)
    maps[:, 3:5, 11:14] = maps[:, 15:17, 2:5] = rng.uniform(0.5, 1, (50, 2, 3))
    np.testing.assert_array_equal(boxes_from_heatmaps(maps, 0.5), [[11, 3, 14, 5]] * 50)


def test_threshold_itself_is_hot_and_zero_never_is():
    maps = np.array([[[0.0, 0.3, 0.7]]])
    for dtype in (np.float32, np.float64):
        for threshold, x0 in [(0, 1), (0.3, 1), (0.300001, 2), (0.7, 2)]:
            np.testing.assert_array_equal(
                boxes_from_heatmaps(maps.astype(dtype), threshold), [[x0, 0, 3, 1]]
            )
    assert np.isnan(boxes_from_heatmaps(maps, 0.71)).all()
    assert np.isnan(boxes_from_heatmaps(np.zeros((2, 3, 3)), [0, 0.5])).all()
    assert np.isnan(boxes_from_heatmaps(np.zeros((2, 3, 3)), 0, region="all")).all()
    np.testing.assert_array_equal(count_regions(np.zeros((2, 3, 3)), 0), [0, 0])


@pytest.mark.parametrize("block", [1, 40, 2**19])
def test_regions_equal_scipy_label(monkeypatch, block):
    monkeypatch.setattr(growth_module, "_PIXELS_AT_ONCE", block)
    rng = np.random.default_rng(block)
    for _ in range(20):
        maps = rough_maps(rng)
        thresholds = np.array([0.5, *rng.random(3), 0, 1]).astype(maps.dtype)
        expected = [[label_one(heatmap, t) for heatmap in maps] for t in thresholds]
        counts = [[count for count, _ in row] for row in expected]
        boxes = [[box for _, box in row] for row in expected]
        np.testing.assert_array_equal(count_regions(maps, thresholds), counts)
        np.testing.assert_array_equal(boxes_from_heatmaps(maps, thresholds), boxes)


def test_box_of_all_equals_the_extent_of_hot_pixels():
    rng = np.random.default_rng(1)
    for _ in range(20):
        maps = rough_maps(rng)
        for heatmap, box in zip(maps, boxes_from_heatmaps(maps, 0.6, region="all"), strict=True):
            y, x = np.nonzero(heatmap >= heatmap.dtype.type(0.6))
            extent = [x.min(), y.min(), x.max() + 1, y.max() + 1] if len(x) else [NAN] * 4
            np.testing.assert_array_equal(box, extent)


def test_many_levels_equal_one_at_a_time():
    maps, thresholds = smooth_maps(3), np.linspace(0, 1, 700)
    boxes = boxes_from_heatmaps(maps, thresholds)
    for place in range(0, 700, 50):
        np.testing.assert_array_equal(boxes[place], boxes_from_heatmaps(maps, thresholds[place]))


def test_thresholds_may_come_in_any_order_and_repeat():
    maps = smooth_maps(4)
    boxes = boxes_from_heatmaps(maps, [0.8, 0.2, 0.8])
    assert boxes.shape == (3, 4, 4)
    np.testing.assert_array_equal(boxes[[2, 1]], boxes_from_heatmaps(maps, [0.8, 0.2]))
    np.testing.assert_array_equal(boxes[1], boxes_from_heatmaps(maps, 0.2))
    assert (boxes[0] != boxes[1]).any()


@pytest.mark.parametrize("threshold", [-0.1, 1.5, NAN, [0.2, 2]])
def test_threshold_out_of_range_is_an_error(threshold):
    for function in (boxes_from_heatmaps, count_regions):
        with pytest.raises(ValueError, match=r"`threshold` must be a number in \[0, 1\]"):
            function(smooth_maps(1), threshold)


def test_unknown_region_is_an_error():
    with pytest.raises(ValueError, match='`region` must be "largest" or "all", got \'biggest\''):
        boxes_from_heatmaps(smooth_maps(1), 0.5, region="biggest")


# The oracle score


def test_max_box_accuracy_by_hand():
    # At thresholds up to 0.4 the boxes are 4, 2 and 4 wide, up to 0.8 they are 2, 2 and 4 wide.
    heatmaps = np.array([[[1, 0.8, 0.4, 0.4]], [[1, 0.8, 0, 0]], [[1, 0.8, 0.8, 0.8]]])
    boxes = [[0, 0, 4, 1], [0, 0, 1, 1], [0, 0, 3, 1]]
    # IoU up to 0.4: 1, 1/2, 3/4; up to 0.8: 1/2, 1/2, 3/4; above: 1/4, 1, 1/3.
    scores = max_box_accuracy_score(
        boxes, heatmaps, iou_thresholds=[0.3, 0.5, 0.7, 0.9], average=None
    )
    np.testing.assert_array_equal(scores, [1, 1, 2 / 3, 1 / 3])
    assert max_box_accuracy_score(boxes, heatmaps) == pytest.approx((1 + 1 + 2 / 3) / 3, abs=1e-15)


def test_max_box_accuracy_is_the_best_over_thresholds():
    maps = smooth_maps(40)
    boxes = boxes_from_heatmaps(maps, np.random.default_rng(0).uniform(0.4, 0.6))
    boxes[::5] = boxes[0]
    best = max(
        box_accuracy_score(boxes, boxes_from_heatmaps(maps, threshold), iou_threshold=0.7)
        for threshold in np.linspace(0.02, 0.98, 49)
    )
    assert 0 < best < 1
    assert max_box_accuracy_score(boxes, maps, iou_thresholds=[0.7]) == best


def test_max_box_accuracy_by_region():
    # Two pixels beside one: the largest region has two columns, all have four.
    heatmaps, boxes = (
        np.array([[[0.9, 0.9, 0, 0.9]]] * 3),
        [[0, 0, 4, 1], [0, 0, 4, 1], [0, 0, 2, 1]],
    )
    for region, score in {"largest": 1 / 3, "all": 2 / 3, "fit": 2 / 3}.items():
        found = max_box_accuracy_score(boxes, heatmaps, iou_thresholds=[0.9], region=region)
        assert found == score


def test_no_threshold_and_region_beat_the_oracle_that_chooses_among_them():
    maps = smooth_maps(40)
    boxes = boxes_from_heatmaps(maps, 0.5, region="all")
    boxes[::2] = boxes_from_heatmaps(maps[::2], 0.7)
    rest = np.arange(10, 40)
    for least in (0.3, 0.5, 0.7):
        bound = max_box_accuracy_score(
            boxes[rest], maps[rest], iou_thresholds=[least], region="fit"
        )
        for region in ("largest", "all", "fit"):
            to_box = HeatmapToBox(region=region).fit(maps[:10], boxes[:10])
            honest = box_accuracy_score(
                boxes[rest], to_box.transform(maps[rest]), iou_threshold=least
            )
            assert 0 < honest <= bound
        each = [
            max_box_accuracy_score(boxes, maps, iou_thresholds=[least], region=region)
            for region in ("largest", "all", "fit")
        ]
        assert each[2] == max(each[:2])


@pytest.mark.parametrize("convention", ["half-open", "wsol"])
def test_images_without_a_true_box_are_left_out(convention):
    maps = smooth_maps(6)
    boxes = boxes_from_heatmaps(maps, 0.6)
    expected = max_box_accuracy_score(boxes[:4], maps[:4], convention=convention)
    boxes[4:] = NAN
    assert max_box_accuracy_score(boxes, maps, convention=convention) == expected
    assert np.isnan(max_box_accuracy_score(boxes[4:], maps[4:], convention=convention))


# Parity with wsolevaluation


def test_wsol_overlap_equals_opencv():
    # The best over the contours of cv2.findContours(RETR_TREE), by the definitions of
    # evaluation.py of clovaai/wsolevaluation, with opencv-python-headless 5.0.0.
    rng = np.random.default_rng(0)
    maps = rng.random((6, 8, 10))
    maps[4] *= 0.4
    maps[5] = 0
    boxes = np.array(
        [[1, 1, 6, 5], [0, 0, 10, 8], [3, 2, 5, 7], [4, 0, 9, 3], [2, 2, 8, 8], [0, 0, 2, 2]]
    )
    expected = [
        [0.375, 0.8081, 0.225, 0.3, 0.4828, 0.1111],
        [0.5333, 0.8081, 0.6522, 0.5714, 0.6122, 0.1111],
        [0.3623, 0.8081, 0.2812, 0.3, 0.3733, 0.1111],
        [0.0769, 0.2424, 0.2222, 0.1667, 0.1224, 0.1111],
    ]
    iou = best_iou_of_outlines(boxes[:, None], maps, np.array([0, 0.3, 0.6, 0.9]))
    np.testing.assert_array_equal(iou.round(4), expected)


# From evaluation_test.py of clovaai/wsolevaluation: maps, and the box of the widest outline at
# each of np.arange(0, 1, 0.2).
UNIMODAL = (
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.4, 0.4, 0.4, 0.6],
        [0.0, 0.4, 1.0, 0.8, 0.6],
        [0.0, 0.4, 0.4, 0.4, 0.6],
    ],
    [[1, 1, 4, 3], [1, 1, 4, 3], [2, 1, 4, 3], [2, 2, 4, 3], [2, 2, 3, 3]],
)
MULTIMODAL = (
    [
        [0.4, 0.0, 0.2, 0.2, 0.2],
        [0.4, 0.4, 0.0, 0.4, 0.0],
        [0.0, 0.0, 0.0, 0.4, 0.0],
        [1.0, 0.6, 0.8, 0.2, 0.2],
    ],
    [[0, 0, 4, 3], [0, 0, 2, 2], [0, 3, 3, 3], [2, 3, 3, 3], [0, 3, 1, 3]],
)
ZEROS = (np.zeros((3, 3)), [[0, 0, 0, 0]] * 5)


@pytest.mark.parametrize(
    ("heatmap", "boxes"), [UNIMODAL, MULTIMODAL, ZEROS], ids=["one", "several", "none"]
)
def test_wsol_finds_the_boxes_of_its_own_tests(heatmap, boxes):
    thresholds = np.arange(0, 1, 0.2)
    iou = best_iou_of_outlines(np.array(boxes)[:, None], np.array([heatmap] * 5), thresholds)
    np.testing.assert_array_equal(iou.diagonal(), 1)


def test_wsol_counts_the_outline_of_a_hole_and_the_last_pixel_of_a_box():
    ring = np.zeros((1, 9, 9))
    ring[0, 1:8, 1:8] = 1
    ring[0, 3:5, 3:6] = 0
    ring[0, 5, 6] = 0  # touches the hole by a corner, which does not join pixels of the background
    for box in ([1, 1, 8, 8], [2, 2, 7, 6], [5, 4, 8, 7]):
        assert best_iou_of_outlines(np.array([[box]]), ring, np.array([0.5])) == 1
    # Of 5 x 5 and 2 x 5 pixels with the last row and column, 2 x 4 are common.
    block = np.zeros((1, 9, 9))
    block[0, 2:6, 1:5] = 1
    for box in ([3, 1, 4, 5], [3.9, 1.2, 4.5, 5.99]):
        assert best_iou_of_outlines(np.array([[box]]), block, np.array([0.5])) == 8 / 27


def test_wsol_blocks_of_levels_and_maps_change_nothing(monkeypatch):
    maps, boxes = smooth_maps(5), np.tile([3, 4, 15, 20], (5, 1, 1))
    expected = best_iou_of_outlines(boxes, maps)
    monkeypatch.setattr(growth_module, "_PIXELS_AT_ONCE", 24 * 24 * 2)
    np.testing.assert_array_equal(best_iou_of_outlines(boxes, maps), expected)


def test_unknown_convention_is_an_error():
    maps = smooth_maps(1)
    with pytest.raises(ValueError, match='`convention` must be "half-open" or "wsol", got \'v2\''):
        max_box_accuracy_score([[0, 0, 2, 2]], maps, convention="v2")


def test_constant_map_is_the_whole_image():
    boxes = boxes_from_heatmaps(np.full((1, 4, 6), 0.5), [0.5, 0.6])
    np.testing.assert_array_equal(boxes, [[[0, 0, 6, 4]], [[NAN] * 4]])
    assert mean_iou_score([[0, 0, 3, 4]], boxes[0]) == 0.5
