"""The networks: each an `nn.Module` that maps images to logits through `features` and `head`.

`features` holds the convolutions and gives the feature maps of shape (n, k, h', w') that explainers
look at; `head` turns them into logits of shape (n, n_classes). Max-pooling stands before the ReLU:
both orders compute the same function, and this one runs the ReLU on a quarter of the values.
"""

import itertools
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from torch import nn
from torch.utils._pytree import tree_leaves

__all__ = ["CNN_CAM", "LeNet5", "ResNet18", "SimpleCNN", "Standardize", "StandardizedNet"]

_CACHED_PIXELS = 2**16  # half a MiB in double precision, which a core has at hand


class _FeaturesThenHead(nn.Module):
    """The contract of the networks here: `forward` is `head(features(images))`.

    The head runs in the precision of its weights, also under autocast: a small item hardly moves
    the mean of a large map, and bfloat16, with three digits, would round away part of what it says.
    """

    features: nn.Module
    head: nn.Module

    def forward(self, images):
        """Logits of shape (n, n_classes) for images of shape (n, c, h, w)."""
        maps = self.features(images)
        with torch.autocast(maps.device.type, enabled=False):
            return self.head(maps.to(next(self.head.parameters()).dtype))


class _AverageTo(nn.AdaptiveAvgPool2d):
    """Adaptive average pooling that costs nothing where the maps have the size already."""

    def forward(self, maps):
        """Maps of shape (n, k, s, s) for maps of any size."""
        if maps.shape[-2:] == (self.output_size, self.output_size):
            return maps
        return super().forward(maps)


class SimpleCNN(_FeaturesThenHead):
    """One convolution and one linear layer: 15,898 parameters for ten classes of 28x28 grey images.

    Strictly simpler than :class:`LeNet5`: fewer layers with weights (2 against 5), fewer filters
    (8 against 22) and fewer parameters. The 14x14 maps of its features keep their place in the
    image through a linear head, so each class weighs each position on its own.

    Parameters
    ----------
    n_classes : int, default=10
    in_channels : int, default=1

    Examples
    --------
    >>> import torch
    >>> from fmcam.models import SimpleCNN
    >>> SimpleCNN(n_classes=10)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """

    def __init__(self, n_classes=10, in_channels=1):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 8, 5, padding=2), nn.MaxPool2d(2), nn.ReLU()
        )
        self.head = nn.Sequential(_AverageTo(14), nn.Flatten(), nn.Linear(8 * 14 * 14, n_classes))


class LeNet5(_FeaturesThenHead):
    """LeNet-5 [1]_ with ReLU and max-pooling: 61,706 parameters for ten classes of 28x28 images.

    Convolutions of 6 and 16 filters of 5x5, a pooling after each, then linear layers of 120, 84 and
    `n_classes` units. Images of another size than 28x28 are averaged to 5x5 maps before the first
    linear layer; the smallest that work are 12x12.

    Parameters
    ----------
    n_classes : int, default=10
    in_channels : int, default=1

    References
    ----------
    .. [1] LeCun et al., "Gradient-based learning applied to document recognition", Proceedings of
       the IEEE, 1998, fig. 2.

    Examples
    --------
    >>> from fmcam.models import LeNet5
    >>> sum(p.numel() for p in LeNet5().parameters())
    61706
    """

    def __init__(self, n_classes=10, in_channels=1):
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(in_channels, 6, 5, padding=2), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU()),
        )
        self.head = nn.Sequential(
            *(_AverageTo(5), nn.Flatten()),
            *(nn.Linear(400, 120), nn.ReLU()),
            *(nn.Linear(120, 84), nn.ReLU()),
            nn.Linear(84, n_classes),
        )


class CNN_CAM(_FeaturesThenHead):  # noqa: N801, the name of the design
    r"""Five convolution blocks, global average pooling and one linear layer, as CAM needs it.

    Each block is a 3x3 convolution, batch normalization and a ReLU; the second and the fourth halve
    the resolution, so the feature maps have a stride of 4 pixels. With ten classes and one channel
    it has 61,090 parameters, fewer than :class:`LeNet5`. The logit of class c is the spatial mean
    of :math:`\sum_k w_{ck} A_k` plus a bias, which is the class activation map of [1]_ averaged.

    Parameters
    ----------
    n_classes : int, default=10
    in_channels : int, default=1

    References
    ----------
    .. [1] Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016, eq. 2.

    Examples
    --------
    >>> import torch
    >>> from fmcam.models import CNN_CAM
    >>> net = CNN_CAM(n_classes=3)
    >>> net.features(torch.zeros(1, 1, 128, 128)).shape
    torch.Size([1, 56, 32, 32])
    """

    def __init__(self, n_classes=10, in_channels=1):
        super().__init__()
        widths = [in_channels, 24, 32, 40, 48, 56]
        blocks = []
        for number, (before, after) in enumerate(itertools.pairwise(widths), start=1):
            pool = [nn.MaxPool2d(2)] if number in (2, 4) else []
            convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
            blocks.append(nn.Sequential(convolution, nn.BatchNorm2d(after), *pool, nn.ReLU()))
        self.features = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], n_classes)
        )


