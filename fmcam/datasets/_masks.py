"""Masks of pictures that are files of their own, or outlines in COCO's JSON."""

from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from fmcam._listing import Listing
from fmcam._masks import check_masks
from fmcam._matching import match_pictures
from fmcam._pictures import open_picture
from fmcam._placement import Placement
from fmcam._text import shown
from fmcam.datasets._box_files import coco_masks
from fmcam.datasets._decode import decode_pictures

__all__ = ["masks_of_folder", "masks_of_outlines", "values_of_masks"]

_TRIMAPS = {  # values: 0 background, 1 object, 255 ignored
    (1, 2, 3): (1, 0, 255),
    (0, 128, 255): (0, 255, 1),
}


def masks_of_folder(folder, filenames, placements):
    """Return the masks of pictures, which have the same names but for the endings.

    Parameters
    ----------
    folder : str or path-like
        Of files in a lossless format such as PNG.
    filenames : sequence of n str
    placements : list of n Placement

    Returns
    -------
    ndarray of shape (n, size, size), uint8
        0 background, 1 object, 255 ignored; each pixel is the nearest one of the file.
    """
    stems = [str(PurePosixPath(name).with_suffix("")) for name in filenames]
    files = match_pictures(stems, Listing(Path(folder)).pictures, folder)
    names = [files[stem] for stem in stems]
    values, found = values_of_masks(Path(folder), names, placements)
    meanings = _meanings(found, folder)
    return values if meanings[found].tolist() == found else meanings[values]


def values_of_masks(folder, files, placements):
    """Return the values of masks, and those that are in their files.

    Parameters
    ----------
    folder : pathlib.Path
    files : list of n str
    placements : list of n Placement
        Of the pictures, which must have the size of their masks.

    Returns
    -------
    values : memmap of shape (n, size, size), uint8
    found : list of int
        Sorted. Some may be in no square: thin lines between its pixels, what a crop leaves out.
    """
    size, fit = placements[0].size, placements[0].fit
    read = partial(_read_values, size=size, fit=fit)
    check = partial(_check_sizes, folder, files, placements)
    masks = decode_pictures(folder, files, read, (size, size), check)
    for name, reason in masks.unreadable:
        raise ValueError(f"{folder / name} {reason}.")
    _check_sizes(folder, files, placements, masks.sizes)
    return masks.images, sorted({value for (found,) in masks.facts for value in found})


def _check_sizes(folder, files, placements, sizes):
    for name, place, (width, height) in zip(files, placements, sizes.tolist(), strict=True):
        if not np.isnan(width) and (width, height) != (place.width, place.height):
            raise ValueError(
                f"{folder / name} must have the {place.width} x {place.height} pixels of its "
                f"picture, got {width:.0f} x {height:.0f}."
            )


def _read_values(path, size, fit):
    """Return the square of a mask, (size, size), and its width, height and values."""
    with open_picture(path) as image:
        image.load()
    if image.mode in ("RGB", "RGBA", "LA", "PA"):
        image = _grey(image)
    if image.mode not in ("1", "L", "P"):
        raise ValueError(f"must have values from 0 to 255 as a mask, its mode is {image.mode}")
    values = np.asarray(image).astype(np.uint8)
    height, width = values.shape
    found = np.unique(values).tolist()
    return Placement(width, height, size, fit).mask(values), (width, height, found)


def _grey(image):
    """A grey and opaque image that is stored as one of colours."""
    red, green, blue, alpha = image.convert("RGBA").split()
    if red.tobytes() != green.tobytes() or red.tobytes() != blue.tobytes():
        raise ValueError("must be grey as a mask, it has colours")
    if alpha.getextrema() != (255, 255):
        raise ValueError("must be opaque as a mask")
    return red


def _meanings(found, folder):
    """Return what each value means, of shape (256,), as all that are found tell together."""
    table = np.zeros(256, dtype=np.uint8)
    try:
        meaning = _TRIMAPS.get(tuple(found)) or check_masks(np.array([[found]], np.uint8))[0, 0]
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    table[found] = meaning
    return table


def masks_of_outlines(path, names, labels, placements):
    """Return the masks of outlines in a COCO file, of the images and labels of each row.

    Where a row has no label, of all in its image. Crowds are ignored, 255.
    """
    outlines = coco_masks.read(path)
    for (name, _), of_label in list(outlines.items()):
        outlines.setdefault((name, None), []).extend(of_label)
    masks = []
    for name, label, place in zip(names, labels, placements, strict=True):
        if (name, label) not in outlines:
            what = "" if label is None else f" of {label!r}"
            raise ValueError(f"{path} must have an outline{what} in {shown(name)}.")
        masks.append(place.mask(coco_masks.draw(outlines[name, label], place.width, place.height)))
    return np.array(masks)
