"""What must hold when things go wrong: threads, kills, full disks, and many calls.

Each row is something tried many times; what did not hold is named in its last column.

threads: calls of four threads to the same classifiers, a mix of predictions, all explainers, copies
and scores, which must give what a single thread gets, and leave networks and process as they were.
kills: work that is killed at a random time, all its processes, the one that was called or a worker;
they must end within ten seconds, and the same call then give what undisturbed work gives. full
disk: files without room, afresh and in the place of others; one error must name the file, and
nothing half written stay. files: changed at random, they must be read or refused by name.
memory: the process must not grow.
"""

from dataclasses import dataclass

from fmcam.cli._config import option


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark."""

    only: tuple[str, ...] = option((), "parts of the names of rows; all rows without it")
    calls: int = option(200, "calls in each setting of threads, and for memory")
    kills: int = option(25, "kills of each kind of work")
    files: int = option(300, "changed files of each kind")
    seed: int = option(0, "of the mix of calls, the times of kills, the changes of files")
    out: str = option("runs/benchmark/reliability", "folder of the results")
    resume: bool = option(False, "keep the rows that the folder's table holds")


def main(config):
    """Import torch only now that the settings are read; then run."""
    from experiments.benchmark import _reliability

    _reliability.main(config)
