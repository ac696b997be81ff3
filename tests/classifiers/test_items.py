"""What data sets and loaders hand out: mappings, PIL images, arrays, labels of any shape."""

import random

import numpy as np
import pytest
import torch
from PIL import Image
from skorch.dataset import Dataset as ArrayDataset
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from fmcam._data.batches import check_in_order
from fmcam._data.items import as_image, collate, parts_of
from fmcam.classifiers import LeNet5Classifier

GREY = np.random.default_rng(0).integers(0, 255, (12, 12, 12), dtype=np.uint8)
LABELS = np.arange(12) % 2


class Rows(Dataset):
    """A data set of 12 rows that a function makes."""

    def __init__(self, item):
        self.item = item

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return self.item(index)


def make(**params):
    return LeNet5Classifier(
        **{"max_epochs": 1, "random_state": 0, "verbose": 0, "classes": [0, 1], **params}
    )


@pytest.fixture(scope="module", name="proba")
def probabilities():
    return make().fit(GREY, LABELS).predict_proba(GREY)


ITEMS = {
    "tensor": lambda i: (torch.as_tensor(GREY[i][None]), int(LABELS[i])),
    "grey tensor": lambda i: (torch.as_tensor(GREY[i]), LABELS[i]),
    "array": lambda i: (GREY[i], LABELS[i].astype(np.int32)),
    "mirrored array": lambda i: (GREY[i][::-1][::-1], LABELS[i]),
    "PIL": lambda i: (Image.fromarray(GREY[i]), bool(LABELS[i])),
    "hugging face": lambda i: {"image": Image.fromarray(GREY[i]), "label": int(LABELS[i])},
    "pixel_values": lambda i: {"pixel_values": torch.as_tensor(GREY[i][None]), "labels": LABELS[i]},
    "monai": lambda i: {"image": GREY[i][None], "label": LABELS[i], "path": "x.nii"},
    "label of shape (1,)": lambda i: (GREY[i], LABELS[i : i + 1]),
    "label of shape (1, 1)": lambda i: (GREY[i], torch.tensor([[LABELS[i]]])),
    "label of no shape": lambda i: (GREY[i], torch.tensor(LABELS[i])),
    "float label": lambda i: (GREY[i], float(LABELS[i])),
    "list": lambda i: [GREY[i], LABELS[i]],
}


@pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS)
def test_items_of_all_kinds_train_as_the_array(item, proba):
    rows = Rows(item)
    clf = make().fit(rows)
    np.testing.assert_allclose(clf.predict_proba(GREY), proba, atol=1e-5)
    np.testing.assert_allclose(clf.predict_proba(rows), clf.predict_proba(GREY), atol=1e-6)
    assert clf.score(rows) == clf.score(GREY, LABELS)


def test_labels_as_texts(proba):
    clf = make(classes=["a", "b"]).fit(Rows(lambda i: (GREY[i], "ab"[LABELS[i]])))
    np.testing.assert_allclose(clf.predict_proba(GREY), proba, atol=1e-5)
    assert set(clf.predict(GREY)) <= {"a", "b"}


def test_batches_of_ones_own_loader(proba):
    images, labels = torch.as_tensor(GREY), torch.as_tensor(LABELS)
    mapping = Rows(lambda i: {"img": images[i][None], "target": labels[i]})
    text = Rows(lambda i: (images[i][None], "ab"[LABELS[i]]))
    for data, classes in (
        (TensorDataset(images, labels), [0, 1]),
        (TensorDataset(images[:, None], labels[:, None]), [0, 1]),
        (mapping, [0, 1]),
        (text, ["a", "b"]),
    ):
        clf = make(classes=classes).fit(DataLoader(data, batch_size=12))
        np.testing.assert_allclose(clf.predict_proba(DataLoader(data)), proba, atol=1e-2)


