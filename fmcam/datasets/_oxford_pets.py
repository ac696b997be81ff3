"""Oxford-IIIT Pet: photographs of 37 breeds of cats and dogs, with outlines and heads."""

from functools import partial

import numpy as np
from PIL import Image
from sklearn.utils import Bunch

from fmcam._pictures import open_picture, read_picture
from fmcam._placement import Placement, check_fit, place_boxes
from fmcam._typing import FilePath
from fmcam.datasets._archive import fetch_folder
from fmcam.datasets._base import RemoteFile, check_subset, get_data_home
from fmcam.datasets._box_files import voc
from fmcam.datasets._decode import decode_published

_URL = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/"
_ARCHIVES = {  # folder: archive
    "images": RemoteFile(
        "images.tar.gz", f"{_URL}images.tar.gz", "5c4f3ee8e5d25df40f4fd59a7f44e54c"
    ),
    "annotations": RemoteFile(
        "annotations.tar.gz", f"{_URL}annotations.tar.gz", "95a8c909bbe2e81eed6a22bccdf3f68f"
    ),
}

_LISTS = {"train": "trainval.txt", "test": "test.txt"}

_BREEDS = (
    "Abyssinian",
    "American Bulldog",
    "American Pit Bull Terrier",
    "Basset Hound",
    "Beagle",
    "Bengal",
    "Birman",
    "Bombay",
    "Boxer",
    "British Shorthair",
    "Chihuahua",
    "Egyptian Mau",
    "English Cocker Spaniel",
    "English Setter",
    "German Shorthaired",
    "Great Pyrenees",
    "Havanese",
    "Japanese Chin",
    "Keeshond",
    "Leonberger",
    "Maine Coon",
    "Miniature Pinscher",
    "Newfoundland",
    "Persian",
    "Pomeranian",
    "Pug",
    "Ragdoll",
    "Russian Blue",
    "Saint Bernard",
    "Samoyed",
    "Scottish Terrier",
    "Shiba Inu",
    "Siamese",
    "Sphynx",
    "Staffordshire Bull Terrier",
    "Wheaten Terrier",
    "Yorkshire Terrier",
)

_IGNORED = 255
_MASK_OF_TRIMAP = np.full(256, _IGNORED, dtype=np.uint8)
_MASK_OF_TRIMAP[[1, 2]] = 1, 0  # foreground, background; 3 is the border

_DESCR = """\
Oxford-IIIT Pet

About 200 photographs of each of 37 breeds of cats and dogs, with the outline of the animal and, for
half of them, the box of its head. Published by the Visual Geometry Group, Oxford, under the licence
CC BY-SA 4.0: https://www.robots.ox.ac.uk/~vgg/data/pets/

Omkar M. Parkhi, Andrea Vedaldi, Andrew Zisserman, C. V. Jawahar. Cats and Dogs. CVPR 2012.
https://doi.org/10.1109/CVPR.2012.6248092
"""


