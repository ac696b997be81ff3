"""Grad-CAM against torch-cam, captum and pytorch-grad-cam: the same maps, time and memory.

All explain the same random images with the same network on one machine, in turns, and give maps of
the images' size. "four methods, ten classes" asks each library for Grad-CAM, Grad-CAM++, LayerCAM
and HiResCAM (captum: Grad-CAM only) of every class. Memory is the highest resident set above that
before the call, each way in a process of its own. The rivals are no dependencies of fmcam:
``pip install torchcam grad-cam captum``.
"""

from dataclasses import dataclass

from fmcam.cli._config import option

NETS = ("resnet18", "cnn_cam")


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark."""

    nets: tuple[str, ...] = option(NETS, "networks", NETS)
    images: int = option(32, "images in a call")
    many_images: int = option(8, "images in a call for four methods and ten classes")
    repeats: int = option(7, "turns")
    threads: int = option(1, "torch threads")
    out: str = option("runs/benchmark/heatmaps", "folder of the results")


def main(config):
    """Import torch only now that the settings are read; then run."""
    from experiments.benchmark import _heatmaps

    _heatmaps.main(config)
