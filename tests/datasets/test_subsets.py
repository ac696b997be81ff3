"""Folders that somebody has split: train, val and test, in all spellings and places."""

import re

import pytest
from PIL import Image

from fmcam.datasets import load_image_folder
from fmcam.datasets._subsets import subsets_of

pytestmark = pytest.mark.usefixtures("cache")


def make_folder(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 4)).save(path, format="PNG")
    return folder


def load(folder, **options):
    """What is known of each picture that is read: its part and its class."""
    bunch = load_image_folder(folder, size=4, **options)
    subsets = [None] * len(bunch.target) if bunch.subset is None else bunch.subset.tolist()
    rows = zip(bunch.filenames.tolist(), subsets, bunch.target.tolist(), strict=True)
    return {name: (subset, label) for name, subset, label in rows}


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("Train", "Valid", "TEST"),
        ("training", "validation", "testing"),
        ("train2017", "val2017", "test2017"),
        ("train_set", "dev_set", "test_set"),
        ("training_set/training_set", "val_set/val_set", "test_set/test_set"),
        ("train-images", "eval-images", "test-images"),
        ("plants_train", "plants_val", "plants_test"),
        ("train plants", "val plants", "test plants"),
        ("seg.train/seg.train", "seg.val", "seg.test/seg.test"),
        ("plants/train", "plants/val", "plants/test"),
        ("a/b/train", "a/b/val", "a/b/test"),
        ("01_train", "02_val", "03_test"),
        ("1. train", "2. val", "3. test"),
        ("0train", "1valid", "2test"),
        ("a_train", "b_validation", "c_test"),
        ("plants/01-Training", "plants/02-Validation", "plants/03-Testing"),
    ],
)
def test_spellings(tmp_path, train, validation, test):
    names = [f"{train}/cat/1.png", f"{train}/dog/in/2.png", f"{validation}/cat/3.png"]
    names.append(f"{test}/dog/4.png")
    assert load(make_folder(tmp_path, *names)) == {
        names[0]: ("train", "cat"),
        names[1]: ("train", "dog"),
        names[2]: ("validation", "cat"),
        names[3]: ("test", "dog"),
    }


def test_labels_by_name(tmp_path):
    names = ("train/0_ab.png", "val/1_cd.png", "shark_1.png")
    folder = make_folder(tmp_path / "plants", *names)
    assert load(folder, labels="name") == {
        "train/0_ab.png": ("train", "0"),
        "val/1_cd.png": ("validation", "1"),
    }
    unreadable = load_image_folder(folder, size=4, labels="name").unreadable
    assert unreadable.to_numpy().tolist() == [["shark_1.png", "lies in no part"]]
    message = "a folder for each class, such as cat/1.jpg; got 3 pictures elsewhere, such as shark"
    with pytest.raises(ValueError, match=message):
        load_image_folder(folder)


def test_parts_inside_of_classes(tmp_path):
    folder = make_folder(tmp_path, "cat/train/1.png", "cat/Test/2.png", "dog/train/3.png")
    assert load(folder) == {
        "cat/train/1.png": ("train", "cat"),
        "cat/Test/2.png": ("test", "cat"),
        "dog/train/3.png": ("train", "dog"),
    }


@pytest.mark.parametrize(
    "names",
    [
        ("test tube/1.png", "trainer/2.png", "valley/3.png"),
        ("test tube/1.png", "train station/2.png"),
        ("toy train/1.png", "toy car/2.png"),
        ("cat/train/1.png", "dog/test/2.png"),
        ("cat/1.png", "cat/train/2.png"),
        ("cat/train/1.png", "cat/test/2.png", "dog/3.png"),
        ("cat/val/1.png", "cat/test/2.png", "dog/val/3.png"),
    ],
)
def test_classes_with_names_like_these(tmp_path, names):
    folder = make_folder(tmp_path, *names)
    assert load(folder) == {name: (None, name.partition("/")[0]) for name in names}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("cat/1.png", "test/2.png"), "parts of a data set, test, beside cat"),
        (("train/cat/1.png", "val/cat/2.png", "figures/3.png"), "train, val, beside figures"),
        (("seg_train/cat/1.png", "seg_test/cat/2.png", "seg_pred/3.png"), "beside seg_pred"),
        (("train/val/1.png", "train/cat/2.png"), "among the classes: val"),
        (("t-test/1.png", "u-test/2.png"), "among the classes: t-test, u-test"),
        (("a test/anna/1.png", "b test/ben/2.png"), "among the classes: a test, b test"),
        (("1.png", "train/cat/2.png"), "among the classes: train"),
    ],
)
def test_a_class_may_not_be_called_like_a_part(tmp_path, names, message):
    folder = make_folder(tmp_path, *names)
    with pytest.raises(ValueError, match=rf"{message}\. .*rename its folder\."):
        load_image_folder(folder)


def test_also_with_labels_by_name(tmp_path):
    folder = make_folder(tmp_path, "train/cat_1.png", "more/cat_2.png")
    with pytest.raises(ValueError, match="of a data set, train, beside more"):
        load_image_folder(folder, labels="name")


