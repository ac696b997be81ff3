"""Halving against searches that train all candidates to the end: time, and what it costs.

Timed in turns, a seed each: scikit-learn's GridSearchCV and HalvingGridSearchCV over plain skorch,
at a constant rate, and ours, exhaustive and by halving, with one cycle. The seed draws the rows,
the folds and the networks. With one process the seconds are those of the processor, with one
thread.

Regret is the test accuracy of the exhaustive winner minus that of the winner by halving, each
trained on all rows that were searched over. Ranks of all candidates after few epochs are compared
with those at the end, with one cycle and at a constant rate, and what rungs choose with the best at
the end.
"""

from dataclasses import dataclass

from experiments.benchmark._settings import NETS
from fmcam.cli._checks import check_least
from fmcam.cli._config import option


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark."""

    nets: tuple[str, ...] = option(("simplecnn", "lenet5"), "networks", NETS)
    dataset: str = option("fashion-mnist", "images", ("fashion-mnist", "shapes"))
    lr: tuple[float, ...] = option((0.003, 0.01, 0.03), "learning rates")
    batch_size: tuple[int, ...] = option((32, 64, 128), "batch sizes")
    weight_decay: tuple[float, ...] = option((1e-4, 5e-4, 1e-3), "weight decays")
    rows: int = option(6_000, "images searched over")
    epochs: int = option(9, "epochs of a whole training")
    cv: int = option(3, "folds")
    seeds: tuple[int, ...] = option((0, 1, 2, 3, 4), "random states")
    jobs: int = option(1, "processes of each search")
    out: str = option("runs/benchmark/halving", "folder of the results")

    @property
    def grid(self):
        """The grid that is searched."""
        rates = {"lr": list(self.lr), "batch_size": list(self.batch_size)}
        return {**rates, "optimizer__weight_decay": list(self.weight_decay)}


def main(config):
    """Check before torch is imported; then run."""
    check_least(config, cv=2, epochs=1)
    check_least(config, rows=10 * config.cv)  # of each class one in each fold
    from experiments.benchmark import _halving

    _halving.main(config)
