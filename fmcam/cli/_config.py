"""One typed dataclass is a command's settings, its flags and its YAML file."""

import argparse
import dataclasses
import functools
import math
import types
import typing

import yaml

from fmcam._suggest import nearest, suggest
from fmcam.cli._yaml import read_settings

__all__ = ["make_parser", "option", "parse"]

_LISTED = 6  # choices that a usage line has room for
_NAMES = {int: "a whole number", float: "a finite number", str: "a text"}


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
        their sections; flags win over the file. ``--print-config`` prints such a file.
    prog, description : str
        For the help text.
    """
    parser = make_parser(config_class, prog, description)
    first = parser.parse_or_suggest(arguments)
    if first.config is not None:
        parser.set_defaults(**_of_file(parser, config_class, first.config))
    given = vars(parser.parse_or_suggest(arguments))
    del given["config"]
    printed = given.pop("print_config")
    for name, value in given.items():
        given[name] = tuple(value) if isinstance(value, list) else value
    config = config_class(**given)
    if printed:
        print(_as_yaml(config), end="")
        parser.exit()
    return config


class _Parser(argparse.ArgumentParser):
    """argparse's, whose errors are one line and name what was probably meant."""

    def parse_or_suggest(self, arguments):
        given, unknown = self.parse_known_intermixed_args(arguments)
        for argument in unknown:
            flag = argument.partition("=")[0]
            if flag.startswith("-"):
                near = nearest(flag, self._option_string_actions)
                hint = f"Did you mean {near[0]}?" if near else f"See {self.prog} --help."
                self.error(f"there is no option {flag}. {hint}")
        if unknown:
            self.error(f"got {' '.join(unknown)}, which no option takes. See {self.prog} --help.")
        return given

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message.removeprefix('argument ')}\n")


def make_parser(config_class, prog, description):
    """The parser of a configuration's flags."""
    parser = _Parser(
        prog=prog,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="YAML file with any of these settings")
    parser.add_argument(
        "--print-config", action="store_true", help="print the settings as such a file, and stop"
    )
    for field, kind, several in _fields(config_class):
        options = {"default": field.default, "help": _help(field), "dest": field.name}
        choices = field.metadata["choices"]
        if kind is bool:
            options |= {"action": argparse.BooleanOptionalAction}
        else:
            options |= {"type": functools.partial(_typed, kind=kind, choices=choices)}
            options |= {"choices": list(choices)} if choices else {}
            if not choices or len(choices) > _LISTED:
                options |= {"metavar": field.name.upper() if choices else kind.__name__.upper()}
        if field.metadata["positional"]:
            options |= {"nargs": "*" if several else "?", "metavar": field.name.upper()}
            parser.add_argument(options.pop("dest"), **options)
        else:
            options |= {"nargs": "+"} if several else {}
            parser.add_argument(f"--{field.name.replace('_', '-')}", **options)
    return parser


def _fields(config_class):
    """Yield each field, the type of its values, and whether there may be several."""
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        kind = hints[field.name]
        if isinstance(kind, types.UnionType):
            kind, *_ = (part for part in typing.get_args(kind) if part is not type(None))
        several = typing.get_origin(kind) is tuple
        yield field, typing.get_args(kind)[0] if several else kind, several


def _help(field):
    text, default = field.metadata["help"].replace("%", "%%"), field.default
    if default is None or default is False or default == ():
        return text
    shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
    return f"{text} (default: {shown})"


def _typed(value, kind, choices):
    """A value of a flag or a file; raises ArgumentTypeError, with what is needed, if it is none."""
    try:
        if isinstance(value, bool | list | dict | None):
            raise ValueError(value)
        found = kind(str(value))
        if kind is float and not math.isfinite(found):
            raise ValueError(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be {_NAMES[kind]}, got {value!r}") from error
    if choices and found not in choices:
        raise argparse.ArgumentTypeError(f"cannot be {found!r}. {suggest(str(found), choices)}")
    return found


def _of_file(parser, config_class, path):
    """The values of the fields that a file sets; ends with a message if it is not right."""
    fields = {field.name: (field, kind, several) for field, kind, several in _fields(config_class)}
    sections: dict[str, dict[str, str]] = {}
    for field, *_ in fields.values():
        if field.metadata["yaml"]:
            section, _, name = field.metadata["yaml"].partition(".")
            sections.setdefault(section, {}).update({name: field.name, field.name: field.name})
    try:
        given = read_settings(path, list(fields), sections)
        return {
            name: _of_yaml(name, value, *fields[name])
            for name, value in given.items()
            if value is not None
        }
    except ValueError as error:
        parser.error(f"--config: {path}{error}")


def _of_yaml(name, value, field, kind, several):
    if kind is bool:
        if not isinstance(value, bool):
            raise ValueError(f": {name} must be true or false, got {value!r}")
        return value
    if isinstance(value, list) and not several:
        raise ValueError(f": {name} must be {_NAMES[kind]}, got a list")
    values = value if isinstance(value, list) else [value]
    if not values and field.default:
        raise ValueError(f": {name} must have one value or more, got none")
    try:
        found = [_typed(one, kind, field.metadata["choices"]) for one in values]
    except argparse.ArgumentTypeError as error:
        raise ValueError(f": {name} {error}") from error
    return tuple(found) if several else found[0]


def _as_yaml(config):
    """A file that sets each field to its value, with the text of its flag behind."""
    lines = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        value = list(value) if isinstance(value, tuple) else value
        text = yaml.safe_dump(value, default_flow_style=True, width=math.inf).splitlines()[0]
        lines.append(f"{field.name}: {text}  # {field.metadata['help']}\n")
    return "".join(lines)