class ResNet18(_FeaturesThenHead):
    """torchvision's ResNet-18 [1]_ for any number of input channels and classes.

    `features` ends before the global average pooling (stride 32, 512 maps). State dicts with
    torchvision's own keys (``conv1.weight``, ``layer1.0...``, ``fc.weight``) load as they are.

    Parameters
    ----------
    n_classes : int, default=1000
    in_channels : int, default=3
        With pretrained weights and another number than 3, the first convolution's weights are
        averaged over the colours and scaled by 3 / `in_channels`, so a grey image repeated over
        the channels gives the same maps.
    weights : str, path or None, default=None
        None: random. A name of ``torchvision.models.ResNet18_Weights`` such as "IMAGENET1K_V1" or
        "DEFAULT": downloaded by torchvision. Any other string: the path of a state dict saved
        with `torch.save`. A last layer for another number of classes is left random.

    References
    ----------
    .. [1] He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1.

    Examples
    --------
    >>> import torch
    >>> from fmcam.models import ResNet18
    >>> ResNet18(n_classes=10, in_channels=1).features(torch.zeros(1, 1, 64, 64)).shape
    torch.Size([1, 512, 2, 2])
    """

    _FEATURES = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")

    def __init__(self, n_classes=1000, in_channels=3, weights=None):
        super().__init__()
        net = torchvision.models.resnet18(num_classes=n_classes)
        if in_channels != 3:
            net.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.features = nn.Sequential(
            OrderedDict((name, getattr(net, name)) for name in self._FEATURES)
        )
        self.head = nn.Sequential(OrderedDict(avgpool=net.avgpool, flatten=nn.Flatten(), fc=net.fc))
        self.register_load_state_dict_pre_hook(self._accept_torchvision_keys)
        if weights is not None:
            self._load_pretrained(_read_resnet18_weights(weights))

    @classmethod
    def _accept_torchvision_keys(cls, module, state_dict, prefix, *_):
        for key in list(state_dict):
            stage = key.removeprefix(prefix).split(".")[0]
            part = "features." if stage in cls._FEATURES else "head." if stage == "fc" else ""
            if part and key.startswith(prefix):
                state_dict[prefix + part + key.removeprefix(prefix)] = state_dict.pop(key)

    def _load_pretrained(self, state_dict):
        state_dict = dict(state_dict)
        self._accept_torchvision_keys(self, state_dict, "")
        first, last = "features.conv1.weight", ("head.fc.weight", "head.fc.bias")
        own = self.state_dict()
        in_channels = own[first].shape[1]
        if first in state_dict and state_dict[first].shape[1] != in_channels:
            mean = state_dict[first].mean(dim=1, keepdim=True)
            scale = state_dict[first].shape[1] / in_channels
            state_dict[first] = mean.repeat(1, in_channels, 1, 1) * scale
        for key in last:
            if key in state_dict and state_dict[key].shape != own[key].shape:
                state_dict[key] = own[key]
        self.load_state_dict(state_dict)


def _read_resnet18_weights(weights):
    names = torchvision.models.ResNet18_Weights
    if str(weights) in names.__members__:
        return names[str(weights)].get_state_dict(progress=True, check_hash=True)
    if not Path(weights).is_file():
        raise FileNotFoundError(
            f"`weights` must be one of {list(names.__members__)} or the path of a state dict, "
            f"got {str(weights)!r}, which is neither."
        )
    return torch.load(weights, map_location="cpu", weights_only=True)


