"""The page: its title, what was run, and the sections in the order people ask for them."""

import json
from html import escape
from pathlib import Path
from string import Template

from fmcam.cli._report._pictures import figures_html, gallery_html
from fmcam.cli._report._tables import table_html
from fmcam.cli._report._text import element, words

__all__ = ["page_html"]

_FILES = Path(__file__).parent
_MOST_CHARACTERS = 200_000  # of a text or a record
_RUN = ("provenance.json", "config.json")


def page_html(title, contents):
    """Return the whole page, with its styles, scripts and pictures inside.

    Parameters
    ----------
    title : str
    contents : Contents

    Returns
    -------
    html : str
    """
    sections = {name: html for name, html in _sections(contents).items() if html}
    anchors = {name: name.lower().replace(" ", "-") for name in sections}
    links = [
        element("li", element("a", name, {"href": f"#{anchor}"}))
        for name, anchor in anchors.items()
    ]
    body = [
        element("section", element("h2", name) + html, {"id": anchors[name]})
        for name, html in sections.items()
    ]
    return Template(_file("page.html")).substitute(
        title=escape(title),
        links="".join(links),
        sections="\n".join(body),
        css=_file("page.css"),
        js=_file("page.js"),
    )


def _file(name):
    return (_FILES / name).read_text(encoding="utf-8")


def _sections(contents):
    matrices = {name: picture for name, picture in contents.figures.items() if "confusion" in name}
    others = {name: picture for name, picture in contents.figures.items() if name not in matrices}
    return {
        "Left out": _notes(contents.notes),
        "What was run": _run(*(contents.records.get(name, {}) for name in _RUN)),
        "In short": _texts(contents.texts),
        "Tables": _tables(contents.tables),
        "Figures": others and figures_html(others),
        "Confusion matrix": matrices and figures_html(matrices),
        "Gallery": contents.gallery and gallery_html(contents.gallery, contents.boxes),
        "Records": _records(contents.records),
    }


def _notes(notes):
    items = [element("li", f"<code>{escape(name)}</code>: {escape(why)}") for name, why in notes]
    text = "<p>These files are damaged or missing, so the page is without them:</p>"
    return items and element("div", text + element("ul", "".join(items)), {"class": "notes"})


def _run(provenance, config):
    parts, facts = [], dict(provenance)
    if "command" in facts:
        parts.append(element("pre", escape(str(facts.pop("command"))), {"class": "command"}))
    if "finished" in facts:
        facts["finished"] = str(facts["finished"]).replace("T", " ").replace("+00:00", " UTC")
    if facts:
        parts.append(_pairs(facts))
    if config:
        parts += ["<h3>Settings</h3>", _pairs(config)]
    return "".join(parts)


def _pairs(values):
    pairs = [
        element("div", element("dt", escape(words(name))) + element("dd", escape(_value(value))))
        for name, value in values.items()
    ]
    return element("dl", "".join(pairs), {"class": "facts"})


def _value(value):
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _code(text, label):
    if len(text) > _MOST_CHARACTERS:
        text = text[:_MOST_CHARACTERS]
        text += f"\n... the first {_MOST_CHARACTERS:,} characters; all are in the file"
    return element("pre", escape(text), {"tabindex": 0, "role": "region", "aria-label": label})


def _texts(texts):
    return "".join(
        element("p", element("code", escape(name)), {"class": "meta"}) + _code(text, name)
        for name, text in texts.items()
    )


def _tables(tables):
    def place(name):
        return not name.startswith("summary"), name.startswith("rows"), name

    hint = "A click on a heading sorts by it, a second click turns the order round."
    shown = [table_html(name, tables[name]) for name in sorted(tables, key=place)]
    return shown and "".join([element("p", hint, {"class": "hint"}), *shown])


def _records(records):
    return "".join(
        element(
            "details", element("summary", escape(name)) + _code(json.dumps(record, indent=2), name)
        )
        for name, record in records.items()
        if name not in _RUN
    )
