"""`python -m experiments.benchmark NAME`: speed against named rivals, networks, and what holds."""

import sys
from importlib import import_module

from fmcam.cli._script import run_script

SCRIPTS = (
    *("boxes", "fit", "fuzz", "halving", "heatmaps", "networks", "photographs"),
    *("reliability", "scaling", "search", "steps", "wsol"),
)

if __name__ == "__main__":
    name = sys.argv.pop(1) if len(sys.argv) > 1 else None
    if name not in SCRIPTS:
        raise SystemExit(f"usage: python -m experiments.benchmark {'|'.join(SCRIPTS)} [--help]")
    script = import_module(f"experiments.benchmark.{name}")
    command = f"python -m experiments.benchmark {name}"
    run_script(script.main, script.Config, command, script.__doc__)
