"""Scores of boxes and pixels against the evaluators of wsolevaluation, and maps without end.

Made-up heatmaps of 224 x 224 pixels with one to four true boxes come a batch at a time to both, at
1,000 thresholds; how many images are right must be equal at each, after each batch. fmcam alone
takes many more, whose memory is looked at. Seconds are those of the processor. The rival is no
package: `git clone https://github.com/clovaai/wsolevaluation` and `pip install munch
opencv-python-headless`.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fmcam.cli._config import option

GET = "Get it by `git clone https://github.com/clovaai/wsolevaluation` and "
GET += "`pip install munch opencv-python-headless`."


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark."""

    rival: str = option("wsolevaluation", "folder of a clone of wsolevaluation")
    maps: int = option(2_000, "maps that both score")
    alone: int = option(50_000, "maps that fmcam scores alone")
    batch: int = option(50, "maps at once")
    out: str = option("runs/benchmark/wsol", "folder of the results")


def check(config):
    """End with a message where the rival is missing."""
    if not (Path(config.rival) / "evaluation.py").is_file():
        raise SystemExit(f"--rival: there is no clone of wsolevaluation in {config.rival}. {GET}")
    if missing := [name for name in ("cv2", "munch") if find_spec(name) is None]:
        raise SystemExit(f"wsolevaluation needs {' and '.join(missing)}. {GET}")


def main(config):
    """Check before torch is imported; then run."""
    check(config)
    from experiments.benchmark import _wsol

    _wsol.main(config)
