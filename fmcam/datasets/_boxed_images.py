"""A folder of one's own photographs with the boxes that a file has of them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from fmcam._listing import Listing
from fmcam._matching import match_pictures
from fmcam._pictures import read_picture
from fmcam._placement import Placement, check_fit
from fmcam._text import printable
from fmcam.datasets._box_table import CORNERS, check_box_table, check_sizes
from fmcam.datasets._class_names import named_classes
from fmcam.datasets._decode import decode_pictures
from fmcam.datasets._masks import masks_of_folder, masks_of_outlines
from fmcam.datasets._read_boxes import read_boxes


def load_boxed_images(
    images: Any,
    boxes: pd.DataFrame,
    *,
    size: int = 224,
    fit: str = "stretch",
    masks: Any = None,
    class_names: Sequence[str] | None = None,
) -> Bunch:
    r"""Return the pictures of a folder with the boxes of what is in them.

    There is one row for each image and label, as localization with a known class asks for one: of a
    photograph with two dogs and a cat, the first row has both boxes of dogs, the second the cat's.
    The first call decodes the pictures into the folder `fmcam/pictures` of the user's cache
    (`XDG_CACHE_HOME`, or `~/.cache`), which may be deleted at any time; later calls map that file
    into memory.

    Parameters
    ----------
    images : str or path-like
        Folder, searched with all its subfolders.
    boxes : DataFrame, or str or path-like
        What :func:`read_boxes` returns, or a file that it reads with nothing more said. Columns
        image, x0, y0, x1, y1 in half-open pixels of the picture, and label, width and height where
        known. An image is named by its path inside `images`, a path that ends so, or the end of
        its path if no other ends alike, with or without what follows the last dot.
    size : int, default=224
        Height and width of the images in pixels.
    fit : {"crop", "stretch"}, default="stretch"
        "stretch" resizes both sides to `size`, so that no part of a box is lost. "crop" resizes the
        shorter side to `size` and takes the square in the centre, which boxes are clipped to; what
        lies outside is no box any more.
    masks : str or path-like, optional
        Folder of masks named after the images but for the endings, in a lossless format such as
        PNG: 0 (background) and one other value (object), 0, 1 and 255 (ignored), or trimaps of 1
        (object), 2 (background) and 3 (ignored), or of 0, 128 (ignored) and 255 (object). All
        masks together tell which it is. Or the COCO file that the boxes are from: its polygons,
        which pycocotools draws (extra `coco`), and runs, of all labels of an image where the boxes
        have none; crowds are ignored.
    class_names : sequence of k str, optional
        What the labels 0 to k-1 are called, or where the labels are these names themselves, their
        order. `target` is then of numbers.

    Returns
    -------
    sklearn.utils.Bunch
        images : memmap of shape (n, 3, size, size), uint8, 0..255
            Red, green and blue, read-only, see :func:`load_image`.
        target : ndarray of shape (n,), str, or with `class_names` int; None without labels
            Label of each row.
        target_names : list of str
            The labels, sorted, or `class_names`.
        boxes : ndarray of shape (n, k, 4), float64
            x0, y0, x1, y1 in half-open pixels of the images, k the most that a row has, the others
            filled up with NaN.
        masks : ndarray or memmap of shape (n, size, size), uint8; None without `masks`
            0 background, 1 object, 255 to be ignored; each pixel is the nearest one of the file.
        filenames : ndarray of shape (n,), str
            Relative to `images`, sorted; one with several labels is there for each.
        placements : list of n Placement
            Where each image lies in its picture, and the size of that.
        unreadable : DataFrame
            `file` and `reason` of each picture that is left out: it cannot be read, the boxes do
            not name it, or it has no label though others have one.
        root : Path
            The folder that `filenames` are relative to.
        DESCR : str
            Description of the data set.

    Raises
    ------
    OSError
        If `images` is no folder, or the cache cannot be written to.
    TypeError, ValueError
        If an argument is out of its range, or boxes are fractions, reversed, empty, outside their
        picture by a pixel or more, of a picture of another size, or of one that is not there or
        could be several; if masks are of another size, unknown values, or not one for each row.
    ImportError
        If polygons are to be drawn and pycocotools is not installed.

    Examples
    --------
    >>> from fmcam.datasets import load_boxed_images, read_boxes
    >>> table = read_boxes("instances_val2017.json")  # doctest: +SKIP
    >>> coco = load_boxed_images("val2017", table)  # doctest: +SKIP
    >>> coco.target[:2], coco.boxes.shape  # doctest: +SKIP
    (array(['bottle', 'cup'], dtype='<U14'), (14631, 60, 4))
    """
    check_fit(size, fit)
    root = Path(images)
    if not root.is_dir():
        raise NotADirectoryError(f"`images` must be a folder that exists, got {str(images)!r}.")
    table = check_box_table(boxes if isinstance(boxes, pd.DataFrame) else read_boxes(boxes))
    table, left_out = _of_pictures(table, Listing(root), root)
    rows = table.sort_values("row").drop_duplicates("row")
    labels, names = None, []
    if rows["label"].notna().all():
        labels, names = named_classes(rows["label"].to_numpy(str), class_names)
    read = partial(read_picture, size=size, fit=fit)
    pictures = decode_pictures(
        *(root, rows["file"].tolist(), read, (3, size, size)),
        check=lambda sizes: check_sizes(table, sizes[table["row"]]),
    )
    table = table[table["row"].isin(pictures.rows)]
    table["row"] = np.searchsorted(pictures.rows, table["row"])
    check_sizes(table, pictures.sizes[table["row"]])
    placements = [Placement(width, height, size, fit) for width, height in pictures.sizes.tolist()]
    unreadable = [*dict.fromkeys(pictures.unreadable), *left_out]
    return Bunch(
        images=pictures.images,
        target=None if labels is None else labels[pictures.rows],
        target_names=names,
        boxes=_placed(table, placements),
        masks=None if masks is None else _masks(Path(masks), rows.iloc[pictures.rows], placements),
        filenames=rows["file"].to_numpy(str)[pictures.rows],
        placements=placements,
        unreadable=pd.DataFrame(unreadable, columns=["file", "reason"]),
        root=root,
        DESCR=f"Photographs in {printable(root)} with boxes\n",
    )


def _of_pictures(table, found, root):
    """Boxes with the file they are of and its row, and names and reasons of what is left out."""
    files = match_pictures(table["image"], found.pictures, root)
    table = table.assign(file=table["image"].map(files))
    boxed = set(files.values())
    left_out = [*found.repeated]
    left_out += [(name, "is not among the boxes") for name in found.pictures if name not in boxed]
    unlabelled = table["label"].isna()
    if not unlabelled.all():
        labelled = table[~unlabelled]
        unknown = boxed - set(labelled["file"])
        left_out += [(name, "has no label") for name in sorted(unknown)]
        table = labelled
    row = table.groupby(["file", "label"], dropna=False).ngroup()
    return table.assign(row=row), left_out


def _masks(masks, rows, placements):
    """Masks of rows with the columns image, label and file."""
    if not masks.is_dir():
        return masks_of_outlines(masks, rows["image"], rows["label"], placements)
    if repeated := rows["file"][rows["file"].duplicated()].tolist():
        raise ValueError(
            f"{masks} must hold a mask for each label, got one for all {repeated[0]!r} has. Leave "
            "out the boxes of all labels but one, or pass a COCO file."
        )
    return masks_of_folder(masks, rows["file"], placements)


def _placed(table, placements):
    """Boxes of pictures as those of their squares, of shape (n, k, 4), filled up with NaN."""
    table = table.sort_values("row", kind="stable")
    ends = np.searchsorted(table["row"], np.arange(len(placements)), side="right")
    parts = np.split(table[CORNERS].to_numpy(), ends[:-1])
    placed = [placement.boxes(part) for placement, part in zip(placements, parts, strict=True)]
    left = [boxes[~np.isnan(boxes[:, 0])] for boxes in placed]
    padded = np.full((len(left), max(1, *map(len, left)), 4), np.nan)
    for row, boxes in zip(padded, left, strict=True):
        row[: len(boxes)] = boxes
    return padded
