"""Every explainer on the same network and canvases: how well it localizes, how true, how fast.

Networks and canvases come from finished runs of `experiments.localize`. Thresholds are fitted on
held-out canvases and frozen; what is chosen on the test canvases themselves is named oracle. All
boxes go around the largest region.
"""

from dataclasses import dataclass
from pathlib import Path

from fmcam.cli._checks import check_folder
from fmcam.cli._config import option
from fmcam.cli._script import run_script


@dataclass(frozen=True)
class Config:
    """Settings of a comparison of methods."""

    runs: tuple[str, ...] = option(
        ("runs/localize/blank", "runs/localize/cluttered"), "folders of runs of localize"
    )
    images: int = option(500, "test canvases")
    validation: int = option(500, "canvases that the thresholds are fitted on")
    slow: int = option(100, "of them for faithfulness, random weights and timing")
    batch_size: int = option(32, "images in a batch")
    out: str = option("runs/compare_methods", "folder of the results")


def check(config):
    """End with a message if a run of localize is not there, or no folder to write to."""
    for folder in config.runs:
        if not Path(folder, "config.json").is_file():
            raise SystemExit(
                f"--runs: there is no {Path(folder, 'config.json')}. Name folders that "
                "`python -m experiments.localize` wrote."
            )
    check_folder(config.out)


def main(config):
    """Check the settings before torch is imported; then explain, score, write."""
    check(config)
    from experiments import _compare_methods

    _compare_methods.main(config)


if __name__ == "__main__":
    run_script(main, Config, "python -m experiments.compare_methods", __doc__)
