"""Pictures made here with boxes of theirs: rows, squares, and boxes that cannot be of them."""

import numpy as np
import pandas as pd
import pytest
from PIL import ExifTags, Image

from fmcam.datasets import load_boxed_images, load_image, read_boxes
from fmcam.datasets._class_names import named_classes

pytestmark = pytest.mark.usefixtures("cache")

COLUMNS = ["image", "label", "x0", "y0", "x1", "y1"]


def table_of(*rows, size=None):
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table if size is None else table.assign(width=size[0], height=size[1])


@pytest.fixture
def folder(tmp_path):
    """Pictures of 40 x 20 pixels, black with a red rectangle at 10 to 20 and 5 to 15."""
    root = tmp_path / "images"
    for name in ("cat/1.png", "dog/1.png", "dog/2.png", "3.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((20, 40, 3), dtype=np.uint8)
        pixels[5:15, 10:20, 0] = 255
        Image.fromarray(pixels).save(root / name)
    return root


def test_rows_are_of_images_and_labels(folder):
    loaded = load_boxed_images(
        folder,
        table_of(
            ("dog/1.png", "dog", 10, 5, 20, 15),
            ("3.png", "cat", 0, 0, 40, 20),
            ("dog/1.png", "cat", 1, 2, 3, 4),
            ("dog/1.png", "dog", 20, 10, 40, 20),
            ("cat/1.png", "cat", *[np.nan] * 4),
        ),
        size=20,
    )
    assert loaded.filenames.tolist() == ["3.png", "cat/1.png", "dog/1.png", "dog/1.png"]
    assert loaded.target.tolist() == ["cat", "cat", "cat", "dog"]
    assert loaded.target_names == ["cat", "dog"]
    none = [np.nan] * 4
    expected = [
        [[0, 0, 20, 20], none],
        [none, none],
        [[0.5, 2, 1.5, 4], none],
        [[5, 5, 10, 15], [10, 10, 20, 20]],
    ]
    np.testing.assert_array_equal(loaded.boxes, expected)
    for image, name in zip(loaded.images, loaded.filenames, strict=True):
        np.testing.assert_array_equal(image, load_image(folder / name, size=20, fit="stretch"))
    red = loaded.images[3, 0]
    assert red[8, 6] == red[12, 8] == 255
    assert red[7, 12] == red[3, 7] == 0
    assert isinstance(loaded.images, np.memmap)
    assert [(place.width, place.height) for place in loaded.placements] == [(40, 20)] * 4
    assert loaded.unreadable.to_numpy().tolist() == [["dog/2.png", "is not among the boxes"]]
    back = loaded.placements[3].boxes_in_original(loaded.boxes[3])
    np.testing.assert_array_equal(back, [[10, 5, 20, 15], [20, 10, 40, 20]])


def test_crop_cuts_boxes_and_leaves_none_of_those_outside(folder):
    table = table_of(("3.png", "a", 0, 0, 9, 20), ("3.png", "a", 12, 4, 40, 20))
    loaded = load_boxed_images(folder, table, size=10, fit="crop")  # 40 x 20: columns 10 to 30
    np.testing.assert_array_equal(loaded.boxes, [[[1, 2, 10, 10]]])


def test_names_of_other_machines(folder):
    for name in ("3", "3.png", "./3.png", "/home/ann/set/3.png", "C:\\set\\3.png", "../../3.png"):
        loaded = load_boxed_images(folder, table_of((name, "a", 0, 0, 9, 9)), size=8)
        assert loaded.filenames.tolist() == ["3.png"]
    loaded = load_boxed_images(folder, table_of(("/set/dog/1.png", "a", 0, 0, 9, 9)), size=8)
    assert loaded.filenames.tolist() == ["dog/1.png"]


def test_without_labels_and_with_some(folder):
    table = table_of(("3.png", None, 0, 0, 9, 9), ("cat/1.png", None, *[None] * 4))
    loaded = load_boxed_images(folder, table, size=8)
    assert loaded.target is None
    assert loaded.filenames.tolist() == ["3.png", "cat/1.png"]
    loaded = load_boxed_images(folder, table.assign(label=["b", None]), size=8)
    assert loaded.filenames.tolist() == ["3.png"]
    assert ["cat/1.png", "has no label"] in loaded.unreadable.to_numpy().tolist()


def test_class_names_number_the_labels(folder):
    table = table_of(("3.png", "b", 0, 0, 9, 9), ("cat/1.png", "a", 0, 0, 9, 9))
    loaded = load_boxed_images(folder, table, size=8, class_names=["b", "a", "c"])
    assert loaded.target.tolist() == [0, 1]
    numbers = table.assign(label=[1, 2])
    loaded = load_boxed_images(folder, numbers, size=8, class_names=["b", "a", "c"])
    assert loaded.target.tolist() == [1, 2]
    with pytest.raises(ValueError, match="There is the label 'b'"):
        load_boxed_images(folder, table, class_names=["a", "c"])


GOOD = ("3.png", "a", 0, 0, 9, 9)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("cat/1.png", "a", 0.1, 0.2, 0.5, 0.9), GOOD], r"be in pixels, .*\(1 of 2 boxes\)"),
        ([("cat/1.png", "a", 9, 2, 5, 9), GOOD], r"x0 < x1 .* 'cat/1.png' \(1 of 2 boxes\). Swap"),
        ([("cat/1.png", "a", 5, 2, 5, 9), GOOD], r"have a width .* 'cat/1.png' \(1 of 2 boxes\)"),
        ([("cat/1.png", "a", 5, 2, 41, 9), GOOD], r"lie in its picture, .*/1.png' \(1 of 2 boxes"),
        ([("cat/1.png", "a", -1, 2, 40, 9), GOOD], "lie in its picture"),
        ([("cat/1.png", "a", np.nan, 2, 40, 9), GOOD], "four finite corners"),
        ([("cat/1.png", "a", 1, 2, np.inf, 9), GOOD], "four finite corners"),
        ([("cat/1.png", None, 1, 2, 4, 9), GOOD], "have a label"),
        ([("a.png", "a", 1, 2, 4, 9), ("b.png", "a", 1, 2, 4, 9), GOOD], "the 3 pictures .* 2 are"),
        ([("1.png", "a", 1, 2, 4, 9), GOOD], "could each .* '1.png': 'cat/1.png' or 'dog/1.png'"),
        ([("cat/1.jpg", "a", 1, 2, 4, 9), GOOD], "1 are not there, such as 'cat/1.jpg'. Did you"),
        ([("x/3.png", "a", 1, 2, 4, 9), GOOD], "named in several ways, such as 'x/3.png'"),
        ([("../cat.png", "a", 1, 2, 4, 9), GOOD], "1 are not there"),
        ([("\0" * 5000, "a", 1, 2, 4, 9), GOOD], r"such as '[x0\\\\]{99}\.\.\.\."),
    ],
)
def test_boxes_that_cannot_be(folder, rows, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_boxed_images(folder, table_of(*rows), size=8)
    assert len(str(caught.value)) < 900


@pytest.mark.parametrize("inclusive", [True, False])
def test_fractions_of_open_images(folder, tmp_path, inclusive):
    path = tmp_path / "validation-annotations-bbox.csv"
    path.write_text("ImageID,LabelName,XMin,XMax,YMin,YMax,IsOccluded\n3,/m/01yrx,0.1,1,0,0.8,0\n")
    table = read_boxes(path, inclusive=inclusive)
    assert table["y0"].tolist() == [0]
    with pytest.raises(ValueError, match=r"be in pixels, .* '3' \(1 of 1 boxes\). Multiply"):
        load_boxed_images(folder, table)


def test_boxes_that_leave_by_a_rounding_are_clipped(folder):
    table = table_of(("3.png", "a", -0.4, 0, 40.6, 20.9))
    loaded = load_boxed_images(folder, table, size=20)
    np.testing.assert_array_equal(loaded.boxes, [[[0, 0, 20, 20]]])


def test_another_size_than_the_table_says(folder):
    with pytest.raises(
        ValueError, match=r"1 of 1 have not, .* of 40 x 20 pixels in place of 80 x 40"
    ):
        load_boxed_images(folder, table_of(GOOD, size=(80, 40)), size=8)
    with pytest.raises(ValueError, match="EXIF"):
        load_boxed_images(folder, table_of(GOOD, size=(20, 40)), size=8)
    with pytest.raises(ValueError, match="That one has 7 x 40 pixels"):
        load_boxed_images(folder, table_of(GOOD, size=(7, 40)).assign(x1=12), size=8)
    assert len(load_boxed_images(folder, table_of(GOOD, size=(40, 20)), size=8).images) == 1


def turned(path):
    """A picture of 40 x 20 pixels that is stored on its side."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (20, 40)).save(path, exif=exif)
    return path.name


@pytest.mark.parametrize("ending", ["jpg", "png", "tiff", "webp"])
def test_sizes_are_checked_before_any_picture_is_decoded(folder, cache, ending):
    name = turned(folder / f"turned.{ending}")
    (folder / "damaged.jpg").write_bytes((folder / "3.png").read_bytes()[:40])
    rows = [(name, "a", 0, 0, 40, 20), ("damaged.jpg", "a", 0, 0, 1, 1), GOOD]
    with pytest.raises(ValueError, match=r"2 of 3 have not, .* of 40 x 20 pixels in place of 20"):
        load_boxed_images(folder, table_of(*rows, size=(20, 20)).assign(x1=9), size=8)
    outside = table_of(*rows[1:], (name, "a", 0, 0, 20, 40))
    with pytest.raises(ValueError, match=r"lie in its picture, .* That one has 40 x 20 pixels"):
        load_boxed_images(folder, outside, size=8)
    assert list(cache.glob("*.u8")) == []
    loaded = load_boxed_images(folder, table_of(*rows, size=(40, 20)), size=8)
    assert loaded.filenames.tolist() == ["3.png", name]
    assert len(list(cache.glob("*.u8"))) == 1
    with pytest.raises(ValueError, match=r"2 of 2 have not"):  # also of what is decoded already
        load_boxed_images(folder, table_of(*rows, size=(20, 20)).assign(x1=9), size=8)


def test_tables_and_folders_of_the_wrong_kind(folder, tmp_path):
    with pytest.raises(ValueError, match=r"must have the columns image, x0, y0, x1, y1, got .* x0"):
        load_boxed_images(folder, table_of(GOOD).rename(columns={"x0": "left"}))
    with pytest.raises(TypeError, match="must have numbers"):
        load_boxed_images(folder, table_of(("3.png", "a", "left", 0, 1, 2)))
    for size in ("wide", [4], {}):
        table = table_of(GOOD, size=(40, 20)).astype(object)
        table.at[0, "width"] = size
        with pytest.raises(TypeError, match=r"must have numbers in \['width', 'height'\], but: "):
            load_boxed_images(folder, table)
    with pytest.raises(TypeError, match="must name the image of each row"):
        load_boxed_images(folder, table_of((None, "a", 0, 0, 1, 2)))
    with pytest.raises(TypeError, match=r"must have names or whole numbers as labels, got 1\.5"):
        load_boxed_images(folder, table_of(("3.png", 1.5, 0, 0, 1, 2)))
    with pytest.raises(ValueError, match="must have a row at least"):
        load_boxed_images(folder, table_of())
    with pytest.raises(NotADirectoryError, match="`images` must be a folder that exists"):
        load_boxed_images(tmp_path / "nothing", table_of(GOOD))


def test_unreadable_pictures_are_left_out(folder):
    (folder / "3.png").write_bytes(b"")
    table = table_of(GOOD, ("3.png", "b", 0, 0, 9, 9), ("cat/1.png", "c", 0, 0, 10, 10))
    loaded = load_boxed_images(folder, table, size=20)
    assert loaded.target.tolist() == ["c"]
    np.testing.assert_array_equal(loaded.boxes, [[[0, 0, 5, 10]]])
    assert loaded.unreadable.to_numpy().tolist()[0] == ["3.png", "is empty: it has no bytes"]
    assert loaded.unreadable["file"].tolist().count("3.png") == 1


def test_a_path_is_read_if_nothing_more_is_to_be_said(folder, tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("image,x0,y0,x1,y1\n3.png,10,5,19,14\n")
    with pytest.raises(ValueError, match=r"boxes\.csv: a CSV file does not say whether x1, y1 is"):
        load_boxed_images(folder, path)
    loaded = load_boxed_images(folder, read_boxes(path, inclusive=True), size=20)
    np.testing.assert_array_equal(loaded.boxes, [[[5, 5, 10, 15]]])


@pytest.mark.parametrize(
    ("labels", "names"), [(["red", "0", "1"], ["green", "red"]), (["2", "0", "1"], ["2", "1"])]
)
def test_labels_are_names_or_numbers_not_both(labels, names):
    """Or two labels would become one class."""
    with pytest.raises(ValueError, match=r"0 to 1, or the names themselves\. There is the label '"):
        named_classes(np.array(labels), names)
