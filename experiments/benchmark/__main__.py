"""`python -m experiments.benchmark NAME`: speed against named rivals, networks, and what holds."""

import sys
from importlib import import_module
from pkgutil import iter_modules

from experiments.benchmark import __path__
from fmcam.cli._script import run_script

SCRIPTS = [name for _, name, _ in iter_modules(__path__) if not name.startswith("_")]

if __name__ == "__main__":
    name = sys.argv.pop(1) if len(sys.argv) > 1 else None
    if name not in SCRIPTS:
        raise SystemExit(f"usage: python -m experiments.benchmark {'|'.join(SCRIPTS)} [--help]")
    script = import_module(f"experiments.benchmark.{name}")
    command = f"python -m experiments.benchmark {name}"
    run_script(script.main, script.Config, command, script.__doc__)
