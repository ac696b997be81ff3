"""Steps of many optimizers at once: torch's formulas with one rate and one decay a network.

Weights and gradients are mappings of name to tensor of shape (k, ...), one row for each of the k
networks; rates and decays are tensors of shape (k,).
"""

import torch

__all__ = ["StackedAdam", "StackedSGD", "clip_by_norm", "updates_of"]


def updates_of(optimizers):
    """The one object that does the steps of several optimizers of one kind.

    Parameters
    ----------
    optimizers : list of torch.optim.SGD, Adam or AdamW
        Each with one parameter group; they differ in rate and decay alone.
    """
    groups = [optimizer.param_groups[0] for optimizer in optimizers]
    decay = groups[0]["params"][0].new_tensor([float(group["weight_decay"]) for group in groups])
    kind = StackedSGD if isinstance(optimizers[0], torch.optim.SGD) else StackedAdam
    return kind(groups[0], decay)


class StackedSGD:
    """torch.optim.SGD with momentum, Nesterov's or not, and without dampening."""

    def __init__(self, group, decay):
        self.momentum = group["momentum"]
        self.nesterov = group["nesterov"]
        self.decay = decay
        self.velocity = {}

    def __call__(self, weights, gradients, rate):
        """The weights after one more step."""
        return {name: self._moved(name, w, gradients[name], rate) for name, w in weights.items()}

    def _moved(self, name, weight, gradient, rate):
        step = gradient + _along(self.decay, weight) * weight
        if self.momentum:
            velocity = self.momentum * self.velocity.get(name, 0) + step
            self.velocity[name] = velocity
            step = step + self.momentum * velocity if self.nesterov else velocity
        return weight - _along(rate, weight) * step


class StackedAdam:
    """torch.optim.Adam, whose decay is part of the gradient, and AdamW, where it is not."""

    def __init__(self, group, decay):
        self.betas = group["betas"]
        self.eps = group["eps"]
        self.decoupled = group["decoupled_weight_decay"]
        self.decay = decay
        self.means = {}
        self.squares = {}
        self.n_steps = 0

    def __call__(self, weights, gradients, rate):
        """The weights after one more step."""
        self.n_steps += 1
        return {name: self._moved(name, w, gradients[name], rate) for name, w in weights.items()}

    def _moved(self, name, weight, gradient, rate):
        first, second = self.betas
        decay, rate = _along(self.decay, weight), _along(rate, weight)
        if self.decoupled:
            weight = weight * (1 - rate * decay)
        else:
            gradient = gradient + decay * weight
        zeros = torch.zeros_like(weight)
        mean = torch.lerp(self.means.get(name, zeros), gradient, 1 - first)
        square = second * self.squares.get(name, zeros) + (1 - second) * gradient.square()
        self.means[name], self.squares[name] = mean, square
        deviation = square.sqrt() / (1 - second**self.n_steps) ** 0.5
        return weight - rate / (1 - first**self.n_steps) * mean / (deviation + self.eps)


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
    return {name: g * _along(factor, g) for name, g in gradients.items()}


def _along(values, tensor):
    """Values of shape (k,) shaped to broadcast along the first axis of a tensor (k, ...)."""
    return values.to(tensor.dtype).reshape(-1, *[1] * (tensor.ndim - 1))
