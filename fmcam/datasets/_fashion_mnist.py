"""Fashion-MNIST: 70,000 grey images of ten kinds of garment, 28 x 28 pixels."""

import gzip
import hashlib
import math
import shutil
from typing import NamedTuple

import numpy as np
from sklearn.utils import Bunch

from fmcam._files import DiskFullError, replacing
from fmcam._typing import FilePath
from fmcam.datasets._base import RemoteFile, check_subset, download, get_data_home

TARGET_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_DESCR = """\
Fashion-MNIST

60,000 training and 10,000 test images of ten kinds of garment, each class equally often: grey,
28 x 28 pixels, the item bright on black and filling the frame. Published by Zalando Research under
the MIT licence: https://github.com/zalandoresearch/fashion-mnist

Han Xiao, Kashif Rasul, Roland Vollgraf. Fashion-MNIST: a Novel Image Dataset for Benchmarking
Machine Learning Algorithms. 2017. https://arxiv.org/abs/1708.07747
"""

_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"


class _IdxFile(NamedTuple):
    """An IDX file, which is published compressed."""

    name: str
    n_dims: int
    md5: str
    archive: RemoteFile


def _idx_file(name, n_dims, md5, archive_md5):
    archive = RemoteFile(f"{name}.gz", f"{_URL}{name}.gz", archive_md5)
    return _IdxFile(name, n_dims, md5, archive)


_SUBSETS = {  # images, labels
    "train": (
        _idx_file(
            "train-images-idx3-ubyte",
            3,
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        ),
        _idx_file(
            "train-labels-idx1-ubyte",
            1,
            "9018921c3c673c538a1fc5bad174d6f9",
            "25c81989df183df01b3e8a0aad5dffbe",
        ),
    ),
    "test": (
        _idx_file(
            "t10k-images-idx3-ubyte",
            3,
            "8181f5470baa50b63fa0f6fddb340f0a",
            "bef4ecab320f06d8554ea6380940ec79",
        ),
        _idx_file(
            "t10k-labels-idx1-ubyte",
            1,
            "15d484375f8d13e6eb1aabb0c3f46965",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
}


def fetch_fashion_mnist(
    data_home: FilePath | None = None, *, subset: str = "train", download_if_missing: bool = True
) -> Bunch:
    """Return the images and labels of Fashion-MNIST [1]_, downloading them if need be.

    The files lie in `<data_home>/FashionMNIST/raw`, as in torchvision: a folder that torchvision
    filled works here, and the other way round.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the data sets, see :func:`get_data_home`.
    subset : {"train", "test"}, default="train"
        The 60,000 training or the 10,000 test images.
    download_if_missing : bool, default=True
        If False, a missing file is an error.

    Returns
    -------
    sklearn.utils.Bunch
        images : ndarray of shape (n, 1, 28, 28), uint8, 0..255
            The item is bright, the background 0.
        target : ndarray of shape (n,), int64, 0..9
            Class of each image.
        target_names : list of 10 str
            Name of each class.
        DESCR : str
            Description of the data set.

    Raises
    ------
    OSError
        If a file is missing and may not or cannot be downloaded.
    ValueError
        If `subset` is unknown, or a file is not byte for byte the published one.

    References
    ----------
    .. [1] Xiao, Rasul & Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
       Learning Algorithms", 2017. https://arxiv.org/abs/1708.07747

    Examples
    --------
    >>> from fmcam.datasets import fetch_fashion_mnist
    >>> fashion = fetch_fashion_mnist(subset="test")  # doctest: +SKIP
    >>> fashion.images.shape, fashion.target_names[fashion.target[0]]  # doctest: +SKIP
    ((10000, 1, 28, 28), 'Ankle boot')
    """
    check_subset(subset)
    folder = get_data_home(data_home) / "FashionMNIST" / "raw"
    images, target = (
        _load_idx(file, folder, download_if_missing=download_if_missing)
        for file in _SUBSETS[subset]
    )
    return Bunch(
        images=images[:, None],
        target=target.astype(np.int64),
        target_names=list(TARGET_NAMES),
        DESCR=_DESCR,
    )


def _load_idx(file, folder, *, download_if_missing):
    """Array that an IDX file holds, downloaded if need be, its checksum verified."""
    path = folder / file.name
    if not path.exists():
        if not download_if_missing:
            raise OSError(_missing(file, folder, "`download_if_missing` is False"))
        try:
            unpack(download(file.archive, folder), path)
        except DiskFullError:
            raise
        except OSError as error:
            raise OSError(_missing(file, folder, f"the download failed: {error}")) from error
    data = np.fromfile(path, dtype=np.uint8)
    array = _parse_idx(data, path, file.n_dims)
    got = hashlib.md5(data.data).hexdigest()
    if got != file.md5:
        raise _damaged(path, f"must have MD5 {file.md5}, got {got}")
    return array


def _missing(file, folder, reason):
    return (
        f"Fashion-MNIST needs {file.name}, which is not in {folder}, and {reason}. Set the "
        "environment variable FMCAM_DATA to the folder that holds FashionMNIST/raw, or use "
        "`make_fashion_shapes`, which works offline."
    )


def _damaged(path, problem):
    return ValueError(f"{path} {problem}. Delete the file and fetch it again.")


def unpack(archive, path):
    """Decompress `archive` beside `path`, then rename."""
    with (
        replacing(path, kept=f"{archive} is kept.") as beside,
        gzip.open(archive) as source,
        open(beside, "wb") as file,
    ):
        shutil.copyfileobj(source, file)


def _parse_idx(data, path, n_dims):
    """View of the bytes of an IDX file of uint8 as the array of `n_dims` dimensions it holds.

    IDX: two zero bytes, the type (8 is uint8), the number of dimensions, then each dimension as a
    big-endian 32-bit integer, then the values.
    """
    start = 4 + 4 * n_dims
    if len(data) < start:
        raise _damaged(path, f"must start with a header of {start} bytes, got {len(data)} in all")
    magic = bytes(data[:4])
    if magic != bytes([0, 0, 8, n_dims]):
        raise _damaged(path, f"must start with the bytes 0000080{n_dims}, got {magic.hex()}")
    shape = data[4:start].view(">u4").tolist()
    n_values = math.prod(shape)
    if len(data) - start != n_values:
        raise _damaged(path, f"must hold {n_values} values, got {len(data) - start}")
    return data[start:].reshape(shape)
