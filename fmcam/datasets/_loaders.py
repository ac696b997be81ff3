"""Data sets by name, and as torch loaders."""

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from fmcam.datasets._fashion_mnist import fetch_fashion_mnist
from fmcam.datasets._imagenette import fetch_imagenette
from fmcam.datasets._oxford_pets import fetch_oxford_pets
from fmcam.datasets._shapes import make_fashion_shapes

_SHAPES = {  # subset: number of images and seed
    "train": (6_000, 0),
    "test": (2_000, 1),
}


def load_dataset(name, subset="train", *, data_home=None):
    """Return a data set by its name on the command line.

    Parameters
    ----------
    name : {"fashion-mnist", "shapes", "imagenette", "pets"}
        :func:`fetch_fashion_mnist`; 6,000 training and 2,000 test images of
        :func:`make_fashion_shapes`, always the same; :func:`fetch_imagenette`;
        :func:`fetch_oxford_pets`.
    subset : {"train", "test"}, default="train"
        Which part. For Imagenette, which has no test images, "test" is its "val".
    data_home : str or path-like, default=None
        Folder of the data sets, see :func:`get_data_home`. "shapes" needs none.

    Returns
    -------
    sklearn.utils.Bunch
        images, target, target_names and DESCR, and what else the function named there returns.

    Raises
    ------
    OSError
        If the files are missing and cannot be downloaded.
    ValueError
        If `name` or `subset` is unknown, or a file is damaged.

    Examples
    --------
    >>> from fmcam.datasets import load_dataset
    >>> load_dataset("shapes", "test").images.shape
    (2000, 1, 28, 28)
    """
    if subset not in ("train", "test"):
        raise ValueError(f"`subset` must be 'train' or 'test', got {subset!r}.")
    match name:
        case "fashion-mnist":
            return fetch_fashion_mnist(data_home, subset)
        case "shapes":
            n_samples, seed = _SHAPES[subset]
            return make_fashion_shapes(n_samples, random_state=seed)
        case "imagenette":
            return fetch_imagenette(data_home, "val" if subset == "test" else "train")
        case "pets":
            return fetch_oxford_pets(data_home, subset)
    raise ValueError(
        f"The data set must be 'fashion-mnist', 'shapes', 'imagenette' or 'pets', got {name!r}."
    )


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
        See :func:`load_dataset`.
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
        load_dataset(dataset, subset, data_home=data_home) for subset in ("train", "test")
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
