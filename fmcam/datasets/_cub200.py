"""Caltech-UCSD Birds-200-2011: 11,788 photographs of 200 kinds of birds, with a box each."""

from functools import partial

import numpy as np
from sklearn.utils import Bunch

from fmcam._pictures import read_picture
from fmcam._placement import Placement, check_fit, place_boxes
from fmcam._typing import FilePath
from fmcam.datasets._archive import fetch_folder
from fmcam.datasets._base import RemoteFile, check_subset, get_data_home
from fmcam.datasets._decode import decode_published

_ARCHIVE = RemoteFile(
    "CUB_200_2011.tgz",
    "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
    "97eceeb196236b17998738112f37df78",
)

_SUBSETS = {"train": 1, "test": 0}  # what train_test_split.txt says

_DESCR = """\
Caltech-UCSD Birds-200-2011

5,994 training and 5,794 test photographs of 200 kinds of birds, with a box around the bird.
Published by Caltech: https://www.vision.caltech.edu/datasets/cub_200_2011/

Catherine Wah, Steve Branson, Peter Welinder, Pietro Perona, Serge Belongie. The Caltech-UCSD
Birds-200-2011 Dataset. Technical report CNS-TR-2011-001, California Institute of Technology, 2011.
"""


def fetch_cub200(
    data_home: FilePath | None = None,
    *,
    subset: str = "train",
    download_if_missing: bool = True,
    size: int = 224,
    fit: str = "stretch",
) -> Bunch:
    """Return the photographs, labels and boxes of Caltech-UCSD Birds-200-2011 [1]_.

    The files are downloaded if need be, 1.1 GB. They lie in `<data_home>/CUB_200_2011`, as the
    archive has them. The first call decodes them into the folder `fmcam/pictures` of the user's
    cache (`XDG_CACHE_HOME`, or `~/.cache`), which may be deleted at any time; later calls map that
    file into memory.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the data sets, see :func:`get_data_home`.
    subset : {"train", "test"}, default="train"
        The photographs that `train_test_split.txt` counts as training, or the others.
    download_if_missing : bool, default=True
        If False, a missing folder is an error.
    size : int, default=224
        Height and width of the images in pixels.
    fit : {"crop", "stretch"}, default="stretch"
        "stretch" resizes both sides to `size`, so that no part of a bird is lost. "crop" resizes
        the shorter side to `size` and takes the square in the centre.

    Returns
    -------
    sklearn.utils.Bunch
        images : memmap of shape (n, 3, size, size), uint8, 0..255
            Red, green and blue, read-only.
        target : ndarray of shape (n,), int64, 0..199
            Kind of each bird: the number in the list minus 1.
        target_names : list of str
            Name of each kind: `target_names[target[i]]`.
        boxes : ndarray of shape (n, 4), float64
            x0, y0, x1, y1 around the bird, in half-open pixels of the images, x to the right, y
            down, clipped to the image. NaN where "crop" cuts it off.
        filenames : ndarray of shape (n,), str
            Relative to `<data_home>/CUB_200_2011`, in the order of the list.
        placements : list of n Placement
            Where each image lies in its photograph.
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
        If an argument is out of its range, or a file is damaged.

    References
    ----------
    .. [1] Wah et al., "The Caltech-UCSD Birds-200-2011 Dataset", CNS-TR-2011-001, 2011.
       https://authors.library.caltech.edu/27452/

    Examples
    --------
    >>> from fmcam.datasets import fetch_cub200
    >>> birds = fetch_cub200(subset="test")  # doctest: +SKIP
    >>> birds.images.shape, birds.target_names[birds.target[0]]  # doctest: +SKIP
    ((5794, 3, 224, 224), 'Black footed Albatross')
    """
    check_subset(subset)
    check_fit(size, fit)
    folder = fetch_folder(
        get_data_home(data_home) / "CUB_200_2011",
        _ARCHIVE,
        "CUB-200-2011",
        download_if_missing=download_if_missing,
    )
    filenames, target, boxes = _listed(folder, _SUBSETS[subset])
    kinds = _read(folder / "classes.txt", str)
    read = partial(read_picture, size=size, fit=fit)
    pictures = decode_published(folder, filenames, read, (3, size, size))
    placements = [Placement(width, height, size, fit) for width, height in pictures.sizes.tolist()]
    return Bunch(
        images=pictures.images,
        target=target,
        target_names=[_name(kind) for (kind,) in kinds.values()],
        boxes=place_boxes(placements, boxes),
        filenames=np.array(filenames),
        placements=placements,
        root=folder,
        DESCR=_DESCR,
    )


def _listed(folder, is_wanted):
    """Names, labels from 0 and boxes of the photographs of a part."""
    names = _read(folder / "images.txt", str)
    labels, is_train = (
        _read(folder / file, int, names)
        for file in ("image_class_labels.txt", "train_test_split.txt")
    )
    corners = _read(folder / "bounding_boxes.txt", float, names, n_values=4)
    ids = [key for key in names if is_train[key] == [is_wanted]]
    x, y, width, height = np.array([corners[key] for key in ids]).reshape(-1, 4).T
    return (
        [f"images/{names[key][0]}" for key in ids],
        np.array([labels[key][0] for key in ids]) - 1,
        np.stack([x, y, x + width, y + height], axis=1),
    )


def _read(path, kind, images=None, *, n_values=1):
    """Values of each number in a list with lines of a number and its values."""
    found = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            key, *values = line.split(maxsplit=n_values)
            found[int(key)] = [kind(value) for value in values]
            if len(values) != n_values:
                raise ValueError(line)
        if images is not None and found.keys() != images.keys():
            raise ValueError(path)
    except ValueError as error:
        raise ValueError(
            f"{path} must have lines of a number and its values, {n_values} of each image. Delete "
            f"{path.parent} and fetch it again."
        ) from error
    return found


def _name(kind):
    """What a folder such as 001.Black_footed_Albatross is called without number and lines."""
    return kind.partition(".")[2].replace("_", " ")
