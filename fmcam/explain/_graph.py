"""The graph of a network's outputs: which layers they depend on, and by which ways."""

import torch
from torch.autograd.graph import GradientEdge, get_gradient_edge

from fmcam.explain._layout import first_tensor

__all__ = ["Graph"]


class Graph:
    """The graph of some images' outputs: what they depend on, and by which ways.

    Parameters
    ----------
    images : tensor of shape (n, c, h, w)
    """

    @torch.enable_grad()
    def __init__(self, images):
        self.image = images.requires_grad_() * 1
        self._edges: dict[str, GradientEdge] = {}  # the output of each layer
        self._ends: list[torch.Tensor] = []

    def note(self, name, args, output):
        """Take in what a layer takes and gives."""
        self._ends.extend(one for one in (*args, output) if _is_differentiable_row(one))
        tensor = first_tensor(output)
        if tensor is not None and tensor.grad_fn is not None:
            self._edges[name] = get_gradient_edge(tensor)

    def what_counts(self, outputs, layouts):
        """Yield the layers in `layouts` on whose maps the outputs depend, the last one first.

        All, where the outputs depend on none.
        """
        self._end = outputs.grad_fn
        names = [name for name in layouts if name in self._edges]
        tried: list[torch.Tensor] = []
        for end in reversed([*self._ends, outputs]):  # a head may begin with zeros
            if any(end.dtype == one.dtype and torch.equal(end, one) for one in tried):
                continue
            tried.append(end)
            found = False
            for name in self._depended_on(end, names, layouts):
                found = True
                yield name
            if found:
                return
        yield from reversed(layouts)

    def _depended_on(self, end, names, layouts):
        """Differentiate down to the last layer, the two before it, four, and so on."""
        generator = torch.Generator().manual_seed(0)
        weights = torch.randn(end.shape, generator=generator).to(end)
        n_layers = 1
        while names and end.requires_grad:
            names, some = names[:-n_layers], names[-n_layers:]
            edges = [self._edges[name] for name in some]
            gradients = torch.autograd.grad(
                end, edges, weights, allow_unused=True, retain_graph=True
            )
            for name, gradient in zip(reversed(some), reversed(gradients), strict=True):
                if gradient is not None and layouts[name].maps(gradient).any():
                    yield name
            n_layers *= 2

    def all_passes(self, layer):
        """Whether no way leads from the image to the logits but through a layer."""
        wall = self._node(layer)
        return wall is not None and self.image.grad_fn not in _nodes_behind(self._end, wall)

    def attends(self, layer):
        """Whether attention takes part in what a layer gives."""
        names = {node.name() for node in _nodes_behind(self._node(layer))}
        return any("Softmax" in name or "Attention" in name for name in names)

    def _node(self, layer):
        return getattr(self._edges.get(layer), "node", None)


def _nodes_behind(end, wall=None):
    """The nodes of a graph that lead to its end, those behind a wall left out."""
    reached, waiting = set(), [end]
    while waiting:
        node = waiting.pop()
        if node is not None and node is not wall and node not in reached:
            reached.add(node)
            waiting += [following for following, _ in node.next_functions]
    return reached


def _is_differentiable_row(value):
    return isinstance(value, torch.Tensor) and value.ndim == 2 and value.requires_grad
