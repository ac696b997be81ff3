"""The boxes of the gallery's pictures at each threshold, and the slider that goes through them."""

import json
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmcam.cli._report._text import element

__all__ = ["Boxes", "boxes_of", "runs", "slider_html"]

COLUMNS = ("file", "threshold", "x0", "y0", "x1", "y1", "iou")
_MOST = 101  # thresholds, so that the page grows by a few kB a picture at most
_HINT = (
    "White boxes are true, blue ones the method's. The slider moves the blue ones, to see what the "
    "threshold does. It is not a way to choose the one that you report: fit that on other images "
    "than you score. The numbers below are of the pictures of this gallery, those of all images "
    "are in the tables."
)
_HEADINGS = ("Method", "Pictures", "Threshold", "Mean IoU", "IoU ≥ 0.5")


@dataclass(frozen=True)
class Boxes:
    """Boxes of pictures at some thresholds.

    `thresholds` (t,) ascend; `of_file` has for each picture's file x0, y0, x1, y1 in half-open
    pixels of the picture, NaN for no box, and the IoU, NaN without a true box, of shape (t, 5).
    """

    thresholds: list[float]
    of_file: dict[str, NDArray[np.float64]]

    def place(self, row):
        """The place among the thresholds of the one that a row of the gallery names."""
        return self.thresholds.index(float(row["threshold"]))


def boxes_of(rows, frame):
    """Return the boxes of a gallery's pictures.

    Parameters
    ----------
    rows : list of dict of str to str
        Of ``gallery.csv``; `threshold` is the one that the row's IoU is of.
    frame : DataFrame
        Of ``gallery_boxes.csv``: one row a picture and threshold.

    Returns
    -------
    boxes : Boxes

    Raises
    ------
    ValueError
        If columns or pictures are missing, numbers are none, or pictures have other thresholds than
        each other or more than 101.
    """
    if missing := [name for name in COLUMNS if name not in frame]:
        raise ValueError(f"must have the columns {', '.join(COLUMNS)}, lacks {', '.join(missing)}")
    files = sorted({row["file"] for row in rows})
    frame = frame[frame["file"].isin(files)].sort_values(["file", "threshold"])
    numbers = frame[list(COLUMNS[1:])].apply(pd.to_numeric, errors="raise").to_numpy(float)
    thresholds = np.unique(numbers[:, 0])
    if len(thresholds) > _MOST:
        raise ValueError(f"must have at most {_MOST} thresholds, got {len(thresholds)}")
    pairs = pd.MultiIndex.from_product([files, thresholds])
    if not pairs.equals(pd.MultiIndex.from_arrays([frame["file"], numbers[:, 0]])):
        raise ValueError("must have one row for each picture of gallery.csv and each threshold")
    _check_numbers(numbers)
    fitted = pd.Series([row.get("threshold", "") for row in rows], dtype=str)
    unknown = fitted[~pd.to_numeric(fitted, errors="coerce").isin(thresholds)]
    if len(unknown):
        raise ValueError(
            f"must have the threshold of each row of gallery.csv, lacks {unknown.iloc[0]!r}"
        )
    each = numbers[:, 1:].reshape(len(files), len(thresholds), 5)
    return Boxes(thresholds.tolist(), dict(zip(files, each, strict=True)))


def _check_numbers(numbers):
    thresholds, corners, iou = numbers[:, 0], numbers[:, 1:5], numbers[:, 5]
    partly = np.isnan(corners).any(axis=1) & ~np.isnan(corners).all(axis=1)
    reversed_ = (corners[:, 2:] < corners[:, :2]).any(axis=1)
    if partly.any() or reversed_.any() or np.isinf(corners).any():
        raise ValueError("must have boxes x0, y0, x1, y1 with x0 <= x1 and y0 <= y1, or empty ones")
    if not ((thresholds >= 0) & (thresholds <= 1)).all() or (iou < 0).any() or (iou > 1).any():
        raise ValueError("must have thresholds and IoU in [0, 1]")


def runs(boxes):
    """Return boxes as JSON for the page: those that differ from the one before.

    Parameters
    ----------
    boxes : ndarray of shape (t, 5), float
        As in `Boxes`.

    Returns
    -------
    json : str
        A list of [place of the first threshold, IoU, x0, y0, x1, y1], without the corners for no
        box; the IoU is null without a true box.

    Examples
    --------
    >>> runs(np.array([[0, 0, 4, 2.5, 1], [0, 0, 4, 2.5, 1], [np.nan] * 4 + [0]]))
    '[[0,1,0,0,4,2.5],[2,0]]'
    """
    known = np.nan_to_num(boxes, nan=-1)
    starts = [0, *(np.flatnonzero((known[1:] != known[:-1]).any(axis=1)) + 1).tolist()]
    found = [[place, *map(_number, boxes[place][[4, 0, 1, 2, 3]])] for place in starts]
    told = [run if run[2] is not None else run[:2] for run in found]
    return json.dumps(told, separators=(",", ":"))


def _number(value):
    if np.isnan(value):
        return None
    return int(value) if value == int(value) else float(value)


def slider_html(rows, boxes):
    """Return the slider, and a table of methods that the page's script fills.

    Parameters
    ----------
    rows : list of dict of str to str
    boxes : Boxes

    Returns
    -------
    html : str
    """
    last = len(boxes.thresholds) - 1
    slide = {"type": "range", "min": 0, "max": last, "value": boxes.place(rows[0]), "id": "slide"}
    inside = "".join(f' {name}="{value}"' for name, value in slide.items())
    controls = [
        '<label for="slide">Threshold</label>',
        f"<input{inside}>",
        '<output for="slide">as fitted</output>',
        '<button type="reset">As fitted</button>',
    ]
    given = {"class": "threshold", "autocomplete": "off", "data-thresholds": boxes.thresholds}
    heads = [element("th", escape(name), {"scope": "col"}) for name in _HEADINGS]
    body = [_method(name, rows) for name in dict.fromkeys(row["method"] for row in rows)]
    head = element("thead", element("tr", "".join(heads)))
    table = element("table", head + element("tbody", "".join(body)))
    box = {"class": "scroll", "role": "region", "tabindex": 0, "aria-label": "At this threshold"}
    return "".join(
        [
            element("p", escape(_HINT), {"class": "hint"}),
            element("div", table, box | {"id": "at-threshold"}),
            element("form", "".join(controls), given),
        ]
    )


def _method(name, rows):
    fitted = sorted({float(row["threshold"]) for row in rows if row["method"] == name})
    text = str(fitted[0]) if len(fitted) == 1 else f"{fitted[0]} to {fitted[-1]}"
    cells = "<td></td>" * (len(_HEADINGS) - 1)
    head = element("th", escape(name), {"scope": "row"})
    return element("tr", head + cells, {"data-method": name, "data-fitted": text})
