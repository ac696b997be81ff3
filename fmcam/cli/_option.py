"""A setting: a field of a dataclass, with its names, its type and what it is chosen from."""

import argparse
import dataclasses
import math
import types
import typing
from collections import Counter

from fmcam._suggest import suggest

__all__ = ["TYPES", "fields_of", "option", "other_names", "plain", "settings_of", "typed"]

TYPES = {int: "a whole number", float: "a finite number", str: "a text"}


def plain(name):
    """A name as it is compared: case and hyphens do not matter.

    >>> plain("Learning-Rate")
    'learning_rate'
    """
    return str(name).lower().replace("-", "_")


def option(default, help, choices=None, *, also=None, hints=None, positional=False):
    """A field of a configuration, with the text of its flag; `positional`: it has no flag.

    `choices` may be a dictionary of the other names of each; case, hyphens and underscores of a
    choice do not matter. `also` is the other name of the setting: "training.learning_rate" is
    `learning_rate` (or the field's own name) in the section `training` of a file, and both alone;
    as a flag, `--learning-rate` is the field's own. `hints` are sentences about values that are no
    choices but meant something else.
    """
    metadata = {"help": help, "choices": choices, "also": also, "positional": positional}
    return dataclasses.field(default=default, metadata={**metadata, "hints": hints or {}})


def settings_of(config_class):
    """A field for the settings of another command, whose file will do as well as one's own."""
    return dataclasses.field(default=None, metadata={"of_file": config_class})


def fields_of(config_class):
    """Yield each field, the type of its values, and whether there may be several."""
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        if "of_file" in field.metadata:
            continue
        kind = hints[field.name]
        if isinstance(kind, types.UnionType):
            kind, *_ = (part for part in typing.get_args(kind) if part is not type(None))
        several = typing.get_origin(kind) is tuple
        yield field, typing.get_args(kind)[0] if several else kind, several


def other_names(config_class):
    """The names of settings by their other names, but for those that several settings share."""
    own = [field for field, *_ in fields_of(config_class)]
    others = [((field.metadata["also"] or "").rpartition(".")[2], field.name) for field in own]
    counts = Counter([other for other, _ in others] + [field.name for field in own])
    return {other: name for other, name in others if other and counts[other] == 1}


def typed(value, field, kind):
    """A value of a flag or a file; raises ArgumentTypeError, with what is needed, if it is none."""
    choices = field.metadata["choices"]
    try:
        if isinstance(value, bool | list | dict | None):
            raise ValueError(value)
        found = kind(str(value))
        if kind is float and not math.isfinite(found):
            raise ValueError(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be {TYPES[kind]}, got {value!r}") from error
    if choices and found not in choices:
        meant = _choice(found, choices)
        if meant is None:
            hint = field.metadata["hints"].get(found) or suggest(str(found), choices)
            raise argparse.ArgumentTypeError(f"cannot be {found!r}. {hint}")
        return meant
    return found


def _choice(value, choices):
    """The choice that is spelled otherwise, or has that other name; None if there is none."""
    others = choices if isinstance(choices, dict) else {}
    spellings = {
        _letters(name): choice for choice in choices for name in (choice, *others.get(choice, ()))
    }
    return spellings.get(_letters(value))


def _letters(name):
    return plain(name).replace("_", "")
