"""One fit against a bare PyTorch loop, and prediction against plain skorch.

The loop trains the same network on the same tensors with the same batches, one thread each. For
prediction the network is nearly free (an average of the pixels and ten weights), so that what is
timed is how the rows get to it.
"""

from dataclasses import dataclass

from fmcam.cli._config import option


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark."""

    rows: int = option(12_000, "images trained on")
    predicted: int = option(60_000, "images predicted")
    repeats: int = option(7, "turns")
    out: str = option("runs/benchmark/fit", "folder of the results")


def main(config):
    """Import torch only now that the settings are read; then run."""
    from experiments.benchmark import _fit

    _fit.main(config)
