"""One typed dataclass is a command's settings, its flags and its YAML file."""

import argparse
import functools
import sys
from pathlib import Path

from fmcam._suggest import nearest
from fmcam.cli._config_file import as_yaml, values_in_file
from fmcam.cli._option import fields_of, option, other_names, settings_of, typed

__all__ = ["make_parser", "option", "parse", "settings_of"]

_LISTED = 6  # choices that a usage line has room for


def parse(config_class, arguments, *, prog, description):
    """The configuration that the command line asks for.

    Parameters
    ----------
    config_class : dataclass
        With fields made by :func:`option`. ``batch_size: int`` becomes ``--batch-size``, a tuple
        takes several values, a bool is ``--flag`` or ``--no-flag``; underscores of a flag are
        hyphens. A class with a `CONFIG_FILE` reads the file of that name, if there is one.
    arguments : list of str
        ``--config file.yaml`` reads the same names from a file, or those of :func:`option` in
        their sections; flags win over the file. ``--print-config`` prints such a file.
    prog, description : str
        For the help text.
    """
    parser = make_parser(config_class, prog, description)
    file = parser.parse_or_suggest(arguments).config or _usual_file(config_class)
    if file is not None:
        try:
            parser.set_defaults(**values_in_file(config_class, file))
        except ValueError as error:
            parser.error(f"--config: {file}{error}")
    given = vars(parser.parse_or_suggest(arguments))
    del given["config"]
    printed = given.pop("print_config")
    for name, value in given.items():
        given[name] = tuple(value) if isinstance(value, list) else value
    config = config_class(**given)
    if printed:
        print(as_yaml(config), end="")
        parser.exit()
    return config


def _usual_file(config_class):
    """The file that a command reads if none is named; it says so."""
    name = getattr(config_class, "CONFIG_FILE", None)
    if name is None or not Path(name).is_file():
        return None
    print(f"Settings from {name}.", file=sys.stderr)
    return name


class _Parser(argparse.ArgumentParser):
    """argparse's, whose errors are one line and name what was probably meant.

    `also` are other names of flags, without their hyphens in front.
    """

    def __init__(self, *args, also=(), **kwargs):
        super().__init__(*args, **kwargs)
        self.also = {f"--{other}": f"--{own}" for other, own in dict(also).items()}

    def parse_or_suggest(self, arguments):
        given, unknown = self.parse_known_intermixed_args([*map(self._spelled, arguments)])
        for argument in unknown:
            flag = argument.partition("=")[0]
            if flag.startswith("-"):
                near = nearest(flag, [*self._option_string_actions, *self.also])
                hint = f"Did you mean {near[0]}?" if near else f"See {self.prog} --help."
                self.error(f"there is no option {flag}. {hint}")
        if unknown:
            self.error(f"got {' '.join(unknown)}, which no option takes. See {self.prog} --help.")
        return given

    def _spelled(self, argument):
        """An argument, with the name of a flag as the parser knows it."""
        flag, equals, value = argument.partition("=")
        if not flag.startswith("--"):
            return argument
        flag = flag.replace("_", "-")
        return self.also.get(flag, flag) + equals + value

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message.removeprefix('argument ')}\n")


def make_parser(config_class, prog, description):
    """The parser of a configuration's flags."""
    parser = _Parser(
        prog=prog,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        also={
            other.replace("_", "-"): own.replace("_", "-")
            for other, own in other_names(config_class).items()
        },
    )
    usual = getattr(config_class, "CONFIG_FILE", None)
    text = "YAML file with any of these settings"
    text += f"; by default {usual}, if there is one" if usual else ""
    parser.add_argument("--config", metavar="FILE", help=text)
    parser.add_argument(
        "--print-config", action="store_true", help="print the settings as such a file, and stop"
    )
    for field, kind, several in fields_of(config_class):
        options = {"default": field.default, "help": _help(field), "dest": field.name}
        choices = field.metadata["choices"]
        if kind is bool:
            options |= {"action": argparse.BooleanOptionalAction}
        else:
            options |= {"type": functools.partial(typed, field=field, kind=kind)}
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


def _help(field):
    text, default = field.metadata["help"].replace("%", "%%"), field.default
    if default is None or default is False or default == ():
        return text
    shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
    return f"{text} (default: {shown})"
