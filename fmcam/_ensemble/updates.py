"""Steps of many optimizers at once: torch's formulas with a rate and a decay for each number.

The weights of all networks lie in one vector, so a step is a few operations however many layers
there are. Nothing is changed in place: what an optimizer remembers is handed in and out.
"""

import math

import torch

__all__ = ["EnsembleAdam", "EnsembleSGD", "Layout", "clip_by_norm", "updates_of"]


class Layout:
    """The order of many networks' weights in one vector.

    Parameters
    ----------
    stacked : mapping of str to tensor of shape (k, ...)
        The weights of k networks by name, all of one data type.

    Examples
    --------
    >>> import torch
    >>> from fmcam._ensemble.updates import Layout
    >>> weights = {"a": torch.tensor([[1, 2], [3, 4]]), "b": torch.tensor([5, 6])}
    >>> layout = Layout(weights)
    >>> vector = layout.joined(weights)
    >>> vector
    tensor([1, 2, 3, 4, 5, 6])
    >>> layout.split(vector)["b"]
    tensor([5, 6])
    >>> layout.spread(torch.tensor([0, 9]))
    tensor([0, 0, 9, 9, 0, 9])
    """

    def __init__(self, stacked):
        self.shapes = {name: tensor.shape for name, tensor in stacked.items()}

    def joined(self, stacked):
        """Tensors of shape (k, ...) by name as one vector."""
        return torch.cat([stacked[name].reshape(-1) for name in self.shapes])

    def split(self, vector):
        """The tensors of shape (k, ...) by name that lie in a vector."""
        parts = vector.split([shape.numel() for shape in self.shapes.values()])
        shapes = self.shapes.items()
        return {name: part.view(shape) for (name, shape), part in zip(shapes, parts, strict=True)}

    def spread(self, values):
        """A vector that holds one of k values at all numbers of a network."""
        sizes = [math.prod(shape[1:]) for shape in self.shapes.values()]
        return torch.cat([values.repeat_interleave(size) for size in sizes])


def updates_of(optimizers, layout):
    """The one object that does the steps of several optimizers of one kind.

    Parameters
    ----------
    optimizers : list of torch.optim.SGD, Adam or AdamW
        Each with one parameter group; they differ in rate and decay alone.
    layout : Layout
        Of their networks' weights.
    """
    groups = [optimizer.param_groups[0] for optimizer in optimizers]
    decays = groups[0]["params"][0].new_tensor([float(group["weight_decay"]) for group in groups])
    kind = EnsembleSGD if isinstance(optimizers[0], torch.optim.SGD) else EnsembleAdam
    return kind(groups[0], layout.spread(decays))


class EnsembleSGD:
    """torch.optim.SGD with momentum, Nesterov's or not, and without dampening."""

    def __init__(self, group, decay):
        self.momentum = group["momentum"]
        self.nesterov = group["nesterov"]
        self.decay = decay

    def memory(self, weights):
        """What is remembered before the first step: with momentum the velocity."""
        return (torch.zeros_like(weights),) if self.momentum else ()

    def __call__(self, weights, gradients, memory, rate):
        """Weights and memory after one more step."""
        step = torch.addcmul(gradients, self.decay, weights)
        if not self.momentum:
            return torch.addcmul(weights, rate, step, value=-1), memory
        (velocity,) = memory
        velocity = torch.add(step, velocity, alpha=self.momentum)
        step = torch.add(step, velocity, alpha=self.momentum) if self.nesterov else velocity
        return torch.addcmul(weights, rate, step, value=-1), (velocity,)


class EnsembleAdam:
    """torch.optim.Adam, whose decay is part of the gradient, and AdamW, where it is not."""

    def __init__(self, group, decay):
        self.betas = group["betas"]
        self.eps = group["eps"]
        self.decoupled = group["decoupled_weight_decay"]
        self.decay = decay

    def memory(self, weights):
        """What is remembered before the first step: two moments and the number of steps."""
        precise = torch.float32 if weights.device.type == "mps" else torch.float64
        n_steps = torch.zeros((), dtype=precise, device=weights.device)
        return torch.zeros_like(weights), torch.zeros_like(weights), n_steps

    def __call__(self, weights, gradients, memory, rate):
        """Weights and memory after one more step."""
        first, second = self.betas
        mean, square, n_steps = memory
        n_steps = n_steps + 1
        if self.decoupled:
            weights = weights * (1 - rate * self.decay)
        else:
            gradients = torch.addcmul(gradients, self.decay, weights)
        mean = torch.lerp(mean, gradients, 1 - first)
        square = torch.addcmul(second * square, gradients, gradients, value=1 - second)
        deviation = square.sqrt() / (1 - second**n_steps).sqrt() + self.eps
        step = rate / (1 - first**n_steps) * mean / deviation
        return weights - step, (mean, square, n_steps)


def clip_by_norm(gradients, largest, norm_type):
    """Gradients with the norm of each network's own cut to `largest`, as torch's clip_grad_norm_.

    Parameters
    ----------
    gradients : mapping of str to tensor of shape (k, ...)
    largest : float
    norm_type : float
        2 for Euclid's norm, "inf" for the largest magnitude.
    """
    order = float(norm_type)
    norms = [torch.linalg.vector_norm(g.flatten(1), order, dim=1) for g in gradients.values()]
    norm = torch.linalg.vector_norm(torch.stack(norms), order, dim=0)
    factor = (largest / (norm + 1e-6)).clamp(max=1)
    return {name: g * factor.reshape(-1, *[1] * (g.ndim - 1)) for name, g in gradients.items()}
