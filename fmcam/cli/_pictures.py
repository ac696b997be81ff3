"""Pictures from files and data sets as a network sees them, and where they lie in the originals."""

from typing import NamedTuple

import numpy as np
from PIL import Image
from sklearn.utils import check_random_state

from fmcam._pictures import read_picture
from fmcam._placement import Placement
from fmcam.datasets import get_dataset, load_image_folder

__all__ = [
    "Picture",
    "draw_rows",
    "fetch_source",
    "label_names",
    "read_files",
    "read_photographs",
    "read_rows",
    "usual_fit",
]

NO_BOX = np.full(4, np.nan)


class Picture(NamedTuple):
    """A square that a network sees.

    Attributes
    ----------
    file : str
        Where it comes from.
    image : ndarray of shape (c, size, size), uint8
        Grey or colour.
    placement : Placement
        How it was made of the original.
    y_true : str or None
        Name of its class, where that is known.
    box_true : ndarray of shape (4,)
        x0, y0, x1, y1 of the object in half-open pixels of the square; NaN where it is not known.
    """

    file: str
    image: np.ndarray
    placement: Placement
    y_true: str | None = None
    box_true: np.ndarray = NO_BOX


def usual_fit(dataset):
    """How pictures become square, "crop" or "stretch", for a network of a data set, or of None."""
    return "stretch" if dataset == "pets" else "crop"


def read_files(paths, image_shape, fit):
    """The pictures in some files.

    Parameters
    ----------
    paths : sequence of str
    image_shape : tuple (c, size, size)
        Of the images that the network takes; with one channel pictures become grey.
    fit : {"crop", "stretch"}

    Returns
    -------
    list of Picture

    Raises
    ------
    ValueError
        If a file is no picture; it says which, and why.
    """
    pictures = []
    for path in paths:
        try:
            image, (width, height) = read_picture(path, image_shape[-1], fit)
        except ValueError as error:
            raise ValueError(f"{path} {error}") from error
        if image_shape[0] == 1:
            image = np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L"))[None]
        placement = Placement(width, height, image_shape[-1], fit)
        pictures.append(Picture(str(path), image, placement))
    return pictures


def read_photographs(found, image_shape, fit):
    """The pictures in files that `find_photographs` has found.

    Parameters
    ----------
    found : dict of Path to bool
        False: a file that is no picture is left out instead of being an error.
    image_shape, fit
        As for :func:`read_files`.

    Returns
    -------
    pictures : list of Picture
    left_out : list of str
        Files and reasons.

    Raises
    ------
    ValueError
        If a file that was named itself is no picture, or none is.
    """
    pictures, left_out = [], []
    for path, named in found.items():
        try:
            pictures += read_files([path], image_shape, fit)
        except ValueError as error:
            if named:
                raise
            left_out.append(str(error))
    if not pictures:
        raise ValueError(f"None of the {len(found)} photographs can be read: {left_out[0]}.")
    return pictures, left_out


def fetch_source(name, subset, *, size, fit, data_dir=None, folder=None, labels="folder"):
    """A data set as a Bunch.

    Parameters
    ----------
    name : str
        One of `fmcam.datasets.list_datasets`, or "folder".
    subset : {"train", "validation", "test"} or None
        Which part. None: all of a folder, of others "test".
    size, fit
        As for `fmcam.datasets.load_image`.
    data_dir : str or None
        The folder of the data sets.
    folder, labels
        As for `fmcam.datasets.load_image_folder`, where `name` is "folder".

    Returns
    -------
    sklearn.utils.Bunch
        As the data set's own function returns it, with `name`, to call images without files by.
    """
    if name == "folder":
        return load_image_folder(folder, size=size, fit=fit, labels=labels, subset=subset)
    subset = subset or "test"
    if subset == "validation":
        raise ValueError(
            f"{name} has no part called validation. Choose --subset train, or test for all others."
        )
    data = get_dataset(name, subset, data_home=data_dir, size=size, fit=fit)
    data.name = f"{name}-{subset}"
    return data


def label_names(data):
    """The name of each label in a data set."""
    labels = np.unique(data.target).tolist()
    return {
        label: label if isinstance(label, str) else data.target_names[label] for label in labels
    }


def draw_rows(data, n, seed):
    """`n` different rows of a data set at random.

    Raises
    ------
    ValueError
        If there are not as many.
    """
    if n > len(data.target):
        raise ValueError(f"--random {n}: there are only {len(data.target)} images.")
    return check_random_state(seed).choice(len(data.target), n, replace=False).tolist()


def read_rows(data, rows, image_shape, fit):
    """The pictures in some rows of a data set, with what it knows about them.

    Parameters
    ----------
    data : Bunch
        Of :func:`fetch_source`.
    rows : sequence of int
    image_shape, fit
        As for :func:`read_files`.

    Returns
    -------
    list of Picture

    Raises
    ------
    ValueError
        If there is no such row, or a file is no picture.
    """
    outside = [row for row in rows if not 0 <= row < len(data.target)]
    if outside:
        raise ValueError(
            f"--index: the images are numbered from 0 to {len(data.target) - 1}, got {outside}."
        )
    if "filenames" in data:
        pictures = read_files([data.root / data.filenames[row] for row in rows], image_shape, fit)
    else:
        side = data.images.shape[-1]
        whole = Placement(side, side, side, "crop")
        pictures = [Picture(f"{data.name}-{row}", data.images[row], whole) for row in rows]
    names = label_names(data)
    labels = data.target[list(rows)].tolist()
    boxes = data.boxes[list(rows)] if "boxes" in data else [NO_BOX] * len(labels)
    return [
        picture._replace(y_true=names[label], box_true=box)
        for picture, label, box in zip(pictures, labels, boxes, strict=True)
    ]
