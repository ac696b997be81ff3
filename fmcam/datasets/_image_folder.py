"""A folder of one's own photographs, labelled by folder or by file name."""

import re
import unicodedata
import warnings
from collections import defaultdict
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from fmcam._listing import Listing
from fmcam._pictures import read_picture
from fmcam._placement import check_fit
from fmcam._text import printable
from fmcam.datasets._decode import decode_pictures

_LAYOUTS = {
    "folder": "a folder for each class, such as cat/1.jpg",
    "name": "files named after class and number, such as cat_1.jpg",
}

_PARTS = re.compile(
    r"(train|training|trainval|val|valid|validation|test|testing|dev|eval)"
    r"([ _-]?(set|data|images|\d+))?",
    re.IGNORECASE,
)


def load_image_folder(folder, *, size=224, fit="crop", labels="folder"):
    r"""Return the pictures of a folder with their labels, and a table of files that are not read.

    The first call decodes the pictures into the folder `fmcam/pictures` of the user's cache
    (`XDG_CACHE_HOME`, or `~/.cache`), which may be deleted at any time; later calls map that file
    into memory. Files changed since are noticed.

    Parameters
    ----------
    folder : str or path-like
        Searched with all its subfolders for files whose names end like a picture's. Names that
        start with a dot are left out, and so is what a link shows once more.
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
            Class of each image. A byte of its name that is no UTF-8 is written ``\udc..``.
        target_names : list of str
            The classes, sorted.
        filenames : ndarray of shape (n,), str
            Relative to `folder`, sorted.
        root : Path
            The folder that `filenames` are relative to.
        unreadable : DataFrame
            `file`, relative to `folder`, and `reason` of each file with the name of a picture that
            cannot be read or has no label, of each link to what is there already, and of each
            folder right inside that holds no picture.
        DESCR : str
            Description of the data set.

    Raises
    ------
    OSError
        If `folder` is no folder, a folder in it cannot be listed, or the cache cannot be written
        to.
    TypeError, ValueError
        If an argument is out of its range, no picture with a label can be read, or folders are
        named like parts of a data set, such as train and val, instead of classes.

    Warns
    -----
    UserWarning
        If names of classes differ in capitals only.

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
    found = Listing(folder)
    label_of = _folder_label if labels == "folder" else _name_label
    named = {name: label for name in found.pictures if (label := label_of(name)) is not None}
    if not named:
        raise ValueError(_wrong_layout(folder, labels, found.pictures))
    if labels == "folder":
        _check_classes(folder, named)
    _warn_of_likes(set(named.values()))
    filenames = np.array(list(named))
    read = partial(read_picture, size=size, fit=fit)
    pictures = decode_pictures(folder, list(named), read, (3, size, size))
    target = np.array([printable(label) for label in named.values()])[pictures.rows]
    unreadable = pictures.unreadable + _left_out(found, named, labels)
    return Bunch(
        images=pictures.images,
        target=target,
        target_names=np.unique(target).tolist(),
        filenames=filenames[pictures.rows],
        unreadable=pd.DataFrame(unreadable, columns=["file", "reason"]),
        root=folder,
        DESCR=f"Photographs in {printable(folder)}, labelled by {labels}\n",
    )


def _folder_label(name):
    top, _, rest = name.partition("/")
    return top if rest else None


def _name_label(name):
    label, _, _ = PurePosixPath(name).stem.rpartition("_")
    return label or None


def _check_classes(folder, named):
    """Refuse the parts of a data set as classes, also where they lie in folders one in another."""
    folders = [PurePosixPath(name).parts[:-1] for name in named]
    while True:
        tops = sorted({names[0] for names in folders})
        if parts := [printable(name) for name in tops if _PARTS.fullmatch(name)]:
            raise ValueError(
                f"{printable(folder)} must hold {_LAYOUTS['folder']}; got what seems to be parts "
                f"of a data set: {', '.join(parts)}. Pass one of them, such as "
                f"{printable(folder / parts[0])}. If a class is called so, rename its folder."
            )
        if len(tops) > 1 or any(len(names) == 1 for names in folders):
            return
        folder, folders = folder / tops[0], [names[1:] for names in folders]


def _left_out(found, named, labels):
    """Names and reasons of what is not read, other than pictures that cannot be decoded."""
    unlabelled = [
        (name, f"is not where its label would be: {_LAYOUTS[labels]}")
        for name in found.pictures
        if name not in named
    ]
    empty = sorted(set(found.folders) - {name.partition("/")[0] for name in found.pictures})
    return unlabelled + found.repeated + [(name, "holds no picture") for name in empty]


def _warn_of_likes(labels):
    alike = defaultdict(list)
    for label in sorted(labels):
        alike[unicodedata.normalize("NFC", label).casefold()].append(printable(label))
    if several := [names for names in alike.values() if len(names) > 1]:
        warnings.warn(
            f"Classes differ in capitals or accents' encoding only: {several}. They are taken as "
            "different ones; rename them if they are not.",
            stacklevel=3,
        )


def _wrong_layout(folder, labels, found):
    other = "name" if labels == "folder" else "folder"
    got = f"{len(found)} pictures elsewhere, such as {found[0]}" if found else "no pictures"
    return (
        f"{folder} must hold {_LAYOUTS[labels]}; got {got}. For {_LAYOUTS[other]}, pass "
        f"labels={other!r}."
    )
