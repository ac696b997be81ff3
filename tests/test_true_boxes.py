"""Several true boxes an image, boxes in other formats and units; what is refused."""

import re
from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.ops import box_convert
from torchvision.ops import box_iou as torchvision_box_iou
from torchvision.tv_tensors import BoundingBoxes

from fmcam._boxes import check_boxes, check_true_boxes, masks_of_boxes
from fmcam.datasets import make_fashion_shapes
from fmcam.explain import chance_heatmaps
from fmcam.localize import HeatmapToBox
from fmcam.metrics import (
    box_accuracy_score,
    energy_in_box_score,
    max_box_accuracy_score,
    mean_iou_score,
    paired_box_iou,
    top1_localization_score,
)
from fmcam.plot import HeatmapDisplay
from fmcam.report import localization_error_types, localization_frame

NAN = np.nan
NO_BOX = [NAN] * 4
TWO = [[0, 0, 2, 2], [4, 4, 8, 8]]
ONE = [[1, 1, 5, 5]]
PADDED = np.array([TWO, [*ONE, NO_BOX], [NO_BOX, NO_BOX]])
PREDICTED = [[4, 4, 8, 6], [1, 1, 5, 5], [0, 0, 2, 2]]  # IoU .5 with the second box, 1, no box


@pytest.mark.parametrize(
    "boxes",
    [
        PADDED,
        [TWO, ONE, []],
        [TWO, ONE, None],
        [TWO, ONE[0], np.empty((0, 4))],
        (np.array(TWO), np.array(ONE), np.zeros((0, 4))),
        [torch.tensor(TWO), torch.tensor(ONE), torch.zeros(0, 4)],
        [torch.tensor(TWO, dtype=torch.bfloat16, requires_grad=True), ONE, []],
        torch.tensor(PADDED, requires_grad=True),
        pd.Series([TWO, ONE, []]),
        np.array([np.array(TWO), np.array(ONE), np.zeros((0, 4))], dtype=object),
        [pd.DataFrame(TWO), pd.DataFrame(ONE), []],
        [
            BoundingBoxes(
                box_convert(torch.tensor(TWO), "xyxy", "xywh"), format="XYWH", canvas_size=(8, 9)
            ),
            BoundingBoxes(ONE, format="XYXY", canvas_size=(8, 9)),
            BoundingBoxes(torch.zeros(0, 4), format="XYXY", canvas_size=(8, 9)),
        ],
    ],
)
def test_several_boxes_an_image(boxes):
    np.testing.assert_array_equal(check_true_boxes(boxes, size=(8, 9)), PADDED)
    np.testing.assert_array_equal(paired_box_iou(boxes, PREDICTED), [0.5, 1, NAN])


def test_the_best_box_of_an_image_counts():
    boxes = [TWO, ONE, []]
    assert mean_iou_score(boxes, PREDICTED) == 0.75
    assert box_accuracy_score(boxes, PREDICTED) == 1
    assert box_accuracy_score(boxes, PREDICTED, iou_threshold=0.6) == 0.5
    assert top1_localization_score(["a", "b", "c"], ["a", "a", "c"], boxes, PREDICTED) == 0.5
    types = localization_error_types([0] * 3, [0] * 3, boxes, PREDICTED, iou_threshold=0.6)
    assert types.tolist() == ["part only", "correct", ""]


def test_best_overlap_equals_torchvision():
    rng = np.random.default_rng(0)
    grown = np.array([0, 0, 1, 1])  # no box without area
    truth = grown + np.sort(rng.integers(0, 20, (6, 5, 2, 2)), axis=2).reshape(6, 5, 4)
    boxes = grown + np.sort(rng.integers(0, 20, (6, 2, 2)), axis=1).reshape(6, 4)
    expected = [
        torchvision_box_iou(torch.tensor(true), torch.tensor(box[None])).max().item()
        for true, box in zip(truth, boxes, strict=True)
    ]
    np.testing.assert_allclose(paired_box_iou(truth, boxes), expected, rtol=1e-6)


def test_order_and_repeats_of_the_boxes_of_an_image_do_not_matter():
    rng = np.random.default_rng(1)
    maps = rng.random((3, 8, 9))
    repeated = [TWO[::-1] + TWO, ONE * 3, []]
    for metric in (energy_in_box_score, max_box_accuracy_score):
        assert metric(repeated, maps) == metric(PADDED, maps)
    for convention in ("half-open", "wsol"):
        single = [[0, 0, 2, 2], [1, 1, 5, 5], NO_BOX]
        score = max_box_accuracy_score(single, maps, convention=convention)
        padded = np.stack([np.array(single, dtype=float), np.full((3, 4), NAN)], axis=1)
        assert max_box_accuracy_score(padded, maps, convention=convention) == score


