"""Folders of wsolevaluation made here: boxes, masks, and lists that are damaged."""

import numpy as np
import pytest
from PIL import Image

from fmcam.datasets import Placement, load_wsol, read_boxes
from fmcam.datasets._wsol import wsol_corners

pytestmark = pytest.mark.usefixtures("cache")

SIZES = {"val/b.jpg": (50, 30), "val/a,1.jpg": (36, 40)}


@pytest.fixture
def folder(tmp_path):
    """Images and the lists of the part "test", with several boxes in the first image."""
    root, lists = tmp_path / "images", tmp_path / "metadata" / "SET" / "test"
    (root / "val").mkdir(parents=True)
    lists.mkdir(parents=True)
    for name, size in SIZES.items():
        Image.new("RGB", size).save(root / name)
    Image.new("RGB", (9, 9)).save(root / "of_train.jpg")
    (lists / "image_ids.txt").write_text("".join(f"{name}\n" for name in SIZES))
    (lists / "class_labels.txt").write_text("val/b.jpg,7\nval/a,1.jpg,0\n")
    sizes = "".join(f"{name},{size[0]},{size[1]}\n" for name, size in SIZES.items())
    (lists / "image_sizes.txt").write_text(sizes)
    boxes = "val/b.jpg,10,5,49,29\nval/a,1.jpg,0,0,17,9\nval/b.jpg,0,0,24,14\nother.jpg,0,0,1,1\n"
    (lists / "localization.txt").write_text(boxes)
    return tmp_path


def load(folder, **options):
    return load_wsol(folder / "images", folder / "metadata" / "SET", "test", **options)


def test_boxes_by_hand(folder):
    wsol = load(folder, size=20)
    assert wsol.filenames.tolist() == ["val/a,1.jpg", "val/b.jpg"]
    assert wsol.target.tolist() == [0, 7]
    assert wsol.target_names == [str(number) for number in range(8)]
    # inclusive: 0 to 17 of 36 pixels is their first half; 10 to 49 of 50 from a fifth to the end
    none = [np.nan] * 4
    exact = [[[0, 0, 10, 5], none], [[0, 0, 10, 10], [4, 10 / 3, 20, 20]]]
    np.testing.assert_allclose(wsol.boxes, exact)
    assert wsol.masks is None
    assert wsol.unreadable.empty
    assert "'test' of SET" in wsol.DESCR


def test_corners_as_wsolevaluation_rounds_them():
    # its `resize_bbox` has int(x * 224 / width)
    rng = np.random.default_rng(0)
    for width, height in rng.integers(30, 900, (200, 2)).tolist():
        (x0, x1), (y0, y1) = (sorted(rng.integers(0, side, 2).tolist()) for side in (width, height))
        place = Placement(width, height, 224, "stretch")
        got = wsol_corners(place.boxes([[x0, y0, x1 + 1, y1 + 1], [np.nan] * 4]), place)
        by_hand = [int(x0 * 224.0 / width), int(y0 * 224.0 / height)]
        by_hand += [int(x1 * 224.0 / width), int(y1 * 224.0 / height)]
        np.testing.assert_array_equal(got, [by_hand, [np.nan] * 4])
    # corners that lie on whole pixels before they are rounded down, but for the last bits
    place = Placement(868, 868, 224, "stretch")
    for x in range(31, 868, 31):
        got = wsol_corners(place.boxes([[x - 31, 0, x + 1, 868]]), place)[0, [0, 2]]
        assert got.tolist() == [int((x - 31) * 224.0 / 868), int(x * 224.0 / 868)]


def test_lists_are_a_table_of_boxes(folder):
    lists = folder / "metadata" / "SET" / "test"
    table = read_boxes(lists)
    assert table["image"].tolist() == ["val/a,1.jpg", "val/b.jpg", "val/b.jpg"]
    corners = table[["x0", "y0", "x1", "y1"]].to_numpy().tolist()
    assert corners == [[0, 0, 18, 10], [0, 0, 25, 15], [10, 5, 50, 30]]
    as_written = read_boxes(lists, format="wsol", inclusive=False)
    assert as_written["x1"].tolist() == [17, 24, 49]
    assert table[["width", "height"]].to_numpy().tolist() == [[36, 40], [50, 30], [50, 30]]


