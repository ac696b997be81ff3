"""Fine-tune a ResNet-18 on a folder of labelled photographs, test it, and show where it looks."""

from dataclasses import dataclass

from fmcam.cli._config import option
from fmcam.cli._settings import TransferSettings


@dataclass(frozen=True, kw_only=True)
class Config(TransferSettings):
    """Settings of a fine-tuning."""

    folder: str | None = option(None, "folder of the photographs; needed")
    labels: str = option(
        "folder",
        "what names a photograph's class: the folder that it lies in, as in cat/1.jpg, or the name "
        "of its file, as in cat_1.jpg",
        ("folder", "name"),
    )
    weights: str = option(
        "DEFAULT", "weights to start from: a checkpoint, a state dict file, or a torchvision name"
    )
    image_size: int = option(224, "height and width that photographs are cut to, in pixels")
    validation: float = option(0.15, "share of the photographs that end the training early")
    test: float = option(0.15, "share of the photographs to test on")
    gallery: int = option(24, "test photographs in the gallery")
    out: str = option("runs/finetune", "folder of the results")
    resume: bool = option(False, "keep the training in the folder, go on with an unfinished one")


def check(config):
    """End with a message if settings are missing or contradict each other."""
    if config.folder is None:
        raise SystemExit("--folder must name the folder of the photographs.")
    if min(config.validation, config.test) <= 0 or config.validation + config.test >= 1:
        raise SystemExit("--validation and --test must be shares above 0 that leave some to learn.")


def main(config):
    """Check the settings before torch is imported, then fine-tune."""
    check(config)
    from fmcam.cli import _finetune

    _finetune.main(config)
