"""The command line: `fmcam NAME`, the same as `python -m fmcam NAME`."""

import argparse
import ast
import pkgutil
import sys
from importlib import import_module
from importlib.resources import files

import fmcam
from fmcam._suggest import suggest
from fmcam.cli._completion import SHELLS, completion
from fmcam.cli._script import run_script

__all__ = ["main"]

ALIASES = {"visualize": "explain"}


def main():
    """Run the command that the command line names, with the arguments after it."""
    commands = _commands()
    flags = _flags(commands)
    given = flags.parse_args(sys.argv[1:] or ["--help"])
    if given.print_completion:
        print(completion({name: _module(name) for name in commands}, given.print_completion))
        return
    name = given.command
    if name not in commands:
        flags.exit(2, f"fmcam: error: there is no command {name!r}. {suggest(name, commands)}\n")
    del sys.argv[1]
    module = _module(name)
    run_script(module.main, module.Config, f"fmcam {ALIASES.get(name, name)}", module.__doc__)


def _flags(commands):
    width = max(map(len, commands))
    lines = [f"  {name:{width}}  {line}" for name, line in commands.items()]
    flags = argparse.ArgumentParser(
        prog="fmcam",
        usage="fmcam [--help] [--version] COMMAND ...",
        description=fmcam.__doc__,
        epilog="\n".join(["commands:", *lines, "", "`fmcam COMMAND --help` says what each takes."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    flags.add_argument("--version", action="version", version=f"fmcam {fmcam.__version__}")
    flags.add_argument(
        "--print-completion",
        choices=SHELLS,
        help="print a script that completes commands and options in this shell, and stop",
    )
    flags.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    flags.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return flags


def _commands():
    """The first line of the documentation of each, read without importing any."""
    names = [found.name for found in pkgutil.iter_modules(__path__)]
    commands = {
        name.replace("_", "-"): _first_line(name)
        for name in sorted(names)
        if not name.startswith("_")
    }
    return commands | {alias: f"The same as `fmcam {name}`." for alias, name in ALIASES.items()}


def _module(command):
    return import_module(f"{__name__}.{ALIASES.get(command, command).replace('-', '_')}")


def _first_line(name):
    source = (files(__name__) / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
