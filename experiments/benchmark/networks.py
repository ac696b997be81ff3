"""Networks that nobody here wrote, explained untouched: right, refused with a reason, or wrong.

Each has random weights and is asked for Grad-CAM of its default layer. Right is a finite map of the
image's size, from a layer with the image's proportions, not the patch embedding, where the cell in
each corner depends most, by gradient, on its own quarter of the image. What a map shows is not
judged: weights are random.
"""

from dataclasses import dataclass

from fmcam.cli._config import option


@dataclass(frozen=True)
class Config:
    """Settings of the sweep."""

    only: tuple[str, ...] = option((), "parts of names; all networks without it")
    out: str = option("runs/benchmark/networks", "folder of the results")
    resume: bool = option(False, "keep the networks that the folder's table holds")


def main(config):
    """Import torch only now that the settings are read; then run."""
    from experiments.benchmark import _networks

    _networks.main(config)
