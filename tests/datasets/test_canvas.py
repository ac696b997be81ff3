"""Canvases: exact places, boxes and masks, clutter that competes, the same from the same seed."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader

from experiments._canvas import CanvasFit, split_rows, train_on_canvas, trained
from fmcam.classifiers import CNNClassifier, SimpleCNNClassifier
from fmcam.datasets import CanvasFashionMNIST, get_dataset, make_canvas, make_fashion_shapes

ITEM = np.array([[[0, 7], [9, 0]]], dtype=np.uint8)


@pytest.fixture(scope="module")
def shapes():
    return make_fashion_shapes(200, random_state=0)


def canvas_of(shapes, **options):
    return make_canvas(
        shapes.images, shapes.target, **{"canvas_size": 64, "random_state": 0, **options}
    )


# One canvas by hand -------------------------------------------------------------------------------


def test_a_canvas_by_hand():
    canvas = make_canvas(ITEM, ["bag"], canvas_size=5, random_state=0)
    x, y = canvas.paste_boxes[0, :2].astype(int)
    expected = np.zeros((5, 5), dtype=np.uint8)
    expected[y, x + 1], expected[y + 1, x] = 7, 9
    assert canvas.images.dtype == canvas.masks.dtype == canvas.backgrounds.dtype == np.uint8
    np.testing.assert_array_equal(canvas.images, expected[None, None])
    np.testing.assert_array_equal(canvas.masks, expected[None] > 0)
    np.testing.assert_array_equal(canvas.backgrounds, np.zeros((1, 1, 5, 5)))
    assert canvas.boxes.tolist() == canvas.paste_boxes.tolist() == [[x, y, x + 2, y + 2]]
    assert canvas.target.tolist() == ["bag"]


def test_the_tight_box_leaves_out_what_is_black():
    item = np.zeros((1, 6, 8), dtype=np.uint8)
    item[0, 1, 2] = item[0, 3, 6] = 1
    canvas = make_canvas(item, [0], canvas_size=8, random_state=0)
    top = canvas.paste_boxes[0, 1]
    assert canvas.paste_boxes.tolist() == [[0, top, 8, top + 6]]
    assert canvas.boxes.tolist() == [[2, top + 1, 7, top + 4]]


def test_an_item_as_large_as_the_canvas_has_one_place(shapes):
    canvas = canvas_of(shapes, canvas_size=28)
    np.testing.assert_array_equal(canvas.images, shapes.images)
    np.testing.assert_array_equal(canvas.boxes, shapes.boxes)


def test_places_are_uniform_and_reach_all_borders():
    canvas = make_canvas(
        np.repeat(ITEM, 16_000, axis=0), np.zeros(16_000), canvas_size=5, random_state=0
    )
    x, y = canvas.paste_boxes[:, :2].astype(int).T
    counts = np.bincount(4 * y + x, minlength=16)
    assert len(counts) == 16
    assert abs(counts - 1000).max() < 130  # over four standard deviations of 31


# Any canvas ---------------------------------------------------------------------------------------

SCENES = [{}, {"clutter": 6}, {"noise": 25.0}, {"clutter": 6, "noise": 25.0}]


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_boxes_and_masks_are_exact(shapes, scene):
    canvas = canvas_of(shapes, **scene)
    np.testing.assert_array_equal(
        canvas.masks.sum(axis=(1, 2)), (shapes.images > 0).sum(axis=(1, 2, 3))
    )
    for mask, box in zip(canvas.masks, canvas.boxes, strict=True):
        y, x = np.nonzero(mask)
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
    moved = canvas.paste_boxes[:, [0, 1, 0, 1]] + shapes.boxes
    np.testing.assert_array_equal(canvas.boxes, moved)


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_canvas_and_background_differ_by_the_item_alone(shapes, scene):
    canvas = canvas_of(shapes, **scene)
    outside = canvas.masks == 0
    np.testing.assert_array_equal(canvas.images[:, 0][outside], canvas.backgrounds[:, 0][outside])
    if not scene:
        np.testing.assert_array_equal(canvas.images[:, 0] > 0, canvas.masks)
        assert not canvas.backgrounds.any()


@pytest.mark.parametrize("clutter", [0, 1, 30])
def test_nothing_covers_the_item(shapes, clutter):
    canvas = canvas_of(shapes, clutter=clutter)
    for image, mask, item in zip(canvas.images[:, 0], canvas.masks, shapes.images, strict=True):
        np.testing.assert_array_equal(image[mask > 0], item[item > 0])


def test_clutter_is_cut_out_of_other_items():
    # Item i has the grey value i + 1 throughout, so each pixel tells where it comes from
    items = np.repeat(np.arange(1, 31, dtype=np.uint8), 28 * 28).reshape(30, 28, 28)
    canvas = make_canvas(items, np.arange(30), canvas_size=200, clutter=4, random_state=0)
    for own, background in enumerate(canvas.backgrounds[:, 0], start=1):
        assert own not in background
        assert 1 < len(np.unique(background)) <= 5
    largest = np.array(
        [(canvas.backgrounds == value).sum(axis=(1, 2, 3)) for value in items[:, 0, 0]]
    )
    assert set(np.unique(largest)) >= {8 * 8, 14 * 14}


def test_pieces_are_windows_of_items_at_any_place():
    item = np.arange(1, 17, dtype=np.uint8).reshape(1, 4, 4)
    canvas = make_canvas(
        np.repeat(item, 2000, axis=0), np.zeros(2000), canvas_size=6, clutter=1, random_state=0
    )
    windows = {item[0, y : y + 2, x : x + 2].tobytes(): 0 for y in range(3) for x in range(3)}
    places = set()
    for background in canvas.backgrounds[:, 0]:
        y, x = np.argwhere(background)[0]
        windows[background[y : y + 2, x : x + 2].tobytes()] += 1
        places.add((y, x))
        assert np.count_nonzero(background) == 4
    assert len(windows) == 9
    assert min(windows.values()) > 150  # of 222 on average
    assert len(places) == 25


def test_noise_has_the_deviation_asked_for_and_covers_the_item_too(shapes):
    grey = np.full((300, 28, 28), 128, dtype=np.uint8)
    canvas = make_canvas(grey, np.zeros(300), canvas_size=28, noise=20.0, random_state=0)
    assert canvas.images.std() == pytest.approx(20, rel=0.02)
    assert canvas.images.mean() == pytest.approx(128, abs=0.5)
    assert (canvas.backgrounds == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert len({image.tobytes() for image in canvas.images}) > 200
    assert canvas_of(shapes, noise=500.0).images.max() == 255


# Reproducible -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_same_seed_same_canvases(shapes, scene):
    first, second = (canvas_of(shapes, **scene) for _ in range(2))
    other = canvas_of(shapes, **scene, random_state=1)
    for key in ("images", "boxes", "masks", "backgrounds"):
        np.testing.assert_array_equal(first[key], second[key])
    assert not np.array_equal(first.boxes, other.boxes)


def test_generator_is_passed_on_and_the_global_one_left_alone(shapes):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    rng = np.random.RandomState(0)
    first, second = (canvas_of(shapes, random_state=rng) for _ in range(2))
    assert not np.array_equal(first.boxes, second.boxes)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# As a torch data set ------------------------------------------------------------------------------


def stream_of(shapes, **options):
    options = {"canvas_size": 64, "clutter": 6, "noise": 25.0, "random_state": 0, **options}
    return CanvasFashionMNIST(shapes.images, shapes.target, **options)


def test_the_data_set_holds_the_canvases_of_make_canvas(shapes):
    canvas = canvas_of(shapes, clutter=6, noise=25.0)
    ((images, labels, boxes),) = DataLoader(stream_of(shapes), batch_size=200)
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert boxes.dtype == torch.float32
    np.testing.assert_array_equal(images, canvas.images)
    np.testing.assert_array_equal(labels, canvas.target)
    np.testing.assert_array_equal(boxes, canvas.boxes)


def test_a_canvas_does_not_depend_on_its_batch(shapes):
    stream = stream_of(shapes)
    batch = stream.__getitems__([7, 3, 199, 3])
    for index, (image, label, box) in zip([7, 3, -1, 3], batch, strict=True):
        alone = stream[index]
        assert torch.equal(image, alone[0])
        assert label == alone[1] == shapes.target[index]
        assert torch.equal(box, alone[2])
    with pytest.raises(IndexError):
        stream[200]


def test_redrawn_canvases_differ_each_time_and_repeat_from_run_to_run(shapes):
    first, again = (stream_of(shapes, redraw=True) for _ in range(2))
    boxes = [torch.stack([box for _, _, box in first.__getitems__(range(50))]) for _ in range(2)]
    repeated = torch.stack([box for _, _, box in again.__getitems__(range(50))])
    assert torch.equal(boxes[0], repeated)
    assert (boxes[0] != boxes[1]).any(dim=1).float().mean() > 0.95
    for image, _, (x0, y0, x1, y1) in stream_of(shapes, redraw=True, clutter=0, noise=0):
        inside = image[0, int(y0) : int(y1), int(x0) : int(x1)]
        assert inside.sum() == image.sum() > 0


def test_each_kind_of_box_and_both(shapes):
    canvas = canvas_of(shapes)
    scene = {"clutter": 0, "noise": 0.0}
    for boxes, expected in (
        ("tight", [canvas.boxes]),
        ("paste", [canvas.paste_boxes]),
        (["tight", "paste"], [canvas.boxes, canvas.paste_boxes]),
        (("paste", "tight"), [canvas.paste_boxes, canvas.boxes]),
    ):
        stream = stream_of(shapes, boxes=boxes, **scene)
        ((images, _, *found),) = DataLoader(stream, batch_size=200)
        np.testing.assert_array_equal(images, canvas.images)
        np.testing.assert_array_equal(found, expected)
    for wrong in ("both", None, [], ["tight", "loose"]):
        with pytest.raises(ValueError, match="`boxes` must be 'tight', 'paste' or a list of these"):
            stream_of(shapes, boxes=wrong)


def test_a_classifier_learns_from_canvases_with_both_boxes(shapes):
    one, both = (
        SimpleCNNClassifier(max_epochs=1, random_state=0).fit(
            stream_of(shapes, canvas_size=28, clutter=0, noise=0.0, boxes=boxes)
        )
        for boxes in ("tight", ["tight", "paste"])
    )
    np.testing.assert_array_equal(
        one.predict_proba(shapes.images), both.predict_proba(shapes.images)
    )


def test_items_are_resized_before_they_are_placed(shapes):
    canvas = canvas_of(shapes, item_size=40)
    sides = canvas.paste_boxes[:, 2:] - canvas.paste_boxes[:, :2]
    assert (sides == 40).all()
    for image, item, (x, y, x1, y1) in zip(
        canvas.images, shapes.images, canvas.paste_boxes.astype(int), strict=True
    ):
        resized = functional.interpolate(
            torch.tensor(item)[None].float(), (40, 40), mode="bilinear"
        )
        np.testing.assert_allclose(image[0, y:y1, x:x1], resized[0, 0], atol=1.5)
    boxes = np.array([Image.fromarray(image[0]).getbbox() for image in canvas.images])
    np.testing.assert_array_equal(canvas.boxes, boxes)
    kept = canvas_of(shapes, item_size=28)
    np.testing.assert_array_equal(kept.images, canvas_of(shapes).images)
    with pytest.raises(ValueError, match="`canvas_size` must be at least 65"):
        canvas_of(shapes, item_size=65)
    with pytest.raises(ValueError, match="item_size == 0, must be >= 1"):
        canvas_of(shapes, item_size=0)


@pytest.mark.real_data
def test_the_canvases_of_fashion_mnist_by_name(data_home):
    canvas = get_dataset("canvas", "test", data_home=data_home, size=40)
    items = get_dataset("fashion-mnist", "test", data_home=data_home)
    expected = make_canvas(items.images, items.target, canvas_size=40, random_state=0)
    np.testing.assert_array_equal(canvas.images, expected.images)
    np.testing.assert_array_equal(canvas.boxes, expected.boxes)
    assert canvas.target_names == items.target_names


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [make_canvas, CanvasFashionMNIST])
@pytest.mark.parametrize(
    ("items", "options", "message"),
    [
        (ITEM, {"canvas_size": 1}, r"`canvas_size` must be at least 2, or items of shape \(2, 2\)"),
        (ITEM.astype(float), {}, r"must be grey images of dtype uint8.*got float32 of shape"),
        (np.ones((2, 3, 4, 4), np.uint8), {}, r"must be grey images.*\(2, 3, 4, 4\)"),
        (ITEM[0], {}, r"`items` must have shape .* For one image pass `items\[None, None\]`"),
        (np.stack([ITEM[0], 0 * ITEM[0]]), {}, r"1 have none, at the indices \[1\]. Drop them"),
        (ITEM, {"clutter": 1}, "`items` holds one item only"),
        (ITEM, {"clutter": -1}, "clutter == -1, must be >= 0"),
        (ITEM, {"noise": -1.0}, "noise == -1.0, must be >= 0"),
    ],
)
def test_errors(make, items, options, message):
    with pytest.raises(ValueError, match=message):
        make(items, np.zeros(len(items), dtype=int), **options)


@pytest.mark.parametrize("make", [make_canvas, CanvasFashionMNIST])
def test_as_many_labels_as_items(make):
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[1, 2\]"):
        make(ITEM, [0, 1])


# Training on canvases -----------------------------------------------------------------------------

TINY = CanvasFit(
    "shapes",
    canvas=48,
    feature_canvas=28,
    item_size=None,
    clutter=0,
    feature_clutter=0,
    noise=0.0,
    optimizer="sgd",
    lr=0.1,
    batch_size=16,
    epochs=6,
    rows=160,
    precision="float32",
    seed=0,
)


@pytest.fixture(scope="module")
def small_clf(shapes):
    """Trained on canvases of 28 pixels, without a fit of the head."""
    fit = dataclasses.replace(TINY, canvas=28)
    return train_on_canvas(fit, shapes.images, shapes.target)


def test_a_tenth_of_the_first_rows_is_held_out():
    y = np.repeat([0, 1, 2], [500, 300, 1000])
    kept, held_out = split_rows(y, 800, seed=0)
    assert sorted([*kept, *held_out]) == list(range(800))
    assert np.bincount(y[held_out]).tolist() == [50, 30]
    assert split_rows(y, 800, seed=0)[1].tolist() == held_out.tolist()


def test_the_head_is_fitted_on_large_canvases_and_the_features_are_kept(shapes, small_clf):
    large = train_on_canvas(TINY, shapes.images, shapes.target)
    assert large.image_shape_ == (1, 48, 48)
    assert len(large.history) == 6
    for small, kept in zip(
        small_clf.module_.net.features.state_dict().values(),
        large.module_.net.features.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(small, kept)
    canvas = make_canvas(shapes.images, shapes.target, canvas_size=48, random_state=9)
    diluted = CNNClassifier.from_module(small_clf.module_)
    assert large.score(canvas.images, canvas.target) > 0.5
    assert diluted.score(canvas.images, canvas.target) < 0.3


def test_a_checkpoint_is_read_not_trained_again(shapes, tmp_path):
    fit = dataclasses.replace(TINY, epochs=1)
    (first,) = trained([fit], shapes.images, shapes.target, tmp_path)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    (again,) = trained([fit], shapes.images, shapes.target, tmp_path)
    assert file.stat().st_mtime_ns == written
    assert torch.equal(first.module_.net.head[-1].weight, again.module_.net.head[-1].weight)
    assert dataclasses.replace(fit, clutter=1).file(tmp_path) != file
