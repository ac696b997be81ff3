"""Boxes of many heatmaps at many thresholds against OpenCV called for each map and threshold.

Both find the largest 8-connected region of the pixels at or above a threshold and give its box; the
boxes must agree. "smooth" maps are random maps of 16x16 brought to full size, as those of a CAM
are; "noise" is white noise, where nearly every pixel is an edge. Seconds are those of the
processor. The rival is no dependency of fmcam: ``pip install opencv-python-headless``.
"""

from dataclasses import dataclass

from fmcam.cli._config import option


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark."""

    smooth: int = option(10_000, "smooth maps")
    noise: int = option(200, "maps of white noise")
    repeats: int = option(3, "turns")
    out: str = option("runs/benchmark/boxes", "folder of the results")


def main(config):
    """Import torch only now that the settings are read; then run."""
    from experiments.benchmark import _boxes

    _boxes.main(config)
