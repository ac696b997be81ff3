"""A folder of one's own photographs, labelled by folder or by file name."""

import os
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from fmcam.datasets._decode import decode_pictures
from fmcam.datasets._pictures import read_picture
from fmcam.datasets._placement import check_fit

# HEIC and AVIF are not read, and so get named instead of going missing.
_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".heic", ".heif", ".avif"),
)

_LAYOUTS = {
    "folder": "a folder for each class, such as cat/1.jpg",
    "name": "files named after class and number, such as cat_1.jpg",
}


def load_image_folder(folder, *, size=224, fit="crop", labels="folder"):
    """Return the pictures of a folder with their labels, and a table of files that are not read.

    The first call decodes the pictures into the folder `fmcam/pictures` of the user's cache
    (`XDG_CACHE_HOME`, or `~/.cache`), which may be deleted at any time; later calls map that file
    into memory. Files changed since are noticed.

    Parameters
    ----------
    folder : str or path-like
        Searched with all its subfolders for files whose names end like a picture's. Names that
        start with a dot are left out.
    size : int, default=224
        Height and width of the images in pixels.
    fit : {"crop", "stretch"}, default="crop"
        "crop" resizes the shorter side to `size` and takes the square in the centre. "stretch"
        resizes both sides to `size`.
    labels : {"folder", "name"}, default="folder"
        What a class is called: the topmost folder inside `folder` ("cat/indoors/1.jpg" is a cat),
        or the file's name up to its last underscore ("american_bulldog_10.jpg" is an
        american_bulldog).

    Returns
    -------
    sklearn.utils.Bunch
        images : memmap of shape (n, 3, size, size), uint8, 0..255
            Red, green and blue, read-only, see :func:`load_image`.
        target : ndarray of shape (n,), str
            Class of each image.
        target_names : list of str
            The classes, sorted.
        filenames : ndarray of shape (n,), str
            Relative to `folder`, sorted.
        unreadable : DataFrame
            `file`, relative to `folder`, and `reason` of each file with the name of a picture that
            cannot be read or has no label.
        DESCR : str
            Description of the data set.

    Raises
    ------
    OSError
        If `folder` is no folder, or the cache cannot be written to.
    TypeError, ValueError
        If an argument is out of its range, or no picture with a label can be read.

    Examples
    --------
    >>> from fmcam.datasets import load_image_folder
    >>> pets = load_image_folder("oxford-iiit-pet/images", labels="name")  # doctest: +SKIP
    >>> pets.target_names, len(pets.unreadable)  # doctest: +SKIP
    (['Abyssinian', 'Bengal', 'american_bulldog'], 0)
    """
    check_fit(size, fit)
    if labels not in _LAYOUTS:
        raise ValueError(f"`labels` must be 'folder' or 'name', got {labels!r}.")
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"`folder` must be a folder that exists, got {str(folder)!r}.")
    found = _picture_files(folder)
    label_of = _folder_label if labels == "folder" else _name_label
    named = {name: label for name in found if (label := label_of(name)) is not None}
    if not named:
        raise ValueError(_wrong_layout(folder, labels, found))
    filenames = np.array(list(named))
    read = partial(read_picture, size=size, fit=fit)
    pictures = decode_pictures(folder, list(named), read, (3, size, size))
    target = np.array(list(named.values()))[pictures.rows]
    unlabelled = [
        (name, f"is not where its label would be: {_LAYOUTS[labels]}")
        for name in found
        if name not in named
    ]
    return Bunch(
        images=pictures.images,
        target=target,
        target_names=np.unique(target).tolist(),
        filenames=filenames[pictures.rows],
        unreadable=pd.DataFrame(pictures.unreadable + unlabelled, columns=["file", "reason"]),
        DESCR=f"Photographs in {folder}, labelled by {labels}\n",
    )


def _picture_files(folder):
    """Names relative to `folder` of all files in it that are named like pictures, sorted."""
    found = []
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(parent, name).relative_to(folder).as_posix()
            for name in files
            if not name.startswith(".") and name.lower().endswith(_SUFFIXES)
        ]
    return sorted(found)


def _folder_label(name):
    top, _, rest = name.partition("/")
    return top if rest else None


def _name_label(name):
    label, _, _ = PurePosixPath(name).stem.rpartition("_")
    return label or None


def _wrong_layout(folder, labels, found):
    other = "name" if labels == "folder" else "folder"
    got = f"{len(found)} pictures elsewhere, such as {found[0]}" if found else "no pictures"
    return (
        f"{folder} must hold {_LAYOUTS[labels]}; got {got}. For {_LAYOUTS[other]}, pass "
        f"labels={other!r}."
    )