class Standardize(nn.Module):
    """Images of any number type to float32 with mean 0 and standard deviation 1 in each channel.

    Parameters
    ----------
    n_channels : int
    mean, std : sequence of n_channels float, optional
        In the units of the images (0..255 for uint8). By default 0 and 1: images pass unchanged.

    Examples
    --------
    >>> import torch
    >>> from fmcam.models import Standardize
    >>> Standardize(1, mean=[100.0], std=[50.0])(torch.tensor([[[[0, 200]]]], dtype=torch.uint8))
    tensor([[[[-2.,  2.]]]])
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, n_channels, mean=None, std=None):
        super().__init__()
        mean = [0.0] * n_channels if mean is None else mean
        std = [1.0] * n_channels if std is None else std
        shape = (1, n_channels, 1, 1)
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32).reshape(shape))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32).reshape(shape))

    def learn(self, batches):
        """Take mean and standard deviation of each channel from images.

        Parameters
        ----------
        batches : iterable of tensors of shape (n, n_channels, h, w)
            Of any number type. A channel that is constant keeps the standard deviation 1.
        """
        total = square = torch.zeros(self.mean.shape, dtype=torch.float64, device=self.mean.device)
        count = 0
        for images in batches:
            for part in images.split(max(1, _CACHED_PIXELS // images[0].numel())):
                pixels = part.to(self.mean.device).double()
                total = total + pixels.sum(dim=(0, 2, 3), keepdim=True)
                square = square + pixels.square().sum(dim=(0, 2, 3), keepdim=True)
                count += pixels[:, 0].numel()
        mean = total / count
        std = (square / count - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-7 * mean.abs(), std, torch.ones_like(std)))

    def forward(self, images):
        """(n, c, h, w) of any number type -> float32 of the same shape."""
        return (images.float() - self.mean) / self.std


class StandardizedNet(nn.Module):
    """A network that takes raw images and gives one tensor: `net` behind a :class:`Standardize`.

    The standardized images come to the network in the number type of its weights. What it returns
    may be a tensor or hold one: a tuple, a mapping, an object with `logits`. See `logits_among`.

    Parameters
    ----------
    net : nn.Module
        Maps (n, c, h, w) to logits (n, k).
    standardize : Standardize
    n_classes : int or None, default=None
        Tells the logits from other tensors that the network returns beside them.
    order : sequence of k int or None, default=None
        The output of the network that becomes column j. None: column j is output j.

    Examples
    --------
    >>> import torch
    >>> from fmcam.models import LeNet5, Standardize, StandardizedNet
    >>> net = StandardizedNet(LeNet5(), Standardize(1, mean=[73.0], std=[90.0]))
    >>> net(torch.zeros(1, 1, 28, 28, dtype=torch.uint8)).shape
    torch.Size([1, 10])
    """

    order: torch.Tensor | None

    def __init__(self, net, standardize, n_classes=None, order=None):
        super().__init__()
        self.standardize = standardize
        self.net = net
        self.n_classes = n_classes
        order = None if order is None else torch.as_tensor(order, device=standardize.mean.device)
        self.register_buffer("order", order, persistent=False)

    def extra_repr(self):
        """The order of the columns."""
        return "" if self.order is None else f"order={self.order.tolist()}"

    def forward(self, images, **kwargs):
        """Logits of shape (n, k), float32 or float64, for raw images of shape (n, c, h, w)."""
        images = self.standardize(images)
        found = self.net(images.to(_dtype_of(self.net)), **kwargs)
        logits = logits_among(found, len(images), self.n_classes)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        return logits if self.order is None else logits[:, self.order]


def _dtype_of(net):
    weights = (weight.dtype for weight in net.parameters() if weight.is_floating_point())
    return next(weights, torch.float32)


def logits_among(outputs, n_images, n_classes=None):
    """The logits among what a network returned.

    A tensor of shape (n, k), (n, k, 1, 1) or, for one logit, (n,) holds logits. The entry or
    attribute `logits` counts alone where there is one. Of several tensors the one with a column for
    each class is taken; for two classes, if none has, the one with a single column.

    Parameters
    ----------
    outputs : tensor, tuple, list, mapping or object with `logits`
    n_images : int
    n_classes : int or None, default=None

    Returns
    -------
    tensor of shape (n_images, k)

    Raises
    ------
    ValueError
        If no tensor can be the logits, or several can.
    """
    named = _named_logits(outputs)
    leaves = [leaf for leaf in tree_leaves(named) if isinstance(leaf, torch.Tensor)]
    found = {id(leaf): rows for leaf in leaves if (rows := _rows(leaf, n_images)) is not None}
    candidates = list(found.values())
    if len(candidates) > 1 and n_classes is not None:
        for width in (n_classes, 1) if n_classes == 2 else (n_classes,):
            fitting = [rows for rows in candidates if rows.shape[1] == width]
            if fitting:
                candidates = fitting
                break
    if len(candidates) == 1:
        return candidates[0]
    wanted = "k" if n_classes is None else n_classes
    came = ", ".join(str(tuple(leaf.shape)) for leaf in leaves) or type(outputs).__name__
    hint = " pass `classes`, or" if n_classes is None and candidates else ""
    raise ValueError(
        f"A network must give logits of shape (n, {wanted}); for n = {n_images} images it gave "
        f"{came}, of which {len(candidates) or 'none'} can be the logits. To say which they are,"
        f"{hint} wrap the network in an nn.Module whose `forward` returns them alone."
    )


def _named_logits(outputs):
    """The entry or the attribute `logits` of what a network returned, or all of it."""
    if isinstance(outputs, Mapping):
        return outputs.get("logits", dict(outputs))
    if isinstance(outputs, torch.Tensor):
        return outputs
    return getattr(outputs, "logits", outputs)


def _rows(tensor, n_images):
    """A tensor as logits of shape (n, k), or None where it cannot be logits."""
    if not tensor.is_floating_point():
        return None
    if n_images == 1 and tensor.ndim < 2:  # of a network that squeezes what it gives
        return tensor.reshape(1, -1)
    if (
        tensor.ndim == 0
        or len(tensor) != n_images
        or tensor[0].numel() != tensor[0].shape[:1].numel()
    ):
        return None
    return tensor.reshape(n_images, -1)
