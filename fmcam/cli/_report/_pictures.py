"""Figures that open large, and the gallery of single images with its filters."""

import math
from collections import Counter
from html import escape
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from fmcam.cli._report._folder import GALLERY_COLUMNS
from fmcam.cli._report._text import element, format_numbers, words
from fmcam.cli._report._threshold import runs, slider_html

__all__ = ["figures_html", "gallery_html"]

FIRST_PICTURES = 60
_MORE = {"type": "button", "class": "more", "value": FIRST_PICTURES, "hidden": ""}
FILTERS = {"y_true": "True class", "method": "Method", "error_type": "Error type"}


def figures_html(figures):
    """Return figures captioned by their file names.

    Parameters
    ----------
    figures : dict of str to Picture
        By file.

    Returns
    -------
    html : str
    """
    cards = []
    for name, picture in figures.items():
        title = words(PurePosixPath(name).stem)
        caption = f"{escape(title)} <code>{escape(name)}</code>"
        cards.append(_figure(picture, f"Figure: {title}", caption))
    return element("div", "".join(cards), {"class": "figures"})


def gallery_html(gallery, boxes=None):
    """Return pictures of single images with what is known about them, filters and a slider.

    The first are shown; the page's script sets the `src` of others when they are shown.

    Parameters
    ----------
    gallery : list of (dict of str to str, Picture)
        The columns of ``gallery.csv``, see `read_folder`.
    boxes : Boxes, optional
        Of the pictures; without them there is no slider.

    Returns
    -------
    html : str
    """
    rows = [row for row, _ in gallery]
    filters = [_filter(name, Counter(row[name] for row in rows)) for name in FILTERS]
    filters.append('<button type="reset">Show all</button>')
    filters.append(f"<output>{len(rows)} of {len(rows)} pictures</output>")
    ious = format_numbers(pd.to_numeric(pd.Series([row["iou"] for row in rows]), errors="coerce"))
    cards = [
        _card(row, iou, picture, boxes, shown=place < FIRST_PICTURES)
        for place, (iou, (row, picture)) in enumerate(zip(ious, gallery, strict=True))
    ]
    return "".join(
        [
            element("form", "".join(filters), {"class": "filters", "autocomplete": "off"}),
            slider_html(rows, boxes) if boxes else "",
            element("div", "".join(cards), {"class": "gallery"}),
            element("button", "Show more", _MORE),
        ]
    )


def _filter(name, counts):
    options = [
        element("option", escape(f"{value or '(none)'} ({count})"), {"value": value})
        for value, count in sorted(counts.items())
    ]
    select = element("select", "".join(["<option>All</option>", *options]), {"name": name})
    return element("label", f"{FILTERS[name]} {select}")


def _card(row, iou, picture, boxes, *, shown):
    wrong = "" not in (row["y_true"], row["y_pred"]) and row["y_true"] != row["y_pred"]
    known = {
        "True": row["y_true"],
        "Predicted": row["y_pred"] + " (wrong)" * wrong,
        "Method": row["method"],
        "IoU": iou if row["iou"] else "",
        "Error": row["error_type"],
    }
    more = {words(name): value for name, value in row.items() if name not in GALLERY_COLUMNS}
    facts = {name: value for name, value in (known | more).items() if value}
    alt = "Heatmap. " + ", ".join(f"{name}: {value}" for name, value in facts.items())
    attributes = {f"data-{name}": row[name] for name in FILTERS} | ({} if shown else {"hidden": ""})
    if wrong:
        attributes["class"] = "wrong"
    box = ""
    if boxes:
        of_picture, place = boxes.of_file[row["file"]], boxes.place(row)
        attributes |= {"data-boxes": runs(of_picture), "data-at": place}
        box = _box(picture, of_picture[place, :4])
    caption = _caption(facts, more)
    return _figure(picture, alt, caption, attributes, box, shown=shown)


def _caption(facts, more):
    """Facts as a list; by their classes the page's script finds what depends on the threshold."""
    scores = [name for name, value in more.items() if _is_number(value)]
    kinds = dict.fromkeys(["Error", *scores], "fitted") | {"IoU": "iou", "Threshold": "at"}
    pairs = []
    for name, value in facts.items():
        pair = element("dt", escape(name)) + element("dd", escape(value))
        pairs.append(element("div", pair, {"class": kinds[name]} if name in kinds else None))
    return element("dl", "".join(pairs))


def _box(picture, corners):
    """A box over a picture, which the page's script moves."""
    given = {"hidden": ""}
    if not np.isnan(corners).any():
        x0, y0, x1, y1 = corners.tolist()
        given = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
    size = {"viewBox": f"0 0 {picture.width} {picture.height}", "aria-hidden": "true"}
    return element("svg", element("rect", "", given), size)


def _figure(picture, alt, caption, attributes=None, box="", *, shown=True):
    size = f'width="{picture.width}" height="{picture.height}"'
    source = "src" if shown else "data-src"
    image = f'<img {source}="{picture.uri}" alt="{escape(alt)}" {size}>{box}'
    button = element("button", image, {"type": "button", "class": "enlarge", "title": "Enlarge"})
    return element("figure", button + element("figcaption", caption), attributes)


def _is_number(text):
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
