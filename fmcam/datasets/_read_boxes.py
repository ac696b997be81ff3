"""Files of boxes, whatever their format, as one table."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import check_scalar

from fmcam._text import shown
from fmcam._typing import FilePath
from fmcam.datasets._box_files import coco, tables, voc, wsol
from fmcam.datasets._box_files.content import start_of
from fmcam.datasets._box_table import CORNERS

__all__ = ["read_boxes"]

_COLUMNS = ["image", "label", *CORNERS, "width", "height"]
_LARGEST = 2**31


class _Format(NamedTuple):
    read: Callable
    first: int  # number of the first pixel
    inclusive: bool | None


_FORMATS = {
    "coco": _Format(coco.read, 0, False),
    "voc": _Format(voc.read, 1, True),
    "csv": _Format(tables.read, 0, None),
    "imagenet": _Format(tables.read_imagenet, 0, True),
    "wsol": _Format(wsol.read, 0, True),
}


def read_boxes(
    path: FilePath, *, format: str | None = None, inclusive: bool | None = None
) -> pd.DataFrame:
    r"""Return the boxes in a file or folder as a table.

    ==========  ====================================================================================
    "coco"      COCO's JSON. `image` is `file_name`, `label` the category's name. Boxes of crowds
                (`iscrowd`), which COCO's evaluation ignores, are left out with a warning.
    "voc"       Pascal VOC's XML, a file or a folder of them. Each is named after its image. All
                objects count, `difficult` ones too; parts of objects do not.
    "csv"       A table with a line of names: image (or filename, path, ...), x0, y0, x1, y1 (or
                xmin, ymin, xmax, ymax; x1, y1, x2, y2; left, top, right, bottom), and label (or
                class, ...), width and height where known. Commas, semicolons or tabs stand between.
                Without such a line: image, x0, y0, x1, y1, label. Empty corners: no box.
    "imagenet"  `LOC_val_solution.csv` of the ImageNet challenge: ImageId and PredictionString.
    "wsol"      A folder of lists of wsolevaluation, such as `metadata/CUB/test`: `image_ids.txt`,
                `class_labels.txt`, `image_sizes.txt` and `localization.txt`; the last two may be
                empty. Of lists of masks, no boxes: see :func:`load_wsol`.
    ==========  ====================================================================================

    Parameters
    ----------
    path : str or path-like
        Text in UTF-8 or UTF-16, up to 2 GiB. What it says is not trusted: no other file is opened.
    format : {"coco", "voc", "csv", "imagenet", "wsol"}, default=None
        None: as the content tells.
    inclusive : bool, default=None
        Whether x1, y1 (in COCO x + width, y + height) is the last pixel of a box, and not the first
        one beyond; pixels then count from 0. None: as the format has it. Pascal VOC counts from 1,
        the last pixel in it, ImageNet and wsolevaluation from 0, the last one in it, COCO from 0,
        the last one not. Of CSV files this must be said: names such as xmax are used for both.

    Returns
    -------
    DataFrame
        One row a box, and one for each image that the file lists without a box, in the order of
        image, label and corners.

        image : str
            As the file names it, often a path; the folders of XML files are put in front.
        label : str
            Missing where the file has none.
        x0, y0, x1, y1 : float64
            In half-open pixels of the picture, x to the right, y down. NaN: no box.
        width, height : Int64
            Of the picture in pixels. Missing where the file does not say.

    Raises
    ------
    OSError
        If `path` is not there or cannot be opened.
    TypeError
        If `inclusive` is not None, True or False.
    ValueError
        If the file is not of its format, holds something other than numbers where numbers are
        needed, or `inclusive` is needed. Whether the boxes fit pictures is checked by
        :func:`load_boxed_images`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fmcam.datasets import read_boxes
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "boxes.csv"
    ...     _ = path.write_text("file,xmin,ymin,xmax,ymax,class\na.jpg,10,20,49,59,cat\n")
    ...     read_boxes(path, inclusive=True).drop(columns=["width", "height"])
       image label    x0    y0    x1    y1
    0  a.jpg   cat  10.0  20.0  50.0  60.0
    """
    path = Path(path)
    if inclusive is not None:
        check_scalar(inclusive, "inclusive", bool)
    if format is None:
        format = _format_of(path)
    elif not isinstance(format, str) or format not in _FORMATS:
        raise ValueError(f"`format` must be one of {list(_FORMATS)}, got {format!r}.")
    kind = _FORMATS[format]
    if inclusive is None and kind.inclusive is None:
        raise ValueError(
            f"{path}: a CSV file does not say whether x1, y1 is the last pixel of a box or the one "
            "beyond. Pass `inclusive=True` if it is the last one, else `inclusive=False`."
        )
    table = pd.DataFrame(kind.read(path), columns=_COLUMNS)
    _check_named(path, table["image"])
    table[CORNERS] = table[CORNERS].astype(float)
    _check_finite(path, table)
    for side in ("width", "height"):
        table[side] = _sides(path, table[side])
    first, inclusive = (kind.first, kind.inclusive) if inclusive is None else (0, inclusive)
    _check_first(path, table, first)
    table[CORNERS] += np.repeat([-first, bool(inclusive) - first], 2)
    return table.sort_values(_COLUMNS[:6], ignore_index=True)


def _format_of(path):
    """The format that the content of a path tells."""
    if path.is_dir():
        return "wsol" if all((path / name).exists() for name in wsol.FILES) else "voc"
    start = start_of(path)
    if start[:1] in ("{", "["):
        return "coco"
    if start[:1] == "<":
        return "voc"
    first = start.partition("\n")[0].strip()
    if tables.is_imagenet(first):
        return "imagenet"
    if any(separator in first for separator in ",;\t"):
        return "csv"
    raise ValueError(
        f"{path} must be JSON of COCO, XML of Pascal VOC or a table with commas, got a file that "
        f"begins with {shown(first, 50)}."
    )


def _check_named(path, images):
    if images.empty:
        raise ValueError(f"{path} holds no image.")
    if images.isna().any():
        raise ValueError(f"{path} must name the image of each row, {images.isna().sum()} do not.")


def _check_finite(path, table):
    """Raise an error for boxes that are partly missing, infinite or beyond all pictures."""
    corners = table[CORNERS].to_numpy()
    missing = np.isnan(corners)
    wrong = (missing.any(axis=1) & ~missing.all(axis=1)) | (np.abs(corners) >= _LARGEST).any(axis=1)
    if wrong.any():
        first = table[wrong].iloc[[0]]
        raise ValueError(
            f"{path}: a box must have four numbers below {_LARGEST:,}, got "
            f"{first[CORNERS].to_numpy()[0].tolist()} for {shown(first['image'].item())} "
            f"({wrong.sum()} of {len(table)} rows)."
        )


def _sides(path, column):
    """Widths or heights as Int64; 0, which tools write for an unknown one, is missing."""
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    wrong = (numbers.isna() & column.notna()) | (numbers % 1 != 0) & numbers.notna()
    wrong |= (numbers < 0) | (numbers >= _LARGEST)
    if wrong.any():
        raise ValueError(
            f"{path}: the {column.name} of a picture must be a whole number of pixels, got "
            f"{shown(column[wrong].tolist()[0])} ({wrong.sum()} of {len(column)} rows)."
        )
    return numbers.mask(numbers == 0).astype("Int64")


def _check_first(path, table, first):
    if (outside := (table[["x0", "y0"]] < first).any(axis=1)).any() and first:
        raise ValueError(
            f"{path}: Pascal VOC counts pixels from 1, and {outside.sum()} of {len(table)} boxes "
            f"begin at 0, such as that of {shown(table['image'][outside].iloc[0])}. Pass "
            "`inclusive=True` if the last pixel belongs to a box, as in ImageNet's files, else "
            "`inclusive=False`."
        )
