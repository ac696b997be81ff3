"""Find pets with a classifier that learned from labels alone, on Oxford-IIIT Pet.

The published trainval list is split into training and validation photographs. What turns heatmaps
of the true breed into boxes and masks, the thresholds and whether a box goes around the largest
region or around all, is fitted on the latter and frozen; the published test list is scored once.

With --arch a network of ImageNet's classes is taken as it is. Nothing is trained, all of the
trainval list is for validation, and the heatmaps are those of the likeliest class of the animal's
species: any of the dogs, or any of the domestic cats.
"""

from dataclasses import dataclass

from fmcam.cli._checks import check_folder, check_least, check_training, check_weights
from fmcam.cli._config import option
from fmcam.cli._script import mistakes_named, run_script
from fmcam.cli._settings import TransferSettings
from fmcam.models import find_model

LAYERS = tuple(f"features.layer{number}" for number in (2, 3, 4))


@dataclass(frozen=True, kw_only=True)
class Config(TransferSettings):
    """Settings of a localization of pets."""

    weights: str | None = option(
        None, "weights to start from: a checkpoint, a state dict file, or a name of torchvision's"
    )
    arch: str | None = option(
        None, "network that learned ImageNet, such as resnet50, to explain as its weights are"
    )
    layers: tuple[str, ...] = option(LAYERS, "three layers to fuse, early to late")
    truth: str = option(
        "animal",
        "what to find: the animal, or the box of its head, published for the trainval list only, "
        "of which a quarter is then the test",
        ("animal", "head"),
    )
    image_size: int = option(224, "height and width of the photographs in pixels")
    images: int | None = option(None, "photographs of each list, by default all")
    validation: float = option(
        0.2, "share of the trainval list that thresholds are fitted on; all of it with --arch"
    )
    score_cam: bool = option(False, "Score-CAM too, which takes up to 512 forwards an image")
    gallery: int = option(24, "test photographs in the gallery")
    data_dir: str | None = option(None, "folder of the data sets, by default FMCAM_DATA")
    out: str = option("runs/pets", "folder of the results")
    resume: bool = option(False, "keep the training in the folder, go on with an unfinished one")


def check(config):
    """End with a message if settings are wrong or contradict each other."""
    check_training(config)
    check_least(config, head_epochs=0)
    if len(config.layers) != len(LAYERS):
        raise SystemExit(f"--layers must name {len(LAYERS)} layers, got {len(config.layers)}.")
    network = "resnet18"
    if config.arch is not None:
        with mistakes_named():
            network = find_model(config.arch)
        if config.weights is None:
            raise SystemExit(f"--arch {config.arch} needs --weights: a file, or DEFAULT.")
    if config.weights is not None:
        check_weights(config.weights, network)
    check_folder(config.out)


def main(config):
    """Check the settings before torch is imported; then train, explain, score, write."""
    check(config)
    from experiments import _pets

    _pets.main(config)


if __name__ == "__main__":
    run_script(main, Config, "python -m experiments.pets", __doc__)
