"""The command line: `fmcam NAME`, the same as `python -m fmcam NAME`."""

import argparse
import ast
import pkgutil
import runpy
import sys
from importlib.resources import files

import fmcam

__all__ = ["main"]

ALIASES = {"visualize": "explain"}


def main():
    """Run the command that the command line names, with the arguments after it."""
    commands = _commands()
    width = max(map(len, commands))
    lines = [f"  {name:{width}}  {line}" for name, line in commands.items()]
    flags = argparse.ArgumentParser(
        prog="fmcam",
        usage="fmcam [--help] [--version] COMMAND ...",
        description=fmcam.__doc__,
        epilog="\n".join(["commands:", *lines, "", "`fmcam COMMAND --help` says what each takes."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add_argument("--version", action="version", version=f"fmcam {fmcam.__version__}")
    flags.add_argument("command", choices=commands, metavar="COMMAND", help=argparse.SUPPRESS)
    command = flags.parse_args(sys.argv[1:2]).command
    del sys.argv[1]
    runpy.run_module(_module(command), run_name="__main__", alter_sys=True)


def _commands():
    """The first line of the documentation of each; none is imported, which takes seconds."""
    names = [found.name for found in pkgutil.iter_modules(__path__)]
    commands = {
        name.replace("_", "-"): _first_line(name)
        for name in sorted(names)
        if not name.startswith("_")
    }
    return commands | {alias: f"The same as `fmcam {name}`." for alias, name in ALIASES.items()}


def _module(command):
    return f"{__name__}.{ALIASES.get(command, command).replace('-', '_')}"


def _first_line(name):
    source = (files(__name__) / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
