"""`python -m experiments.benchmark NAME`: speed against named rivals, networks, and what holds."""

import sys

from experiments.benchmark import (
    boxes,
    fit,
    heatmaps,
    networks,
    photographs,
    reliability,
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
    "reliability": reliability,
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
