"""What a shell needs to complete commands, options and their choices."""

import argparse

from fmcam.cli._config import make_parser

__all__ = ["SHELLS", "completion"]

SHELLS = ("bash", "zsh", "tcsh")


def completion(commands, shell):
    """The text of a script for a shell; ends with a message where shtab is not installed.

    Parameters
    ----------
    commands : dict of str to module
        By name; each with a `Config`.
    shell : one of `SHELLS`
    """
    try:
        import shtab
    except ImportError as error:
        raise SystemExit(
            "--print-completion needs shtab. Install it with "
            "python -m pip install 'fmcam[completion]'."
        ) from error
    whole = argparse.ArgumentParser(prog="fmcam")
    parsers = whole.add_subparsers()
    for name, module in commands.items():
        parser = make_parser(module.Config, f"fmcam {name}", module.__doc__)
        for action in parser._actions:
            if action.nargs != 0 and not action.choices:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        first_line = module.__doc__.partition("\n")[0]
        parsers.add_parser(name, parents=[parser], add_help=False, help=first_line)
    return shtab.complete(whole, shell)
