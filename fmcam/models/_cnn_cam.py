"""CNN_CAM: convolutions, global average pooling and one linear layer."""

import itertools

from torch import nn

from fmcam.models._base import FeaturesThenHead


class CNN_CAM(FeaturesThenHead):  # noqa: N801, the name of the design
    r"""Five convolution blocks, global average pooling and one linear layer, as CAM needs it.

    Each block is a 3x3 convolution, batch normalization and a ReLU; the second and the fourth halve
    the resolution, so the feature maps have a stride of 4 pixels. With ten classes and one channel
    it has 61,090 parameters, fewer than :class:`LeNet5`. The logit of class c is the spatial mean
    of :math:`\sum_k w_{ck} A_k` plus a bias, which is the class activation map of [1]_ averaged.

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

    def __init__(self, n_classes: int = 10, in_channels: int = 1) -> None:
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
