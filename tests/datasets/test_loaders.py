"""Data sets by name, and their torch loaders."""

import numpy as np
import pytest
import torch
from PIL import Image

from fmcam import datasets
from fmcam.classifiers import LeNet5Classifier
from fmcam.datasets import fetch_fashion_mnist, get_data_loaders, get_dataset
from tests.small_data import draw_imagenette


@pytest.fixture(scope="module")
def loaders():
    return get_data_loaders(64, dataset="shapes")


def tensors(loader):
    """All images and labels of one pass over a loader."""
    return [torch.cat(parts) for parts in zip(*loader, strict=True)]


def row_keys(images):
    return [image.tobytes() for image in np.asarray(images, dtype=np.float32)]


@pytest.mark.real_data
@pytest.mark.parametrize("subset", ["train", "test"])
def test_fashion_mnist_by_name(data_home, subset):
    named = get_dataset("fashion-mnist", subset, data_home=data_home)
    fetched = fetch_fashion_mnist(data_home, subset=subset)
    np.testing.assert_array_equal(named.images, fetched.images)
    np.testing.assert_array_equal(named.target, fetched.target)


def test_unknown_names():
    with pytest.raises(ValueError, match=r"no data set 'pet'. Did you mean 'pets'\?"):
        get_dataset("pet")
    with pytest.raises(
        ValueError, match="Known are canvas, cub200, fashion-mnist, imagenette, pets, shapes"
    ):
        get_dataset("xyz")
    with pytest.raises(ValueError, match=r"no data set \['pets'\]"):
        get_dataset(["pets"])
    with pytest.raises(ValueError, match="`subset` must be 'train' or 'test', got 'val'"):
        get_dataset("shapes", "val")


def test_photographs_come_in_the_size_asked_for_and_others_in_their_own(tmp_path, cache):
    draw_imagenette(tmp_path, {"val": 1})
    photographs = get_dataset("imagenette", "test", data_home=tmp_path, size=32)
    assert photographs.images.shape == (10, 3, 32, 32)
    assert get_dataset("shapes", size=32).images.shape[2:] == (28, 28)


def test_train_and_val_split_the_training_images(loaders):
    train = datasets.make_fashion_shapes(6000, random_state=0)
    fit, val = (tensors(loader) for loader in loaders[:2])
    split = row_keys(fit[0]) + row_keys(val[0])
    assert len(split) == len(set(split)) == 6000
    expected = dict(zip(row_keys(train.images / np.float32(255)), train.target, strict=True))
    assert dict(zip(split, torch.cat([fit[1], val[1]]).tolist(), strict=True)) == expected
    assert torch.bincount(val[1]).tolist() == [60] * 10  # a tenth of 600 each


def test_test_loader_keeps_images_scaled_and_in_order(loaders):
    test = datasets.make_fashion_shapes(2000, random_state=1)
    images, labels = tensors(loaders[2])
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    np.testing.assert_array_equal(images, test.images / np.float32(255))
    np.testing.assert_array_equal(labels, test.target)


def test_batches(loaders):
    for loader in loaders:
        *full, last = [len(labels) for _, labels in loader]
        assert set(full) == {64}
        assert last == len(loader.dataset) % 64


def test_order_follows_random_state_and_changes_with_each_epoch(loaders):
    torch.manual_seed(0)
    one = get_data_loaders(1000, dataset="shapes", random_state=1)
    torch.manual_seed(1)
    same = get_data_loaders(1000, dataset="shapes", random_state=1)
    first, second = tensors(one[0])[0], tensors(one[0])[0]
    assert torch.equal(first, tensors(same[0])[0])
    assert torch.equal(second, tensors(same[0])[0])
    assert not torch.equal(first, second)
    assert torch.equal(tensors(one[1])[0], tensors(same[1])[0])
    assert not torch.equal(tensors(one[1])[0], tensors(loaders[1])[0])  # random_state=0


def test_normalized_as_the_images_to_train_on(loaders):
    normalized = get_data_loaders(64, dataset="shapes", normalize=True)
    raw = tensors(loaders[0])[0].numpy()
    for known, loader in zip(loaders[1:], normalized[1:], strict=True):
        expected = (tensors(known)[0].numpy() - raw.mean()) / raw.std()
        np.testing.assert_allclose(tensors(loader)[0], expected, atol=1e-4)
    images, _ = tensors(normalized[0])
    assert images.mean().item() == pytest.approx(0, abs=1e-4)
    assert images.std().item() == pytest.approx(1, abs=1e-4)


def test_resized_as_pillow_does(loaders):
    resized = get_data_loaders(64, dataset="shapes", size=20)
    images, _ = tensors(resized[2])
    assert images.shape == (2000, 1, 20, 20)
    for image, known in zip(images[:5, 0], tensors(loaders[2])[0][:5, 0], strict=True):
        expected = Image.fromarray(known.numpy()).resize((20, 20), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(image, expected, atol=1e-5)
    with pytest.raises(ValueError, match="size == 0, must be >= 1"):
        get_data_loaders(64, dataset="shapes", size=0)


@pytest.mark.parametrize("val_fraction", [0, 1, -0.1])
def test_val_fraction_out_of_range(val_fraction):
    with pytest.raises(
        ValueError, match=f"`val_fraction` must lie between 0 and 1, got {val_fraction}"
    ):
        get_data_loaders(64, dataset="shapes", val_fraction=val_fraction)


def test_a_classifier_takes_the_loader():
    train, _, test = get_data_loaders(256, dataset="shapes")
    clf = LeNet5Classifier(max_epochs=1, random_state=0).fit(train)
    assert clf.classes_.tolist() == list(range(10))
    assert clf.predict(test).shape == (2000,)
