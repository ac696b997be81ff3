"""Checks of settings that several commands have; none needs torch."""

from pathlib import Path

from fmcam import _files
from fmcam._suggest import suggest
from fmcam.models import list_weights

__all__ = ["check_folder", "check_least", "check_threshold", "check_training", "check_weights"]


def check_folder(path, flag="--out"):
    """End with a message if the folder of a flag takes no file or could not be made."""
    try:
        _files.check_folder(path, flag)
    except ValueError as error:
        raise SystemExit(f"{error}") from error


def check_least(config, **least):
    """End with a message if a setting that has a value is below the least one that it may have."""
    for name, number in least.items():
        value = getattr(config, name)
        if value is not None and value < number:
            flag = name.replace("_", "-")
            raise SystemExit(f"--{flag} must be {number} or more, got {value}.")


def check_training(config):
    """End with a message if no training can have these settings."""
    check_least(config, epochs=1, batch_size=1, patience=1, weight_decay=0)
    if config.lr <= 0:
        raise SystemExit(f"--lr must be positive, got {config.lr}.")
    if not 0 <= (config.label_smoothing or 0) <= 1:
        raise SystemExit(f"--label-smoothing must be in [0, 1], got {config.label_smoothing}.")


def check_weights(weights, network="resnet18", flag="--weights"):
    """End with a message unless weights are a file, or the name of those that are published."""
    if Path(weights).is_file():
        return
    names = list_weights(network)
    if weights not in names:
        hint = suggest(weights, names) if names else f"No weights of {network} are published."
        raise SystemExit(f"{flag}: there is no file {weights}. {hint}")


def check_threshold(threshold):
    """End with a message if heatmaps cannot be cut there."""
    if not 0 <= threshold <= 1:
        raise SystemExit(f"--threshold must be in [0, 1], got {threshold}.")
