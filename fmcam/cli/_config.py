"""One typed dataclass is an experiment's settings, its flags and its YAML file."""

import argparse
import dataclasses
import difflib
import types
import typing
from pathlib import Path

import yaml

__all__ = ["option", "parse"]


def option(default, help, choices=None, *, yaml=None, positional=False):
    """A field of a configuration, with the text of its flag; `positional`: it has no flag.

    `yaml` is its other name in a file, such as "training.learning_rate": `learning_rate` (or the
    field's own name) in the section `training`.
    """
    metadata = {"help": help, "choices": choices, "yaml": yaml, "positional": positional}
    return dataclasses.field(default=default, metadata=metadata)


def parse(config_class, arguments, *, prog, description):
    """The configuration that the command line asks for.

    Parameters
    ----------
    config_class : dataclass
        With fields made by :func:`option`. ``batch_size: int`` becomes ``--batch-size``, a tuple
        takes several values, a bool is ``--flag`` or ``--no-flag``.
    arguments : list of str
        ``--config file.yaml`` reads the same names from a file, or those of :func:`option` in
        their sections; flags win over the file.
    prog, description : str
        For the help text.
    """
    flags = _flags(config_class, prog, description)
    first, _ = flags.parse_known_intermixed_args(arguments)
    of_file = None
    if first.config is not None:
        of_file = flags.parse_args(_arguments_from_yaml(flags, config_class, first.config))
    given = vars(flags.parse_intermixed_args(arguments, of_file))
    del given["config"]
    for name, value in given.items():
        given[name] = tuple(value) if isinstance(value, list) else value
    return config_class(**given)


def _flags(config_class, prog, description):
    flags = argparse.ArgumentParser(
        prog=prog,
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    flags.add_argument("--config", metavar="FILE", help="YAML file with any of these settings")
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        options = {"default": field.default, "help": field.metadata["help"]}
        kind = _without_none(hints[field.name])
        if typing.get_origin(kind) is tuple:
            options |= {"nargs": "+", "type": typing.get_args(kind)[0]}
        elif kind is bool:
            options |= {"action": argparse.BooleanOptionalAction}
        else:
            options |= {"type": kind}
        if field.metadata["choices"]:
            options["choices"] = list(field.metadata["choices"])
        elif kind is not bool:
            options["metavar"] = getattr(options["type"], "__name__", "value").upper()
        if field.metadata["positional"]:
            options |= {"nargs": "*", "metavar": field.name.upper()}
        flags.add_argument(_name(field), **options)
    return flags


def _name(field):
    return field.name if field.metadata["positional"] else _flag(field.name)


def _flag(name):
    return "--" + name.replace("_", "-")


def _without_none(kind):
    if isinstance(kind, types.UnionType):
        kind, *_ = (part for part in typing.get_args(kind) if part is not type(None))
    return kind


def _arguments_from_yaml(flags, config_class, path):
    if not Path(path).is_file():
        flags.error(f"--config: there is no file {path}")
    try:
        settings = yaml.safe_load(Path(path).read_text()) or {}
        given = list(_settings(_mapping(settings, path), config_class, path))
    except (ValueError, yaml.YAMLError) as error:
        flags.error(f"--config: {error}")
    arguments = []
    positional = {f.name for f in dataclasses.fields(config_class) if f.metadata["positional"]}
    for name, value in given:
        values = list(map(str, value if isinstance(value, list) else [value]))
        if name in positional:
            flags.set_defaults(**{name: values})
        elif isinstance(value, bool):
            arguments.append(_flag(name) if value else _flag(f"no_{name}"))
        elif value is not None:
            arguments += [_flag(name), *values]
    return arguments


def _settings(settings, config_class, path):
    """Yield the field's name and the value of each setting in a file, also in its sections."""
    flat = {field.name: field.name for field in dataclasses.fields(config_class)}
    sections = _sections(config_class)
    for name, value in settings.items():
        if name in sections and (isinstance(value, dict) or name not in flat):
            for inner, inner_value in _mapping(value, f"{path}: {name}").items():
                yield _known(inner, sections[name], f"{path}: {name}"), inner_value
        else:
            yield _known(name, dict.fromkeys(sections) | flat, path), value


def _sections(config_class):
    """The names in each section of a file, and the fields that they stand for."""
    sections: dict[str, dict[str, str]] = {}
    for field in dataclasses.fields(config_class):
        if field.metadata["yaml"]:
            section, _, name = field.metadata["yaml"].partition(".")
            sections.setdefault(section, {}).update({name: field.name, field.name: field.name})
    return sections


def _mapping(settings, place):
    if not isinstance(settings, dict):
        raise ValueError(f"{place} must hold `name: value` lines, got {settings!r}")
    return settings


def _known(name, fields, place):
    if name not in fields:
        near = difflib.get_close_matches(str(name), fields, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(fields)}"
        raise ValueError(f"{place} has an unknown setting {name!r}{hint}")
    return fields[name]
