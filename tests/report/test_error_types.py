"""What is wrong with a box, by hand; and what its definitions promise of any box."""

import numpy as np
import pytest

from fmcam.metrics import mask_iou_score, paired_box_iou
from fmcam.report import localization_error_types

NO_BOX = [np.nan] * 4
TRUTH = [0, 0, 6, 6]  # area 36


def types_of(boxes_true, boxes_pred, **options):
    labels = ["cat"] * len(boxes_pred)
    return localization_error_types(labels, labels, boxes_true, boxes_pred, **options).tolist()


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 6, 3], "correct"),  # IoU 18 / 36
        ([0, 0, 6, 2.9], "part only"),  # inside
        ([-1, 0, 2, 6], "part only"),  # 12 of 18 inside, IoU 12 / 42
        ([-1.1, 0, 2, 6], "elsewhere"),  # 12 of 18.6 inside
        ([0, 0, 9, 8], "correct"),  # IoU 36 / 72
        ([0, 0, 9, 8.1], "too large"),  # all of the object
        ([2, 0, 14, 6], "too large"),  # 24 of its 36, IoU 24 / 84
        ([2.1, 0, 14, 6], "elsewhere"),  # 23.4 of its 36
        ([2, 0, 8, 6], "correct"),  # of its size: 24 of 36 shared, IoU 24 / 48
        ([2.1, 0, 8.1, 6], "elsewhere"),  # of its size: 23.4 shared, IoU 23.4 / 48.6
        ([6, 0, 9, 6], "elsewhere"),  # beside
        ([3, 3, 3, 5], "part only"),  # a line on the object
        (NO_BOX, "no box"),
    ],
)
def test_one_box_by_hand(box, expected):
    assert types_of([TRUTH], [box]) == [expected]


def test_a_class_that_is_wrong_comes_first_and_an_absent_truth_before_all():
    boxes = [TRUTH, TRUTH, NO_BOX, TRUTH, NO_BOX]
    truth = [TRUTH, TRUTH, TRUTH, NO_BOX, NO_BOX]
    y_pred = [5, 0, 5, 5, 0]
    types = localization_error_types([0] * 5, y_pred, truth, boxes)
    assert types.tolist() == ["wrong class", "correct", "wrong class", "", ""]


def test_an_object_in_several_regions():
    # The two halves of the object, and a speck beside it.
    boxes, joined = [[0, 0, 2, 6]] * 3, [[0, 0, 6, 6], [0, 0, 12, 12], NO_BOX]
    assert types_of([TRUTH] * 3, boxes) == ["part only"] * 3
    types = types_of([TRUTH] * 3, boxes, boxes_joined=joined)
    assert types == ["several", "part only", "part only"]
    assert types_of([TRUTH], [TRUTH], boxes_joined=[[0, 0, 12, 12]]) == ["correct"]


def test_another_threshold():
    # IoU 18 / 36. At t = 0.8 a wrong box lies mostly on the object from 1.6 / 1.8 = 8 / 9.
    assert types_of([TRUTH], [[0, 0, 6, 3]], iou_threshold=0.8) == ["part only"]
    assert types_of([TRUTH], [[-1, 0, 2, 6]], iou_threshold=0.8) == ["elsewhere"]
    assert types_of([TRUTH], [[-1, 0, 2, 6]], iou_threshold=0.25) == ["correct"]


def test_what_holds_for_all_boxes():
    corners = np.random.default_rng(0).integers(0, 13, (4000, 2, 2))
    boxes = np.sort(corners, axis=1).reshape(-1, 4)
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
    truth, boxes = np.array_split(boxes[: len(boxes) // 2 * 2], 2)
    types, turned = np.array(types_of(truth, boxes)), np.array(types_of(boxes, truth))
    assert set(types) == {"correct", "part only", "too large", "elsewhere"}
    # A part of something is too large for its part.
    for kind, other in [("part only", "too large"), ("elsewhere", "elsewhere")]:
        np.testing.assert_array_equal(types == kind, turned == other)
    np.testing.assert_array_equal(types == "correct", paired_box_iou(truth, boxes) >= 0.5)
    moved = np.array(types_of(7 * truth + 3, 7 * boxes + 3))
    np.testing.assert_array_equal(moved, types)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((["cat"], ["cat"], [TRUTH], [TRUTH, TRUTH]), {}, "`boxes_true` and `boxes_pred` must"),
        ((["cat", "dog"], ["cat"], [TRUTH], [TRUTH]), {}, "`y_true` and `boxes_true` must"),
        ((["cat"], ["cat", "dog"], [TRUTH], [TRUTH]), {}, "`y_pred` and `boxes_true` must"),
        ((["cat"], [0], [TRUTH], [TRUTH]), {}, "Mix of label input types"),
        ((["cat"], ["cat"], [TRUTH], [[6, 0, 0, 6]]), {}, "`boxes_pred` must be x0, y0, x1, y1"),
        (
            (["cat"], ["cat"], [TRUTH], [TRUTH]),
            {"iou_threshold": 50},
            r"`iou_threshold` must lie in \(0, 1\], got 50",
        ),
    ],
)
def test_wrong_arguments(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        localization_error_types(*arguments, **options)


# Masks --------------------------------------------------------------------------------------------


def test_mask_iou_by_hand():
    truth = [[[1, 1, 0, 255]], [[1, 1, 0, 255]], [[0, 0, 0, 255]], [[1, 255, 255, 0]]]
    found = np.array([[[1, 0, 1, 1]], [[0, 0, 0, 0]], [[1, 1, 0, 0]], [[1, 1, 1, 0]]], dtype=bool)
    values = mask_iou_score(truth, found, average=None)
    np.testing.assert_array_equal(values, [1 / 3, 0, np.nan, 1])
    assert mask_iou_score(truth, found) == pytest.approx(4 / 9, rel=1e-15)


def test_masks_that_do_not_fit():
    with pytest.raises(TypeError, match="`masks_pred` must be of bool, got float64"):
        mask_iou_score([[[1, 0]]], [[[0.5, 0.1]]])
    with pytest.raises(ValueError, match=r"got \(1, 1, 2\)"):
        mask_iou_score([[[1, 0, 0]]], [[[True, False]]])
