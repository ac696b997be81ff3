"""The checks of a table of boxes: by itself, and against the pictures they are of."""

from numbers import Integral

import numpy as np
import pandas as pd

from fmcam._text import printable, shown

__all__ = ["CORNERS", "check_box_table", "check_sizes"]

CORNERS = ["x0", "y0", "x1", "y1"]
_NEEDED = ["image", *CORNERS]
_KNOWN = ["label", "width", "height"]
_TURNED = (
    "The boxes seem to be of the pictures before they are turned upright as their EXIF data say: "
    "turn the boxes, or remove that entry from the pictures."
)


def check_box_table(table):
    """Return a table with all columns of :func:`read_boxes`, its boxes possible ones.

    Raises
    ------
    TypeError, ValueError
        If columns are missing, corners are no numbers, boxes are reversed, empty, fractions, or
        outside the size that the table itself has.
    """
    if missing := [name for name in _NEEDED if name not in table]:
        raise ValueError(
            f"`boxes` must have the columns {', '.join(_NEEDED)}, got {shown(list(table.columns))}."
            f" Rename or add {', '.join(missing)}."
        )
    if table.empty:
        raise ValueError("`boxes` must have a row at least, got none.")
    added = {name: pd.NA for name in _KNOWN if name not in table}
    table = table.assign(**added)[[*_NEEDED, *_KNOWN]].reset_index(drop=True)
    if not table["image"].map(lambda name: isinstance(name, str) and name != "").all():
        raise TypeError("`boxes` must name the image of each row.")
    table["label"] = table["label"].map(_label)
    table[CORNERS] = _numbers(table, CORNERS)
    _check_corners(table)
    _refuse(
        table,
        table["label"].isna() & table["x0"].notna() & table["label"].notna().any(),
        "have a label, as others have one",
        "Add it.",
    )
    _refuse_outside(table, _sizes(table))
    return table


def _label(label):
    if pd.isna(label):
        return None
    if isinstance(label, str | Integral):
        return printable(label)
    raise TypeError(f"`boxes` must have names or whole numbers as labels, got {shown(label)}.")


def _check_corners(table):
    corners = table[CORNERS].to_numpy()
    missing = np.isnan(corners)
    first, last = corners[:, :2], corners[:, 2:]
    broken = (missing.any(axis=1) & ~missing.all(axis=1)) | np.isinf(corners).any(axis=1)
    _refuse(table, broken, "have four finite corners, or none for no box", "Complete it.")
    _refuse(
        table,
        (last < first).any(axis=1),
        "have x0 < x1 and y0 < y1",
        "Swap the corners; for x, y, width, height add the corner to the last two.",
    )
    _refuse(
        table,
        (last == first).any(axis=1),
        "have a width and a height, x0 < x1 and y0 < y1",
        "If x1 and y1 are the last pixel, add 1 to them (`inclusive=True` of `read_boxes`); else "
        "leave it out.",
    )
    # 2: fractions that somebody called inclusive have 1 added
    in_corner = (first >= 0).all(axis=1) & (last <= 2).all(axis=1)
    fractions = in_corner & (corners % 1 != 0).any(axis=1)
    _refuse(
        table,
        fractions,
        "be in pixels",
        "Multiply fractions of the picture, x by its width and y by its height.",
    )


def check_sizes(table, sizes):
    """Check boxes against the pictures they are of.

    Parameters
    ----------
    table : DataFrame of n rows
    sizes : ndarray of shape (n, 2)
        Width and height, upright, of the picture of each row; NaN where they are not known.

    Raises
    ------
    ValueError
        If the table says another size, or boxes leave their picture by a pixel or more.
    """
    said = _sizes(table)
    wrong = ((said != sizes) & ~np.isnan(said) & ~np.isnan(sizes)).any(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        turned = (said[wrong] == sizes[wrong, ::-1]).all()
        raise ValueError(
            "Each picture must have the size that `boxes` says; "
            f"{table['image'][wrong].nunique()} of {table['image'].nunique()} have not, such as "
            f"{table['image'].iloc[row]!r} of {sizes[row, 0]:.0f} x {sizes[row, 1]:.0f} pixels in "
            f"place of {said[row, 0]:.0f} x {said[row, 1]:.0f}. "
            f"{_TURNED if turned else 'Take the pictures that the boxes were drawn on.'}"
        )
    _refuse_outside(table, sizes)


def _sizes(table):
    return _numbers(table, ["width", "height"]).to_numpy()


def _numbers(table, names):
    try:
        return table[names].astype("Float64").astype(float)
    except (TypeError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise TypeError(f"`boxes` must have numbers in {names}, but: {reason}.") from error


def _refuse_outside(table, sizes):
    """Raise an error for boxes that leave their picture by more than rounding."""
    corners = table[CORNERS].to_numpy()
    outside = (corners <= -1).any(axis=1) | (corners[:, 2:] >= sizes + 1).any(axis=1)
    if outside.any():
        width, height = sizes[outside.argmax()]
        _refuse(
            table,
            outside,
            "lie in its picture",
            f"That one has {width:.0f} x {height:.0f} pixels. Clip the box, or take the picture "
            "that it was drawn on. Where x1 is too far by 1, it may not be the last pixel "
            "(`inclusive=False` of `read_boxes`).",
        )


def _refuse(table, wrong, needed, advice):
    if (wrong := np.asarray(wrong)).any():
        first = table[wrong].iloc[[0]]
        raise ValueError(
            f"Each box must {needed}, got {first[CORNERS].to_numpy()[0].tolist()} of "
            f"{shown(first['image'].item())} "
            f"({wrong.sum()} of {len(table)} boxes). {advice}"
        )
