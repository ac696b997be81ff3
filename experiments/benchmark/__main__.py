"""`python -m experiments.benchmark NAME`: speed, most of it against named rivals."""

import sys

from experiments._run import run_script
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
    script = SCRIPTS[name]
    run_script(script.main, script.Config, f"benchmark {name}", script.__doc__)
