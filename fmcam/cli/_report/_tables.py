"""HTML tables that sort; a number stands with its interval or its spread in one column."""

import json
import math
from dataclasses import dataclass
from html import escape

import pandas as pd

from fmcam.cli._report._text import element, format_numbers, is_number, words

__all__ = ["table_html"]

MOST_ROWS = 500
FIRST_ROWS = 20
_MOST_CHARACTERS = 1000  # of a cell


@dataclass(frozen=True)
class Column:
    """A column of the page: the values that it sorts by, the HTML of its cells, what it shows."""

    name: str
    values: pd.Series
    cells: list[str]
    note: str = ""


def table_html(name, frame):
    """Return a table with its heading; of one with over 500 rows the first 20.

    Parameters
    ----------
    name : str
        The file, as in ``"summary.csv"``.
    frame : DataFrame
        ``x, x_low, x_high`` become one column with an interval, and ``x_mean, x_std, x_count``
        one with a spread.

    Returns
    -------
    html : str
    """
    shown = frame if len(frame) <= MOST_ROWS else frame.head(FIRST_ROWS)
    columns = _columns(shown)
    title = words(name.removesuffix(".gz").removesuffix(".csv"))
    rows = "1 row" if len(frame) == 1 else f"{len(frame):,} rows"
    if len(shown) < len(frame):
        rows = f"the first {FIRST_ROWS} of {rows}; all are in the file"
    facts = [f"<code>{escape(name)}</code>", rows]
    facts += dict.fromkeys(column.note for column in columns if column.note)
    heading = element("h3", escape(title)) + element("p", " · ".join(facts), {"class": "meta"})
    box = {"class": "scroll", "role": "region", "tabindex": 0, "aria-label": title}
    return element("section", heading + element("div", _table(columns), box))


def _columns(frame):
    columns, names = [], list(frame.columns)
    while names:
        three = names[:3]
        grouped = len(three) == 3 and all(is_number(frame[name]) for name in three)
        if grouped and _is_interval(*three):
            column = _with_interval(*(frame[name] for name in three))
        elif grouped and _is_spread(*three):
            column = _with_spread(*(frame[name] for name in three))
        else:
            column, three = _plain(frame[names[0]]), three[:1]
        columns.append(column)
        names = names[len(three) :]
    return columns


def _is_interval(name, low, high):
    # "recall_low" also belongs to "recall_difference", and "low" to whatever stands before it.
    stem = low.removesuffix("low")
    return f"{name}_".startswith(stem) and (low, high) == (f"{stem}low", f"{stem}high")


def _is_spread(mean, std, count):
    stem = mean.removesuffix("_mean")
    return (mean, std, count) == (f"{stem}_mean", f"{stem}_std", f"{stem}_count")


def _plain(values):
    if is_number(values):
        return Column(values.name, values, format_numbers(values))
    texts = ["—" if pd.isna(value) else str(value) for value in values]
    short = [text[:_MOST_CHARACTERS] + "..." * (len(text) > _MOST_CHARACTERS) for text in texts]
    return Column(values.name, values, [escape(text) for text in short])


def _with_interval(values, low, high):
    texts = zip(*map(format_numbers, (values, low, high)), strict=True)
    cells = [
        f"{value} <small>{bottom} to {top}</small>{strip}" if strip else value
        for (value, bottom, top), strip in zip(texts, _strips(values, low, high), strict=True)
    ]
    note = "small print: the interval, drawn on the column's scale"
    return Column(values.name, values, cells, note)


def _strips(values, low, high):
    """Return, for each value, a bar from low to high with a tick; "" where one is not finite."""
    values, low, high = (x.replace([math.inf, -math.inf], math.nan) for x in (values, low, high))
    start = low.min()
    end = max(high.max(), 0) if start < 0 else high.max()
    span = end - start or 1.0
    zero = f'<b style="--zero:{-start / span:.1%}"></b>' if start < 0 else ""
    strips = []
    for place in zip(values, low, high, strict=True):
        at, left, right = ((x - start) / span for x in place)
        style = f"--at:{at:.1%};--low:{left:.1%};--high:{right:.1%}"
        strip = element("i", zero, {"class": "strip", "style": style})
        strips.append("" if any(map(math.isnan, place)) else strip)
    return strips


def _with_spread(means, stds, counts):
    texts = zip(format_numbers(means), stds, format_numbers(counts), strict=True)
    cells = [
        f"{mean} <small>± {std:,.{len(mean.partition('.')[2])}f} (n = {count})</small>"
        for mean, std, count in texts
    ]
    name = means.name.removesuffix("_mean")
    return Column(name, means, cells, "small print: standard deviation and number of values")


def _table(columns):
    heading = next((column for column in columns if not is_number(column.values)), None)
    head = "".join(_head(column) for column in columns)
    rows = zip(*(_cells(column, column is heading) for column in columns), strict=True)
    body = "".join(element("tr", "".join(row)) for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _head(column):
    button = element("button", escape(words(column.name)), {"type": "button"})
    return element("th", button, {"scope": "col"} | _kind(column))


def _cells(column, heads_row):
    tag, attributes = ("th", {"scope": "row"}) if heads_row else ("td", {})
    attributes |= _kind(column)
    return [
        element(tag, cell, attributes | {"data-value": _sort_key(value)})
        for value, cell in zip(column.values, column.cells, strict=True)
    ]


def _kind(column):
    return {"class": "number"} if is_number(column.values) else {}


def _sort_key(value):
    if pd.isna(value):
        return ""
    return value[:_MOST_CHARACTERS] if isinstance(value, str) else json.dumps(value)
