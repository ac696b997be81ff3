"""Image classifiers in folders of Hugging Face's `save_pretrained`; no code in them runs."""

import contextlib
import json
import re
from functools import partial

import numpy as np
from sklearn.utils import Bunch

from fmcam._weights import network_for
from fmcam.models._names import folder_of

_SAFE = {"local_files_only": True, "trust_remote_code": False}
_INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


def make(name, n_classes=None, in_channels=None, **options):
    """A network as the folder describes it, with random weights."""
    transformers, folder = _transformers(), folder_of(name)
    with _worded(folder):
        config = transformers.AutoConfig.from_pretrained(folder, **_SAFE, **_labels(n_classes))
        _check_channels(folder, config, in_channels)
        auto = transformers.AutoModelForImageClassification
        return auto.from_config(config, trust_remote_code=False, **options)


def pretrained(name, weights, n_classes=None, in_channels=None, **options):
    """The network in a folder, with its weights."""
    transformers, folder = _transformers(), folder_of(name)
    if not list(folder.glob("*.safetensors")):
        raise ValueError(
            f"{folder} holds no safetensors file, and other files of weights could run code. Write "
            "it anew with the `save_pretrained` of a transformers that saves safetensors."
        )
    if n_classes is not None:
        options |= {"ignore_mismatched_sizes": True, **_labels(n_classes)}
    with _worded(folder):
        net, info = transformers.AutoModelForImageClassification.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **_SAFE, **options
        )
    _check_channels(folder, net.config, in_channels)
    _check_loaded(folder, net, info, n_classes)
    return net


def from_file(name, content, path, sizes, **options):
    """A network as the folder describes it, with weights from a file."""
    try:
        return network_for(partial(make, name, **options), content, path, **sizes)[0]
    except ValueError:
        try:
            return _converted(make(name, **sizes, **options), content, sizes.get("n_classes"))
        except Exception:  # conversions meet tensors that they were not made for
            pass
        raise


def _converted(net, content, n_classes):
    """A network with weights under the names that `save_pretrained` gives them."""
    filled, info = type(net).from_pretrained(
        None,
        config=net.config,
        state_dict=dict(content),
        output_loading_info=True,
        ignore_mismatched_sizes=n_classes is not None,
    )
    _check_loaded("the file", filled, info, n_classes)
    return filled


def preprocessing(name, weights="DEFAULT"):
    """How images are prepared, as the folder says."""
    folder = folder_of(name)
    config = json.loads((folder / "config.json").read_text())
    recipe = _recipe(folder)
    names = config.get("id2label") or {}
    names = [names[column] for column in sorted(names, key=int)]
    size = _side(folder, recipe["size"])
    kept = _side(folder, recipe["crop_size"]) if recipe.get("do_center_crop") else size
    if "crop_pct" in recipe and size < 384:  # ConvNeXT's: the size is that of the crop
        kept, size = size, size / recipe["crop_pct"]
    normalize = recipe.get("do_normalize", True)
    scale = recipe.get("rescale_factor", 1 / 255) if recipe.get("do_rescale", True) else 1.0
    return Bunch(
        mean=np.array(recipe["image_mean"]) / scale if normalize else np.zeros(3),
        std=np.array(recipe["image_std"]) / scale if normalize else np.full(3, 1 / scale),
        image_size=kept,
        crop_fraction=kept / size,
        interpolation=_INTERPOLATIONS[recipe.get("resample", 2)],
        class_names=None if all(map(re.compile(r"LABEL_\d+").fullmatch, names)) else names,
    )


def _transformers():
    try:
        import transformers
    except ImportError as error:
        raise ImportError("hf/FOLDER needs transformers: pip install transformers") from error
    return transformers


@contextlib.contextmanager
def _worded(folder):
    """One line for the many kinds of error that transformers raises."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"{folder} cannot be read as an image classifier of transformers: "
            f"{str(error).strip().splitlines()[0]}"
        ) from error


def _labels(n_classes):
    if n_classes is None:
        return {}
    names = {column: f"LABEL_{column}" for column in range(n_classes)}
    return {"id2label": names, "label2id": {name: column for column, name in names.items()}}


def _check_channels(folder, config, in_channels):
    own = getattr(config, "num_channels", 3)
    if in_channels not in (None, own):
        raise ValueError(
            f"{folder} holds a network of {own} channels; got in_channels={in_channels}."
        )


def _check_loaded(folder, net, info, n_classes):
    """Raise ValueError if anything but a new last layer was left random, or left out."""
    own = net.state_dict()
    random = {*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])}
    if n_classes is not None:
        random = {name for name in random if own[name].shape[0] != n_classes}
    for names, what in ((random, "lacks"), (info["unexpected_keys"], "has beside the network's")):
        if names:
            raise ValueError(
                f"{folder} does not hold the weights of a whole {type(net).__name__}: it {what} "
                f"{len(names)} tensors, such as {min(names)}."
            )


def _recipe(folder):
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            found = json.loads((folder / name).read_text())
            recipe = found.get("image_processor", found)
            missing = {"size", "image_mean", "image_std"} - recipe.keys()
            if missing:
                raise ValueError(f"{folder / name} does not say {', '.join(sorted(missing))}.")
            return recipe
    raise FileNotFoundError(
        f"{folder} has no preprocessor_config.json, so how its images are prepared is not known."
    )


def _side(folder, size):
    sides = set(size.values()) if isinstance(size, dict) else {size}
    if len(sides) != 1:
        raise ValueError(f"{folder} takes images of {size}, not square ones.")
    return sides.pop()
