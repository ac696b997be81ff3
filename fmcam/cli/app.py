"""Open a page on this machine to try a network on: drop a photograph, see where it looks.

The page shows heatmaps side by side, also those of the same network with random weights, and their
boxes, which follow a threshold. What it shows can be downloaded: the picture, the numbers, and the
Python that makes them. Nothing leaves this machine, and no other machine can open the page.
"""

import os
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec

from fmcam.cli._checks import check_least
from fmcam.cli._class_names import CLASS_NAMES, read_class_names
from fmcam.cli._config import option
from fmcam.cli.explain import network_to_load


@dataclass(frozen=True)
class Config:
    """Settings of the page."""

    model: str | None = option(
        None,
        "checkpoint of fmcam, or a folder with one; with --arch: file of its weights, or a name "
        "such as DEFAULT",
    )
    arch: str | None = option(
        None, "name of a network, such as resnet50, timm/vit_base_patch16_224 or hf/FOLDER"
    )
    class_names: tuple[str, ...] | None = option(None, CLASS_NAMES)
    image_size: int | None = option(
        None, "height and width of the images; by default what the network was made for"
    )


def check(config):
    """End with a message if there is no gradio, or settings cannot be."""
    check_least(config, image_size=1)
    read_class_names(config.class_names)
    if find_spec("gradio") is None:
        raise SystemExit("The page needs gradio: python -m pip install 'fmcam[app]'.")


def main(config):
    """Check the settings before torch is imported, then show the page until Ctrl-C."""
    check(config)
    model, arch = network_to_load(config.model, config.arch)
    # gradio reads these when it is imported; the photographs go with the folder
    with tempfile.TemporaryDirectory(prefix="fmcam-app-") as folder:
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder}
        from fmcam.cli._app import _page

        _page.main(config, model, arch, folder)
