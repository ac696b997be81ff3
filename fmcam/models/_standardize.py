"""Raw images in: standardizing, and a network behind it."""

import torch
from torch import nn

_CACHED_PIXELS = 2**16  # half a MiB in double precision, which a core has at hand


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
    """A network that takes raw images: `net` behind a :class:`Standardize`.

    Parameters
    ----------
    net : nn.Module
        Maps (n, c, h, w) to logits (n, n_classes).
    standardize : Standardize

    Examples
    --------
    >>> import torch
    >>> from fmcam.models import LeNet5, Standardize, StandardizedNet
    >>> net = StandardizedNet(LeNet5(), Standardize(1, mean=[73.0], std=[90.0]))
    >>> net(torch.zeros(1, 1, 28, 28, dtype=torch.uint8)).shape
    torch.Size([1, 10])
    """

    def __init__(self, net, standardize):
        super().__init__()
        self.standardize = standardize
        self.net = net

    def forward(self, images):
        """Logits of shape (n, n_classes) for raw images of shape (n, c, h, w)."""
        return self.net(self.standardize(images))