def test_one_part(tmp_path):
    folder = make_folder(tmp_path, "train/cat/1.png", "train/dog/2.png", "val/cat/3.png")
    assert load(folder, subset="train") == {
        "train/cat/1.png": ("train", "cat"),
        "train/dog/2.png": ("train", "dog"),
    }
    assert load(folder / "train") == {"cat/1.png": (None, "cat"), "dog/2.png": (None, "dog")}
    message = f"{folder} must hold photographs of the part 'test', such as test/cat/1.jpg"
    with pytest.raises(ValueError, match=re.escape(message)):
        load_image_folder(folder, subset="test")
    with pytest.raises(ValueError, match=r"of the part 'train', such as .*; there are none"):
        load_image_folder(folder / "train", subset="train")
    with pytest.raises(ValueError, match=r"`subset` must be None or one of .*, got 'val'"):
        load_image_folder(folder, subset="val")


def test_no_parts(tmp_path):
    assert subsets_of(["a/1.png", "b/2.png"], tmp_path) is None
    assert load_image_folder(make_folder(tmp_path, "a/1.png"), size=4).subset is None


PLANTS = ["Rudo", "Baya", "Greg"]


@pytest.mark.parametrize(
    "names",
    [
        ["0_a.png", "2_b.png", "1_c.png"],
        ["Rudo_a.png", "Greg_b.png", "Baya_c.png"],
        ["00_a.png", "02_b.png", "01_c.png"],
    ],
)
def test_names_for_classes(tmp_path, names):
    folder = make_folder(tmp_path, *names)
    bunch = load_image_folder(folder, size=4, labels="name", class_names=PLANTS)
    found = dict(zip(bunch.filenames.tolist(), bunch.target.tolist(), strict=True))
    assert found == dict(zip(names, [0, 2, 1], strict=True))
    assert bunch.target_names == PLANTS


def test_names_beside_numbers_may_be_two_classes(tmp_path):
    folder = make_folder(tmp_path, "0_a.png", "Greg_b.png", "1_c.png")
    with pytest.raises(ValueError, match="the numbers 0 to 2, or the names themselves"):
        load_image_folder(folder, size=4, labels="name", class_names=PLANTS)


def test_numbers_with_zeros_in_front_and_above_nine(tmp_path):
    folder = make_folder(tmp_path, "000/1.png", "010/2.png", "002/3.png")
    names = [f"class {number}" for number in range(11)]
    bunch = load_image_folder(folder, size=4, class_names=names)
    assert bunch.target.tolist() == [0, 2, 10]
    assert bunch.target_names == names


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("0", "3"), "the numbers 0 to 2, or .* There is the label '3'"),
        (("Rudo", "Gregg"), r".* There is the label 'Gregg'\. Did you mean 'Greg'\?"),
    ],
)
def test_labels_without_a_name(tmp_path, labels, message):
    folder = make_folder(tmp_path, *(f"{label}/1.png" for label in labels))
    with pytest.raises(ValueError, match=f"`class_names` must name all labels: {message}"):
        load_image_folder(folder, size=4, class_names=PLANTS)
    with pytest.raises(ValueError, match=r"`class_names` must name each class once, got \['a', 'a"):
        load_image_folder(folder, size=4, class_names=["a", "a"])


RENAME = "a class is called so, rename its folder"
EMPTY = "it is the only class, move its pictures right into it"


@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        (("train/images/cat/1.png", "train/images/dog/2.png", "val/images/cat/3.png"), RENAME),
        (("train/plants/cat/1.png", "train/plants/dog/2.png", "val/plants/cat/3.png"), EMPTY),
        (("train/cat/1.png", "train/dog/2.png", "val/images/3.png"), RENAME),
        (("images/cat/1.png", "images/dog/2.png"), RENAME),
        (("plants/cat/1.png", "plants/dog/2.png"), EMPTY),
        (("Images/1.png",), RENAME),
        (("cat/1.png", "dog/2.png", "photos/3.png"), RENAME),
    ],
)
def test_folders_of_classes_that_lie_deeper_are_refused(tmp_path, names, remedy):
    """The remedy is one: renamed, or with its pictures right inside, the class is read."""
    folder = make_folder(tmp_path / "pets", *names)
    message = rf"got \w+/\.\.\., which seems to hold the classes or to be none\. .* If {remedy}\."
    with pytest.raises(ValueError, match=message):
        load_image_folder(folder, size=4)


@pytest.mark.parametrize(
    "names", [("cat/in/1.png", "cat/2.png"), ("cat/in/1.png",), ("cat/in/1.png", "dog/out/2.png")]
)
def test_folders_inside_classes_are_no_classes(tmp_path, names):
    folder = make_folder(tmp_path / "pets", *names)
    assert load(folder) == {name: (None, name.partition("/")[0]) for name in names}


@pytest.mark.parametrize("names", [("fold1_train", "fold2_test"), ("my-train-set", "a.b.test")])
def test_words_for_parts_in_all_names_are_refused(tmp_path, names):
    folder = make_folder(tmp_path / "pets", *(f"{name}/cat/1.png" for name in names))
    with pytest.raises(ValueError, match=f"among the classes: {', '.join(sorted(names))}"):
        load_image_folder(folder, size=4)


def test_one_word_for_a_part_in_all_names_is_what_a_class_is(tmp_path):
    names = ("cat_training/1.png", "dog training 2/2.png")
    assert {label for _, label in load(make_folder(tmp_path, *names)).values()} == {
        "cat_training",
        "dog training 2",
    }
