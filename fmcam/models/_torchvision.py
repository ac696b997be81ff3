"""torchvision's image classifiers by name."""

from functools import partial

import numpy as np
import torchvision
from sklearn.utils import Bunch
from torch import nn

from fmcam._weights import network_for, resized_network
from fmcam.models._download import downloading

_RESCALING = ("googlenet", "inception_v3")  # inside, as their published weights need


def make(name, n_classes=None, in_channels=None, **options):
    """A network with random weights."""
    if name in _RESCALING:
        rescale = in_channels in (None, 3)
        options = {"init_weights": True, "transform_input": rescale, **options}
    if n_classes is not None:
        options["num_classes"] = n_classes
    net = torchvision.models.get_model(name, **options)
    return net if in_channels in (None, 3) else _with_channels(net, in_channels)


def _with_channels(net, in_channels):
    """A network whose first convolution takes another number of channels, its weights random."""
    name, old = next((n, part) for n, part in net.named_modules() if isinstance(part, nn.Conv2d))
    new = nn.Conv2d(
        in_channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    net.set_submodule(name, new)
    return net


def pretrained(name, weights, n_classes=None, in_channels=None, **options):
    """A network with weights that torchvision publishes, downloaded unless they are there."""
    _check_colours(name, in_channels)
    chosen = torchvision.models.get_model_weights(name)[weights]
    with downloading(f"torchvision/{name}", weights, chosen.url):
        net = torchvision.models.get_model(name, weights=chosen, **options)
    if hasattr(net, "aux_logits"):
        options["aux_logits"] = net.aux_logits
    return resized_network(net, partial(make, name, **options), n_classes, in_channels)


def _check_colours(name, in_channels):
    if name in _RESCALING and in_channels not in (None, 3):
        raise ValueError(
            f"The weights of {name} are for colours that it rescales one by one, so they fit three "
            f"channels alone; got in_channels={in_channels}."
        )


def from_file(name, content, path, sizes, **options):
    """A network with weights from a file."""
    _check_colours(name, sizes.get("in_channels"))
    return network_for(partial(make, name, **options), content, path, **sizes)[0]


def preprocessing(name, weights="DEFAULT"):
    """How images are prepared for a network with weights that torchvision publishes."""
    chosen = torchvision.models.get_model_weights(name)[weights]
    recipe = chosen.transforms()
    return Bunch(
        mean=255 * np.array(recipe.mean),
        std=255 * np.array(recipe.std),
        image_size=recipe.crop_size[0],
        crop_fraction=recipe.crop_size[0] / recipe.resize_size[0],
        interpolation=recipe.interpolation.value,
        class_names=chosen.meta["categories"],
    )
