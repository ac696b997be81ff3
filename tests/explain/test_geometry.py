"""Where the cells of a layer lie: against fields measured by gradients, and numbers by hand."""

import copy

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from fmcam.explain._geometry import Grid, half_pixel_grid, layer_grid, upsample
from fmcam.models import CNN_CAM, LeNet5, ResNet18, SimpleCNN


class SumPool(nn.Module):
    """Sums over the windows whose maxima a max-pooling takes."""

    def __init__(self, pool):
        super().__init__()
        self.pool = pool

    def forward(self, maps):
        pool = self.pool
        kernel = torch.ones(maps.shape[1], 1, *np.broadcast_to(pool.kernel_size, 2)).to(maps)
        step = {"stride": pool.stride, "padding": pool.padding, "dilation": pool.dilation}
        return functional.conv2d(maps, kernel, groups=maps.shape[1], **step)


class Apply(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, maps):
        return self.function(maps)


def summing(net):
    """A copy of a network in which each cell is a sum, with equal weights, of all that it reads."""
    net = copy.deepcopy(net).double().eval()
    for module in list(net.modules()):
        for name, part in module.named_children():
            if isinstance(part, nn.MaxPool2d):
                setattr(module, name, SumPool(part))
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.constant_(part.weight, 1 / part.weight[0].numel())
                part.bias = None
    return net


def measured_centre(net, layer, image_shape, cell):
    """Centre of mass (y, x) of the pixels that a cell of a layer reads."""
    image = torch.ones(1, *image_shape, dtype=torch.float64, requires_grad=True)
    net, outputs = summing(net), []
    net.get_submodule(layer).register_forward_hook(lambda *call: outputs.append(call[-1]))
    net(image)
    (mass,) = torch.autograd.grad(outputs[-1][0, :, *cell].sum(), image)
    mass = mass[0].sum(dim=0).numpy()
    ys, xs = np.indices(mass.shape)
    return (mass * ys).sum() / mass.sum(), (mass * xs).sum() / mass.sum()


def assert_centred(net, layer, image_shape, *cells):
    """Cells far from the border lie, on average, where their fields are centred."""
    grid = layer_grid(net, net.get_submodule(layer), torch.zeros(1, *image_shape))
    found = np.mean([np.add(grid.start, np.multiply(grid.stride, cell)) for cell in cells], axis=0)
    fields = [measured_centre(net, layer, image_shape, cell) for cell in cells]
    np.testing.assert_allclose(found, np.mean(fields, axis=0), atol=1e-8)


def strided(*parts, channels=1):
    """A network that starts with cells 2 pixels apart, so that later steps must be scaled."""
    return nn.Sequential(nn.Conv2d(1, channels, 3, stride=2, padding=1), *parts)


OPERATORS = {
    "convolution": nn.Conv2d(1, 1, 3, stride=2, padding=1),
    "patches": nn.Conv2d(1, 1, 4, stride=4),
    "no square": nn.Conv2d(1, 1, (3, 5), stride=(2, 1), padding=(1, 0)),
    "dilated": nn.Conv2d(1, 1, 2, dilation=3),
    "padding same": nn.Conv2d(1, 1, 3, padding="same"),
    "transposed": nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1),
    "transposed, even": nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1),
    "transposed, dilated": nn.ConvTranspose2d(1, 1, 2, dilation=3),
    "max-pooling": nn.MaxPool2d(2),
    "max-pooling with stride": nn.MaxPool2d(3, stride=2, padding=1),
    "max-pooling, dilated": nn.MaxPool2d((2, 3), stride=1, dilation=2),
    "average pooling": nn.AvgPool2d((2, 3)),
    "average pooling with stride": nn.AvgPool2d(3, stride=2, padding=1),
    "average pooling by function": Apply(lambda maps: functional.avg_pool2d(maps, 2)),
    "adaptive pooling": nn.AdaptiveAvgPool2d((18, 10)),
    "zero padding": nn.ZeroPad2d((3, 1, 2, 0)),
    "zero padding of columns": Apply(lambda maps: functional.pad(maps, (3, 1))),
    "cropping": nn.ZeroPad2d(-2),
    "reflection": nn.ReflectionPad2d((2, 1, 0, 3)),
    "replication": nn.ReplicationPad2d((2, 1, 0, 3)),
    "slices": Apply(lambda maps: maps[:, :, 1::2, -14:]),
    "slice from the right": Apply(lambda maps: torch.narrow(maps, -1, 3, 14)),
    "slice of channels": Apply(lambda maps: torch.cat([maps, maps], dim=1)[:, 1:]),
    "slice of groups": Apply(lambda maps: torch.stack([maps, maps], dim=2)[:, :, 1:].flatten(1, 2)),
    "nearest": nn.Upsample(scale_factor=2),
    "bilinear": nn.Upsample(scale_factor=2, mode="bilinear"),
    "bilinear by corners": nn.Upsample((45, 57), mode="bilinear", align_corners=True),
    "bilinear to coarser": nn.Upsample(scale_factor=0.5, mode="bilinear"),
    "bilinear, smoothed": Apply(
        lambda maps: functional.interpolate(maps, scale_factor=0.5, mode="bilinear", antialias=True)
    ),
    "bicubic": nn.Upsample(scale_factor=2, mode="bicubic"),
    "bicubic, smoothed": Apply(
        lambda maps: functional.interpolate(maps, scale_factor=0.5, mode="bicubic", antialias=True)
    ),
    "nearest, exact": nn.Upsample(scale_factor=2, mode="nearest-exact"),
    "shift by permuting": Apply(lambda maps: maps.permute(0, 2, 3, 1).permute(0, 3, 1, 2)),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_cells_are_centred_on_what_they_read(name):
    # where two cells between them share a field, as after upsampling, the fields lie so on average
    assert_centred(strided(OPERATORS[name]), "1", (1, 72, 80), (6, 6), (7, 7))


