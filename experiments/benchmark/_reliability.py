"""What `experiments.benchmark reliability` does."""

import os
import re
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from experiments.benchmark import _files, _full_disk, _kills, _threads
from fmcam.cli._run import Run

N_THREADS = 4
MOST_GROWTH = 8  # MiB in the second half of the calls


class Tried(NamedTuple):
    """How often something was tried, what of it did not hold, and what else there is to say."""

    n: int
    wrong: list[str]
    note: str = ""


def all_rows(config):
    """What is tried, in which setting, and a function without arguments that gives a Tried."""
    rows: list[tuple[str, str, Callable[[], Tried]]] = []
    rows += [("kills", name, partial(kills, name, config)) for name in _kills.WORKS]
    rows += [("threads", name, partial(threads, name, config)) for name in _threads.SETTINGS]
    rows += [("full disk", name, partial(full_disk, name)) for name in _full_disk.CASES]
    rows += [("files", kind, partial(files, kind, config)) for kind in _files.KINDS]
    rows += [("memory", name, partial(memory, name, config)) for name in ("fitted", "streams")]
    return rows


def threads(setting, config):
    """Calls of several threads."""
    wrong = _threads.failures(setting, config.calls, N_THREADS, config.seed)
    return Tried(config.calls, wrong)


def kills(work, config):
    """Works that are killed and done again."""
    with tempfile.TemporaryDirectory() as folder:
        wrong = _kills.trouble_after_kills(work, Path(folder), config.kills, config.seed)
    return Tried(config.kills, wrong, f"kills of {', '.join(_kills.TARGETS[work])}")


def full_disk(case):
    """A file that has no room, twice: afresh, and where there is another."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "from", Path(folder) / "to"
        source.mkdir()
        target.mkdir()
        _full_disk.prepare(source)
        found = _full_disk.tried(case, source, target)
    named = rf"DiskFullError: {re.escape(str(target))}/\S+ cannot be written: "
    wrong = [f"said {said}" for said in found["said"] if not re.match(named, said or "nothing")]
    wrong += [f"changed {name}" for name in found["changed"] if name != "config.json"]
    said = str(found["said"][1]).removeprefix("DiskFullError: ")
    return Tried(2, wrong, said.replace(folder, "FOLDER"))


def files(kind, config):
    """Files changed at random, and read."""
    outcomes = list(_files.tried(kind, range(config.seed, config.seed + config.files)))
    counts = {name: outcomes.count(name) for name in ("read", "refused")}
    wrong = [outcome for outcome in outcomes if outcome not in counts]
    return Tried(config.files, wrong, ", ".join(f"{n} {name}" for name, n in counts.items()))


def memory(setting, config):
    """Calls one after the other, and how many MiB the process has grown in the second half."""
    clfs = _threads.SETTINGS[setting]()
    calls = [call for clf in clfs for call in _threads.calls_of(setting, clf).values()]
    sizes = []
    for number in range(config.calls):
        calls[number % len(calls)]()
        sizes.append(resident())
    growth = sizes[-1] - sizes[len(sizes) // 2]
    note = f"grew by {growth:.1f} MiB in the second half"
    return Tried(config.calls, [] if growth < MOST_GROWTH else [note], note)


def resident():
    """MiB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(config):
    """Try, write."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    wanted = config.only or ("",)
    chosen = [row for row in all_rows(config) if any(part in " ".join(row[:2]) for part in wanted)]
    if not chosen:
        raise SystemExit(f"--only: no row has {' or '.join(config.only)} in its name.")
    run = Run(config, "python -m experiments.benchmark reliability")
    table = run.folder / "rows.csv"
    rows = pd.read_csv(table).to_dict("records") if config.resume and table.exists() else []
    finished = {(row["what"], row["setting"]) for row in rows}
    for what, setting, try_it in chosen:
        if (what, setting) in finished:
            continue
        start = time.perf_counter()
        found = try_it()
        rows.append(
            {
                **{"what": what, "setting": setting, "seed": config.seed, "tried": found.n},
                **{"held": max(found.n - len(found.wrong), 0)},
                **{"seconds": round(time.perf_counter() - start, 1), "note": found.note},
                **{"wrong": "; ".join(found.wrong)},
            }
        )
        print(*rows[-1].values(), flush=True)
        run.write_table("rows.csv", pd.DataFrame(rows))
    summary = pd.DataFrame(rows).groupby("what", sort=False)[["tried", "held"]].sum()
    run.write_table("summary.csv", summary)
    print(summary.to_string())
    run.finish()
