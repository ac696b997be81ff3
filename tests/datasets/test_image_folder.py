"""Folders of one's own photographs, made here: labels, and files that are no use."""

import re

import numpy as np
import pytest
from PIL import Image

from fmcam.datasets import load_image, load_image_folder

pytestmark = pytest.mark.usefixtures("cache")


def make_folder(folder, *names):
    """Small pictures of a grey of their own: 0, 1, 2 and so on."""
    for grey, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 4), grey).save(path, format="PNG")
    return folder


def test_labels_from_folders(tmp_path):
    folder = make_folder(
        tmp_path / "pets", "dog/1.jpg", "cat/old/2.PNG", "cat/3.jpeg", "a cat/4.bmp"
    )
    pets = load_image_folder(folder, size=4)
    assert pets.filenames.tolist() == ["a cat/4.bmp", "cat/3.jpeg", "cat/old/2.PNG", "dog/1.jpg"]
    assert pets.target.tolist() == ["a cat", "cat", "cat", "dog"]
    assert pets.target_names == ["a cat", "cat", "dog"]
    assert pets.images[:, 0, 0, 0].tolist() == [3, 2, 1, 0]
    assert pets.images.shape == (4, 3, 4, 4)
    assert pets.images.dtype == np.uint8
    assert pets.unreadable.empty
    assert pets.unreadable.columns.tolist() == ["file", "reason"]
    assert str(folder) in pets.DESCR


def test_labels_from_names(tmp_path):
    names = [
        "Bengal_1.jpg",
        "american_bulldog_10.jpg",
        "more/american_bulldog_2.png",
        "Bengal_1.mat",
    ]
    pets = load_image_folder(make_folder(tmp_path, *names), size=4, labels="name")
    assert pets.filenames.tolist() == names[:3]
    assert pets.target.tolist() == ["Bengal", "american_bulldog", "american_bulldog"]
    assert pets.target_names == ["Bengal", "american_bulldog"]


def test_rows_are_the_pictures_of_load_image(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a_1.png", "b_2.png"):
        pixels = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    for fit in ("crop", "stretch"):
        bunch = load_image_folder(tmp_path, size=16, fit=fit, labels="name")
        for image, name in zip(bunch.images, bunch.filenames, strict=True):
            np.testing.assert_array_equal(image, load_image(tmp_path / name, size=16, fit=fit))


def test_files_of_no_use_are_listed_and_others_left_alone(tmp_path):
    make_folder(
        tmp_path, "cat/1.png", "dog/2.png", "loose.png", "dog/.hidden.png", ".trash/x/3.png"
    )
    (tmp_path / "cat" / "0.jpg").write_bytes(b"")
    (tmp_path / "cat" / "phone.HEIC").write_bytes(b"\x00\x00\x00\x18ftypheic")
    (tmp_path / "cat" / "notes.txt").write_text("not listed")
    bunch = load_image_folder(tmp_path, size=4)
    assert bunch.filenames.tolist() == ["cat/1.png", "dog/2.png"]
    assert bunch.target.tolist() == ["cat", "dog"]
    assert bunch.images[:, 0, 0, 0].tolist() == [0, 1]
    formats = "is not a picture in one of the formats JPEG, PNG, WEBP, GIF, BMP, TIFF, PPM"
    layout = "is not where its label would be: a folder for each class, such as cat/1.jpg"
    assert bunch.unreadable.to_numpy().tolist() == [
        ["cat/0.jpg", "is empty: it has no bytes"],
        ["cat/phone.HEIC", formats],
        ["loose.png", layout],
    ]


def test_a_class_without_readable_pictures_is_no_class(tmp_path):
    make_folder(tmp_path, "cat/1.png", "dog/2.png")
    (tmp_path / "dog" / "2.png").write_bytes(b"")
    assert load_image_folder(tmp_path, size=4).target_names == ["cat"]


def test_files_added_and_changed_are_noticed(tmp_path):
    make_folder(tmp_path, "cat/1.png", "dog/2.png")
    load_image_folder(tmp_path, size=4)
    make_folder(tmp_path, "dog/2.png", "dog/3.png")
    bunch = load_image_folder(tmp_path, size=4)
    assert bunch.filenames.tolist() == ["cat/1.png", "dog/2.png", "dog/3.png"]
    assert bunch.images[:, 0, 0, 0].tolist() == [0, 0, 1]


def test_no_pictures_at_all(tmp_path):
    (tmp_path / "notes.txt").touch()
    message = (
        f"{tmp_path} must hold a folder for each class, such as cat/1.jpg; got no pictures. For "
        "files named after class and number, such as cat_1.jpg, pass labels='name'."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        load_image_folder(tmp_path)


@pytest.mark.parametrize("labels", ["folders", ["folder"], {"folder"}, None])
def test_labels_are_one_of_two_words(tmp_path, labels):
    with pytest.raises(ValueError, match="`labels` must be 'folder' or 'name', got "):
        load_image_folder(tmp_path, labels=labels)


def test_wrong_layout_names_the_other(tmp_path):
    make_folder(tmp_path / "flat", "cat_1.png", "dog_2.png")
    with pytest.raises(
        ValueError, match=r"got 2 pictures elsewhere, such as cat_1.png\. For files "
    ):
        load_image_folder(tmp_path / "flat")
    make_folder(tmp_path / "nested", "cat/1.png")
    with pytest.raises(ValueError, match=r"got 1 pictures elsewhere.* pass labels='folder'"):
        load_image_folder(tmp_path / "nested", labels="name")


def test_arguments_are_checked_first(tmp_path):
    with pytest.raises(
        NotADirectoryError, match=r"`folder` must be a folder that exists, got '/no'"
    ):
        load_image_folder("/no")
    with pytest.raises(ValueError, match="`labels` must be 'folder' or 'name', got None"):
        load_image_folder(tmp_path, labels=None)
    with pytest.raises(ValueError, match="`fit` must be 'crop' or 'stretch', got 'pad'"):
        load_image_folder(tmp_path, fit="pad")


@pytest.mark.real_data
def test_pets_as_a_folder(data_home):
    pets = load_image_folder(data_home / "oxford-iiit-pet" / "images", size=32, labels="name")
    assert pets.target_names == ["Abyssinian", "Bengal", "american_bulldog"]
    assert pets.unreadable.empty  # the three .mat files are no pictures
    assert pets.images.shape == (600, 3, 32, 32)
    assert [(pets.target == name).sum() for name in pets.target_names] == [200, 200, 200]
