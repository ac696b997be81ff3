"""Where in the image the cells of a layer lie, and maps drawn there."""

import contextlib
from typing import NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from fmcam._network_state import evaluating, hooked
from fmcam._random_state import generators_kept
from fmcam.explain._layout import first_tensor

__all__ = ["FollowGrid", "Grid", "half_pixel_grid", "layer_grid", "upsample"]


class Grid(NamedTuple):
    """Where the cells of a layer lie: cell (i, j) is centred at ``start + stride * (i, j)``.

    Attributes
    ----------
    start : (y, x), floats
        The centre of cell (0, 0) in pixels of the image; pixel p has its own centre at p.
    stride : (y, x), floats
        The pixels from one cell to the next.

    Examples
    --------
    >>> from fmcam.explain._geometry import Grid
    >>> Grid(start=(2.0, 2.0), stride=(4.0, 4.0)).then(offset=(-1, 0.5), factor=(1, 2))
    Grid(start=(-2.0, 4.0), stride=(4.0, 8.0))
    """

    start: tuple[float, float] = (0.0, 0.0)
    stride: tuple[float, float] = (1.0, 1.0)

    def then(self, offset, factor):
        """The grid whose cell i is centred at ``offset + factor * i`` in cells of this one."""
        (y, x), (dy, dx) = self.start, self.stride
        return Grid((y + dy * offset[0], x + dx * offset[1]), (dy * factor[0], dx * factor[1]))


def half_pixel_grid(size, cells):
    """The grid that divides an image evenly, as torch's ``interpolate(mode="bilinear")`` takes it.

    Parameters
    ----------
    size, cells : (int, int)
        Height and width, of the image in pixels and of the maps in cells.

    Returns
    -------
    Grid

    Examples
    --------
    >>> from fmcam.explain._geometry import half_pixel_grid
    >>> half_pixel_grid((28, 28), (7, 14))
    Grid(start=(1.5, 0.5), stride=(4.0, 2.0))
    """
    stride = (size[0] / cells[0], size[1] / cells[1])
    return Grid(((stride[0] - 1) / 2, (stride[1] - 1) / 2), stride)


def layer_grid(net, layer, image):
    r"""The geometric centres of the receptive fields of a layer, in pixels of the image.

    What a trained network has learned may lean to one side of them.

    One forward pass is followed operator by operator. Convolutions and poolings with kernel size
    k, dilation d, padding p and stride s centre their cell i at :math:`(k - 1) d / 2 - p + s i` of
    what they read, see [1]_; padding, slices and resizing shift and scale the grid as well; all
    other operators keep it. Where branches of one size but different grids meet, the first counts.

    Parameters
    ----------
    net : nn.Module
        Left as it is: modes, buffers, hooks, torch's random numbers.
    layer : nn.Module
        A part of `net` that runs and gives maps of shape (n, c', h', w').
    image : tensor of shape (1, c, h, w)
        As `net` takes it.

    Returns
    -------
    Grid
        If no operator leads from the image to the layer, that of :func:`half_pixel_grid`.

    References
    ----------
    .. [1] Araujo et al., "Computing receptive fields of convolutional neural networks", Distill,
       2019. https://distill.pub/2019/computing-receptive-fields

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from fmcam.explain._geometry import layer_grid
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.MaxPool2d(2))
    >>> layer_grid(net, net[1], torch.zeros(1, 1, 28, 28))
    Grid(start=(1.0, 1.0), stride=(4.0, 4.0))
    """
    outputs = []
    (name,) = [name for name, part in net.named_modules() if part is layer]

    def keep(module, inputs, output):
        outputs.append(first_tensor(output))

    with (
        torch.inference_mode(False),  # which would run composite operators whole
        torch.no_grad(),
        generators_kept(image.device),
        hooked(net, {name: keep}),
        evaluating(net),
    ):
        image = image.clone()
        with FollowGrid(image) as followed:
            net(image)
    maps = outputs[-1]
    return followed.grids.get(maps) or half_pixel_grid(image.shape[2:], maps.shape[2:])


