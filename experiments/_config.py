"""One typed dataclass is an experiment's settings, its flags and its YAML file."""

import argparse
import dataclasses
import difflib
import types
import typing
from pathlib import Path

import yaml

__all__ = ["option", "parse"]


def option(default, help, choices=None):
    """A field of a configuration, with the text of its flag."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


def parse(config_class, arguments, *, prog, description):
    """The configuration that the command line asks for.

    Parameters
    ----------
    config_class : dataclass
        With fields made by :func:`option`. ``batch_size: int`` becomes ``--batch-size``, a tuple
        takes several values, a bool is ``--flag`` or ``--no-flag``.
    arguments : list of str
        ``--config file.yaml`` reads the same names from a file; flags win over the file.
    prog, description : str
        For the help text.
    """
    flags = _flags(config_class, prog, description)
    first, _ = flags.parse_known_args(arguments)
    if first.config is not None:
        arguments = [*_arguments_from_yaml(flags, config_class, first.config), *arguments]
    given = vars(flags.parse_args(arguments))
    del given["config"]
    for name, value in given.items():
        given[name] = tuple(value) if isinstance(value, list) else value
    return config_class(**given)


def _flags(config_class, prog, description):
    flags = argparse.ArgumentParser(
        prog=f"python -m experiments.{prog}",
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
        flags.add_argument(_flag(field.name), **options)
    return flags


def _flag(name):
    return "--" + name.replace("_", "-")


def _without_none(kind):
    if isinstance(kind, types.UnionType):
        kind, *_ = (part for part in typing.get_args(kind) if part is not type(None))
    return kind


def _arguments_from_yaml(flags, config_class, path):
    if not Path(path).is_file():
        flags.error(f"--config: there is no file {path}")
    settings = yaml.safe_load(Path(path).read_text()) or {}
    if not isinstance(settings, dict):
        flags.error(f"--config: {path} must hold `name: value` lines, got {settings!r}")
    names = [field.name for field in dataclasses.fields(config_class)]
    arguments = []
    for name, value in settings.items():
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(names)}"
            flags.error(f"--config: {path} has an unknown setting {name!r}{hint}")
        if isinstance(value, bool):
            arguments.append(_flag(name) if value else _flag(f"no_{name}"))
        elif value is not None:
            values = value if isinstance(value, list) else [value]
            arguments += [_flag(name), *map(str, values)]
    return arguments
