"""Figures that open large, and the gallery of single images with its filters."""

from collections import Counter
from html import escape
from pathlib import PurePosixPath

import pandas as pd

from fmcam.cli._report._folder import GALLERY_COLUMNS
from fmcam.cli._report._text import element, format_numbers, words

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


def gallery_html(gallery):
    """Return pictures of single images with what is known about them, and filters for them.

    The first are shown; the page's script sets the `src` of others when they are shown.

    Parameters
    ----------
    gallery : list of (dict of str to str, Picture)
        The columns of ``gallery.csv``, see `read_folder`.

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
        _card(row, iou, picture, shown=place < FIRST_PICTURES)
        for place, (iou, (row, picture)) in enumerate(zip(ious, gallery, strict=True))
    ]
    return "".join(
        [
            element("form", "".join(filters), {"class": "filters", "autocomplete": "off"}),
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


def _card(row, iou, picture, *, shown):
    wrong = "" not in (row["y_true"], row["y_pred"]) and row["y_true"] != row["y_pred"]
    facts = {
        "True": row["y_true"],
        "Predicted": row["y_pred"] + " (wrong)" * wrong,
        "Method": row["method"],
        "IoU": iou if row["iou"] else "",
        "Error": row["error_type"],
    }
    facts |= {words(name): value for name, value in row.items() if name not in GALLERY_COLUMNS}
    facts = {name: value for name, value in facts.items() if value}
    alt = "Heatmap. " + ", ".join(f"{name}: {value}" for name, value in facts.items())
    pairs = [
        element("div", element("dt", escape(name)) + element("dd", escape(value)))
        for name, value in facts.items()
    ]
    attributes = {f"data-{name}": row[name] for name in FILTERS} | ({} if shown else {"hidden": ""})
    if wrong:
        attributes["class"] = "wrong"
    return _figure(picture, alt, element("dl", "".join(pairs)), attributes, shown=shown)


def _figure(picture, alt, caption, attributes=None, *, shown=True):
    size = f'width="{picture.width}" height="{picture.height}"'
    source = "src" if shown else "data-src"
    image = f'<img {source}="{picture.uri}" alt="{escape(alt)}" {size}>'
    button = element("button", image, {"type": "button", "class": "enlarge", "title": "Enlarge"})
    return element("figure", button + element("figcaption", caption), attributes)