def test_channels_to_space_and_back():
    shuffled = strided(nn.PixelShuffle(2), channels=4)
    assert_centred(shuffled, "1", (1, 48, 40), (8, 8), (9, 9))
    assert_centred(nn.Sequential(nn.PixelUnshuffle(2)), "0", (1, 48, 40), (2, 2))


def test_adaptive_max_pooling_divides_evenly():
    net = strided(nn.AdaptiveMaxPool2d((6, 4)))  # 24x20 cells, start 0 and stride 2, in 6x4
    grid = layer_grid(net, net[1], torch.zeros(1, 1, 48, 40))
    assert grid == Grid(start=(3.0, 4.0), stride=(8.0, 10.0))


def test_resizing_to_one_row_by_corners():
    net = strided(nn.Upsample((1, 39), mode="bilinear", align_corners=True))  # of 24x20 cells
    grid = layer_grid(net, net[1], torch.zeros(1, 1, 48, 40))
    assert grid == Grid(start=(0.0, 0.0), stride=(46.0, 1.0))


def test_a_gate_of_one_cell_does_not_count():
    net = strided(Apply(lambda maps: functional.avg_pool2d(maps, maps.shape[2:]) * maps))
    assert layer_grid(net, net[1], torch.zeros(1, 1, 48, 40)) == Grid((0.0, 0.0), (2.0, 2.0))


class TestWholeNetworks:
    @pytest.mark.parametrize("net_class", [SimpleCNN, LeNet5, CNN_CAM])
    def test_own_networks(self, net_class):
        assert_centred(net_class(), "features", (1, 64, 64), (5, 6))

    def test_resnet18(self):
        # the field of a cell is 435 pixels wide: that of the cell at 7 * 32 = 224 fits in
        assert_centred(ResNet18(n_classes=2), "features.layer4", (3, 448, 448), (7, 7))

    @pytest.mark.parametrize(
        ("name", "start"),
        [
            ("resnet18", 0),  # 3x3 and 7x7 windows of stride 2, padded
            ("mobilenet_v2", 0),
            ("vgg11_bn", 0.5 + 1 + 2 + 4 + 8),  # 2x2 windows at strides 1 to 16
            ("densenet121", 2 + 4 + 8),  # as resnet, then 2x2 windows at strides 4 to 16
            ("convnext_tiny", 1.5 + 2 + 4 + 8),  # a 4x4 window, then 2x2 ones at strides 4 to 16
            ("mobilenet_v3_small", 0),  # with squeeze-and-excitation
        ],
    )
    def test_torchvision_by_hand(self, name, start):
        once = {"init_weights": False} if name == "vgg11_bn" else {}  # else a second time, in 1 s
        net = getattr(torchvision.models, name)(num_classes=2, **once)
        layer = net.layer4 if name == "resnet18" else net.features
        for memory_format in (torch.contiguous_format, torch.channels_last):
            image = torch.zeros(1, 3, 64, 96).to(memory_format=memory_format)
            net = net.to(memory_format=memory_format)
            assert layer_grid(net, layer, image) == Grid((start, start), (32.0, 32.0))


class Torn(nn.Module):
    """Gives maps that no operator made from the image."""

    def forward(self, images):
        return torch.as_tensor(images.numpy()[:, :, ::4, ::4].copy())


