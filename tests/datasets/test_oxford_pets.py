"""Oxford-IIIT Pet against torchvision, and a small copy made here: labels, masks and boxes."""

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import OxfordIIITPet

from fmcam.datasets import fetch_oxford_pets, get_dataset

CORNERS = "<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"
HEAD = f"<object><name>cat</name><bndbox>{CORNERS}</bndbox></object>"


pytestmark = pytest.mark.usefixtures("cache")


def add_pet(folder, name, animal=None, heads=()):
    """A picture of 16 x 8 pixels: an animal with a border of a pixel, grey on black."""
    trimap = np.full((8, 16), 2, dtype=np.uint8)
    if animal:
        x0, y0, x1, y1 = animal
        trimap[max(y0 - 1, 0) : y1 + 1, max(x0 - 1, 0) : x1 + 1] = 3
        trimap[y0:y1, x0:x1] = 1
    Image.fromarray(trimap).save(folder / "annotations" / "trimaps" / f"{name}.png")
    picture = Image.fromarray(np.where(trimap == 1, 200, 0).astype(np.uint8))
    picture.save(folder / "images" / f"{name}.jpg", format="PNG")  # as some of the real ones
    if heads:
        xml = f"<annotation>{''.join(HEAD.format(*head) for head in heads)}</annotation>"
        (folder / "annotations" / "xmls" / f"{name}.xml").write_text(xml)


@pytest.fixture
def small(tmp_path):
    """A data home with three training pictures and one test picture."""
    folder = tmp_path / "home" / "oxford-iiit-pet"
    for part in ("images", "annotations/trimaps", "annotations/xmls"):
        (folder / part).mkdir(parents=True)
    add_pet(folder, "Bengal_7", (4, 2, 12, 6), heads=[(5, 3, 8, 6)])
    add_pet(folder, "Abyssinian_1", (0, 0, 2, 8), heads=[(1, 1, 2, 2), (1, 5, 4, 8)])
    add_pet(folder, "american_bulldog_10")
    add_pet(folder, "Bengal_9", (8, 4, 10, 8))
    trainval = ["Bengal_7 6 1 2", "Abyssinian_1 1 1 1", "american_bulldog_10 2 2 1"]
    (folder / "annotations" / "trainval.txt").write_text("\n".join(trainval) + "\n")
    (folder / "annotations" / "test.txt").write_text("Bengal_9 6 1 2\n")
    return tmp_path / "home"


def test_labels_and_names(small):
    pets = fetch_oxford_pets(small, size=8)
    assert pets.filenames.tolist() == [
        "images/Bengal_7.jpg",
        "images/Abyssinian_1.jpg",
        "images/american_bulldog_10.jpg",
    ]
    assert pets.target.tolist() == [5, 0, 1]
    assert pets.target.dtype == np.int64
    names = [pets.target_names[label] for label in pets.target]
    assert names == ["Bengal", "Abyssinian", "American Bulldog"]
    assert len(pets.target_names) == 37
    assert pets.target_names == sorted(pets.target_names)
    assert "Oxford" in pets.DESCR
    test = get_dataset("pets", "test", data_home=small)
    assert test.filenames.tolist() == ["images/Bengal_9.jpg"]
    assert test.images.shape == (1, 3, 224, 224)


def test_stretched_masks_and_boxes_by_hand(small):
    # 16 x 8 -> 8 x 8: x / 2, y. Of each two columns the right one counts: 3, 5 to 11, 13.
    pets = fetch_oxford_pets(small, size=8)
    bengal = np.zeros((8, 8), dtype=np.uint8)
    bengal[1:7, 1:6] = 255
    bengal[2:6, 2:6] = 1
    np.testing.assert_array_equal(pets.masks[0], bengal)
    np.testing.assert_array_equal(pets.boxes, [[2, 2, 6, 6], [0, 0, 1, 8], [np.nan] * 4])
    # VOC 5, 3, 8, 6 is 4, 2, 8, 6 half-open. Of two heads the larger: 0, 4, 4, 8.
    np.testing.assert_array_equal(pets.head_boxes, [[2, 2, 4, 6], [0, 4, 2, 8], [np.nan] * 4])


