"""What a results folder holds: tables, records, texts and pictures; what is damaged is noted."""

import base64
import io
import json
import os
import warnings
import zlib
from dataclasses import dataclass, field
from itertools import chain

import pandas as pd
from PIL import Image

from fmcam.cli._report._threshold import Boxes, boxes_of

__all__ = ["GALLERY_COLUMNS", "Contents", "Picture", "read_folder"]

GALLERY_COLUMNS = ("file", "method", "y_true", "y_pred", "error_type", "iou")
_OF_GALLERY = ("gallery.csv", "gallery_boxes.csv")
_DEEPEST = 50
_TOO_DEEP = f"is nested deeper than {_DEEPEST} levels"
_LOOKED_FOR = "*.csv, *.csv.gz, *.json, *.txt, and *.png and *.jpg here and in figures/"


@dataclass(frozen=True)
class Picture:
    """A PNG or JPEG picture: width and height in pixels, and the file as a data URI."""

    width: int
    height: int
    uri: str


@dataclass
class Contents:
    """What was read, by the file's path in the folder; `notes` name what could not be read.

    `gallery` holds a row's values and its picture, `boxes` those of its pictures at each threshold;
    `notes` a file and what is wrong with it.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    records: dict[str, dict] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Picture] = field(default_factory=dict)
    gallery: list[tuple[dict[str, str], Picture]] = field(default_factory=list)
    boxes: Boxes | None = None
    notes: list[tuple[str, str]] = field(default_factory=list)

    def read(self, name, function, *arguments):
        """Return what `function` reads; None, and a note, if the file is damaged."""
        try:
            return function(*arguments)
        except (ValueError, OSError, EOFError, zlib.error) as error:
            self.notes.append((name, getattr(error, "strerror", None) or str(error)))
            return None


def read_folder(folder):
    """Return the contents of a results folder.

    Parameters
    ----------
    folder : Path
        CSV tables (also compressed), JSON records and texts lie in it, PNG and JPEG figures in it
        or in ``figures/``. ``gallery.csv`` lists pictures of single images, one a row: `file`
        (PNG or JPEG, relative to `folder`), `method`, `y_true`, `y_pred`, `error_type` and `iou`,
        any of which but `file` may be empty; further columns are shown as they are. A figure that
        is in the gallery is no longer among the figures. ``gallery_boxes.csv`` has the boxes of
        these pictures at each of some thresholds, for the slider: `file`, `threshold`, `x0`, `y0`,
        `x1`, `y1` in half-open pixels of the picture, empty for no box, and `iou`. The column
        `threshold` of ``gallery.csv`` then says which one its `iou` is of.

    Returns
    -------
    contents : Contents

    Raises
    ------
    OSError
        If there is nothing in it to show.
    """
    contents = Contents()
    for found, read, *patterns in (
        (contents.tables, _table, "*.csv", "*.csv.gz"),
        (contents.records, _record, "*.json"),
        (contents.texts, _text, "*.txt"),
        (contents.figures, _picture, "*.png", "*.jpg", "figures/*.png", "figures/*.jpg"),
    ):
        for path in sorted(path for pattern in patterns for path in folder.glob(pattern)):
            if path.name in _OF_GALLERY or path.name.startswith("."):
                continue
            name = path.relative_to(folder).as_posix()
            content = contents.read(name, _inside, folder, name, read)
            if content is not None:
                found[name] = content
    _read_gallery(contents, folder)
    if contents == Contents():
        raise OSError(_nothing_in(folder))
    return contents


def _nothing_in(folder):
    inside = sorted(path.name for path in folder.iterdir() if path.is_dir())
    hint = f" Or name one of its folders: {', '.join(inside)}." if inside else ""
    return f"There is nothing to show in {folder}: looked for {_LOOKED_FOR}.{hint}"


def _inside(folder, name, read):
    """Return what `read` makes of a file; ValueError if that is none, or lies elsewhere."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError("lies outside the folder")
    if path.exists() and not path.is_file():
        raise ValueError("is no file")
    return read(path)


def _table(path, **options):
    # Only an empty field is a missing value: a class may be called "None" or "NA". Without
    # `index_col`, a row's first value is lost where rows have one more than the heading.
    options |= {"keep_default_na": False, "na_values": [""], "index_col": False}
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            return pd.read_csv(path, low_memory=False, **options)
    except pd.errors.EmptyDataError as error:
        raise ValueError("is empty") from error
    except UnicodeDecodeError as error:
        raise ValueError("is no text in UTF-8") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise ValueError(f"is no table ({str(error).strip()})") from error


def _record(path):
    try:
        record = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON ({error})") from error
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    if not isinstance(record, dict):
        raise ValueError(f"must hold names and values, got {str(record)[:80]}")
    level: list = [record]
    for _ in range(_DEEPEST):
        parts = (part.values() if isinstance(part, dict) else part for part in level)
        level = [part for part in chain(*parts) if isinstance(part, dict | list)]
    if level:
        raise ValueError(_TOO_DEEP)
    return record


def _text(path):
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("is no text in UTF-8") from error


def _picture(path):
    content = path.read_bytes()
    try:
        with (
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image,
        ):
            image.load()
            size, kind = image.size, image.get_format_mimetype()
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(f"is too large: over {Image.MAX_IMAGE_PIXELS:,} pixels") from error
    except (OSError, SyntaxError) as error:
        raise ValueError("is no whole PNG or JPEG picture") from error
    return Picture(*size, f"data:{kind};base64,{base64.b64encode(content).decode()}")


def _read_gallery(contents, folder):
    rows, boxes = (
        contents.read(name, _inside, folder, name, read) if os.path.lexists(folder / name) else None
        for name, read in zip(_OF_GALLERY, (_gallery_rows, _gallery_boxes), strict=True)
    )
    for row in rows or ():
        picture = contents.read(row["file"], _inside, folder, row["file"], _picture)
        if picture is not None:
            contents.gallery.append((row, picture))
            contents.figures.pop(row["file"], None)
    if contents.gallery and boxes is not None:
        shown = [row for row, _ in contents.gallery]
        contents.boxes = contents.read(_OF_GALLERY[1], boxes_of, shown, boxes)


def _gallery_rows(path):
    frame = _table(path, dtype=str).fillna("")
    missing = [name for name in GALLERY_COLUMNS if name not in frame]
    if missing:
        raise ValueError(
            f"must have the columns {', '.join(GALLERY_COLUMNS)}, lacks {', '.join(missing)}"
        )
    return frame.to_dict("records")


def _gallery_boxes(path):
    return _table(path, dtype={"file": str})
