"""Time several ways in turns."""

import time

import pandas as pd

__all__ = ["in_turns", "ratios"]


def in_turns(ways, repeats):
    """Seconds of each way, one row a repeat, so that a busy spell of the machine hits all.

    Parameters
    ----------
    ways : mapping of str to callable without arguments
    repeats : int
    """
    rows = []
    for _ in range(repeats):
        row = {}
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            row[name] = time.perf_counter() - start
        rows.append(row)
        print("  ".join(f"{name} {seconds:.2f} s" for name, seconds in row.items()), flush=True)
    return pd.DataFrame(rows)


def ratios(seconds, ours):
    """How many times faster `ours` is than each other way: median, lowest, highest, n."""
    others = seconds.drop(columns=ours)
    times = others.div(seconds[ours], axis=0)
    frame = times.agg(["median", "min", "max", "count"]).T
    frame.insert(0, "seconds_ours", seconds[ours].median())
    frame.insert(0, "seconds_rival", others.median())
    return frame.rename_axis("rival").reset_index()