def test_cropped_masks_and_boxes_by_hand(small):
    # 16 x 8 -> columns 4 to 12
    pets = fetch_oxford_pets(small, size=8, fit="crop")
    np.testing.assert_array_equal(pets.boxes, [[0, 2, 8, 6], [np.nan] * 4, [np.nan] * 4])
    np.testing.assert_array_equal(pets.head_boxes, [[0, 2, 4, 6], [np.nan] * 4, [np.nan] * 4])
    assert not pets.masks[1].any()  # the Abyssinian is cut off
    np.testing.assert_array_equal(pets.masks[0] == 1, pets.images[0, 0] == 200)


def test_test_list_has_no_heads(small):
    assert np.isnan(fetch_oxford_pets(small, subset="test").head_boxes).all()


def test_wrong_arguments(small):
    with pytest.raises(ValueError, match="`subset` must be 'train' or 'test', got 'trainval'"):
        fetch_oxford_pets(small, subset="trainval")
    with pytest.raises(ValueError, match="`fit` must be 'crop' or 'stretch', got 'pad'"):
        fetch_oxford_pets(small, fit="pad")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("images/Bengal_7.jpg", "", "Bengal_7.jpg is empty: it has no bytes. Delete"),
        ("annotations/trimaps/Bengal_7.png", "", "Bengal_7.png is empty: it has no bytes. Delete"),
        ("annotations/trainval.txt", "Bengal_7 6", "trainval.txt must have lines such as"),
        ("annotations/trainval.txt", "", "trainval.txt must have lines such as"),
        ("annotations/xmls/Bengal_7.xml", "<a>", "Bengal_7.xml must have an `object`"),
        ("annotations/xmls/Bengal_7.xml", "<annotation/>", "Bengal_7.xml must have an `object`"),
        (
            "annotations/xmls/Bengal_7.xml",
            "<annotation><object/></annotation>",
            "Bengal_7.xml must have an `object`",
        ),
    ],
)
def test_damaged_file_is_named(small, file, content, message):
    (small / "oxford-iiit-pet" / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        fetch_oxford_pets(small)


@pytest.mark.parametrize("part", ["images", "annotations"])
def test_missing_folder(small, part):
    (small / "oxford-iiit-pet" / part).rename(small / "elsewhere")
    with pytest.raises(OSError, match=f"needs the folder .*/{part}, which does not exist, and "):
        fetch_oxford_pets(small, download_if_missing=False)


@pytest.mark.real_data
@pytest.mark.parametrize("subset", ["train", "test"])
def test_same_as_torchvision(data_home, subset):
    if not (data_home / "oxford-iiit-pet").is_dir():
        pytest.skip("FMCAM_DATA holds no oxford-iiit-pet")
    split = {"train": "trainval", "test": "test"}[subset]
    peer = OxfordIIITPet(data_home, split, ("category", "segmentation"))
    ours = fetch_oxford_pets(data_home, subset=subset, download_if_missing=False, size=64)
    np.testing.assert_array_equal(ours.target, peer._labels)
    breeds = [ours.target_names[label] for label in np.unique(ours.target)]
    assert breeds == peer.classes
    files = [data_home / "oxford-iiit-pet" / name for name in ours.filenames]
    assert files == peer._images
    for row in range(0, len(peer), 30):
        picture, (_, trimap) = peer[row]
        assert picture.size == trimap.size
        nearest = np.asarray(trimap.resize((64, 64), Image.Resampling.NEAREST))
        np.testing.assert_array_equal(ours.masks[row] == 1, nearest == 1)
        np.testing.assert_array_equal(ours.masks[row] == 255, nearest == 3)
        resized = np.asarray(picture.resize((64, 64), Image.Resampling.BILINEAR), dtype=int)
        assert np.abs(ours.images[row] - resized.transpose(2, 0, 1)).mean() < 2
    heads = ~np.isnan(ours.head_boxes[:, 0])
    assert heads.sum() == {"train": 296, "test": 0}[subset]
    inside = ours.head_boxes[heads]
    assert (inside >= 0).all()
    assert (inside <= 64).all()