WRONG = {
    "image alone": (lambda i: GREY[i], ValueError, "gives images alone, but labels are needed"),
    "image in a tuple": (lambda i: (GREY[i],), ValueError, "gives images alone"),
    "no label key": (lambda i: {"image": GREY[i], "mask": 0}, ValueError, "gives images alone"),
    "no image key": (
        lambda i: {"photo": GREY[i], "label": 0},
        ValueError,
        r"one key for the image, one of \['image'.*got \['photo', 'label'\]",
    ),
    "two label keys": (
        lambda i: {"image": GREY[i], "label": 0, "target": 1},
        ValueError,
        r"one key for the label.*got \['label', 'target'\]",
    ),
    "one-hot": (lambda i: (GREY[i], np.eye(2)[LABELS[i]]), ValueError, r"shape \(2,\).*argmax"),
    "channels last": (
        lambda i: (np.zeros((12, 12, 3), np.uint8), 0),
        ValueError,
        r"shape \(c, h, w\), got \(12, 12, 3\), with the channels last.*permute",
    ),
    "RGBA": (lambda i: (Image.new("RGBA", (12, 12)), 0), ValueError, "'L' or 'RGB', got 'RGBA'"),
    "palette": (lambda i: (Image.new("P", (12, 12)), 0), ValueError, r"convert\('RGB'\)"),
    "sizes": (
        lambda i: (Image.new("L", (12 + i % 2, 12)), 0),
        ValueError,
        r"one shape, got \(1, 12, 1.\) and \(1, 12, 1.\).*Resize",
    ),
    "modes": (
        lambda i: (Image.new(("L", "RGB")[i % 2], (12, 12)), 0),
        ValueError,
        r"one shape, got \(.*, 12, 12\) and",
    ),
    "types": (
        lambda i: (GREY[i].astype((np.uint8, np.float32)[i % 2]), 0),
        ValueError,
        r"one type, got torch",
    ),
    "path": (lambda i: ("a.jpg", 0), TypeError, "tensor, an array or a PIL image, got str"),
    "rank": (lambda i: (np.zeros(5), 0), ValueError, r"\(c, h, w\) or \(h, w\), got \(5,\)"),
    "no label": (lambda i: (GREY[i], (0, None)[i % 2]), ValueError, "NaN or None in 6 of 12 rows"),
    "mixed labels": (lambda i: (GREY[i], (0, "b")[i % 2]), ValueError, "labels of one kind"),
}


@pytest.mark.parametrize(("item", "error", "message"), WRONG.values(), ids=WRONG)
def test_items_that_are_refused(item, error, message):
    with pytest.raises(error, match=message):
        make().fit(Rows(item))


def test_loaders_whose_batches_are_refused():
    data = TensorDataset(torch.zeros(4, 1, 12, 12), torch.tensor([0, 1, 0, 1]))
    with pytest.raises(ValueError, match=r"shape \(n, c, h, w\), got \(1, 12, 12\)"):
        make().fit(DataLoader(data, batch_size=None))
    with pytest.raises(ValueError, match="cannot make a batch of the data set's items"):
        make().fit(DataLoader(Rows(lambda i: (Image.new("L", (12, 12)), 0))))
    with pytest.raises(ValueError, match="cannot make a batch of the data set's items"):
        make().fit(DataLoader(Rows(lambda i: (torch.zeros(1, 12, 12 + i % 2), 0)), batch_size=4))
    with pytest.raises(ValueError, match=r"one label for each image, got shape \(4, 2\)"):
        make().fit(DataLoader(TensorDataset(data.tensors[0], torch.eye(2)[[0, 1, 0, 1]]), 4))


def test_prediction_needs_the_images_alone(proba):
    clf = make().fit(GREY, LABELS)
    for item in (lambda i: GREY[i], lambda i: (GREY[i], 9, i), lambda i: {"image": GREY[i]}):
        np.testing.assert_allclose(clf.predict_proba(Rows(item)), proba, atol=1e-6)
    with pytest.raises(ValueError, match="gives images alone"):
        clf.score(Rows(lambda i: GREY[i]))


def test_lists_of_pairs(proba):
    pairs = [
        (torch.as_tensor(image)[None], label) for image, label in zip(GREY, LABELS, strict=True)
    ]
    clf = make(classes=None).fit(pairs)
    np.testing.assert_allclose(clf.predict_proba(pairs), proba, atol=1e-5)
    assert clf.score(pairs) == clf.score(GREY, LABELS)


def test_parts_by_hand():
    assert parts_of((1, 2)) == parts_of((1, 2, "box")) == (1, 2)
    assert parts_of({"x": 1, "y": 2}) == (1, 2)
    assert parts_of({"x": 1, "y": 2}, labelled=False) == (1, None)
    images, labels = collate([(GREY[0], "a"), (GREY[1], "b")])
    np.testing.assert_array_equal(images[:, 0], GREY[:2])
    assert labels.tolist() == ["a", "b"]


def test_colours_of_pil_images():
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    assert torch.equal(as_image(Image.fromarray(pixels)), torch.tensor(pixels).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            [np.zeros((28, 28)), np.zeros((30, 20))],
            r"got \(28, 28\) in row 0 and \(30, 20\) in row 1",
        ),
        ([torch.zeros(3, 9, 9), torch.zeros(1, 9, 9)], r"\(3, 9, 9\) in row 0 and \(1, 9, 9\)"),
        ([Image.new("L", (9, 8)), Image.new("L", (8, 9))], r"\(1, 8, 9\) in row 0 and \(1, 9, 8\)"),
        (Image.new("L", (9, 8)), r"got one PIL image. Pass `\[image\]`"),
        (np.zeros((2, 28, 28, 3)), r"got \(2, 28, 28, 3\), which looks like \(n, h, w, c\)"),
        (np.zeros((2, 28, 28, 1)), r"got \(2, 28, 28, 1\), which looks like \(n, h, w, c\)"),
    ],
)
def test_arrays_that_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        make(classes=None).fit(images, [0, 1])


