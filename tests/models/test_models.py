"""The networks: sizes, the features/head contract, standardizing, pretrained weights."""

import pytest
import torch
import torchvision
from torch import nn

from fmcam.models import CNN_CAM, LeNet5, ResNet18, SimpleCNN, Standardize, StandardizedNet

SMALL = [SimpleCNN, LeNet5, CNN_CAM]


def n_parameters(net):
    return sum(p.numel() for p in net.parameters())


def layers_with_weights(net):
    return [part for part in net.modules() if isinstance(part, nn.Conv2d | nn.Linear)]


def n_filters(layers):
    return sum(layer.out_channels for layer in layers if isinstance(layer, nn.Conv2d))


def test_lenet5_has_the_parameters_of_1998():
    # conv 1*6*25+6, conv 6*16*25+16, linear 400*120+120, 120*84+84, 84*10+10
    assert n_parameters(LeNet5()) == 156 + 2416 + 48120 + 10164 + 850 == 61706


def test_simple_cnn_is_strictly_simpler_than_lenet5():
    simple, lenet = layers_with_weights(SimpleCNN()), layers_with_weights(LeNet5())
    assert len(simple) < len(lenet)
    assert n_parameters(SimpleCNN()) < n_parameters(LeNet5())
    assert n_filters(simple) < n_filters(lenet)


def test_cnn_cam_is_no_larger_than_lenet5_and_ends_in_pooling_and_one_linear_layer():
    assert n_parameters(CNN_CAM()) <= 61706
    pool, flatten, linear = CNN_CAM().head
    assert isinstance(pool, nn.AdaptiveAvgPool2d)
    assert pool.output_size == 1
    assert isinstance(flatten, nn.Flatten)
    assert isinstance(linear, nn.Linear)


@pytest.mark.parametrize("net_class", [*SMALL, ResNet18])
@pytest.mark.parametrize(("in_channels", "n_classes"), [(1, 10), (3, 4)])
def test_forward_is_head_of_features(net_class, in_channels, n_classes):
    net = net_class(n_classes=n_classes, in_channels=in_channels).eval()
    images = torch.rand(2, in_channels, 32, 32)
    features = net.features(images)
    assert features.ndim == 4
    assert torch.equal(net.head(features), net(images))
    assert net(images).shape == (2, n_classes)


@pytest.mark.parametrize("net_class", SMALL)
def test_pooling_comes_before_relu(net_class):
    parts = [type(part) for part in net_class().features.modules()]
    order = [part for part in parts if part in (nn.Conv2d, nn.MaxPool2d, nn.ReLU)]
    pools = [place for place, part in enumerate(order) if part is nn.MaxPool2d]
    assert pools
    assert all(order[place - 1] is nn.Conv2d and order[place + 1] is nn.ReLU for place in pools)


def test_head_runs_in_float32_under_autocast():
    net = CNN_CAM().eval()
    images = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            maps, logits = net.features(images), net(images)
        assert maps.dtype == torch.bfloat16
        assert torch.equal(logits, net.head(maps.float()))


def test_resnet18_equals_torchvision_with_its_own_keys():
    theirs = torchvision.models.resnet18(num_classes=7).eval()
    ours = ResNet18(n_classes=7).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(ours(images), theirs(images))


def test_resnet18_reads_back_its_own_keys_also_inside_another_module():
    net = ResNet18(n_classes=3)
    outer = StandardizedNet(ResNet18(n_classes=3), Standardize(3))
    outer.net.load_state_dict(net.state_dict())
    again = StandardizedNet(ResNet18(n_classes=3), Standardize(3))
    again.load_state_dict(outer.state_dict())
    assert torch.equal(again.net.head.fc.weight, net.head.fc.weight)


@pytest.fixture(scope="module")
def pretrained_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(torchvision.models.resnet18().state_dict(), path)
    return path


def test_resnet18_weights_from_a_file_keep_all_but_the_last_layer(pretrained_file):
    saved = torch.load(pretrained_file, weights_only=True)
    net = ResNet18(n_classes=4, weights=pretrained_file)
    assert torch.equal(net.features.conv1.weight, saved["conv1.weight"])
    assert torch.equal(net.features.layer4[1].bn2.weight, saved["layer4.1.bn2.weight"])
    assert net.head.fc.weight.shape == (4, 512)


def test_resnet18_weights_for_grey_images_give_the_maps_of_the_repeated_image(pretrained_file):
    colour = ResNet18(weights=pretrained_file).eval()
    grey = ResNet18(in_channels=1, weights=pretrained_file).eval()
    image = torch.rand(1, 1, 64, 64)
    expected = colour.features(image.repeat(1, 3, 1, 1))
    torch.testing.assert_close(grey.features(image), expected, rtol=1e-4, atol=1e-4)


def test_resnet18_weights_by_torchvision_name(monkeypatch, pretrained_file):
    saved = torch.load(pretrained_file, weights_only=True)
    asked = []

    def stored(url, *args, **kwargs):
        asked.append(url)
        return saved

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", stored)
    net = ResNet18(weights="IMAGENET1K_V1")
    assert asked == [torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url]
    assert torch.equal(net.head.fc.weight, saved["fc.weight"])


def test_resnet18_weights_that_are_neither_a_name_nor_a_file():
    with pytest.raises(FileNotFoundError, match=r"one of \['IMAGENET1K_V1'.*got 'IMAGENET1K_V9'"):
        ResNet18(weights="IMAGENET1K_V9")


def test_standardize_by_hand():
    layer = Standardize(2, mean=[10.0, 0.0], std=[5.0, 2.0])
    image = torch.tensor([[[[20]], [[4]]]], dtype=torch.uint8)
    assert layer(image).flatten().tolist() == [2.0, 2.0]
    assert layer(image).dtype == torch.float32


@pytest.mark.parametrize("shape", [(300, 2, 16, 16), (2, 1, 300, 300)])
def test_statistics_are_those_of_all_images_however_large_the_batch(shape):
    images = torch.randint(0, 200, shape, generator=torch.Generator().manual_seed(0))
    images[-1] += 50  # what comes last counts, too
    standardize = Standardize(shape[1])
    standardize.learn([images[:1], images[1:]])
    expected = images.double()
    mean, std = expected.mean(dim=(0, 2, 3)), expected.std(dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(standardize.mean.flatten().double(), mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(standardize.std.flatten().double(), std, rtol=1e-6, atol=0)