@pytest.fixture
def of_masks(folder):
    """The same images with masks: two objects in the first, one of them in what is ignored."""
    lists = folder / "metadata" / "SET" / "test"
    (lists / "image_sizes.txt").write_text("")  # as it is published
    for name, (x0, x1) in {"b_1": (0, 10), "b_2": (30, 40), "b_ignore": (20, 50)}.items():
        mask = np.zeros((30, 50), dtype=np.uint8)
        mask[:, x0:x1] = 255
        Image.fromarray(mask).save(folder / "images" / "val" / f"{name}.png")
    empty = Image.new("RGB", (36, 40))
    empty.save(folder / "images" / "val" / "a_ignore.png")
    Image.new("1", (36, 40), 1).save(folder / "images" / "val" / "a_1.png")
    (lists / "localization.txt").write_text(
        "val/b.jpg,val/b_1.png,val/b_ignore.png\nval/b.jpg,val/b_2.png,\n"
        "val/a,1.jpg,val/a_1.png,val/a_ignore.png\n"
    )
    return folder


def test_masks_by_hand(of_masks):
    wsol = load(of_masks, size=10)
    np.testing.assert_array_equal(wsol.masks[0], 1)
    np.testing.assert_array_equal(wsol.masks[1], [[1, 1, 0, 0, 255, 255, 1, 1, 255, 255]] * 10)
    np.testing.assert_array_equal(wsol.boxes, [[[0, 0, 10, 10]], [[0, 0, 8, 10]]])
    assert wsol.wsol_boxes is None
    assert wsol.target.tolist() == [0, 7]


@pytest.mark.parametrize("name", ["../val/b_1.png", "/etc/passwd", "val/../../b_1.png", ""])
def test_masks_elsewhere_are_refused(of_masks, name):
    path = of_masks / "metadata" / "SET" / "test" / "localization.txt"
    path.write_text(path.read_text().replace("val/b_1.png", name))
    with pytest.raises(ValueError, match=r"localization\.txt must name masks in their folder"):
        load(of_masks)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("class_labels.txt", "val/b.jpg,7\n", r"a label for each image, 1 of 2 .*'val/a"),
        (
            "class_labels.txt",
            "val/b.jpg,bird\nval/a,1.jpg,0\n",
            "must be numbers from 0, got 'bird'",
        ),
        ("class_labels.txt", "7\n", "class_labels.txt, line 1 must be a name and 1 values"),
        ("image_sizes.txt", "val/b.jpg,50,wide\n", "must have numbers of pixels, got .*wide"),
        ("image_sizes.txt", "val/b.jpg,50,31\n", "of 50 x 30 pixels in place of 50 x 31"),
        ("localization.txt", "val/b.jpg,1,2,3\n", "line 1 must be a name and 4 values"),
        ("localization.txt", "val/b.jpg,1,2,3,x\n", "must have numbers of pixels, got .*x"),
        ("localization.txt", "val/b.jpg,1,2,50,9\n", "lie in its picture"),
        ("image_ids.txt", "", "image_ids.txt is empty"),
        ("image_ids.txt", "val/c.jpg\n", "1 of 1 have none, such as 'val/c.jpg'"),
    ],
)
def test_damaged_lists_are_named(folder, file, content, message):
    (folder / "metadata" / "SET" / "test" / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        load(folder)


def test_parts_for_training_have_no_boxes(folder):
    lists = folder / "metadata" / "SET"
    (lists / "test" / "localization.txt").write_text("")
    (lists / "test").rename(lists / "train")
    wsol = load_wsol(folder / "images", lists, "train", size=8)
    np.testing.assert_array_equal(wsol.boxes, [[[np.nan] * 4]] * 2)
    np.testing.assert_array_equal(wsol.wsol_boxes, wsol.boxes)
    assert wsol.masks is None
    assert wsol.target.tolist() == [0, 7]


def test_unknown_and_missing_parts(folder):
    with pytest.raises(ValueError, match="`split` must be one of"):
        load_wsol(folder / "images", folder / "metadata" / "SET", "validation")
    with pytest.raises(OSError, match=r"val/class_labels\.txt"):
        load_wsol(folder / "images", folder / "metadata" / "SET", "val")
