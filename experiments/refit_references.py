"""Fit the references of a folder of `experiments.pets` anew, without its network.

The boxes and maps of methods stay as they are. Those that know nothing of a network are fitted to
the boxes of the folder's held-out photographs and scored on its test photographs, and all
that is said in comparison with them is written again.
"""

from dataclasses import dataclass
from pathlib import Path

from fmcam.cli._config import option
from fmcam.cli._script import run_script


@dataclass(frozen=True)
class Config:
    """Settings of references."""

    data_dir: str | None = option(None, "folder of the data sets, by default FMCAM_DATA")
    out: str = option("results/pets", "folder that `experiments.pets` wrote")


def main(config):
    """Check that there are results before anything heavy is imported."""
    if not (Path(config.out) / "rows.csv.gz").is_file():
        raise SystemExit(
            f"--out must be a folder that experiments.pets wrote, but {config.out} holds no "
            "rows.csv.gz."
        )
    from experiments import _refit_references

    _refit_references.main(config)


if __name__ == "__main__":
    run_script(main, Config, "python -m experiments.refit_references", __doc__)
