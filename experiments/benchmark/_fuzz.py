"""What `experiments.benchmark fuzz` does."""

import itertools
import time
import warnings

import pandas as pd
import torch

from experiments.benchmark._files import KINDS, tried
from fmcam.cli._run import Run


def main(config):
    """Try, write; an error if a file did harm."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    run = Run(config, "python -m experiments.benchmark fuzz")
    rows, wrong = [], []
    for kind in KINDS:
        outcomes = []
        end = time.monotonic() + config.seconds / len(KINDS)
        for outcome in tried(kind, itertools.count(config.seed)):
            if outcome not in ("read", "refused"):
                wrong.append(f"{kind}, seed {config.seed + len(outcomes)}: {outcome}")
            outcomes.append(outcome)
            if time.monotonic() > end:
                break
        counts = {name: outcomes.count(name) for name in ("read", "refused")}
        rows.append({"kind": kind, "files": len(outcomes), **counts})
        rows[-1]["wrong"] = len(outcomes) - sum(counts.values())
    table = pd.DataFrame(rows)
    run.write_table("summary.csv", table)
    print(table.to_string(index=False))
    run.finish()
    if wrong:
        raise SystemExit("\n".join(["Wrong:", *wrong]))
