"""Scores of all images together, by hand."""

import numpy as np
import pytest

from fmcam.report import PooledScores

BOXES = [[0, 0, 1, 1]]
FIRST, SECOND = [[[0.9, 0.6]]], [[[0.4, 0.1]]]
MASK = [[[1, 0]]]


def test_scores_of_two_images_by_hand():
    """The first image is boxed right from 0.62 on, the second from 0.12 to 0.4, else half right."""
    scores = PooledScores().update({"CAM": FIRST}, boxes=BOXES, masks=MASK)
    frame = scores.update({"CAM": SECOND}, boxes=BOXES, masks=MASK).frame()
    assert frame.index.name == "method"
    assert frame.loc["CAM"].to_dict() == pytest.approx(
        {
            "oracle_max_box_accuracy_0.3": 1,
            "oracle_max_box_accuracy_0.5": 1,
            "oracle_max_box_accuracy_0.7": 1 / 2,
            "oracle_max_box_accuracy_v2": 5 / 6,
            "pixel_average_precision": (1 + 2 / 3) / 2,  # at 0.9, and at 0.4 with that of 0.6
            "oracle_pixel_iou": 2 / 3,
        }
    )


@pytest.mark.parametrize(("region", "expected"), [("fit", 1), ("all", 1), ("largest", 0)])
def test_the_region_is_that_of_honest_boxes(region, expected):
    maps = {"pieces": [[[1.0, 0.0, 1.0]]], "none": np.zeros((1, 1, 3))}
    frame = PooledScores(region=region).update(maps, boxes=[[0, 0, 3, 1]]).frame()
    assert frame["oracle_max_box_accuracy_0.7"].to_dict() == {"pieces": expected, "none": 0}
    assert not {"pixel_average_precision", "oracle_pixel_iou"} & set(frame)


def test_images_without_a_box_are_left_out():
    scores = PooledScores().update({"CAM": FIRST}, boxes=[[np.nan] * 4])
    assert scores.frame().isna().all(axis=None)
    assert scores.update({"CAM": FIRST}, boxes=BOXES).frame().eq(1).all(axis=None)


@pytest.mark.parametrize("masks", [(MASK, None), (None, MASK)])
def test_masks_of_some_batches_only_are_refused(masks):
    scores = PooledScores().update({"CAM": FIRST}, boxes=BOXES, masks=masks[0])
    with pytest.raises(ValueError, match="`masks` must come with each batch of images or with no"):
        scores.update({"CAM": SECOND}, boxes=BOXES, masks=masks[1])
    assert scores.frame()["oracle_max_box_accuracy_0.7"].to_dict() == {"CAM": 1}


def test_an_unknown_region_is_refused_before_any_image():
    with pytest.raises(ValueError, match=r"`region` must be one of .*got 'biggest'"):
        PooledScores(region="biggest")
