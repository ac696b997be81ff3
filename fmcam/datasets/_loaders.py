"""Data sets as torch loaders."""

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from fmcam.datasets._registry import get_dataset


def get_data_loaders(
    batch_size, *, dataset="fashion-mnist", data_home=None, val_fraction=0.1, random_state=0
):
    """Return torch loaders of the training, validation and test images.

    A batch is a pair of tensors: images of shape (n, 1, 28, 28), float32 in [0, 1], and labels of
    shape (n,), int64. The last batch of a loader may be smaller.

    Parameters
    ----------
    batch_size : int
        Images in a batch.
    dataset : {"fashion-mnist", "shapes"}, default="fashion-mnist"
        See :func:`get_dataset`.
    data_home : str or path-like, default=None
        Folder of the data sets, see :func:`get_data_home`.
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
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"`val_fraction` must lie between 0 and 1, got {val_fraction}.")
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    def loader(bunch, rows, **options):
        images = torch.from_numpy(bunch.images[rows].astype(np.float32) / 255)
        dataset = TensorDataset(images, torch.from_numpy(bunch.target[rows]))
        # Where torchvision's data sets have the labels
        setattr(dataset, "targets", bunch.target[rows])  # noqa: B010
        return DataLoader(dataset, batch_size, **options)

    rng = check_random_state(random_state)
    train, test = (
        get_dataset(dataset, subset, data_home=data_home) for subset in ("train", "test")
    )
    fit_rows, val_rows = train_test_split(
        np.arange(len(train.target)),
        test_size=val_fraction,
        stratify=train.target,
        random_state=rng,
    )
    generator = torch.Generator().manual_seed(int(rng.randint(2**31 - 1)))
    return (
        loader(train, fit_rows, shuffle=True, generator=generator),
        loader(train, val_rows),
        loader(test, slice(None)),
    )
