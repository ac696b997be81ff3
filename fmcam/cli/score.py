"""Score how well heatmaps localize the objects of your own photographs, in boxes of your own.

What turns the heatmaps of each method into boxes, the threshold, what a box goes around and how the
cells are drawn, is fitted on some of the photographs and frozen; the others are scored. The tables
have intervals, the differences from references that know nothing of the image, and what is wrong
with each box. With --heatmaps those of another tool are scored, and no network is needed.
"""

from dataclasses import dataclass
from pathlib import Path

from fmcam.cli._checks import check_folder, check_least
from fmcam.cli._class_names import CLASS_NAMES, read_class_names
from fmcam.cli._config import option
from fmcam.cli.explain import METHODS, network_to_load

_OF_NETWORK = ("arch", "model", "class_names", "method", "layer", "explained", "image_size")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of a score."""

    images: str | None = option(None, "folder of the photographs (required)")
    boxes: str | None = option(
        None,
        "file with their boxes: JSON of COCO, XML of Pascal VOC or a folder of it, LOC_val_solution"
        ".csv of ImageNet, a folder of wsolevaluation's lists, or a table of your own (required)",
    )
    format: str | None = option(
        None,
        "format of the boxes; by default as the content tells",
        ("coco", "voc", "csv", "imagenet", "wsol"),
    )
    inclusive: bool | None = option(
        None, "whether x1, y1 is the last pixel of a box; needed for a table of your own"
    )
    fit_on: str = option(
        "0.2",
        "what thresholds are fitted on: a share of the images, drawn at random, all labels alike, "
        "or another file of boxes",
    )
    seed: int = option(0, "random state of the share")
    arch: str | None = option(
        None, "name of a network, such as resnet50, timm/vit_base_patch16_224 or hf/FOLDER"
    )
    model: str | None = option(
        None,
        "checkpoint of fmcam, or a folder with one; with --arch: file of its weights, or a name "
        "such as DEFAULT",
    )
    class_names: tuple[str, ...] | None = option(None, CLASS_NAMES)
    method: tuple[str, ...] | None = option(
        None,
        f"methods that make the heatmaps, of {', '.join(METHODS)}; by default grad-cam",
        METHODS,
    )
    layer: tuple[str, ...] | None = option(
        None, "layers to explain, one heatmap each; by default the last one with feature maps"
    )
    explained: str | None = option(
        None,
        "class whose heatmaps are scored: the true one, as the label of a box says, by default, or "
        "the one that the network predicts",
        ("true", "predicted"),
    )
    image_size: int | None = option(
        None, "height and width of the images; by default what the network was made for"
    )
    fit: str = option(
        "stretch",
        "how photographs become square; crop loses what lies outside",
        ("stretch", "crop"),
    )
    masks: str | None = option(
        None,
        "masks of what is in the boxes: a folder of them, named as the photographs but for the "
        "endings, or the COCO file of --boxes once more for its outlines",
    )
    heatmaps: tuple[str, ...] | None = option(
        None, "heatmaps of another tool in [0, 1]: files .npy of shape (n, h, h), one a method"
    )
    heatmap_images: str | None = option(
        None,
        "which image each of --heatmaps is of: a file with a name on each line, a table with a "
        "column `image`, or `sorted` for all images of the boxes, sorted by their names there",
    )
    gallery: int = option(24, "number of scored images in the gallery")
    out: str = option("runs/score", "folder to write the results to", also="output_dir")

    @property
    def share(self):
        """The share of the images that thresholds are fitted on, or None: `fit_on` is a file."""
        try:
            return float(self.fit_on)
        except ValueError:
            return None


def check(config):
    """End with a message if settings are missing or contradict each other."""
    _check_sources(config)
    if config.heatmaps is None:
        if config.heatmap_images is not None:
            raise SystemExit("--heatmap-images goes with --heatmaps alone.")
    else:
        _check_heatmaps(config)
    if config.image_size is not None and config.image_size < 1:
        raise SystemExit("--image-size must be positive.")
    check_least(config, gallery=0, seed=0)
    read_class_names(config.class_names)


def _check_sources(config):
    if config.images is None or config.boxes is None:
        raise SystemExit(
            "Name the photographs and their boxes: `fmcam score --images FOLDER --boxes FILE`."
        )
    if not Path(config.images).is_dir():
        raise SystemExit(f"--images: there is no folder {config.images}.")
    if not Path(config.boxes).exists():
        raise SystemExit(f"--boxes: there is no file {config.boxes}.")
    if config.share is None and not Path(config.fit_on).exists():
        raise SystemExit(
            f"--fit-on: there is no file {config.fit_on}. Name a file of boxes, or a share such as "
            "0.2 of those of --boxes."
        )
    if config.masks not in (None, config.boxes) and not Path(config.masks).is_dir():
        raise SystemExit(
            f"--masks must be a folder, or the COCO file of --boxes; {config.masks} is neither."
        )
    if config.share is not None and not 0 < config.share < 1:
        raise SystemExit(
            f"--fit-on must be a share between 0 and 1, or a file of boxes, got {config.fit_on}."
        )


def _check_heatmaps(config):
    if given := [name for name in _OF_NETWORK if getattr(config, name) is not None]:
        raise SystemExit(
            f"--{given[0].replace('_', '-')} is about a network; --heatmaps are scored without one."
        )
    for file in config.heatmaps:
        if Path(file).suffix != ".npy" or not Path(file).is_file():
            raise SystemExit(f"--heatmaps must be files .npy, as of numpy.save; {file} is none.")
    if config.heatmap_images is None:
        raise SystemExit(
            "Say with --heatmap-images which image each heatmap is of: a file with a name on each "
            "line, or `sorted`."
        )
    if config.heatmap_images != "sorted" and not Path(config.heatmap_images).is_file():
        raise SystemExit(f"--heatmap-images: there is no file {config.heatmap_images}.")


def main(config):
    """Check the settings before torch is imported, then score."""
    check(config)
    network = None if config.heatmaps else network_to_load(config.model, config.arch)
    check_folder(config.out)
    from fmcam.cli import _score

    _score.main(config, network)
