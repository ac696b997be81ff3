"""`python -m experiments.benchmark boxes|fit|heatmaps|scaling|search`: how fast, beside rivals."""

import sys

from experiments._run import run_script
from experiments.benchmark import boxes, fit, heatmaps, scaling, search

SCRIPTS = {
    "boxes": boxes,
    "fit": fit,
    "heatmaps": heatmaps,
    "scaling": scaling,
    "search": search,
}

if __name__ == "__main__":
    name = sys.argv.pop(1) if len(sys.argv) > 1 else None
    if name not in SCRIPTS:
        raise SystemExit(f"usage: python -m experiments.benchmark {'|'.join(SCRIPTS)} [--help]")
    script = SCRIPTS[name]
    run_script(script.main, script.Config, f"benchmark {name}", script.__doc__)
