"""Files that lie: what is read, refused by name, or does harm, of files changed at random.

Files of each kind are changed, their bytes or their values, and read: checkpoints, torch files,
settings, pictures, results for a page, and what fmcam itself keeps to go on from. A changed file
must be read, or refused with an error that names it; work that was kept must be done again where
what was kept is damaged. A seed changes the same files every time.
"""

import itertools
import time
import warnings
from dataclasses import dataclass

import pandas as pd
import torch

from experiments.benchmark._files import KINDS, tried
from fmcam.cli._config import option
from fmcam.cli._run import Run


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark."""

    seconds: float = option(60, "to spend in all, in equal parts on each kind")
    seed: int = option(0, "of the first file of each kind; the next have the next")
    out: str = option("runs/benchmark/fuzz", "folder of the results")


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