def test_a_list_of_file_names_is_refused():
    with pytest.raises(TypeError, match=r"must hold pixels, got texts such as 'a\.png'"):
        make().fit(["a.png", "b.png"], [0, 1])


def test_skorchs_data_set_without_labels(proba):
    for images in (GREY, GREY[:, None]):
        alone = ArrayDataset(images)
        clf = make().fit(alone, LABELS)
        np.testing.assert_allclose(clf.predict_proba(alone), proba, atol=1e-5)
        for call in (clf.fit, clf.score):
            with pytest.raises(ValueError, match="gives images alone"):
                call(alone)


def test_lists_of_pil_images_and_tensors(proba):
    clf = make().fit(GREY, LABELS)
    tensors = [torch.as_tensor(image, dtype=torch.float32) for image in GREY]
    for images in ([Image.fromarray(image) for image in GREY], tensors):
        np.testing.assert_allclose(clf.predict_proba(images), proba, atol=1e-6)


# Orders -------------------------------------------------------------------------------------------


class Own(Sampler):
    """A sampler that draws with a function of the number of rows."""

    def __init__(self, draw):
        self.draw = draw

    def __len__(self):
        return 12

    def __iter__(self):
        return iter(self.draw(12))


def by_numpy(n):
    return np.random.permutation(n).tolist()  # noqa: NPY002


def by_python(n):
    return random.sample(range(n), n)


DATA = TensorDataset(torch.as_tensor(GREY[:, None]), torch.as_tensor(LABELS))
SHUFFLING = {
    "shuffle": {"shuffle": True},
    "weighted": {"sampler": WeightedRandomSampler(torch.ones(12), 12)},
    "subset": {"sampler": SubsetRandomSampler(range(12))},
    "batches": {"batch_sampler": BatchSampler(RandomSampler(DATA), 4, False)},
    "single rows": {"batch_size": None, "shuffle": True},
    "torch": {"sampler": Own(lambda n: torch.randperm(n).tolist())},
    "numpy": {"sampler": Own(by_numpy)},
    "python": {"batch_sampler": BatchSampler(Own(by_python), 5, False)},
    "distributed": {"sampler": torch.utils.data.DistributedSampler(DATA, 1, 0, shuffle=True)},
}


@pytest.mark.parametrize("options", SHUFFLING.values(), ids=SHUFFLING)
def test_loaders_that_shuffle(options):
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    with pytest.raises(ValueError, match=r"`X` is a DataLoader that shuffles.*`X\.dataset`"):
        check_in_order(DataLoader(DATA, **options))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
    assert random.getstate() == states[2]


IN_ORDER = {
    "plain": ({}, range(12)),
    "drop_last": ({"batch_size": 5, "drop_last": True}, range(10)),
    "sequential": ({"sampler": SequentialSampler(DATA)}, range(12)),
    "backwards": ({"sampler": Own(lambda n: range(n - 1, -1, -1))}, range(11, -1, -1)),
    "list of batches": ({"batch_sampler": [[3, 1], [0]]}, [3, 1, 0]),
    "list of rows": ({"sampler": [4, 4, 2], "batch_size": 2}, [4, 4, 2]),
    "batches": ({"batch_sampler": BatchSampler(SequentialSampler(DATA), 5, False)}, range(12)),
    "distributed": (
        {"sampler": torch.utils.data.DistributedSampler(DATA, 2, 1, shuffle=False)},
        range(1, 12, 2),
    ),
}


@pytest.mark.parametrize(("options", "rows"), IN_ORDER.values(), ids=IN_ORDER)
def test_predictions_are_of_the_rows_that_a_loader_yields(options, rows, proba):
    clf = make().fit(GREY, LABELS)
    found = clf.predict_proba(DataLoader(DATA, **options))
    np.testing.assert_allclose(found, proba[list(rows)], atol=1e-6)


def test_streams_and_samplers_that_are_used_up_are_in_order(proba):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(DATA)

    clf = make().fit(GREY, LABELS)
    np.testing.assert_allclose(clf.predict_proba(DataLoader(Stream(), 5)), proba, atol=1e-6)
    once = DataLoader(Subset(DATA, range(12)), sampler=iter(range(12)))
    np.testing.assert_allclose(clf.predict_proba(once), proba, atol=1e-6)


def test_a_shuffling_loader_is_scored_and_not_predicted():
    clf = make(max_epochs=20).fit(GREY, LABELS)
    loader = DataLoader(DATA, batch_size=5, shuffle=True)
    assert clf.score(loader) == clf.score(GREY, LABELS)
    for call in (clf.predict, clf.predict_proba, clf.forward):
        with pytest.raises(ValueError, match="is a DataLoader that shuffles"):
            call(loader)


@pytest.mark.parametrize("name", ["shuffle", "drop_last"])
def test_prediction_is_for_each_row_in_order(name):
    with pytest.raises(ValueError, match=f"`iterator_valid__{name}` must be left out"):
        make(**{f"iterator_valid__{name}": True}).fit(GREY, LABELS)
