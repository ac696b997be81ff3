"""`python -m experiments.benchmark NAME`: speed, most of it against named rivals."""

import sys

from experiments.benchmark import (
    boxes,
    fit,
    heatmaps,
    networks,
    photographs,
    scaling,
    search,
    steps,
)
from fmcam.cli._script import run_script

SCRIPTS = {
    "boxes": boxes,
    "fit": fit,
    "heatmaps": heatmaps,
    "networks": networks,
    "photographs": photographs,
    "scaling": scaling,
    "search": search,
    "steps": steps,
}

if __name__ == "__main__":
    name = sys.argv.pop(1) if len(sys.argv) > 1 else None
    if name not in SCRIPTS:
        raise SystemExit(f"usage: python -m experiments.benchmark {'|'.join(SCRIPTS)} [--help]")
    script, command = SCRIPTS[name], f"python -m experiments.benchmark {name}"
    run_script(script.main, script.Config, command, script.__doc__)
