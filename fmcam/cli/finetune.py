"""Fine-tune a ResNet-18 on a folder of labelled photographs, test it, and show where it looks."""

from dataclasses import dataclass
from pathlib import Path

from fmcam.cli._checks import check_folder, check_least, check_training, check_weights
from fmcam.cli._class_names import CLASS_NAMES, read_class_names
from fmcam.cli._config import option
from fmcam.cli._settings import TransferSettings

STRIDE = 32  # of a ResNet-18's last layer, in pixels
_ONE_CELL = "or the maps of the last layer have one cell."


@dataclass(frozen=True, kw_only=True)
class Config(TransferSettings):
    """Settings of a fine-tuning."""

    folder: str | None = option(None, "folder of labelled photographs (required)")
    labels: str = option(
        "folder",
        "where the label of a photograph is: in the name of its folder, as in cat/1.jpg, or of its "
        "file, as in cat_1.jpg",
        ("folder", "name"),
    )
    class_names: tuple[str, ...] | None = option(None, CLASS_NAMES)
    split: str = option(
        "folders",
        "which photographs are for training, validation and test: as folders named train, val and "
        "test say, where there are such, or a random split of all",
        ("folders", "random"),
    )
    weights: str = option(
        "DEFAULT",
        "weights to start from: a checkpoint, a file of weights, or a name of torchvision's",
    )
    image_size: int = option(224, "height and width of the photographs, in pixels")
    validation: float = option(0.15, "share to hold out to choose the epoch by, unless folders say")
    test: float = option(0.15, "share to hold out for the test, unless folders say")
    gallery: int = option(24, "number of test photographs in the gallery")
    out: str = option("runs/finetune", "folder to write the results to")
    resume: bool = option(False, "keep a finished training, and continue an unfinished one")


def check(config):
    """End with a message if settings are missing or contradict each other."""
    if config.folder is None:
        raise SystemExit("--folder must name the folder of the photographs.")
    if not Path(config.folder).is_dir():
        raise SystemExit(f"--folder: there is no folder {config.folder}.")
    for wrong, message in (
        (config.image_size <= STRIDE, f"--image-size must be over {STRIDE}, {_ONE_CELL}"),
        (min(config.validation, config.test) <= 0, "--validation and --test must be positive."),
        (config.validation + config.test >= 1, "--validation and --test leave nothing to train."),
    ):
        if wrong:
            raise SystemExit(message)
    check_training(config)
    check_least(config, head_epochs=0, gallery=0)
    read_class_names(config.class_names)
    check_weights(config.weights)
    check_folder(config.out)


def main(config):
    """Check the settings before torch is imported, then fine-tune."""
    check(config)
    from fmcam.cli import _finetune

    _finetune.main(config)
