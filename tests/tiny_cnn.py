"""A convolutional network of the tests' own, quick to train and to explain."""

from torch import nn


class TinyCNN(nn.Module):
    """Two convolutions, batch normalization, pooling by halves and over all, one linear layer."""

    def __init__(self, n_classes=4, in_channels=1):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, n_classes))

    def forward(self, images):
        return self.head(self.features(images))
