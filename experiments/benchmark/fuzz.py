"""Files that lie: what is read, refused by name, or does harm, of files changed at random.

Files of each kind are changed, their bytes or their values, and read: checkpoints, torch files,
settings, pictures, results for a page, and what fmcam itself keeps to go on from. A changed file
must be read, or refused with an error that names it; work that was kept must be done again where
what was kept is damaged. A seed changes the same files every time.
"""

from dataclasses import dataclass

from fmcam.cli._config import option


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark."""

    seconds: float = option(60, "to spend in all, in equal parts on each kind")
    seed: int = option(0, "of the first file of each kind; the next have the next")
    out: str = option("runs/benchmark/fuzz", "folder of the results")


def main(config):
    """Import torch only now that the settings are read; then run."""
    from experiments.benchmark import _fuzz

    _fuzz.main(config)
