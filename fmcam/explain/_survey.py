"""What there is to know of a network before it is explained: which layers have maps, and where."""

import contextlib
from functools import cached_property
from typing import NamedTuple

import torch
from torch import nn

from fmcam._network_state import Findings, evaluating, hooked
from fmcam._random_state import generators_kept
from fmcam._suggest import nearest
from fmcam.explain._geometry import FollowGrid, Grid
from fmcam.explain._graph import Graph
from fmcam.explain._layout import (
    CallableLayout,
    Layout,
    first_tensor,
    is_attention,
    only_in_proportion,
    possible_layouts,
)

__all__ = ["Survey", "survey_of", "undisturbed"]

_AXES = ("nchw", "nhwc", "ntd")
_MOST_LISTED = 12
_DIFFERENTIATED = 5 * 256**2  # pixels: a graph of larger images is made of one alone
_CLEAR = 1.3  # wrong readings of tokens reach 1.25 by chance
_surveys = Findings()


def survey_of(clf, images, *, default=False):
    """The survey of a classifier's network for images of one shape, made once.

    `default`: whether its default layer will be asked for.
    """
    known = _surveys.of(clf.module_.net)
    shape = tuple(images.shape[1:])
    if shape not in known:
        known[shape] = Survey(clf, images, default)
    return known[shape]


class _Reading(NamedTuple):
    """A layout that an output may have, whether it is right, and whether noise shows it."""

    right: bool
    clear: bool
    layout: Layout


class Survey:
    """The layers of a network that give maps, by what noise does to them.

    A layer's cells follow the image where they change most in the quarter that was changed. So a
    layout is found by evidence and not by names, and an attention matrix is not taken for a map.
    As long as no layer has made tokens of the image, its proportions are enough, if the output has
    them in one reading alone: convolutions may see all of a small image at each cell. Afterwards,
    where attention gives matrices of tokens by tokens, both must hold.

    Parameters
    ----------
    clf : CNNClassifier
        Fitted. Its network is left as it was: modes, gradients, hooks, random numbers.
    images : tensor of shape (n, c, h, w)
        Of these only shape and device count.
    default : bool
        Whether to find the default layer in the same forward, if the images are small enough.
    """

    def __init__(self, clf, images, default):
        self._shape = tuple(images.shape[1:])
        self._name = type(clf.module_.net).__name__
        self._names = {name for name, _ in clf.module_.net.named_modules()}
        self._found: dict[str, list[_Reading]] = {}  # by layer, as they finish
        self._tokens_came = False
        self._seen: dict[str, str] = {}  # layer -> what it gives
        self._grids: dict[str, Grid] = {}
        noise = _noise(clf, images)
        graph = Graph(noise) if default and noise[:, 0].numel() <= _DIFFERENTIATED else None
        image = noise if graph is None else graph.image

        def note(name, args, output):
            tensor = first_tensor(output)
            again = name in self._seen
            self._seen[name] = "runs more than once in a forward" if again else _given(output)
            self._found.pop(name, None)
            if tensor in followed.grids:
                self._grids[name] = followed.grids[tensor]
            if graph is not None:
                graph.note(name, args, output)
            if not again and tensor is not None and len(tensor) == len(noise):
                with followed.paused():
                    self._found[name] = self._readings(tensor.detach())
                    if is_attention(tensor.detach()):
                        self._seen[name] += ", rows that sum to one like those of attention"

        with (
            undisturbed(clf),
            torch.set_grad_enabled(graph is not None),
            _watched(clf, note),
            FollowGrid(image) as followed,
        ):
            outputs = clf.raw_outputs(image)
        if graph is not None:
            self._default = self._find_default(clf, graph, outputs)

    def _readings(self, output):
        """Layouts of an output, the best first, each with whether it is known to be right."""
        found = [
            _Reading(in_cells > _CLEAR, min(in_cells, in_quarters) > _CLEAR, layout)
            for in_cells, in_quarters, layout in possible_layouts(output, self._shape[1:])
        ]
        if output.ndim == 3:
            self._tokens_came |= any(reading.right for reading in found)
            return [one._replace(clear=one.right) for one in found]
        square = only_in_proportion([reading.layout for reading in found], self._shape[1:])
        if is_attention(output):
            return [one._replace(right=False) for one in found]
        if self._tokens_came:
            return [one._replace(right=one.right and one.layout is square) for one in found]
        found = [one._replace(right=one.right or one.layout is square) for one in found]
        return sorted(found, key=lambda reading: reading.layout is not square)

    @cached_property
    def layers(self):
        """Names of the layers whose cells follow the image, in the order in which they finish."""
        return [name for name, found in self._found.items() if found and found[0].right]

    def layout(self, layer, wanted=None):
        """Where a layer keeps its maps.

        Parameters
        ----------
        layer : str
        wanted : {"nchw", "nhwc", "ntd"}, callable or None
            None: by evidence.

        Raises
        ------
        ValueError
            If there is no such layer, if it does not run or runs several times, or if its output
            holds no maps or none that evidence can tell.
        """
        named = isinstance(wanted, str) and wanted in _AXES
        if wanted is not None and not named and not callable(wanted):
            raise ValueError(
                f"`layout` must be one of {list(_AXES)}, a function from the layer's output to "
                f"maps of shape (n, c, h, w), or None, got {wanted!r}."
            )
        found = self._found.get(layer, [])
        if callable(wanted) and layer in self._found:
            return CallableLayout(wanted)
        if wanted is not None:
            found = [one._replace(right=True) for one in found if one.layout.axes == wanted]
        if not found or not found[0].right:
            self._refuse(layer, found)
        return found[0].layout

    def _refuse(self, layer, found):
        if layer not in self._seen:
            near = nearest(layer, self.layers)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"{self._name} has no layer {layer!r}{self._idle(layer)}.{hint} "
                f"Layers that give maps: {self._listed()}."
            )
        advice = ""
        if found:
            advice = ", of which no reading follows the image; where you know better, pass `layout`"
        raise ValueError(
            "`layer` must give maps larger than 1x1, as (c, h, w), (h, w, c) or tokens, "
            f"but {layer!r} {self._seen[layer]}{advice}. Layers that give maps: {self._listed()}."
        )

    def _idle(self, layer):
        return " that runs" if layer in self._names else ""

    def _listed(self):
        names = self.layers
        return ", ".join(names if len(names) <= _MOST_LISTED else ["...", *names[-_MOST_LISTED:]])

    def default_layer(self, clf):
        """The last layer whose maps show where, and what the logits are made of.

        The logits depend on them, all of the image passes through them, and attention, if any, has
        left its cells their places. Where no layer has all three, the last is waived, then the
        second: branches may run side by side to the end.
        """
        if not hasattr(self, "_default"):
            with undisturbed(clf), torch.enable_grad():
                graph = Graph(_noise(clf, torch.empty(1, *self._shape, device=clf.device))[:1])
                with _watched(clf, graph.note):
                    outputs = clf.raw_outputs(graph.image)
            self._default = self._find_default(clf, graph, outputs)
        return self._default

    def grid(self, layer):
        """The geometric centres of a layer's receptive fields, or None if no operator says."""
        return self._grids.get(layer)

    def _find_default(self, clf, graph, outputs):
        modules = dict(clf.module_.net.named_modules())
        names = [n for n in self.layers if not isinstance(modules[n], nn.AdaptiveAvgPool2d)]
        if not names:
            raise ValueError(
                f"{self._name} has no layer that gives maps larger than 1x1 which follow the "
                f"image, for images of shape {self._shape}. Where you know better, pass `layer` "
                "and `layout`."
            )
        best, best_rank = None, (False, False)
        for name in graph.what_counts(outputs, {name: self.layout(name) for name in names}):
            placed = self._found[name][0].clear or not graph.attends(name)
            rank = graph.all_passes(name), placed
            if best is None or rank > best_rank:
                best, best_rank = name, rank
            if all(rank):
                break
        return best


