"""LeNet-5 with ReLU and max-pooling."""

from torch import nn

from fmcam.models._base import AverageTo, FeaturesThenHead


class LeNet5(FeaturesThenHead):
    """LeNet-5 [1]_ with ReLU and max-pooling: 61,706 parameters for ten classes of 28x28 images.

    Convolutions of 6 and 16 filters of 5x5, a pooling after each, then linear layers of 120, 84 and
    `n_classes` units. Images of another size than 28x28 are averaged to 5x5 maps before the first
    linear layer; the smallest that work are 12x12.

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

    def __init__(self, n_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(in_channels, 6, 5, padding=2), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU()),
        )
        self.head = nn.Sequential(
            *(AverageTo(5), nn.Flatten()),
            *(nn.Linear(400, 120), nn.ReLU()),
            *(nn.Linear(120, 84), nn.ReLU()),
            nn.Linear(84, n_classes),
        )
