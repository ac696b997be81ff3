"""SimpleCNN: one convolution and one linear layer."""

from torch import nn

from fmcam.models._base import AverageTo, FeaturesThenHead


class SimpleCNN(FeaturesThenHead):
    """One convolution and one linear layer: 15,898 parameters for ten classes of 28x28 grey images.

    Strictly simpler than :class:`LeNet5`: fewer layers with weights (2 against 5), fewer filters
    (8 against 22) and fewer parameters. The 14x14 maps of its features keep their place in the
    image through a linear head, so each class weighs each position on its own.

    Examples
    --------
    >>> import torch
    >>> from fmcam.models import SimpleCNN
    >>> SimpleCNN(n_classes=10)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """

    def __init__(self, n_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 8, 5, padding=2), nn.MaxPool2d(2), nn.ReLU()
        )
        self.head = nn.Sequential(AverageTo(14), nn.Flatten(), nn.Linear(8 * 14 * 14, n_classes))
