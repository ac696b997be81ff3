"""Data sets as torch loaders."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, check_scalar

from fmcam._typing import FilePath, RandomState
from fmcam.datasets._registry import get_dataset


def get_data_loaders(
    batch_size: int,
    *,
    dataset: str = "fashion-mnist",
    data_home: FilePath | None = None,
    size: int | None = None,
    normalize: bool = False,
    val_fraction: float = 0.1,
    random_state: RandomState = 0,
) -> Any:
    """Return torch loaders of the training, validation and test images.

    A batch is a pair of tensors: images of shape (n, c, h, w), float32 in [0, 1], for Fashion-MNIST
    (n, 1, 28, 28), and labels of shape (n,), int64. The last batch of a loader may be smaller.

    Parameters
    ----------
    batch_size : int
        Images in a batch.
    dataset : str, default="fashion-mnist"
        See :func:`get_dataset`.
    data_home : str or path-like, default=None
        Folder of the data sets, see :func:`get_data_home`.
    size : int, default=None
        Height and width that the images are resized to, bilinear; None: they keep theirs. For
        photographs and canvases see :func:`get_dataset`.
    normalize : bool, default=False
        Whether each channel gets mean 0 and standard deviation 1, as the images in `train` have
        them; validation and test images get the same shift and scale. The classifiers of fmcam
        learn that on their own.
    val_fraction : float in (0, 1), default=0.1
        Share of the training subset held out for validation, the same of each class.
    random_state : int, RandomState instance or None, default=0
        Draws the split and the order of the training images, new in each epoch. An int gives the
        same split and orders at every call; the global torch seed has no part in it.

    Returns
    -------
    train, val, test : torch.utils.data.DataLoader
        Only `train` is shuffled.

    Raises
    ------
    OSError
        If Fashion-MNIST is missing and cannot be downloaded.
    ValueError
        If an argument is out of its range, or a file is damaged.

    Examples
    --------
    >>> from fmcam.datasets import get_data_loaders
    >>> train, val, test = get_data_loaders(64, dataset="shapes")
    >>> len(train.dataset), len(val.dataset), len(test.dataset)
    (5400, 600, 2000)
    >>> images, labels = next(iter(get_data_loaders(64, dataset="shapes", size=32)[0]))
    >>> images.shape
    torch.Size([64, 1, 32, 32])
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"`val_fraction` must lie between 0 and 1, got {val_fraction}.")
    if size is not None:
        check_scalar(size, "size", Integral, min_val=1)
    import torch
    from torch.nn import functional
    from torch.utils.data import DataLoader, TensorDataset

    def images_of(bunch, rows):
        images = torch.from_numpy(bunch.images[rows].astype(np.float32) / 255)
        if size is None or images.shape[2:] == (size, size):
            return images
        return functional.interpolate(images, (size, size), mode="bilinear", antialias=True)

    def loader(images, target, **options):
        dataset = TensorDataset(images, torch.from_numpy(target))
        # Where torchvision's data sets have the labels
        setattr(dataset, "targets", target)  # noqa: B010
        return DataLoader(dataset, batch_size, **options)

    rng = check_random_state(random_state)
    train, test = (
        get_dataset(dataset, subset, data_home=data_home, size=size) for subset in ("train", "test")
    )
    fit_rows, val_rows = train_test_split(
        np.arange(len(train.target)),
        test_size=val_fraction,
        stratify=train.target,
        random_state=rng,
    )
    parts = [(train, fit_rows), (train, val_rows), (test, slice(None))]
    images = [images_of(*part) for part in parts]
    if normalize:
        std, mean = torch.std_mean(images[0], dim=(0, 2, 3), keepdim=True, correction=0)
        images = [(one - mean) / std for one in images]
    labels = [bunch.target[rows] for bunch, rows in parts]
    generator = torch.Generator().manual_seed(int(rng.randint(2**31 - 1)))
    return (
        loader(images[0], labels[0], shuffle=True, generator=generator),
        loader(images[1], labels[1]),
        loader(images[2], labels[2]),
    )
