"""A function of tensors as the list of operators that it runs."""

from collections import Counter

import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_leaves

__all__ = ["Captured"]

_N_PLAIN = 100  # calls; fewer would not earn back the time that a capture takes


class Captured:
    """Runs a function, and once it has been called often only the operators that it is made of.

    What ``torch.func`` finds out in many microseconds an operator is then known. On an accelerator,
    where small operators wait for Python, that is most of a step. Operators are captured by sets of
    shapes, and in two calls: if these differ, as those of a function that counts its calls do, it
    goes on as it is.

    Parameters
    ----------
    function : callable
        Of nested tuples and dicts of tensors, to the same. It may change them in place. What else
        it reads must not change after the two calls.

    Examples
    --------
    >>> import torch
    >>> from fmcam._ensemble.captured import Captured
    >>> square = Captured(lambda numbers: numbers**2)
    >>> square(torch.tensor([3.0]))
    tensor([9.])
    """

    def __init__(self, function):
        self.function = function
        self.calls: Counter[tuple[torch.Size, ...]] = Counter()
        self.graphs = {}

    def __call__(self, *inputs):
        """What the function gives for these inputs."""
        shapes = tuple(tensor.shape for tensor in tree_leaves(inputs))
        self.calls[shapes] += 1
        n_captures = self.calls[shapes] - _N_PLAIN
        if n_captures <= 0:
            return self.function(*inputs)
        if n_captures > 2:
            return self.graphs[shapes](*inputs)
        graph, outputs = _captured(self.function, inputs)
        repeats = n_captures == 1 or _same(self.graphs[shapes], graph)
        self.graphs[shapes] = graph if repeats else self.function
        return outputs


def _captured(function, inputs):
    """The operators that a call runs, and its outputs."""
    kept = []

    def run(*inputs):
        kept.append(function(*inputs))
        return kept[0]

    return make_fx(run)(*inputs), kept[0]


def _same(graph, other):
    constants, others = graph.state_dict(), other.state_dict()
    return graph.code == other.code and all(
        torch.equal(constant, others[name]) for name, constant in constants.items()
    )
