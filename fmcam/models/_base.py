"""What the networks share: the contract of features and head, and a pooling."""

import torch
from torch import nn

from fmcam._docstrings import complete_docstrings


class FeaturesThenHead(nn.Module):
    """The contract of the networks here: `forward` is `head(features(images))`.

    The head runs in the precision of its weights, also under autocast: a small item hardly moves
    the mean of a large map, and bfloat16, with three digits, would round away part of what it says.

    Parameters
    ----------
    n_classes : int
        Logits of an image.
    in_channels : int
        Channels of an image.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        complete_docstrings(cls)

    features: nn.Module
    head: nn.Module

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of the classes.

        Parameters
        ----------
        images : tensor of shape (n, in_channels, h, w)
            Standardized.

        Returns
        -------
        tensor of shape (n, n_classes)
        """
        maps = self.features(images)
        device = "cpu" if maps.is_meta else maps.device.type  # autocast knows no meta device
        with torch.autocast(device, enabled=False):
            return self.head(maps.to(next(self.head.parameters()).dtype))


class AverageTo(nn.AdaptiveAvgPool2d):
    """Adaptive average pooling that costs nothing where the maps have the size already."""

    def forward(self, maps):
        """Maps of shape (n, k, s, s) for maps of any size."""
        if maps.shape[-2:] == (self.output_size, self.output_size):
            return maps
        return super().forward(maps)
