"""Masks beside boxes: every spelling of a PNG, polygons and runs of COCO, and what is none."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from fmcam.datasets import Placement, load_boxed_images, read_boxes

pytestmark = pytest.mark.usefixtures("cache")

WIDTH, HEIGHT = 12, 8
OBJECT = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
OBJECT[2:6, 3:9] = 1
BORDERED = OBJECT.copy()
BORDERED[2:6, 3] = 255


@pytest.fixture
def folder(tmp_path):
    """Two pictures, of which the second has its object moved by a pixel."""
    root = tmp_path / "images"
    for name in ("cat/1.jpg", "2.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(root / name)
    lines = ["image,x0,y0,x1,y1,label", "cat/1.jpg,3,2,9,6,cat", "2.jpg,4,2,10,6,dog"]
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    return tmp_path


def write_masks(folder, mask, **save):
    """The mask of the first picture, and of the second one, rolled by a pixel."""
    for name, pixels in {"cat/1.png": mask, "2.png": np.roll(mask, 1, axis=1)}.items():
        path = folder / "masks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        image.save(path, **save)
    return folder / "masks"


def load(folder, masks, size=WIDTH, table=None):
    table = read_boxes(folder / "boxes.csv", inclusive=False) if table is None else table
    return load_boxed_images(folder / "images", table, size=size, masks=masks)


def squares(*masks):
    return [Placement(WIDTH, HEIGHT, WIDTH, "stretch").mask(mask) for mask in masks]


SPELLINGS = {
    "0 and 1": (OBJECT, OBJECT),
    "0 and 255": (OBJECT * 255, OBJECT),
    "0 and 7": (OBJECT * 7, OBJECT),
    "0, 1 and 255": (BORDERED, BORDERED),
    "0, 128 and 255": (np.select([BORDERED == 1, BORDERED == 255], [255, 128], 0), BORDERED),
    "1, 2 and 3": (np.select([BORDERED == 1, BORDERED == 255], [1, 3], 2), BORDERED),
    "one bit": (OBJECT.astype(bool), OBJECT),
    "red, green and blue": (np.stack([OBJECT * 255] * 3, axis=2), OBJECT),
    "with alpha": (np.stack([OBJECT * 255, OBJECT * 0 + 255], axis=2), OBJECT),
}


@pytest.mark.parametrize(("pixels", "expected"), SPELLINGS.values(), ids=SPELLINGS)
def test_spellings_of_a_mask(folder, pixels, expected):
    pixels = pixels if pixels.dtype == bool else pixels.astype(np.uint8)
    loaded = load(folder, write_masks(folder, pixels))
    assert loaded.filenames.tolist() == ["2.jpg", "cat/1.jpg"]
    np.testing.assert_array_equal(loaded.masks, squares(np.roll(expected, 1, axis=1), expected))
    assert loaded.masks.dtype == np.uint8
    for mask, (box,) in zip(loaded.masks, loaded.boxes, strict=True):
        assert Image.fromarray((mask > 0).astype(np.uint8)).getbbox() == pytest.approx(box, abs=1)


THIN = OBJECT * 255
THIN[:, ::2] = THIN[:, ::2] // 255  # columns of 1 that half the size does not show


@pytest.mark.parametrize(("size", "fit"), [(6, "stretch"), (4, "crop")])
def test_what_values_mean_is_told_by_the_files_not_by_their_squares(folder, size, fit):
    """The object is lost in the square; what is left of 255 is not taken for it."""
    mask = THIN
    if fit == "crop":
        mask = np.where(np.arange(WIDTH) < 2, 1, THIN // 255 * 255).astype(np.uint8)
        mask[:, 2:] = np.where(mask[:, 2:] > 0, 255, 0)
    table = read_boxes(folder / "boxes.csv", inclusive=False)
    masks = write_masks(folder, mask)
    options = {"size": size, "fit": fit, "masks": masks}
    loaded = load_boxed_images(folder / "images", table, **options)
    cat = loaded.masks[loaded.filenames.tolist().index("cat/1.jpg")]
    np.testing.assert_array_equal(cat, Placement(WIDTH, HEIGHT, size, fit).mask(mask))
    assert 255 in cat
    (masks / "2.png").unlink()
    Image.fromarray(np.zeros_like(mask)).save(masks / "2.png")
    loaded = load_boxed_images(folder / "images", table, **options)
    assert set(np.unique(loaded.masks)) == {0, 255}


def coloured(red, green, blue):
    return np.stack([OBJECT * np.uint8(part) for part in (red, green, blue)], axis=2)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (OBJECT * np.arange(WIDTH, dtype=np.uint8), "masks: `masks` must be of bool, hold 0"),
        (OBJECT + np.uint8(1), "`masks` must be of bool, hold 0 .* got 1, 2"),
        (coloured(255, 0, 0), r"2.png must be grey as a mask, it has colours"),
        (coloured(255, 0, 255), r"2.png must be grey as a mask, it has colours"),
        (coloured(255, 255, 0), r"2.png must be grey as a mask, it has colours"),
        (np.stack([OBJECT * 255] * 2, axis=2), r"2.png must be opaque as a mask"),
        (OBJECT.astype(np.uint16) * 65535, "2.png must have values from 0 to 255"),
        (OBJECT[:, :-1], r"2.png must have the 12 x 8 pixels of its picture, got 11 x 8"),
    ],
)
def test_masks_that_cannot_be(folder, pixels, message):
    with pytest.raises(ValueError, match=message):
        load(folder, write_masks(folder, pixels))


def test_masks_that_are_missing_damaged_or_of_several_labels(folder):
    masks = write_masks(folder, OBJECT)
    table = read_boxes(folder / "boxes.csv", inclusive=False)
    with pytest.raises(ValueError, match=r"must hold a mask for each label, .* '2.jpg' has"):
        load(folder, masks, table=table.assign(image="2.jpg"))
    (masks / "2.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"2.png is empty: it has no bytes"):
        load(folder, masks)
    (masks / "2.png").unlink()
    with pytest.raises(
        ValueError, match=r"2 pictures that are named; 1 are not there, such as '2'"
    ):
        load(folder, masks)


# ------------------------------------------------------------------------------------------- COCO

SQUARE = [3, 2, 9, 2, 9, 6, 3, 6]
RUNS = [26, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 26]  # down the columns 3 to 8


def write_coco(folder, *annotations, size=(WIDTH, HEIGHT)):
    """Annotations of the picture 2.jpg: an outline, a label, and whether it is a crowd."""
    record = {
        "images": [{"id": 1, "file_name": "2.jpg", "width": size[0], "height": size[1]}],
        "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
        "annotations": [
            {
                "image_id": 1,
                "category_id": label,
                "bbox": [3, 2, 6, 4],
                "iscrowd": crowd,
                "segmentation": outline,
            }
            for outline, label, crowd in annotations
        ],
    }
    path = folder / "coco.json"
    path.write_text(json.dumps(record))
    return path


def load_coco(folder, *annotations):
    path = write_coco(folder, *annotations)
    return load(folder, path, table=read_boxes(path)).masks


@pytest.mark.parametrize(
    "outline",
    [
        [SQUARE],
        [[3, 2, 6, 2, 6, 6, 3, 6], [6, 2, 9, 2, 9, 6, 6, 6]],
        {"size": [HEIGHT, WIDTH], "counts": RUNS},
        {"size": [HEIGHT, WIDTH], "counts": "j044000000000f0"},
    ],
)
def test_outlines_of_coco(folder, outline):
    np.testing.assert_array_equal(load_coco(folder, (outline, 0, 0)), squares(OBJECT))


def test_outlines_of_a_label_are_joined_and_crowds_ignored(folder):
    corner = [[0, 0, 2, 0, 2, 2, 0, 2]]
    everything = {"size": [HEIGHT, WIDTH], "counts": [0, 3 * HEIGHT, 9 * HEIGHT]}
    with pytest.warns(UserWarning, match=r"1 of 4 boxes are of crowds"):
        masks = load_coco(
            folder, ([SQUARE], 0, 0), (corner, 0, 0), ([SQUARE], 1, 0), (everything, 0, 1)
        )
    cat = OBJECT.copy()
    cat[:, :3] = 255
    cat[:2, :2] = 1
    np.testing.assert_array_equal(masks, squares(cat, OBJECT))


def test_runs_as_text_are_those_of_pycocotools():
    mask = pytest.importorskip("pycocotools.mask")
    from fmcam.datasets._box_files.coco_masks import draw

    rng = np.random.default_rng(0)
    for share in rng.random(50):
        height, width = rng.integers(1, 80, 2).tolist()
        pixels = (rng.random((height, width)) < share).astype(np.uint8)
        pixels[height // 2 :, width // 3 :] = 1  # long runs, too
        encoded = mask.encode(np.asfortranarray(pixels))
        outline = {"size": [height, width], "counts": encoded["counts"].decode()}
        np.testing.assert_array_equal(draw([("here", outline, False)], width, height), pixels)


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        (None, "must be polygons or runs, got None"),
        ([], r"must be polygons or runs, got \[\]"),
        ("x" * 9999, "must be polygons or runs"),
        ([[0, 0, 1, 1]], "a polygon must be three points or more"),
        ([[0, 0, 1, 1, 2, 2, 3]], "a polygon must be three points or more"),
        ([[0, 0, 1, 1, "2", 2]], "a polygon must be three points or more"),
        ([[0, 0, 1, 1, 1e8, 2]], r"in the picture of 12 x 8 pixels, got \[0, 0, 1, 1, 100000000"),
        ([[0, 0, 1, 1, -2, 2]], "a polygon must be three points or more"),
        ([0, 0, 1, 1, 2, 2], "a polygon must be three points or more"),
        ({"size": [HEIGHT, WIDTH], "counts": [1, 2]}, "must be runs of 96 pixels together"),
        ({"size": [HEIGHT, WIDTH], "counts": [98, -2]}, "must be runs of 96 pixels together"),
        ({"size": [HEIGHT, WIDTH], "counts": [10**12]}, "must be runs of 96 pixels together"),
        ({"size": [HEIGHT, WIDTH], "counts": [95.5, 0.5]}, "must be runs of 96 pixels together"),
        ({"size": [HEIGHT, WIDTH], "counts": "o" * 999}, "must be runs of 96 pixels together"),
        ({"size": [HEIGHT, WIDTH], "counts": "\x00é"}, "must be runs of 96 pixels together"),
        ({"size": [HEIGHT, WIDTH], "counts": ""}, "must be runs of 96 pixels together"),
        ({"size": [HEIGHT, WIDTH]}, "must be runs of 96 pixels together, got None"),
        ({"size": [WIDTH, HEIGHT], "counts": RUNS}, r"that of the picture, \[8, 12\], got \[12, 8"),
        ({"counts": RUNS}, r"the size of a segmentation must be that of the picture"),
    ],
)
def test_outlines_that_cannot_be(folder, outline, message):
    with pytest.raises(ValueError, match=rf"coco.json: annotations\[0\]: .*{message}"):
        load_coco(folder, (outline, 0, 0))


def test_outlines_of_other_labels_and_without_pycocotools(folder, monkeypatch):
    path = write_coco(folder, ([SQUARE], 0, 0))
    table = read_boxes(path)
    with pytest.raises(ValueError, match=r"must have an outline of 'owl' in '2\.jpg'"):
        load(folder, path, table=table.assign(label="owl"))
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(ImportError, match=r"pip install 'fmcam\[coco\]'"):
        load(folder, path, table=table)
