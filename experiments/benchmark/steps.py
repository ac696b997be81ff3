"""What a step of training costs before any arithmetic: one image a batch, on one thread.

Where an accelerator does the arithmetic in no time, this time of the processor is what remains.
Networks that are trained as one run the same operators however many they are, so `bound`, which is
the time of 27 steps of plain skorch over that of one such step, says how many times faster 27
networks are at best. Arithmetic on the accelerator comes on top for both, most of all for those.
"""

from dataclasses import dataclass

from experiments.benchmark._settings import NETS
from fmcam.cli._config import option


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark."""

    nets: tuple[str, ...] = option(("simplecnn", "lenet5"), "networks", NETS)
    steps: int = option(3_000, "steps of a fit, with one image each")
    repeats: int = option(7, "turns")
    out: str = option("runs/benchmark/steps", "folder of the results")


def main(config):
    """Import torch only now that the settings are read; then run."""
    from experiments.benchmark import _steps

    _steps.main(config)
