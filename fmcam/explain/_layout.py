"""Which axes of a layer's output are space: (n, c, h, w), (n, h, w, c) or tokens (n, t, d)."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn import functional

__all__ = [
    "CallableLayout",
    "Evidence",
    "Layout",
    "first_tensor",
    "is_attention",
    "only_in_proportion",
    "possible_layouts",
]

_CHANNELS = {"nchw": 1, "nhwc": 3, "ntd": 2}


class Layout(NamedTuple):
    """Where a layer's output keeps its maps.

    Attributes
    ----------
    axes : {"nchw", "nhwc", "ntd"}
        Batch, channels, height and width in their order; "ntd" are tokens, row by row.
    size : (h, w)
        The cells of a map.
    start : int
        Of tokens, the first one that is a cell: class, distillation and register tokens stand
        before it, or behind the last cell.

    Examples
    --------
    >>> import torch
    >>> from fmcam.explain._layout import Layout
    >>> Layout("ntd", (1, 2), start=1).maps(torch.tensor([[[9.0], [1.0], [2.0]]]))
    tensor([[[[1., 2.]]]])
    """

    axes: str
    size: tuple[int, int]
    start: int = 0

    def maps(self, output):
        """The maps of shape (n, c, h, w) in an output, a view of it."""
        if self.axes == "nchw":
            return output
        if self.axes == "nhwc":
            return output.permute(0, 3, 1, 2)
        cells = output[:, self.start : self.start + math.prod(self.size)]
        return cells.transpose(1, 2).unflatten(2, self.size)


class Evidence(NamedTuple):
    """What noise says of a layout: how much more a quarter's own cells depend on it, at the least.

    Attributes
    ----------
    among_cells : float
        Than other cells do. Those that see nearly all of a small image need not show it.
    among_quarters : float
        Than on the other quarters. A change that is felt everywhere makes one of them look large.
    layout : Layout
    """

    among_cells: float
    among_quarters: float
    layout: Layout


class CallableLayout(NamedTuple):
    """A layout that a user wrote: a function from a layer's output to maps (n, c, h, w)."""

    function: Callable
    axes: str = "callable"

    def maps(self, output):
        """The maps, checked."""
        maps = self.function(output)
        if not isinstance(maps, torch.Tensor) or maps.ndim != 4 or len(maps) != len(output):
            came = tuple(maps.shape) if isinstance(maps, torch.Tensor) else type(maps).__name__
            raise ValueError(
                "`layout` must turn a layer's output into maps of shape (n, c, h, w), got "
                f"{came} for an output of shape {tuple(output.shape)}."
            )
        return maps


def first_tensor(output):
    """The tensor that a layer gives: its output, or the first of a tuple or list; else None."""
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, torch.Tensor) else None


def possible_layouts(outputs, image_size):
    """The layouts that an output's shape allows, with the evidence for each, the best first.

    Parameters
    ----------
    outputs : tensor of shape (5, ...)
        A layer's outputs for an image, and for that image with its upper left, upper right, lower
        left and lower right quarter changed.
    image_size : (int, int)
        Height and width of the image in pixels.

    Returns
    -------
    list of Evidence

    Examples
    --------
    >>> import torch
    >>> from fmcam.explain._layout import possible_layouts
    >>> outputs = torch.zeros(5, 5, 2)  # a class token, then 2x2 cells
    >>> for quarter in range(4):
    ...     outputs[1 + quarter, 1 + quarter] = 1.0
    >>> possible_layouts(outputs, (8, 8))[0].layout
    Layout(axes='ntd', size=(2, 2), start=1)
    """
    changes = outputs[1:].float() - outputs[:1].float()
    changes = (changes / changes.abs().amax()).square()  # of tiny ones the squares would be zeros
    summed = {axis: changes.sum(dim=axis, keepdim=True) for axis in range(1, outputs.ndim)}
    found = [
        _evidence(layout, summed[_CHANNELS[layout.axes]])
        for layout in _candidates(tuple(outputs.shape), image_size)
    ]
    return sorted(found, key=lambda evidence: -evidence.among_cells)


def _candidates(shape, image_size):
    """Layouts that an output's shape allows, the likelier first."""
    if len(shape) == 4:
        first, last = Layout("nchw", tuple(shape[2:])), Layout("nhwc", tuple(shape[1:3]))
        both = [first, last] if _in_proportion(last.size, image_size) else [first]
        return [layout for layout in both if math.prod(layout.size) > 1]
    if len(shape) != 3 or shape[2] == 1:
        return []
    n_tokens, proportion = shape[1], image_size[0] / image_size[1]
    return [
        Layout("ntd", (height, width), start)
        for width in range(n_tokens, 0, -1)
        for height in {math.floor(width * proportion), math.ceil(width * proportion)}
        if height * width > 1 and n_tokens / 2 <= height * width <= n_tokens
        for start in {n_tokens - height * width, 0}
    ]


def is_attention(output):
    """Whether an output holds squares of weights of which each row sums to one."""
    if output.ndim != 4 or output.shape[2] != output.shape[3] or (output < 0).any():
        return False
    rows = output.float().sum(dim=3)
    return torch.allclose(rows, torch.ones_like(rows), atol=1e-2)  # 1e-2 for half precision


def only_in_proportion(layouts, image_size):
    """The one layout whose cells, like pixels, are square; None where none or several are."""
    fitting = [layout for layout in layouts if _in_proportion(layout.size, image_size)]
    return fitting[0] if len(fitting) == 1 else None


def _in_proportion(cells, image_size):
    """Whether rows and columns of cells are those of square cells, to a row or column."""
    return abs(cells[0] * image_size[1] - cells[1] * image_size[0]) <= max(image_size)


def _evidence(layout, changes):
    """The evidence for a layout in the changes of an output, summed over channels.

    What a cell depends on is the share of each quarter in its changes, where the upper left, upper
    right, lower left and lower right quarter of the image was changed.
    """
    changes = layout.maps(changes)[:, 0]
    changes = (changes / changes.sum(dim=0)).nan_to_num(0)  # a few tokens may outshine all others
    changes = changes.cpu()  # MPS pools maps into even parts only
    rows, columns = (min(cells, 2) for cells in changes.shape[1:])  # one row is in both halves
    means = functional.adaptive_avg_pool2d(changes, (rows, columns)).flatten(1)
    quarters = torch.arange(4)[:, None]
    own = quarters // 2 % rows * columns + quarters % 2 % columns == torch.arange(rows * columns)
    others = means.masked_fill(own, 0)
    among_cells = means[own] / others.amax(dim=1)
    among_quarters = (means * own).amax(dim=0) / others.amax(dim=0)
    return Evidence(_least(among_cells), _least(among_quarters), layout)


def _least(ratios):
    return ratios.nan_to_num(0, posinf=math.inf).amin().item()