def _noise(clf, images):
    """Noise of the kind that the network takes, and four copies, each with another quarter anew."""
    generator = torch.Generator().manual_seed(0)
    channels, height, width = images.shape[1:]
    noise, other = torch.randn(2, channels, height, width, generator=generator)
    noise = noise.repeat(5, 1, 1, 1)
    top, bottom = slice(0, height // 2), slice(height // 2, None)
    left, right = slice(0, width // 2), slice(width // 2, None)
    quarters = (top, left), (top, right), (bottom, left), (bottom, right)
    for copy, (rows, columns) in zip(noise[1:], quarters, strict=True):
        copy[:, rows, columns] = other[:, rows, columns]
    standardize = clf.module_.standardize
    return noise.to(images.device) * standardize.std + standardize.mean


def _watched(clf, note):
    """Call `note(name, args, output)` after each module of the network runs."""

    def hook_of(name):
        return lambda module, args, output: note(name, args, output)

    net = clf.module_.net
    return hooked(net, {name: hook_of(name) for name, _ in net.named_modules() if name})


def _given(output):
    if isinstance(output, torch.Tensor):
        return f"gives {tuple(output.shape[1:])} for an image"
    return f"gives a {type(output).__name__}"


@contextlib.contextmanager
def undisturbed(clf):
    """Evaluation mode without a graph, and the network's own modes back on leaving.

    It also leaves torch's inference mode for the time, whose tensors no gradient can pass, and puts
    torch's random numbers back.
    """
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        evaluating(clf.module_.net),
        generators_kept(clf.device),
    ):
        yield
