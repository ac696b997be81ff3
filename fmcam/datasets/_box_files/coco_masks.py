"""The outlines in COCO's JSON: polygons, and run lengths down the columns, as text or numbers."""

import numpy as np

from fmcam._text import shown
from fmcam.datasets._box_files import coco

__all__ = ["draw", "read"]

_OBJECT, _IGNORED = 1, 255


def read(path):
    """Return the outlines of each image and label, and whether each is of a crowd.

    Returns
    -------
    dict of (str, str): list of (str, object, bool)
        The place in the file, for messages, the outline as it stands there, and `iscrowd`.
    """
    outlines: dict[tuple[str, str], list] = {}
    for place, image, label, annotation in coco.annotations(path):
        entry = (place, annotation.get("segmentation"), coco.is_crowd(place, annotation))
        outlines.setdefault((image, label), []).append(entry)
    return outlines


def draw(outlines, width, height):
    """Return a mask of outlines: 1 in an object, else 255 in a crowd, else 0.

    Parameters
    ----------
    outlines : list of (str, object, bool)
        Of one image, as :func:`read` has them.
    width, height : int
        Of the picture in pixels.

    Returns
    -------
    ndarray of shape (height, width), uint8
    """
    mask = np.zeros((height, width), dtype=np.uint8)
    for place, outline, is_crowd in sorted(outlines, key=lambda one: not one[2]):
        inside = _inside(place, outline, width, height)
        mask[inside] = _IGNORED if is_crowd else _OBJECT
    return mask


def _inside(place, outline, width, height):
    """Whether each pixel is inside an outline, of shape (height, width)."""
    if isinstance(outline, dict):
        return _of_runs(place, outline, width, height)
    if isinstance(outline, list) and outline:
        return _of_polygons(place, outline, width, height)
    raise ValueError(f"{place}: segmentation must be polygons or runs, got {shown(outline)}.")


def _of_runs(place, outline, width, height):
    """Runs of pixels outside and inside in turn, column by column."""
    if outline.get("size") != [height, width]:
        raise ValueError(
            f"{place}: the size of a segmentation must be that of the picture, {[height, width]}, "
            f"got {shown(outline.get('size'))}."
        )
    counts = outline.get("counts")
    try:
        runs = _runs_of_text(counts) if isinstance(counts, str) else counts
        valid = all(type(run) is int and run >= 0 for run in runs) and sum(runs) == height * width
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ValueError(
            f"{place}: the counts of a segmentation must be runs of {height * width} pixels "
            f"together, got {shown(counts)}."
        )
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return inside.reshape(width, height).T


def _runs_of_text(text):
    """The numbers of compressed runs: five bits a character, from the fourth on differences."""
    runs: list[int] = []
    number = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError(character)
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << shift
        runs.append(number + runs[-2] if len(runs) > 2 else number)
        number, shift = 0, 0
    if shift:
        raise ValueError(text)
    return runs


def _of_polygons(place, polygons, width, height):
    """What COCO's own code makes of polygons, which it would crash of were they not checked."""
    for polygon in polygons:
        if not _is_polygon(polygon, width, height):
            raise ValueError(
                f"{place}: a polygon must be three points or more, x, y, x, y and so on, in the "
                f"picture of {width} x {height} pixels, got {shown(polygon)}."
            )
    try:
        from pycocotools import mask
    except ImportError as error:
        raise ImportError(
            "Polygons of COCO are drawn by pycocotools, which is not installed: "
            "pip install 'fmcam[coco]'."
        ) from error
    drawn = mask.merge(mask.frPyObjects(polygons, height, width))
    return _of_runs(place, drawn | {"counts": drawn["counts"].decode()}, width, height)


def _is_polygon(polygon, width, height):
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        return False
    if not all(map(coco.is_number, polygon)):
        return False
    return all(-1 < x < width + 1 for x in polygon[::2]) and all(
        -1 < y < height + 1 for y in polygon[1::2]
    )