@pytest.mark.parametrize("convention", ["half-open", "wsol"])
def test_a_hit_of_any_box_is_a_hit(convention):
    maps = np.zeros((1, 9, 9))
    maps[0, 4:8, 4:8] = 1
    far, hit = [0, 0, 2, 2], [4, 4, 8, 8]
    scores = [
        max_box_accuracy_score([boxes], maps, iou_thresholds=[0.6], convention=convention)
        for boxes in ([far], [hit], [far, hit], [hit, far])
    ]
    assert scores == [0, 1, 1, 1]


def test_energy_counts_pixels_in_several_boxes_once():
    heatmap = np.array([[[1.0, 2, 4], [8, 16, 32]]])
    # Columns 0 to 1.5 and 1 to 3 of the upper row overlap in half a pixel.
    assert energy_in_box_score([[[0, 0, 1.5, 1], [1, 0, 3, 1]]], heatmap) == 7 / 63
    assert energy_in_box_score([[[0, 0, 1, 1], [2, 1, 3, 2]]], heatmap) == 33 / 63
    # A cross of a quarter row and a quarter column, which share a sixteenth of a pixel.
    cross = [[0, 1.25, 3, 1.5], [1.25, 0, 1.5, 2]]
    expected = (0.25 * (8 + 16 + 32) + 0.25 * (2 + 16) - 16 / 16) / 63
    assert energy_in_box_score([cross], heatmap) == pytest.approx(expected, rel=1e-15)


def test_energy_of_many_boxes_is_that_of_their_pixels():
    rng = np.random.default_rng(2)
    maps = rng.random((4, 7, 8))
    boxes = np.sort(rng.integers(0, 8, (4, 5, 2, 2)), axis=2).reshape(4, 5, 4)
    inside = np.zeros(maps.shape, dtype=bool)
    for row, of_image in enumerate(boxes):
        for x0, y0, x1, y1 in of_image:
            inside[row, y0:y1, x0:x1] = True
    expected = (maps * inside).sum(axis=(1, 2)) / maps.sum(axis=(1, 2))
    values = energy_in_box_score(boxes, maps, average=None)
    np.testing.assert_allclose(values, expected, rtol=1e-14)


def test_thresholds_are_fitted_on_the_best_box():
    maps = np.zeros((2, 8, 9))
    maps[0, 4:8, 4:8], maps[0, :2, :2] = 0.3, 0.9
    maps[1, 1:5, 1:5] = 0.5
    fitted = HeatmapToBox().fit(maps, [TWO, ONE])
    assert fitted.threshold_ == 0.02
    assert fitted.scores_.max() == 1
    assert fitted.score(maps, [TWO, ONE]) == 1
    fitted.fit(maps, [[[0, 0, 2, 2]], ONE])
    assert fitted.threshold_ == 0.32
    assert fitted.score(maps, [TWO, []]) == 1


def test_rows_and_chance_with_several_boxes():
    maps = {"CAM": np.zeros((3, 8, 9))}
    maps["CAM"][:, 4:6, 4:8] = 0.5
    rows = localization_frame(
        maps, [0] * 3, [[1, 0]] * 3, [0, 1], boxes=[TWO, ONE, []], thresholds=0.5
    )
    assert rows["iou"].tolist()[:2] == [0.5, 1 / 23]
    assert rows["energy"].tolist()[:2] == [1, 0.125]
    assert rows[["iou", "energy"]].iloc[2].isna().all()
    chance = chance_heatmaps((1, 8, 9), [[[0, 0, 2, 2], [3, 2, 7, 6]], [[3, 2, 7, 6]]])
    assert (chance["centre box"][0] > 0).sum() == 4 * 4  # the box that both images have


