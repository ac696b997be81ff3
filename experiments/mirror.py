"""Where the cells of trained networks look, without labels: photographs and their mirror images.

If the cells are where maps are drawn, the maps of a photograph and of its mirror image are mirror
images as well. The place of the first cell for which they are is set beside the geometric centre
of its receptive field and beside an even division of the image, for the trained network, for one
with random weights, and for photographs that are shifted. Fashion-MNIST's items are the
photographs of LeNet-5, and, on canvases, of CNN_CAM, which both are trained here; all others see
pets.
"""

from dataclasses import dataclass

from fmcam.cli._checks import check_folder, check_least
from fmcam.cli._config import option
from fmcam.cli._script import run_script

TRAINED_HERE = ("lenet5", "cnn-cam")


@dataclass(frozen=True)
class Config:
    """Settings of the mirror test."""

    networks: tuple[str, ...] = option(
        (*TRAINED_HERE, "timm/tf_efficientnet_lite0"),
        "lenet5 and cnn-cam, which are trained here, names of networks with published weights, and "
        "files of fmcam",
    )
    image_size: int = option(224, "height and width of the photographs in pixels")
    images: int = option(300, "photographs")
    rows: int = option(6000, "items that networks are trained on here")
    epochs: int = option(3, "passes over them")
    canvas: int = option(64, "height and width of the canvases")
    seed: int = option(0, "random state of trainings, canvases and random weights")
    batch_size: int = option(32, "photographs that are explained at once")
    data_dir: str | None = option(None, "folder of the data sets, by default FMCAM_DATA")
    out: str = option("runs/mirror", "folder of the results")


def main(config):
    """Check the settings before torch is imported; then train, compare, write."""
    check_least(config, images=2, rows=1, epochs=1, batch_size=1)
    check_folder(config.out)
    from experiments import _mirror

    _mirror.main(config)


if __name__ == "__main__":
    run_script(main, Config, "python -m experiments.mirror", __doc__)
