"""What the values of masks mean: 255 beside a 1 or instead of it, other values, other sizes."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.tv_tensors import Mask

from fmcam._masks import check_masks
from fmcam.metrics import mask_iou_score, pixel_average_precision_score, pointing_game_score
from fmcam.report import localization_frame

OBJECT = np.array([[[0, 1, 1, 0]], [[0, 0, 1, 0]]], dtype=np.uint8)


@pytest.mark.parametrize(
    "masks",
    [
        OBJECT,
        OBJECT.astype(bool),
        OBJECT.astype(float),
        OBJECT.astype(np.int64) * 255,
        OBJECT * np.uint8(255),
        OBJECT * 38,
        OBJECT * 65535.0,
        list(OBJECT * np.uint8(255)),
        (OBJECT * 255).tolist(),
        torch.tensor(OBJECT) == 1,
        torch.tensor(OBJECT * 255.0).bfloat16(),
        Mask(OBJECT * np.uint8(255)),
        [Image.fromarray(mask * np.uint8(255)) for mask in OBJECT],
        [Image.fromarray(mask * np.uint8(255)).convert("1") for mask in OBJECT],
    ],
)
def test_one_number_beside_zero_is_the_object(masks):
    checked = check_masks(masks)
    assert checked.dtype == np.uint8
    np.testing.assert_array_equal(checked, OBJECT)


def test_255_beside_1_is_ignored_in_all_masks():
    masks = np.array([[[0, 1, 255]], [[0, 255, 255]], [[0, 0, 0]]])
    np.testing.assert_array_equal(check_masks(masks), masks)
    np.testing.assert_array_equal(check_masks(masks[1:]), [[[0, 1, 1]], [[0, 0, 0]]])


@pytest.mark.parametrize("masks", [np.zeros((1, 2, 2)), np.ones((1, 2, 2)), np.array([[[1, 255]]])])
def test_values_that_are_named_already(masks):
    np.testing.assert_array_equal(check_masks(masks), masks)


TRIMAP = "np.select([masks == 1, masks == 2], [1, 0], 255)"


@pytest.mark.parametrize(
    ("values", "shown", "remedy"),
    [
        ([1, 2, 3], "1, 2, 3", TRIMAP),
        ([0, 1, 2], "0, 1, 2", "For any positive value pass `masks > 0`, for the object"),
        ([1, 2], "1, 2", "For any positive value pass `masks > 0`"),
        ([255], "255", "for the object of number k `masks == k`"),
        ([7], "7", "`masks > 0`"),
        ([-1, 0], "-1, 0", "`masks > 0`"),
        ([0, 15, 255], "0, 15, 255", "255 to ignore `np.where(masks == 255, 255, masks == k)`"),
        ([0, 3, 9, 127, 200, 255], "0, 3, 9, 127, 200 and others up to 255", "pass `masks > 127`"),
        ([0, 0.25, 1], "0, 0.25, 1", "Cut probabilities at a threshold: `masks >= 0.5`"),
        ([0, 0.5], "0, 0.5", "Cut probabilities at a threshold"),
        ([0, 1, np.nan], "0, 1, nan", "Replace NaN and infinity"),
        ([0, np.inf], "0, inf", "Replace NaN and infinity"),
    ],
)
def test_values_nobody_named(values, shown, remedy):
    with pytest.raises(ValueError, match=rf"or 0 and one other number, got {shown}\. .*") as error:
        check_masks(np.array([[values]]))
    assert remedy in str(error.value)


def test_the_remedy_for_trimaps_gives_masks():
    names = {"np": np, "masks": np.array([[[1, 2, 3]]])}
    np.testing.assert_array_equal(check_masks(eval(TRIMAP, names)), [[[1, 0, 255]]])


@pytest.mark.parametrize(
    ("masks", "hint"),
    [
        (np.zeros((8, 9)), "got (8, 9). For one mask pass `masks[None]`."),
        (np.zeros((2, 8, 9, 3)), "Choose one of the channels, `masks[..., 0]`, or join them."),
        (np.zeros((2, 1, 8, 9)), "Without the axis of one channel: `masks[:, 0]`."),
        ([Image.new("RGB", (9, 8))], "Choose one of the channels, `masks[..., 0]`"),
        (
            [np.zeros((2, 2)), np.zeros((3, 2))],
            "of one size, got (2, 2) in row 0 and (3, 2) in row 1",
        ),
    ],
)
def test_masks_with_other_axes(masks, hint):
    with pytest.raises(ValueError, match=re.escape(hint)):
        check_masks(masks)


def test_masks_of_picture_files_score_as_masks_of_ones():
    rng = np.random.default_rng(0)
    masks, heatmaps = rng.random((5, 6, 7)) < 0.3, rng.random((5, 6, 7))
    pictures = masks * np.uint8(255)
    assert pointing_game_score(pictures, masks + heatmaps) == 1
    for metric, maps in [
        (pointing_game_score, heatmaps),
        (pixel_average_precision_score, heatmaps),
        (mask_iou_score, heatmaps > 0.5),
    ]:
        assert metric(pictures, maps) == metric(masks, maps) < 1


def test_predicted_masks_are_of_bool():
    predicted = torch.tensor(OBJECT[:1] == 1)
    assert mask_iou_score(OBJECT[:1] * 255, predicted) == 1
    with pytest.raises(TypeError, match="`masks_pred` must be of bool, got uint8"):
        mask_iou_score(OBJECT, OBJECT * np.uint8(255))


def test_rows_of_a_report_decide_by_all_masks():
    # The hottest pixel is an ignored one in the first image, and its mask holds no 1.
    maps = {"CAM": np.array([[[0.9, 0.5, 0.1]], [[0.9, 0.5, 0.1]]])}
    masks = np.array([[[255, 0, 0]], [[1, 0, 255]]], dtype=np.uint8)
    answers = [0, 0], [[1, 0], [1, 0]], [0, 1]
    assert localization_frame(maps, *answers, masks=masks)["hit"].isna().tolist() == [True, False]
    in_files = np.array([[[255, 0, 0]], [[0, 255, 0]]], dtype=np.uint8)
    assert localization_frame(maps, *answers, masks=in_files)["hit"].tolist() == [1, 0]
