"""FullGrad: terms that sum to the logit, and the networks where they do not."""

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn
from torch.nn import functional

from fmcam.classifiers import CNNClassifier
from fmcam.explain import FullGrad
from fmcam.explain._full_grad import BiasRecording
from fmcam.models import ResNet18, Standardize, StandardizedNet

IMAGES = np.random.default_rng(0).normal(size=(3, 1, 8, 8)).astype(np.float32)


def frozen(net):
    return FrozenEstimator(CNNClassifier.from_module(net.eval()))


def net_of(*middle, width=3):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        *middle,
        nn.Conv2d(3, width, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * width, 4),
    )


def trained_norm():
    norm = nn.BatchNorm2d(3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    return norm


class Two(nn.Module):
    """Maps of a 1x1 convolution, 2 x - 1, and their ReLU, summed and shifted by 10."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 1, 1), nn.Linear(1, 2)
        self.conv.weight.data.fill_(2.0)
        self.conv.bias.data.fill_(-1.0)
        self.head.weight.data = torch.tensor([[1.0], [0.5]])
        self.head.bias.data.fill_(10.0)

    def forward(self, images):
        return self.head(self.conv(images).relu().sum(dim=(2, 3)))


def test_by_hand():
    X = np.array([[[[3.0, 1.0], [-4.0, 0.0]]]], np.float32)  # 2 x - 1 is positive for two cells
    found = FullGrad(frozen(Two()), normalize=None).explain(X, [[0, 1]])
    # |2 x| of the pixels and |-1| of the bias, at each cell that is not cut off
    expected = np.array([[6.0 + 1, 2 + 1], [0, 0]])
    np.testing.assert_allclose(found[0], [expected, expected / 2], rtol=1e-6)


@pytest.mark.parametrize(
    "middle",
    [
        [],
        [nn.ReLU(inplace=True)],
        [nn.LeakyReLU(), nn.MaxPool2d(2)],
        [trained_norm(), nn.ReLU()],
        [nn.BatchNorm2d(3, affine=False), nn.ReLU()],
        [nn.GELU()],
        [nn.SiLU(inplace=True)],
        [nn.Hardswish(), nn.Dropout(0.5)],
        [nn.ReLU6(inplace=True)],
        [nn.Tanh()],
        [nn.Sigmoid(), nn.ConvTranspose2d(3, 3, 2, stride=2)],
    ],
    ids=lambda middle: "-".join(type(part).__name__ for part in middle) or "none",
)
def test_terms_sum_to_the_logit(middle):
    net = net_of(*middle)
    net[0].weight.data *= 10  # beyond 6, where a ReLU6 is flat
    recording = BiasRecording(CNNClassifier.from_module(net.eval()), torch.as_tensor(IMAGES))
    columns = torch.tensor([2, 0, 3])
    total = sum(term.flatten(1).sum(dim=1) for term in recording.terms(columns))
    expected = net(torch.as_tensor(IMAGES))[range(3), columns]
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-4)


def test_terms_of_a_residual_network_sum_to_the_logit():
    torch.manual_seed(0)
    net = ResNet18(n_classes=3, in_channels=1).eval()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
    X = torch.randn(2, 1, 32, 32)
    columns = torch.tensor([1, 2])
    terms = BiasRecording(CNNClassifier.from_module(net), X).terms(columns)
    total = sum(term.flatten(1).sum(dim=1) for term in terms)
    torch.testing.assert_close(total, net(X)[range(2), columns], rtol=1e-3, atol=1e-3)


def test_the_image_counts_from_the_mean_that_standardizing_takes_away():
    X = 50 * IMAGES + 100
    clf = CNNClassifier.from_module(net_of(nn.ReLU()).eval())
    expected = FullGrad(FrozenEstimator(clf)).explain(IMAGES, [0, 1, 2])
    clf = CNNClassifier.from_module(net_of(nn.ReLU()).eval())
    clf.module_ = StandardizedNet(clf.module_.net, Standardize(1, mean=[100.0], std=[50.0]))
    found = FullGrad(FrozenEstimator(clf)).explain(X, [0, 1, 2])
    np.testing.assert_allclose(found, expected, atol=1e-4)


class Gate(nn.Module):
    def forward(self, maps):
        return maps * maps.mean(dim=(2, 3), keepdim=True).sigmoid()


class Shift(nn.Module):
    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.ones(3, 1, 1))

    def forward(self, maps):
        return maps + self.shift


class ChannelsLast(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.linear.bias.data.fill_(1.0)

    def forward(self, maps):
        return self.linear(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Attend(nn.Module):
    def forward(self, maps):
        tokens = maps.flatten(2).mT
        mixed = functional.scaled_dot_product_attention(tokens, tokens, tokens)
        return mixed.mT.unflatten(2, maps.shape[2:])


@pytest.mark.parametrize(
    "part",
    [Gate(), Shift(), ChannelsLast(), Attend(), nn.GroupNorm(1, 3), nn.InstanceNorm2d(3)],
    ids=lambda part: type(part).__name__,
)
def test_networks_with_other_biases_are_refused(part):
    message = (
        "FullGrad needs terms that sum to the logit; those of Sequential sum to .* Use GradCAM"
    )
    with pytest.raises(ValueError, match=message):
        FullGrad(frozen(net_of(part))).explain(IMAGES, [0, 1, 2])