def fetch_oxford_pets(
    data_home: FilePath | None = None,
    *,
    subset: str = "train",
    download_if_missing: bool = True,
    size: int = 224,
    fit: str = "stretch",
) -> Bunch:
    """Return the photographs, labels, masks and boxes of Oxford-IIIT Pet [1]_.

    The files are downloaded if need be. They lie in `<data_home>/oxford-iiit-pet`, as in
    torchvision: a folder that torchvision filled works here, and the other way round. The first
    call decodes them into the folder `fmcam/pictures` of the user's cache (`XDG_CACHE_HOME`, or
    `~/.cache`), which may be deleted at any time; later calls map that file into memory.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the data sets, see :func:`get_data_home`.
    subset : {"train", "test"}, default="train"
        The photographs listed in `trainval.txt`, or those in `test.txt`.
    download_if_missing : bool, default=True
        If False, a missing folder is an error.
    size : int, default=224
        Height and width of the images and masks in pixels.
    fit : {"crop", "stretch"}, default="stretch"
        "stretch" resizes both sides to `size`, so that no part of an animal is lost. "crop" resizes
        the shorter side to `size` and takes the square in the centre.

    Returns
    -------
    sklearn.utils.Bunch
        images : memmap of shape (n, 3, size, size), uint8, 0..255
            Red, green and blue, read-only.
        target : ndarray of shape (n,), int64, 0..36
            Breed of each image, as torchvision gives it: the number in the list minus 1. A folder
            that holds some breeds only leaves gaps.
        target_names : list of 37 str
            Name of each breed, whether the folder holds it or not: `target_names[target[i]]`.
        masks : memmap of shape (n, size, size), uint8
            0 background, 1 animal, 255 to be ignored: its border. Each pixel is the nearest one of
            the published trimap. Read-only.
        boxes : ndarray of shape (n, 4), float64
            Tight box x0, y0, x1, y1 around the 1 of each mask, in half-open pixels of the images, x
            to the right, y down. NaN where a mask has no 1.
        head_boxes : ndarray of shape (n, 4), float64
            Box of the head, the largest where several are published, likewise. NaN where none is,
            as for all of the test list, or where "crop" cuts it off.
        filenames : ndarray of shape (n,), str
            Relative to `<data_home>/oxford-iiit-pet`, in the order of the list.
        root : Path
            The folder that `filenames` are relative to.
        DESCR : str
            Description of the data set.

    Raises
    ------
    OSError
        If a file is missing and may not or cannot be downloaded, or the cache cannot be written to.
    TypeError, ValueError
        If an argument is out of its range, or a file is damaged.

    References
    ----------
    .. [1] Parkhi, Vedaldi, Zisserman & Jawahar, "Cats and Dogs", CVPR 2012.
       https://doi.org/10.1109/CVPR.2012.6248092

    Examples
    --------
    >>> from fmcam.datasets import fetch_oxford_pets
    >>> pets = fetch_oxford_pets(subset="test", size=160)  # doctest: +SKIP
    >>> pets.images.shape[1:], pets.target_names[pets.target[0]]  # doctest: +SKIP
    ((3, 160, 160), 'Abyssinian')
    """
    check_subset(subset)
    check_fit(size, fit)
    folder = get_data_home(data_home) / "oxford-iiit-pet"
    for name, archive in _ARCHIVES.items():
        fetch_folder(
            folder / name, archive, "Oxford-IIIT Pet", download_if_missing=download_if_missing
        )
    ids, target = _read_list(folder / "annotations" / _LISTS[subset])
    filenames = [f"images/{name}.jpg" for name in ids]
    trimaps = [f"annotations/trimaps/{name}.png" for name in ids]
    read, read_trimap = (partial(f, size=size, fit=fit) for f in (read_picture, _read_trimap))
    pictures = decode_published(folder, filenames, read, (3, size, size))
    masks = decode_published(folder, trimaps, read_trimap, (size, size)).images
    placements = [Placement(width, height, size, fit) for width, height in pictures.sizes.tolist()]
    heads = [_head_box(folder / "annotations" / "xmls" / f"{name}.xml") for name in ids]
    return Bunch(
        images=pictures.images,
        target=target,
        target_names=list(_BREEDS),
        masks=masks,
        boxes=np.array([_box_around(mask == 1) for mask in masks], dtype=float),
        head_boxes=place_boxes(placements, heads),
        filenames=np.array(filenames),
        root=folder,
        DESCR=_DESCR,
    )


def _read_list(path):
    """Names and labels from a list with lines of name, label from 1, species and breed of it."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
        names, labels = zip(*((name, int(label)) for name, label, _, _ in lines), strict=True)
    except ValueError as error:
        raise ValueError(
            f"{path} must have lines such as 'Abyssinian_100 1 1 1'. Delete {path.parent} and "
            "fetch it again."
        ) from error
    return names, np.array(labels) - 1


def _read_trimap(path, size, fit):
    """Return the mask of a trimap, of shape (size, size), and its original width and height."""
    with open_picture(path) as image:
        mask = _MASK_OF_TRIMAP[np.asarray(image)]
        height, width = mask.shape
        return Placement(width, height, size, fit).mask(mask), (width, height)


def _head_box(path):
    """The largest box in half-open pixels of the picture; Pascal VOC has the last pixel from 1."""
    if not path.exists():
        return [np.nan] * 4
    try:
        boxes = [corners for _, _, *corners, _, _ in voc.read_file(path)]
        x0, y0, x1, y1 = max(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
    except (TypeError, ValueError) as error:  # of a file without boxes they are None
        raise ValueError(
            f"{path} must have an `object` with a `bndbox`. Delete {path.parent.parent} and fetch "
            "it again."
        ) from error
    return [x0 - 1, y0 - 1, x1, y1]


def _box_around(mask):
    return Image.fromarray(mask).getbbox() or [np.nan] * 4
