"""What the header of a checkpoint says, checked before anything is made of it."""

import json
import math
import numbers
import reprlib

import numpy as np

__all__ = ["labels_in", "read_header"]

_MOST_PIXELS = 2**26  # of an image, 8192 x 8192
_HEADER = {
    *("classifier", "module", "parameters", "classes", "dtype", "image_shape", "epoch", "history")
}


def read_header(path, text, classifiers):
    """Return the header of a checkpoint as :func:`fmcam.classifiers.save_classifier` writes it.

    Parameters
    ----------
    path : str or path
        For messages.
    text : str
        JSON.
    classifiers : container of str
        The kinds of classifiers that there are.

    Returns
    -------
    header : dict

    Raises
    ------
    ValueError
        For another text, or values of other types, lengths or ranges than those that are written.
    """
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        header = {}
    missing = _HEADER - set(header) if isinstance(header, dict) else _HEADER
    if missing or str(header["classifier"]) not in classifiers:
        raise ValueError(
            f"{path} is not a checkpoint that this version can read: it lacks {sorted(missing)}, "
            f"or its classifier is none of {sorted(classifiers)}."
        )
    for name, (fits, needed) in _RULES.items():
        value = header.setdefault(name, None)
        if not fits(value):
            raise ValueError(
                f"{path} is damaged or was changed: `{name}` must be {needed}, got "
                f"{reprlib.repr(value)}."
            )
    n_classes, names = len(header["classes"]), header["class_names"]
    if names is not None and len(names) != n_classes:
        raise ValueError(
            f"{path} is damaged or was changed: `class_names` must name {n_classes} classes, got "
            f"{len(names)}: {reprlib.repr(names)}."
        )
    return header


def labels_in(header):
    """Return the labels of a header in its number type, an array of shape (k,).

    Raises
    ------
    ValueError
        If they are of another type, or do not fit into it.
    """
    labels = header["classes"]
    try:
        dtype = np.dtype(header["dtype"])
        # The length that a text type claims is not taken for granted.
        found = np.array(labels, dtype="U" if dtype.kind == "U" else dtype)
        fits = dtype.kind in "biufUO" and found.tolist() == labels
    except (OverflowError, TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(
            f"`classes` {reprlib.repr(labels)} are not of type {reprlib.repr(header['dtype'])}."
        )
    return found


def _is_number(value):
    return isinstance(value, numbers.Real)


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list_of(kind):
    return lambda value: isinstance(value, list) and all(map(kind, value))


def _is_mapping_to(kind):
    return lambda value: isinstance(value, dict) and all(map(kind, value.values()))


def _is_text(value):
    return isinstance(value, str)


def _is_shape(value):
    return (
        _is_list_of(_is_count)(value)
        and len(value) == 3
        and min(value) > 0
        and math.prod(value[1:]) <= _MOST_PIXELS
    )


def _is_parameter(value):
    if isinstance(value, dict):
        return list(value) == ["class"] and _is_text(value["class"])
    parts = value if isinstance(value, list) else [value]
    return all(part is None or isinstance(part, str | int | float) for part in parts)


def _or_none(fits):
    return lambda value: value is None or fits(value)


_RULES = {
    "module": (_is_text, "a name"),
    "parameters": (
        lambda value: (
            _is_mapping_to(_is_parameter)(value)
            and not any(name.startswith("callbacks") for name in value)
        ),
        "numbers, texts, lists of numbers and classes by name, without callbacks",
    ),
    "classes": (_is_list_of(lambda label: _is_text(label) or _is_number(label)), "labels"),
    "dtype": (_is_text, "a type of NumPy"),
    "image_shape": (
        _or_none(_is_shape),
        f"null or three positive numbers (c, h, w), of at most {_MOST_PIXELS} pixels",
    ),
    "epoch": (lambda value: _is_count(value) and 0 <= value < 2**63, "a number of epochs"),
    "history": (_is_list_of(_is_mapping_to(_is_number)), "a mapping of numbers for each epoch"),
    "class_names": (_or_none(_is_list_of(_is_text)), "null or a text for each class"),
    "dataset": (_or_none(_is_text), "null or a text"),
    "of_unit_range": (_or_none(lambda value: isinstance(value, bool)), "true or false"),
    "metrics": (_or_none(_is_mapping_to(_is_number)), "numbers by name"),
    "fmcam": (_or_none(_is_text), "a version"),
    "shared": (_or_none(_is_mapping_to(_is_text)), "a name of a tensor by that of another"),
}
