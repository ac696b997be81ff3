"""Every method on pets, network by network: how well it localizes, and how sure its rank is.

Reads what `experiments.pets` wrote: rows of test photographs whose thresholds and references come
from held-out ones. Methods are ranked by mean IoU among all rows but the oracle, so also among what
knows nothing of the network; the interval of a rank is that of a bootstrap over photographs, drawn
for all methods together. Processor seconds are measured here, on a network with random weights, as
weights make no difference to them. What cannot be compared is told with its reason.
"""

from dataclasses import dataclass
from pathlib import Path

from fmcam.cli._checks import check_folder, check_least
from fmcam.cli._config import option
from fmcam.cli._script import run_script


@dataclass(frozen=True)
class Config:
    """Settings of a leaderboard."""

    runs: tuple[str, ...] = option(
        ("results/pets", "results/pets_imagenet"), "folders that `experiments.pets` wrote"
    )
    timed: int = option(16, "photographs that the seconds are measured on")
    draws: int = option(10_000, "bootstrap draws for the ranks")
    seed: int = option(0, "random state of the draws")
    out: str = option("runs/leaderboard", "folder of the results")


def main(config):
    """Check the settings before anything heavy is imported; then rank, time, write."""
    check_least(config, timed=1, draws=100)
    for folder in config.runs:
        if not (Path(folder) / "rows.csv.gz").is_file():
            raise SystemExit(
                f"--runs must be folders that experiments.pets wrote, but {folder} holds no "
                "rows.csv.gz."
            )
    check_folder(config.out)
    from experiments import _leaderboard

    _leaderboard.main(config)


if __name__ == "__main__":
    run_script(main, Config, "python -m experiments.leaderboard", __doc__)