def upsample(maps, size, grid):
    """Maps drawn at the size of the image, each cell at its place.

    Bilinear between the centres of the cells; beyond the outermost centres their values go on.

    Parameters
    ----------
    maps : tensor of shape (..., h', w')
    size : (int, int)
        Height h and width w of the image.
    grid : Grid
        Where the cells lie.

    Returns
    -------
    tensor of shape (..., h, w)

    Examples
    --------
    >>> import torch
    >>> from fmcam.explain._geometry import Grid, upsample
    >>> upsample(torch.tensor([[0.0, 4.0]]), (1, 4), Grid(stride=(2.0, 2.0)))
    tensor([[0., 2., 4., 4.]])
    """
    rows, columns = (
        _bilinear_weights(*axis).to(maps)
        for axis in zip(size, maps.shape[-2:], grid.start, grid.stride, strict=True)
    )
    return rows @ maps @ columns.T


def _bilinear_weights(n_pixels, n_cells, start, stride):
    pixels = torch.arange(n_pixels, dtype=torch.float64)
    cells = torch.arange(n_cells, dtype=torch.float64)
    places = ((pixels - start) / stride).clamp(0, n_cells - 1)
    return (1 - (places[:, None] - cells).abs()).clamp(min=0)


class FollowGrid(TorchDispatchMode):
    """Hand the grid of the image on from tensor to tensor, through every operator that runs."""

    def __init__(self, image):
        super().__init__()
        self.grids = WeakTensorKeyDictionary()
        self._paused = False
        self.grids[image] = Grid()

    @contextlib.contextmanager
    def paused(self):
        """Follow nothing for a while: what is computed then leads to no layer."""
        self._paused = True
        yield
        self._paused = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self._paused:
            return func(*args, **kwargs)
        written = func(*args, **kwargs)
        read = [t for t in _tensors((args, kwargs)) if t in self.grids]
        if read:
            # the largest: squeeze-and-excitation multiplies maps by 1x1 maps of themselves
            source = max(read, key=torch.Tensor.numel)
            for result in _tensors(written):
                step = _step(func, args, kwargs, source, result)
                if step is not None:
                    self.grids[result] = self.grids[source].then(*step)
        return written


def _tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _step(func, args, kwargs, source, result):
    """Offset and factor, each (y, x), of what is written in what is read; None: unknown."""
    rule = _RULES.get(func.overloadpacket.__name__)
    if rule is None or source.ndim != 4:
        return (0, 0), (1, 1)
    arguments = func._schema.arguments
    named = {a.name: a.default_value for a in arguments if a.has_default_value()}
    named |= dict(zip((a.name for a in arguments), args, strict=False)) | kwargs
    return rule(named, source.shape[2:], result.shape[2:])


def _window(kernel, stride, padding, dilation):
    return [(k - 1) * d / 2 - p for k, d, p in zip(kernel, dilation, padding, strict=True)], stride


def _convolution(named, size, cells):
    kernel = named["weight"].shape[2:]
    offset, factor = _window(kernel, named["stride"], named["padding"], named["dilation"])
    if named["transposed"]:  # reads with the window that the convolution writes with
        return [-o / f for o, f in zip(offset, factor, strict=True)], [1 / f for f in factor]
    return offset, factor


def _pooling(named, size, cells):
    kernel, dilation = named["kernel_size"], named.get("dilation", [1, 1])
    return _window(kernel, named["stride"] or kernel, named["padding"], dilation)


def _padding(named, size, cells):
    pad = named.get("pad") or named["padding"]  # left, right, top, bottom
    return (-pad[2] if len(pad) > 2 else 0, -pad[0]), (1, 1)


def _slice(named, size, cells):
    axis = named["dim"] % 4 - 2
    if axis == -1 and named["step"] > 1:  # no channels, but rows of (n, h, w, c), as in Swin
        return None
    offset, factor = [0, 0], [1, 1]
    if axis >= 0:
        offset[axis] = slice(named["start"], None).indices(size[axis])[0]
        factor[axis] = named["step"]
    return offset, factor


def _resizing(named, size, cells):
    if named.get("align_corners"):
        pairs = list(zip(size, cells, strict=True))
        return (0, 0), [(s - 1) / max(c - 1, 1) for s, c in pairs]
    return half_pixel_grid(size, cells)


_RULES = {
    "convolution": _convolution,
    **dict.fromkeys(("max_pool2d_with_indices", "avg_pool2d"), _pooling),
    **dict.fromkeys(("constant_pad_nd", "reflection_pad2d", "replication_pad2d"), _padding),
    "slice": _slice,
    **dict.fromkeys(
        (
            *("_adaptive_avg_pool2d", "adaptive_max_pool2d", "pixel_shuffle", "pixel_unshuffle"),
            *("upsample_nearest2d", "_upsample_nearest_exact2d", "upsample_bilinear2d"),
            *("upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
        ),
        _resizing,
    ),
}
