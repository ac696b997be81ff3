"""Raw images in: standardizing, and a network behind it."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from fmcam.models._logits import logits_among

_NEVER_IN_UNIT_RANGE = 16  # noise of 3 standard deviations is not so far off, a dark pixel may be
_WIDE = 16  # standard deviations from which on pixels are in 0..255 or wider
_NEVER_IN_WIDE_RANGE = 8  # the largest magnitude of images in 0..1, and of standardized ones
_CACHED_PIXELS = 2**16  # half a MiB in double precision, which a core has at hand


class Standardize(nn.Module):
    """Images of any number type to float32 with mean 0 and standard deviation 1 in each channel.

    Parameters
    ----------
    n_channels : int
        Channels of an image.
    mean, std : sequence of n_channels float, optional
        In the units of the images (0..255 for uint8). By default 0 and 1: images pass unchanged.

    Attributes
    ----------
    of_unit_range : bool
        Whether mean and standard deviation are known to be of images in 0..1, so that images beyond
        are refused. False until it is set.

    Examples
    --------
    >>> import torch
    >>> from fmcam.models import Standardize
    >>> Standardize(1, mean=[100.0], std=[50.0])(torch.tensor([[[[0, 200]]]], dtype=torch.uint8))
    tensor([[[[-2.,  2.]]]])
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        n_channels: int,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.of_unit_range = False
        mean = [0.0] * n_channels if mean is None else mean
        std = [1.0] * n_channels if std is None else std
        shape = (1, n_channels, 1, 1)
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32).reshape(shape))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32).reshape(shape))

    @property
    def leaves_images(self) -> bool:
        """Whether images pass unchanged."""
        return bool((self.mean == 0).all() and (self.std == 1).all())

    def check(self) -> None:
        """Raise ValueError unless means are finite and standard deviations finite and positive."""
        if not (self.mean.isfinite() & self.std.isfinite() & (self.std > 0)).all():
            raise ValueError(
                "`mean` must be finite and `std` finite and positive in each channel, got "
                f"{self.mean.flatten().tolist()} and {self.std.flatten().tolist()}"
            )

    def check_units(self, images: torch.Tensor) -> None:
        """Raise ValueError for images in 0..1, or standardized, where 0..255 is standardized here.

        Integers, and images of one value everywhere, such as black ones, may be in any units. Where
        the mean is small beside the standard deviation, dark images are usual.

        Parameters
        ----------
        images : tensor of shape (n, n_channels, h, w)
            Of any number type.
        """
        of_photographs = ((self.std > _WIDE) & (self.mean > self.std / 2)).all()
        if not images.is_floating_point() or not of_photographs:
            return
        low, high = (bound.item() for bound in images.aminmax())
        if low < high and max(-low, high) <= _NEVER_IN_WIDE_RANGE:
            raise ValueError(
                f"Images are standardized by the mean {self.mean.flatten().tolist()} and the "
                f"standard deviation {self.std.flatten().tolist()} of the channels; got values "
                f"from {low:g} to {high:g}, which would all look alike. Pass images in the units "
                "of these, usually 0..255: multiply those in 0..1 by 255, and do not standardize "
                "them before."
            )

    def learn(self, batches: Iterable[torch.Tensor]) -> None:
        """Take mean and standard deviation of each channel from images.

        Parameters
        ----------
        batches : iterable of tensors of shape (n, n_channels, h, w)
            Of any number type. A channel that is constant keeps the standard deviation 1.
        """
        device = "cpu" if self.mean.device.type == "mps" else self.mean.device  # MPS has no float64
        total = square = torch.zeros(self.mean.shape, dtype=torch.float64, device=device)
        count = 0
        for images in batches:
            for part in images.split(max(1, _CACHED_PIXELS // images[0].numel())):
                pixels = part.to(device).double()
                total = total + pixels.sum(dim=(0, 2, 3), keepdim=True)
                square = square + pixels.square().sum(dim=(0, 2, 3), keepdim=True)
                count += pixels[:, 0].numel()
        mean = total / count
        std = (square / count - mean.square()).clamp(min=0).sqrt()
        std = torch.where(std > 1e-7 * mean.abs(), std, torch.ones_like(std))
        self.mean.copy_(mean.float())
        self.std.copy_(std.float())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Standardized images.

        Parameters
        ----------
        images : tensor of shape (n, n_channels, h, w)
            Of any number type.

        Returns
        -------
        tensor of shape (n, n_channels, h, w), float32
        """
        if self.of_unit_range and images.amax() > _NEVER_IN_UNIT_RANGE:
            raise ValueError(
                f"The network takes images in 0..1, of mean {self.mean.flatten().tolist()} and "
                f"standard deviation {self.std.flatten().tolist()} in the channels; got values up "
                f"to {images.amax().item():g}. Divide them by 255."
            )
        return (images.float() - self.mean) / self.std


class StandardizedNet(nn.Module):
    """A network that takes raw images and gives one tensor: `net` behind a :class:`Standardize`.

    The standardized images come to the network in the number type of its weights. What it returns
    may be a tensor or hold one: a tuple, a mapping, an object with `logits`.

    Parameters
    ----------
    net : nn.Module
        Maps (n, c, h, w) to logits (n, k).
    standardize : Standardize
        What raw images pass first.
    n_classes : int or None, default=None
        Tells the logits from other tensors that the network returns beside them.
    order : sequence of k int or None, default=None
        The output of the network that becomes column j. None: column j is output j. A single output
        stands for the second of two classes; where [1, 0] swaps them, its complement is given.

    Examples
    --------
    >>> import torch
    >>> from fmcam.models import LeNet5, Standardize, StandardizedNet
    >>> net = StandardizedNet(LeNet5(), Standardize(1, mean=[73.0], std=[90.0]))
    >>> net(torch.zeros(1, 1, 28, 28, dtype=torch.uint8)).shape
    torch.Size([1, 10])
    """

    order: torch.Tensor | None

    def __init__(
        self,
        net: nn.Module,
        standardize: Standardize,
        n_classes: int | None = None,
        order: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.standardize = standardize
        self.net = net
        self.n_classes = n_classes
        self.n_outputs = (
            None  # of the network, where they have been counted: 1 may be for two classes
        )
        self.total = 0.0
        order = None if order is None else torch.as_tensor(order, device=standardize.mean.device)
        self.register_buffer("order", order, persistent=False)

    def extra_repr(self) -> str:
        """The order of the columns."""
        return "" if self.order is None else f"order={self.order.tolist()}"

    @property
    def dtype(self) -> torch.dtype:
        """The number type that the network runs in: that of its first weight."""
        weights = (weight.dtype for weight in self.net.parameters() if weight.is_floating_point())
        return next(weights, torch.float32)

    def forward(self, images: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        """Logits of the classes.

        Parameters
        ----------
        images : tensor of shape (n, c, h, w)
            Raw, of any number type.
        **kwargs
            Passed to the network.

        Returns
        -------
        tensor of shape (n, k), float32 or float64
        """
        found = self.net(self.standardize(images).to(self.dtype), **kwargs)
        logits = self.logits_among(found, len(images))
        logits = logits if logits.dtype == torch.float64 else logits.float()
        if self.order is None:
            return logits
        return self.total - logits if logits.shape[1] == 1 else logits[:, self.order]

    def logits_among(self, found: Any, n_images: int) -> torch.Tensor:
        """The logits among what the network returned.

        Parameters
        ----------
        found : tensor, tuple, mapping or object with `logits`
            What the network returned.
        n_images : int
            How many rows the logits have.

        Returns
        -------
        tensor of shape (n, k)
        """
        return logits_among(found, n_images, self.n_outputs or self.n_classes)
