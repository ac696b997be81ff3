"""Imagenette: 13,394 photographs of ten easily told classes of ImageNet."""

from functools import partial

import numpy as np
from sklearn.utils import Bunch

from fmcam._pictures import read_picture
from fmcam._placement import check_fit
from fmcam._typing import FilePath
from fmcam.datasets._archive import fetch_folder
from fmcam.datasets._base import RemoteFile, check_subset, get_data_home
from fmcam.datasets._decode import decode_published

_ARCHIVE = RemoteFile(
    "imagenette2-160.tgz",
    "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",
    "e793b78cc4c9e9a4ccc0c1155377a412",
)

_CLASSES = {  # folder: name
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}

_FOLDERS = {"train": "train", "test": "val"}  # by subset

_DESCR = """\
Imagenette

9,469 training and 3,925 validation photographs of ten classes of ImageNet that are easy to tell
apart, the shorter side 160 pixels. Published by fast.ai under the Apache licence 2.0, the
photographs for research only: https://github.com/fastai/imagenette

Jia Deng, Wei Dong, Richard Socher, Li-Jia Li, Kai Li, Li Fei-Fei. ImageNet: a Large-Scale
Hierarchical Image Database. CVPR 2009. https://doi.org/10.1109/CVPR.2009.5206848
"""


def fetch_imagenette(
    data_home: FilePath | None = None,
    *,
    subset: str = "train",
    download_if_missing: bool = True,
    size: int = 160,
    fit: str = "crop",
) -> Bunch:
    """Return the photographs and labels of Imagenette [1]_, downloading them if need be.

    The files lie in `<data_home>/imagenette2-160`, as in torchvision: a folder that torchvision
    filled works here, and the other way round. The first call decodes them into the folder
    `fmcam/pictures` of the user's cache (`XDG_CACHE_HOME`, or `~/.cache`), which may be deleted at
    any time; later calls map that file into memory.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the data sets, see :func:`get_data_home`.
    subset : {"train", "test"}, default="train"
        The 9,469 training photographs, or the 3,925 others, which Imagenette keeps in a folder
        called `val`.
    download_if_missing : bool, default=True
        If False, a missing folder is an error.
    size : int, default=160
        Height and width of the images in pixels.
    fit : {"crop", "stretch"}, default="crop"
        "crop" resizes the shorter side to `size` and takes the square in the centre. "stretch"
        resizes both sides to `size`.

    Returns
    -------
    sklearn.utils.Bunch
        images : memmap of shape (n, 3, size, size), uint8, 0..255
            Red, green and blue, read-only.
        target : ndarray of shape (n,), int64, 0..9
            Class of each image.
        target_names : list of 10 str
            Name of each class.
        filenames : ndarray of shape (n,), str
            Relative to `<data_home>/imagenette2-160`, sorted.
        root : Path
            The folder that `filenames` are relative to.
        DESCR : str
            Description of the data set.

    Raises
    ------
    OSError
        If the folder is missing and may not or cannot be downloaded, or the cache cannot be
        written to.
    TypeError, ValueError
        If an argument is out of its range, or the folder lacks a class or holds a damaged file.

    References
    ----------
    .. [1] Howard, "Imagenette", 2019. https://github.com/fastai/imagenette

    Examples
    --------
    >>> from fmcam.datasets import fetch_imagenette
    >>> imagenette = fetch_imagenette(subset="test", size=128)  # doctest: +SKIP
    >>> imagenette.images.shape, imagenette.target_names[0]  # doctest: +SKIP
    ((3925, 3, 128, 128), 'tench')
    """
    check_subset(subset)
    check_fit(size, fit)
    folder = fetch_folder(
        get_data_home(data_home) / "imagenette2-160",
        _ARCHIVE,
        "Imagenette",
        download_if_missing=download_if_missing,
    )
    filenames, target = _list_files(folder, _FOLDERS[subset])
    read = partial(read_picture, size=size, fit=fit)
    pictures = decode_published(folder, filenames, read, (3, size, size))
    return Bunch(
        images=pictures.images,
        target=target,
        target_names=list(_CLASSES.values()),
        filenames=np.array(filenames),
        root=folder,
        DESCR=_DESCR,
    )


def _list_files(folder, part):
    """Names relative to `folder`, and labels, both class by class."""
    filenames, target = [], []
    for label, wnid in enumerate(_CLASSES):
        files = sorted((folder / part / wnid).glob("*.JPEG"))
        if not files:
            raise ValueError(
                f"{folder / part / wnid} must hold the photographs of {_CLASSES[wnid]!r}, got "
                f"none. Delete {folder} and fetch it again."
            )
        filenames += [file.relative_to(folder).as_posix() for file in files]
        target += [label] * len(files)
    return filenames, np.array(target)
