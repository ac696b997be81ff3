"""What stands beside weights in files of others: names of classes, mean and deviation, numbers."""

import warnings

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from fmcam.classifiers import CNNClassifier, load_classifier, save_classifier
from fmcam.models import LeNet5, get_preprocessing

NAMES = ["Rudo", "Baya", "Greg", "Yuki"]
RAW = {"mean": 0, "std": 1}
X = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 16), dtype=np.uint8)


def make(num_classes=4, in_channels=3):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(in_channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, num_classes),
    )  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plant_classifier_final.pth"


def save(path, **more):
    torch.save({"model_state_dict": make().state_dict(), **more}, path)


def proba(mean, std):
    mean, std = (torch.tensor(one, dtype=torch.float64).view(-1, 1, 1) for one in (mean, std))
    images = (torch.as_tensor(X) - mean) / std
    return make().eval()(images.float()).softmax(dim=1).detach().numpy()


# Names of classes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        {"class_names": NAMES},
        {"class_names": tuple(NAMES)},
        {"class_names": np.array(NAMES)},
        {"class_names": dict(enumerate(NAMES))},
        {"class_names": {str(number): name for number, name in enumerate(NAMES)}},
        {"class_names": {3: "Yuki", 1: "Baya", 0: "Rudo", 2: "Greg"}},
        {"class_to_idx": {name: number for number, name in enumerate(NAMES)}},
        {"class_to_idx": {name: torch.tensor(number) for number, name in enumerate(NAMES)}},
        {"idx_to_class": {np.int64(number): name for number, name in enumerate(NAMES)}},
        {"classes": NAMES},
        {"classes": [0, 1, 2, 3], "labels": NAMES},
    ],
    ids=str,
)
def test_names_are_read_whatever_they_are_kept_as(path, entry):
    save(path, **entry)
    clf = load_classifier(path, module=make, **RAW)
    assert clf.checkpoint_["class_names"] == NAMES
    assert clf.classes_.tolist() == [0, 1, 2, 3]


def test_folders_called_by_numbers_keep_the_order_of_their_names(path):
    names = sorted(map(str, range(12)))  # 0, 1, 10, 11, 2 and so on, as folders are listed
    weights = make(num_classes=12).state_dict()
    torch.save({"model": weights, "class_to_idx": {n: i for i, n in enumerate(names)}}, path)
    clf = load_classifier(path, module=make, **RAW)
    assert clf.checkpoint_["class_names"] == clf.classes_.tolist() == names


def test_sorted_names_are_the_classes(path):
    save(path, class_names=dict(enumerate(sorted(NAMES))))
    assert load_classifier(path, module=make, **RAW).classes_.tolist() == sorted(NAMES)
    clf = load_classifier(path, module=make, classes=[4, 5, 6, 7], **RAW)
    assert clf.classes_.tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize(
    "names", [NAMES[:3], [*NAMES, "Ivy"], ["Rudo"] * 4, {1: "a", 2: "b", 3: "c", 4: "d"}, 4]
)
def test_names_that_do_not_fit_are_told_and_left_out(path, names):
    save(path, class_names=names)
    with pytest.warns(UserWarning, match="needed are 4 different texts, one for each output"):
        clf = load_classifier(path, module=make, **RAW)
    assert clf.checkpoint_["class_names"] is None
    assert clf.classes_.tolist() == [0, 1, 2, 3]


def test_other_entries_may_be_called_the_same(path):
    save(path, labels=[0, 1, 1, 2, 0], names=["conv", "fc"], classes=4)
    clf = load_classifier(path, module=make, **RAW)
    assert "class_names" not in clf.checkpoint_


@pytest.mark.parametrize(
    ("epoch", "accuracy"),
    [
        (12, 75.0),
        ("12", 0.75),
        (np.int64(12), "75.00%"),
        (torch.tensor(12), np.float32(0.75)),
        (None, torch.tensor(75.0)),
    ],
)
def test_numbers_of_any_kind(path, epoch, accuracy):
    save(path, class_names=NAMES, epoch=epoch, val_acc=accuracy, test_acc=accuracy)
    found = load_classifier(path, module=make, **RAW).checkpoint_
    assert (found["epoch"], found["val_acc"]) == (epoch, accuracy)


