"""Checks of settings that several commands have; none needs torch."""

from pathlib import Path

from fmcam import _files
from fmcam._suggest import suggest
from fmcam.models import list_weights

__all__ = ["check_folder", "check_weights"]


def check_folder(path, flag="--out"):
    """End with a message if the folder of a flag takes no file or could not be made."""
    try:
        _files.check_folder(path, flag)
    except ValueError as error:
        raise SystemExit(f"{error}") from error


def check_weights(weights, network="resnet18", flag="--weights"):
    """End with a message unless weights are a file, or the name of those that are published."""
    if Path(weights).is_file():
        return
    names = list_weights(network)
    if weights not in names:
        hint = suggest(weights, names) if names else f"No weights of {network} are published."
        raise SystemExit(f"{flag}: there is no file {weights}. {hint}")
