"""A small copy of CUB-200-2011 made here: labels, boxes, and lists that are damaged."""

import numpy as np
import pytest
from PIL import Image

from fmcam.datasets import fetch_cub200, get_dataset

pytestmark = pytest.mark.usefixtures("cache")

LISTS = {
    "classes.txt": "1 001.Black_footed_Albatross\n2 002.Laysan_Albatross\n",
    "images.txt": "1 001.Black/a.jpg\n2 002.Laysan/b.jpg\n3 001.Black/c d.jpg\n",
    "image_class_labels.txt": "1 1\n2 2\n3 1\n",
    "train_test_split.txt": "1 0\n2 1\n3 1\n",
    "bounding_boxes.txt": "1 0.0 0.0 4.0 4.0\n2 2.0 1.0 8.0 4.0\n3 12.0 2.0 4.5 6.0\n",
}


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home" / "CUB_200_2011"
    for grey, name in enumerate(("001.Black/a.jpg", "002.Laysan/b.jpg", "001.Black/c d.jpg")):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 8), grey).save(path, format="PNG")
    for name, content in LISTS.items():
        (folder / name).write_text(content)
    return tmp_path / "home"


def test_labels_and_boxes_by_hand(home):
    birds = fetch_cub200(home, size=8)  # 16 x 8: x / 2, y
    assert birds.filenames.tolist() == ["images/002.Laysan/b.jpg", "images/001.Black/c d.jpg"]
    assert birds.target.tolist() == [1, 0]
    assert birds.target_names == ["Black footed Albatross", "Laysan Albatross"]
    np.testing.assert_array_equal(birds.boxes, [[1, 1, 5, 5], [6, 2, 8, 8]])
    assert birds.images[:, 0, 0, 0].tolist() == [1, 2]
    assert birds.placements[0].boxes_in_original(birds.boxes[:1]).tolist() == [[2, 1, 10, 5]]
    test = get_dataset("cub200", "test", data_home=home, size=8, fit="crop")  # columns 4 to 12
    assert test.filenames.tolist() == ["images/001.Black/a.jpg"]
    np.testing.assert_array_equal(test.boxes, [[np.nan] * 4])


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("content", ["1\n", "one two three four five\n", "1 2 3\n2 x y z z\n"])
def test_damaged_lists_are_named(home, name, content):
    if name in ("images.txt", "classes.txt") and content != "1\n":
        content = "one" + content
    (home / "CUB_200_2011" / name).write_text(content)
    with pytest.raises(ValueError, match=rf"{name} must .* Delete .*CUB_200_2011 and fetch it"):
        fetch_cub200(home)


@pytest.mark.parametrize("name", sorted(LISTS.keys() - {"classes.txt", "images.txt"}))
def test_lists_of_other_images_are_named(home, name):
    path = home / "CUB_200_2011" / name
    path.write_text(path.read_text().replace("3 ", "4 ", 1))
    with pytest.raises(ValueError, match=rf"{name} must .* of each image"):
        fetch_cub200(home)


def test_wrong_arguments_and_missing_folder(home, tmp_path):
    with pytest.raises(ValueError, match="`subset` must be 'train' or 'test', got 'val'"):
        fetch_cub200(home, subset="val")
    with pytest.raises(OSError, match=r"CUB-200-2011 needs the folder .* does not exist, and "):
        fetch_cub200(tmp_path / "nowhere", download_if_missing=False)