# Mean and deviation -------------------------------------------------------------------------------


def test_where_nobody_says_a_warning_asks(path):
    save(path)
    message = r"final.pth does not say by which mean .*, so Sequential gets them as they are\. Pass"
    with pytest.warns(UserWarning, match=message) as caught:
        clf = load_classifier(path, module=make)
    assert caught[0].filename == __file__
    np.testing.assert_allclose(clf.predict_proba(X), proba([0.0], [1.0]), atol=1e-5)


@pytest.mark.parametrize(
    ("told", "mean", "std"),
    [
        (RAW, [0.0], [1.0]),
        ({"mean": 100, "std": 50.0}, [100.0], [50.0]),
        ({"mean": np.array([9, 8, 7.0]), "std": [1, 2, 3]}, [9.0, 8, 7], [1.0, 2, 3]),
        ({"preprocessing": "imagenet"}, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
        ({"preprocessing": "googlenet"}, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
    ],
)
def test_told_it_is_done_and_travels_on(path, told, mean, std):
    save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = load_classifier(path, module=make, **told)
    np.testing.assert_allclose(clf.predict_proba(X), proba(mean, std), atol=1e-5)
    save_classifier(clf, path)
    again = load_classifier(path, module=make)
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))


def test_what_is_given_counts_more_than_the_file(path):
    save(path, mean=[9.0] * 3, std=[2.0] * 3)
    clf = load_classifier(path, module=make, mean=100, std=50)
    np.testing.assert_allclose(clf.predict_proba(X), proba([100.0], [50.0]), atol=1e-5)


@pytest.mark.parametrize(
    "entry",
    [
        {"image_mean": [9.0, 8.0, 7.0], "image_std": [1.0, 2.0, 3.0]},
        {"pixel_mean": (9.0, 8.0, 7.0), "pixel_std": (1.0, 2.0, 3.0)},
        {"config": {"mean": [9.0, 8.0, 7.0], "std": [1.0, 2.0, 3.0]}},
        {"config": {"mean": torch.tensor([9.0, 8, 7]), "std": np.array([1.0, 2, 3])}},
        {"accuracy": {"mean": 0.7, "std": 0.1}, "args": {"mean": [9.0, 8, 7], "std": [1.0, 2, 3]}},
    ],
)
def test_other_words_for_them(path, entry):
    save(path, **entry)
    clf = load_classifier(path, module=make)
    np.testing.assert_allclose(clf.predict_proba(X), proba([9.0, 8, 7], [1.0, 2, 3]), atol=1e-5)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"mean": np.ones(3)}, "Pass both `mean` and `std`, or `preprocessing`, or none"),
        ({"std": 3}, "Pass both `mean` and `std`"),
        ({"preprocessing": "imagenet", **RAW}, "Pass both `mean` and `std`, or `preprocessing`"),
        (
            {"mean": [1, 2], "std": 3},
            r"`mean` and `std` given must be 3 numbers each.* got \[1, 2\]",
        ),
        ({"mean": 0, "std": 0}, "of `std` positive ones"),
        ({"preprocessing": "imagenette"}, "imagenette"),
    ],
)
def test_what_cannot_be(path, told, message):
    save(path)
    with pytest.raises(ValueError, match=message):
        load_classifier(path, module=make, **told)


@pytest.mark.parametrize(
    "told", [{"classes": [1, 2]}, {"key": "model"}, RAW, {"preprocessing": "imagenet"}]
)
def test_a_checkpoint_of_ours_says_all_itself(path, told):
    save_classifier(CNNClassifier.from_module(LeNet5(n_classes=2)), path)
    with pytest.raises(ValueError, match=f"which says all .*; got {', '.join(told)}. Leave"):
        load_classifier(path, **told)


def test_imagenet_is_what_torchvision_says():
    found = get_preprocessing("imagenet")
    recipe = torchvision.models.ResNet18_Weights.DEFAULT.transforms()
    np.testing.assert_allclose(found.mean / 255, recipe.mean)
    np.testing.assert_allclose(found.std / 255, recipe.std)
    assert (found.image_size, len(found.class_names)) == (224, 1000)
