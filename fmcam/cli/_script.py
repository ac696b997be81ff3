"""A script: its settings from the command line, its mistakes and its interruption in one line."""

import contextlib
import shlex
import sys

from fmcam.cli._config import parse

__all__ = ["command_line", "mistakes_named", "run_script"]


def run_script(main, config_class, name, description):
    """Run `main` with the command line's settings; after Ctrl-C say how to go on, if one can."""
    try:
        main(parse(config_class, sys.argv[1:], prog=name, description=description))
    except KeyboardInterrupt:
        if "resume" not in config_class.__dataclass_fields__:
            raise SystemExit("\nStopped.") from None
        given = [part for part in sys.argv[1:] if part != "--resume"]
        command = command_line(name, [*given, "--resume"])
        raise SystemExit(f"\nStopped. Finished work is kept; go on with\n  {command}") from None
    except OSError as error:
        raise SystemExit(f"{error}") from error


def command_line(name, arguments):
    """A command as one would type it."""
    return f"{name} {shlex.join(arguments)}".strip()


@contextlib.contextmanager
def mistakes_named():
    """End with the message of an error: all that a person needs who mistyped something."""
    try:
        yield
    except (ImportError, OSError, ValueError) as error:
        raise SystemExit(f"{error}") from error
