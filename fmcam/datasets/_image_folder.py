"""A folder of one's own photographs, labelled by folder or by file name."""

import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from fmcam._listing import Listing
from fmcam._pictures import read_picture
from fmcam._placement import check_fit
from fmcam._text import printable
from fmcam._typing import FilePath
from fmcam.datasets._class_names import named_classes
from fmcam.datasets._decode import decode_pictures
from fmcam.datasets._subsets import SUBSETS, is_subset_name, seem_parts, subsets_of

_LAYOUTS = {
    "folder": "a folder for each class, such as cat/1.jpg",
    "name": "files named after class and number, such as cat_1.jpg",
}
_WRAPPERS = ("images", "image", "imgs", "img", "jpegimages", "pictures", "photos", "photographs")


def load_image_folder(
    folder: FilePath,
    *,
    size: int = 224,
    fit: str = "crop",
    labels: Any = "folder",
    subset: str | None = None,
    class_names: Sequence[str] | None = None,
) -> Bunch:
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
        american_bulldog). Folders called train, val or test, or alike in other spellings, are no
        classes but parts of the data set: "train/cat/1.jpg" and "cat/train/1.jpg" are cats.
    subset : {"train", "validation", "test"} or None, default=None
        The part to load; None: all.
    class_names : sequence of k str, optional
        What the labels 0 to k-1 are called, as in "2_ab12.jpg"; where the labels are these names
        themselves, only their order. `target` is then of numbers.

    Returns
    -------
    sklearn.utils.Bunch
        images : memmap of shape (n, 3, size, size), uint8, 0..255
            Red, green and blue, read-only, see :func:`load_image`.
        target : ndarray of shape (n,), str, or with `class_names` int
            Class of each image. A byte of its name that is no UTF-8 is written ``\udc..``.
        target_names : list of str
            The classes, sorted, or `class_names`.
        subset : ndarray of shape (n,), str, or None
            The part that each image is in, "train", "validation" or "test"; None where folders do
            not say.
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
        If an argument is out of its range, no picture with a label can be read, a folder named like
        a part of a data set, such as test, lies among those of classes, one folder such as images
        holds the classes, or a label is not in `class_names`.

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
    _check_choices(labels, subset)
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"`folder` must be a folder that exists, got {str(folder)!r}.")
    found = Listing(folder)
    parts = subsets_of(found.pictures, folder) if found.pictures else None
    named, left_out = _labelled(folder, found, parts, labels)
    if subset is not None:
        named = {name: label for name, label in named.items() if parts and parts[name][0] == subset}
        _check_subset(folder, subset, named)
    filenames = np.array(list(named))
    read = partial(read_picture, size=size, fit=fit)
    pictures = decode_pictures(folder, list(named), read, (3, size, size))
    target = np.array([printable(label) for label in named.values()])[pictures.rows]
    target, target_names = named_classes(target, class_names)
    unreadable = pictures.unreadable + left_out
    return Bunch(
        images=pictures.images,
        target=target,
        target_names=target_names,
        subset=None if parts is None else _subset_of(filenames[pictures.rows], parts),
        filenames=filenames[pictures.rows],
        unreadable=pd.DataFrame(unreadable, columns=["file", "reason"]),
        root=folder,
        DESCR=f"Photographs in {printable(folder)}, labelled by {labels}\n",
    )


def _check_choices(labels, subset):
    if not isinstance(labels, str) or labels not in _LAYOUTS:
        raise ValueError(f"`labels` must be 'folder' or 'name', got {labels!r}.")
    if subset not in (None, *SUBSETS):
        raise ValueError(f"`subset` must be None or one of {SUBSETS}, got {subset!r}.")


def _labelled(folder, found, parts, labels):
    """The label of each picture by its name, and names and reasons of what is left out."""
    label_of = _folder_label if labels == "folder" else _name_label
    inside = {name: name for name in found.pictures}
    beside = []
    if parts is not None:
        inside = {name: rest for name, (subset, rest) in parts.items() if subset}
        beside = [(name, "lies in no part") for name, (subset, _) in parts.items() if not subset]
    named = {name: label for name, rest in inside.items() if (label := label_of(rest)) is not None}
    if not named:
        raise ValueError(_wrong_layout(folder, labels, found.pictures))
    if labels == "folder":
        _check_classes(folder, set(named.values()))
        _check_depth(folder, set(named.values()), list(inside.values()))
    _warn_of_likes(set(named.values()))
    return named, beside + _left_out(found, inside, named, labels)


def _subset_of(names, parts):
    return np.array([parts[name][0] for name in names])


def _check_subset(folder, subset, named):
    if not named:
        raise ValueError(
            f"{printable(folder)} must hold photographs of the part {subset!r}, such as "
            f"{subset}/cat/1.jpg; there are none."
        )


def _folder_label(name):
    top, _, rest = name.partition("/")
    return top if rest else None


def _name_label(name):
    label, _, _ = PurePosixPath(name).stem.rpartition("_")
    return label or None


def _check_classes(folder, labels):
    parts = labels if seem_parts(labels) else filter(is_subset_name, labels)
    if parts := sorted(map(printable, parts)):
        raise ValueError(
            f"{printable(folder)} must hold {_LAYOUTS['folder']}; got what seems to be parts of a "
            f"data set among the classes: {', '.join(parts)}. If a class is called so, rename its "
            "folder."
        )


def _check_depth(folder, labels, inside):
    """Raise a ValueError where the folders of classes seem to lie one folder deeper.

    `inside` are names of pictures inside their parts.
    """
    places = [PurePosixPath(name).parts for name in inside]
    below = {place[1] for place in places if len(place) > 2}
    alone = len(labels) == 1 and len(below) > 1 and all(len(place) > 2 for place in places)
    called = sorted(label for label in labels if label.lower() in _WRAPPERS)
    if called or alone:
        one = printable(called[0] if called else min(labels))
        if_class = (
            "a class is called so, rename its folder"
            if called
            else "it is the only class, move its pictures right into it"
        )
        raise ValueError(
            f"{printable(folder)} must hold {_LAYOUTS['folder']}; got {one}/..., which seems to "
            f"hold the classes or to be none. Move what is in {one} one folder up, or pass that "
            f"folder. If {if_class}."
        )


def _left_out(found, inside, named, labels):
    """Names and reasons of what is not read, other than pictures that cannot be decoded."""
    unlabelled = [
        (name, f"is not where its label would be: {_LAYOUTS[labels]}")
        for name in inside
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