def test_masks_of_boxes_by_hand():
    boxes = np.array([[1, 0, 2.4, 2], [0.6, 1.5, 3, 2.51], [np.nan] * 4])
    masks = masks_of_boxes(boxes[:, None], (3, 3))
    assert masks.tolist() == [
        [[0, 1, 0], [0, 1, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 1, 1], [0, 1, 1]],
        [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
    ]
    assert masks.dtype == np.uint8
    several = masks_of_boxes(boxes[None], (3, 3))
    np.testing.assert_array_equal(several, masks.max(axis=0, keepdims=True))


def test_plots_draw_all_true_boxes():
    display = HeatmapDisplay.from_heatmaps(
        np.zeros((2, 8, 9)), np.zeros((2, 8, 9)), boxes_true=[TWO, ONE], boxes_pred=PREDICTED[:2]
    )
    frame = display.frame()
    assert frame[["x0_true", "x1_true", "x0_true_2", "x1_true_2"]].to_numpy().tolist()[0] == [
        0,
        2,
        4,
        8,
    ]
    assert frame["x0_true_2"].isna().tolist() == [False, True]
    axes = display.plot().ax_
    assert [[len(panel.patches) for panel in row] for row in axes] == [[2, 3, 3], [1, 2, 2]]


# Formats


@pytest.mark.parametrize("form", ["XYXY", "XYWH", "CXCYWH"])
def test_bounding_boxes_are_read_in_their_format(form):
    corners = torch.tensor([[2.0, 2, 7, 7], [3, 2, 8, 6], [0, 0, 10, 9]])
    boxes = BoundingBoxes(
        box_convert(corners, "xyxy", form.lower()), format=form, canvas_size=(9, 10)
    )
    np.testing.assert_array_equal(check_boxes(boxes, size=(9, 10)), corners)
    np.testing.assert_array_equal(paired_box_iou(corners, boxes), 1)
    np.testing.assert_array_equal(
        paired_box_iou([boxes[:2].new_tensor([]), *corners[1:]], boxes), [NAN, 1, 1]
    )
    np.testing.assert_array_equal(check_boxes(list_of(boxes, form)), corners)


def list_of(boxes, form):
    return [BoundingBoxes(box, format=form, canvas_size=(9, 10)) for box in boxes]


def test_centres_at_half_pixels_are_kept():
    boxes = BoundingBoxes([[3, 3, 3, 5]], format="CXCYWH", canvas_size=(9, 9))
    assert check_boxes(boxes).tolist() == [[1.5, 0.5, 4.5, 5.5]]


def test_boxes_of_another_canvas_and_turned_ones_are_refused():
    boxes = BoundingBoxes([[2, 2, 5, 5]], format="XYWH", canvas_size=(20, 10))
    message = "must be in pixels of images of (h, w) = (10, 10), got a `canvas_size` of (20, 10)"
    with pytest.raises(ValueError, match=re.escape(message)):
        energy_in_box_score(boxes, np.ones((1, 10, 10)))
    with pytest.raises(ValueError, match=re.escape(message)):
        HeatmapToBox().fit(np.ones((1, 10, 10)), [boxes])
    turned = BoundingBoxes([[2, 2, 5, 5, 30.0]], format="CXCYWHR", canvas_size=(9, 9))
    with pytest.raises(ValueError, match=r"`boxes_true` must be upright boxes, .* got CXCYWHR\."):
        mean_iou_score(turned, [[0, 0, 2, 2]])


@pytest.mark.parametrize(
    "columns", [["XMin", "XMax", "YMin", "YMax"], ["x", "y", "w", "h"], ["cx", "cy", "w", "h"]]
)
def test_tables_in_another_order_are_refused(columns):
    boxes = pd.DataFrame([[0, 1, 2, 3]], columns=columns)
    message = f"must have the columns x0, y0, x1, y1 in this order, got {columns}. Reorder or"
    with pytest.raises(ValueError, match=re.escape(message)):
        paired_box_iou(boxes, [[0, 1, 2, 3]])


@pytest.mark.parametrize(
    "columns",
    [
        ["x0", "y0", "x1", "y1"],
        ["xmin", "ymin", "xmax", "ymax"],
        ["left", "top", "right", "bottom"],
        range(4),
    ],
)
def test_tables_in_order(columns):
    assert paired_box_iou(
        pd.DataFrame([[0, 1, 2, 3]], columns=columns), [[0, 1, 2, 2]]
    ).tolist() == [0.5]


# Units

FRACTIONS = np.array([[3, 2, 8, 6], [5, 5, 10, 10]]) / 10
MAPS = np.ones((2, 10, 10))
Call = namedtuple("Call", "name function")
IN_PIXELS = "must be in pixels, got [0.3, 0.2, 0.8, 0.6] in row 0"
ADVICE = "For fractions of the image multiply x by its width and y by its height."


@pytest.mark.parametrize(
    "call",
    [
        Call("y", lambda boxes: HeatmapToBox().fit(MAPS, boxes)),
        Call("y", lambda boxes: HeatmapToBox(0.5).fit(MAPS).score(MAPS, boxes)),
        Call("boxes_true", lambda boxes: energy_in_box_score(boxes, MAPS)),
        Call("boxes_true", lambda boxes: max_box_accuracy_score(boxes, MAPS)),
        Call("boxes", lambda boxes: chance_heatmaps(MAPS.shape, boxes)),
        Call(
            "boxes",
            lambda boxes: localization_frame(
                {"CAM": MAPS}, [0, 0], [[1, 0]] * 2, [0, 1], boxes=boxes, thresholds=0.5
            ),
        ),
        Call(
            "boxes_true", lambda boxes: HeatmapDisplay.from_heatmaps(MAPS, MAPS, boxes_true=boxes)
        ),
        Call(
            "boxes_pred", lambda boxes: HeatmapDisplay.from_heatmaps(MAPS, MAPS, boxes_pred=boxes)
        ),
        Call("boxes_true", lambda boxes: mean_iou_score(boxes, FRACTIONS * 10)),
        Call("boxes_pred", lambda boxes: mean_iou_score(FRACTIONS * 10, boxes)),
    ],
)
def test_fractions_of_the_image_are_refused(call):
    message = f"`{call.name}` {IN_PIXELS} (2 of 2 rows are wrong). {ADVICE}"
    for boxes in (FRACTIONS, torch.tensor(FRACTIONS), FRACTIONS.tolist(), FRACTIONS[:, None]):
        with pytest.raises(ValueError, match=re.escape(message)):
            call.function(boxes)
    with pytest.raises(ValueError, match=re.escape(f"`{call.name}` {IN_PIXELS} (1 of 2 rows")):
        call.function([FRACTIONS[0], [1, 1, 5, 5]]) if call.name != "boxes_pred" else call.function(
            [FRACTIONS[0], NO_BOX]
        )


def test_fractions_among_the_boxes_of_an_image_are_refused():
    with pytest.raises(ValueError, match=r"got \[0.5, 0.5, 1.0, 1.0\] in box 1 of row 0 \(1 of 2"):
        energy_in_box_score([[[0, 0, 2, 2], [0.5, 0.5, 1, 1]], []], MAPS)


def test_overlap_of_fractions_with_fractions_is_that_of_pixels():
    other = FRACTIONS[:, [0, 1, 2, 3]] * [1, 1, 0.9, 1]
    np.testing.assert_allclose(
        paired_box_iou(FRACTIONS, other), paired_box_iou(FRACTIONS * 10, other * 10)
    )
    assert mean_iou_score(FRACTIONS, [NO_BOX, NO_BOX]) == 0


def test_a_box_of_the_first_pixel_is_one():
    maps = np.zeros((1, 28, 28))
    maps[0, 0, 0] = 1
    assert HeatmapToBox().fit(maps, [[0, 0, 1, 1]]).scores_.max() == 1
    assert energy_in_box_score([[0, 0, 1, 1]], maps) == 1
    assert paired_box_iou([[0, 0, 1, 1]], [[0, 0, 2, 2]]).tolist() == [0.25]


# Shapes


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([0, 0, 2, 2], "got (4,). For one box pass `[boxes_true]`."),
        (
            [],
            "must have shape (n, 4) with columns x0, y0, x1, y1 and n >= 1, or be a list of (k, 4)",
        ),
        (np.zeros((2, 5)), "got (2, 5)."),
        (
            [[[0, 0, 2]], TWO],
            "must be boxes of shape (k, 4) for each image, with columns x0, y0, x1",
        ),
        (np.zeros(4), "got (4,). For one box pass `[boxes_true]`."),
        ([TWO, [[0, 0, NAN, 2]]], "in box 0 of row 1 (1 of 2 rows are wrong). Complete it."),
        (
            [TWO, [[3, 0, 2, 2]]],
            "x0 <= x1 and y0 <= y1, got [3.0, 0.0, 2.0, 2.0] in box 0 of row 1",
        ),
        ([TWO], "must have one row for each image, got 1 and 2."),
    ],
)
def test_boxes_of_no_use(boxes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        paired_box_iou(boxes, [[0, 0, 2, 2], NO_BOX])


def test_things_that_are_no_boxes():
    targets = [{"boxes": torch.tensor(TWO), "labels": torch.tensor([1, 2])}]
    with pytest.raises(
        TypeError, match=re.escape('Pass `[target["boxes"] for target in targets]`')
    ):
        paired_box_iou(targets, [[0, 0, 2, 2]])
    with pytest.raises(
        TypeError, match="`boxes_true` must hold real numbers, got an array of dtype <U1"
    ):
        paired_box_iou([["0", "0", "2", "2"]], [[0, 0, 2, 2]])
    with pytest.raises(TypeError, match="`boxes_true` must hold real numbers, got a NoneType"):
        paired_box_iou(None, [[0, 0, 2, 2]])


def test_one_predicted_box_an_image():
    message = "`boxes_pred` must be one box an image, of shape (n, 4), got 2 in row 0. Choose one"
    with pytest.raises(ValueError, match=re.escape(message)):
        paired_box_iou([TWO, ONE], [TWO, ONE])
    assert paired_box_iou([TWO, ONE], [[PREDICTED[0]], [PREDICTED[1]]]).tolist() == [0.5, 1]


def test_scores_check_the_size_of_the_maps():
    boxes = make_fashion_shapes(2, random_state=0).boxes
    with pytest.raises(ValueError, match="`y` must be inside the image of 10 rows and 10 columns"):
        HeatmapToBox(0.5).fit(MAPS).score(MAPS, boxes)