class TestUnknown:
    def test_maps_from_nowhere_divide_the_image_evenly(self):
        net = nn.Sequential(Torn(), nn.Identity())
        grid = layer_grid(net, net[1], torch.zeros(1, 1, 28, 20))
        assert grid == half_pixel_grid((28, 20), (7, 5)) == Grid((1.5, 1.5), (4.0, 4.0))

    def test_strided_slices_of_channels_last_tensors(self):
        rows = Apply(lambda maps: maps.permute(0, 2, 3, 1)[:, ::2, ::2].permute(0, 3, 1, 2))
        grid = layer_grid(nn.Sequential(rows), rows, torch.zeros(1, 3, 8, 8))
        assert grid == half_pixel_grid((8, 8), (4, 4))


class TestNetworkIsLeftAsFound:
    @pytest.fixture
    def net(self):
        torch.manual_seed(0)
        noise = Apply(lambda maps: functional.dropout(maps, training=True))
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), noise, nn.ReLU(inplace=True))

    def test_modes_buffers_hooks_and_random_numbers(self, net):
        net[0].eval()
        modes = [module.training for module in net.modules()]
        buffers = copy.deepcopy(dict(net.named_buffers()))
        random = torch.get_rng_state()
        image = torch.randn(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
        layer_grid(net, net[3], image)
        assert [module.training for module in net.modules()] == modes
        assert all(torch.equal(value, buffers[name]) for name, value in net.named_buffers())
        assert not any(module._forward_hooks for module in net.modules())
        assert torch.equal(torch.get_rng_state(), random)
        assert torch.is_grad_enabled()

    def test_after_an_exception(self, net):
        with pytest.raises(RuntimeError, match="channels"):
            layer_grid(net, net[3], torch.zeros(1, 5, 9, 9))
        assert not net[3]._forward_hooks
        assert all(module.training for module in net.modules())
        assert torch.is_grad_enabled()

    def test_inference_mode(self, net):
        net = nn.Sequential(nn.MaxPool2d(2), net)
        with torch.inference_mode():
            grid = layer_grid(net, net[1], torch.zeros(1, 1, 9, 9))
        assert grid == Grid((2.5, 2.5), (2.0, 2.0))

    def test_no_graph_is_built(self, net):
        graphs = []
        net[3].register_forward_hook(lambda *call: graphs.append(call[-1].grad_fn))
        layer_grid(net, net[3], torch.zeros(1, 1, 9, 9))
        assert graphs == [None]


class TestUpsample:
    @pytest.mark.parametrize("size", [(28, 28), (64, 36), (7, 5), (4, 3)])
    def test_equals_interpolate_on_an_even_grid(self, size):
        maps = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0))
        expected = functional.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]
        found = upsample(maps, size, half_pixel_grid(size, (7, 5)))
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)

    def test_maps_of_coordinates_give_coordinates(self):
        # cells at 1, 5, 9 and at -2, 1, 4, 7: a pixel in between has its own coordinates
        grid = Grid(start=(1.0, -2.0), stride=(4.0, 3.0))
        ys, xs = torch.meshgrid(
            torch.tensor([1.0, 5, 9]), torch.tensor([-2.0, 1, 4, 7]), indexing="ij"
        )
        found = upsample(torch.stack([ys, xs]), (12, 10), grid)
        rows, columns = torch.arange(12.0).clamp(1, 9), torch.arange(10.0).clamp(max=7)
        torch.testing.assert_close(found[0], rows[:, None].expand(12, 10))
        torch.testing.assert_close(found[1], columns.expand(12, 10))

    def test_leading_dimensions_and_dtype(self):
        maps = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
        grid = Grid((0.0, 0.0), (8.0, 8.0))
        found = upsample(maps, (32, 32), grid)
        assert found.dtype == torch.bfloat16
        assert torch.equal(found[1, 2, ::8, ::8], maps[1, 2])


class TestMovedSquare:
    """Three convolutions of stride 2 find a bright square; the map must lie on it, wherever."""

    @staticmethod
    def offset(top, grid):
        net = summing(nn.Sequential(*(nn.Conv2d(1, 1, 3, stride=2, padding=1) for _ in range(3))))
        image = torch.zeros(1, 1, 128, 128, dtype=torch.float64)
        image[..., top : top + 17, 40:57] = 1
        grid = layer_grid(net, net[2], image) if grid is None else grid
        with torch.no_grad():
            drawn = upsample(net(image)[0, 0], (128, 128), grid).numpy()
        return (drawn.sum(axis=1) * np.arange(128)).sum() / drawn.sum() - (top + 8)

    def test_aligned(self):
        assert [self.offset(top, None) for top in (32, 40, 56)] == pytest.approx([0, 0, 0])

    def test_an_even_grid_is_off_by_half_a_stride(self):
        assert self.offset(40, half_pixel_grid((128, 128), (16, 16))) == pytest.approx(3.5)
