"""Tables as text: a box a line, or, as ImageNet's challenge has them, an image a line."""

import csv
import io
import re
import warnings

import pandas as pd

from fmcam._text import printable, shown
from fmcam.datasets._box_files.content import text_of

__all__ = ["is_imagenet", "read", "read_imagenet"]

_IMAGE = (
    *("image", "imageid", "imagename", "imagepath", "img"),
    *("file", "filename", "filepath", "path"),
)
_LABEL = ("label", "labelname", "class", "classname", "category", "categoryname", "name")
_CORNERS = (
    ("x0", "y0", "x1", "y1"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("left", "top", "right", "bottom"),
)
_SIZES = (("width", "height"), ("imagewidth", "imageheight"), ("imgwidth", "imgheight"))
_MISSING = ("", "nan", "none", "null", "na", "n/a")
_IMAGENET = ["ImageId", "PredictionString"]
_NEEDED = "the columns image, x0, y0, x1, y1, and label, width and height where known"


def is_imagenet(line):
    """Whether the first line of a file is that of ImageNet's LOC_val_solution.csv."""
    return [name.strip(' "\r') for name in line.split(",")] == _IMAGENET


def read_imagenet(path):
    """Rows of a file such as LOC_val_solution.csv: groups of label, x0, y0, x1, y1 after an id."""
    header, *lines = text_of(path).splitlines()
    if not is_imagenet(header):
        raise ValueError(f"{path} must begin with {','.join(_IMAGENET)}, got {shown(header)}.")
    rows = []
    for number, line in enumerate(lines, start=2):
        image, _, groups = line.partition(",")
        fields = groups.strip(' "').split()
        if len(fields) % 5 or (fields and not image):
            raise ValueError(
                f"{path}, line {number} must be an id and groups of label, x0, y0, x1, y1, got "
                f"{shown(line)}."
            )
        boxes = [
            (fields[start], *_numbers(path, number, fields[start + 1 : start + 5]))
            for start in range(0, len(fields), 5)
        ]
        if image.strip():
            rows += [(image.strip(), *box, None, None) for box in boxes or [(None,) * 5]]
    return rows


def _numbers(path, line, texts):
    try:
        return [float(text) for text in texts]
    except ValueError:
        raise ValueError(f"{path}, line {line} must have numbers, got {shown(texts)}.") from None


def read(path):
    """Rows of a table with a line of names, or with lines of image, x0, y0, x1, y1, label.

    Names count without capitals, spaces and signs; commas, semicolons or tabs stand between. A line
    whose corners are empty is an image without a box.
    """
    table = _table(path, text_of(path))
    names = {re.sub(r"[\W_]", "", name.lower()): name for name in table.columns}
    if len(names) < len(table.columns):
        raise ValueError(f"{path} must have each column once, got {shown(list(table.columns))}.")
    image, label = (_one_of(path, names, known) for known in (_IMAGE, _LABEL))
    corners = next((four for four in _CORNERS if set(four) <= names.keys()), None)
    if image is None or corners is None:
        raise ValueError(
            f"{path} must have {_NEEDED}, got {shown(list(table.columns))}.{_hint(names)}"
        )
    sides = next((two for two in _SIZES if set(two) <= names.keys()), ())
    unknown = [None] * len(table)
    columns = [_column(path, table[names[name]]) for name in (*corners, *sides)]
    columns += [unknown] * (6 - len(columns))
    labels = _texts(table[label]) if label else unknown
    return list(zip(_texts(table[image]), labels, *columns, strict=True))


def _table(path, text):
    """All fields as text in columns by name."""
    first = next(line for line in text.splitlines() if line.strip())
    separator = max(",;\t", key=first.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=separator))]
    has_names = not (len(names) in (5, 6) and all(map(_may_be_corner, names[1:5])))
    if not has_names:
        names = ["image", "x0", "y0", "x1", "y1", "label"][: len(names)]
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            return pd.read_csv(
                io.StringIO(text),
                sep=separator,
                dtype=str,
                header=0 if has_names else None,
                names=names,
                index_col=False,
                keep_default_na=False,
                skipinitialspace=True,
            )
    except (ValueError, pd.errors.ParserWarning) as error:
        raise ValueError(f"{path} must be a table, but: {shown(str(error))}.") from error


def _may_be_corner(text):
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


def _one_of(path, names, known):
    """The only column that has one of the known names, None where there is none."""
    found = [names[name] for name in known if name in names]
    if len(found) > 1:
        raise ValueError(f"{path} must have one of the columns {found}, got all. Delete others.")
    return found[0] if found else None


def _hint(names):
    if {"x", "y"} <= names.keys():
        return " x, y is a corner for some tools and the centre for others: write both corners."
    return ""


def _texts(column):
    return [printable(text.strip()) or None for text in column.fillna("").tolist()]


def _column(path, column):
    """A column of numbers, NaN where one is missing."""
    texts = column.fillna("").str.strip()
    missing = texts.str.lower().isin(_MISSING)
    numbers = pd.to_numeric(texts.mask(missing), errors="coerce")
    wrong = numbers.isna() & ~missing
    if wrong.any():
        raise ValueError(
            f"{path}: {column.name} must be a number, got {shown(texts[wrong].iloc[0])} "
            f"({wrong.sum()} of {len(column)} lines)."
        )
    return numbers.tolist()
