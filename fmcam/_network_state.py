"""Running a network and leaving it as it was: modes, buffers, hooks, random numbers."""

import contextlib
import warnings
from collections import OrderedDict

import torch

__all__ = [
    "FAILURES",
    "OF_THE_DEVICE",
    "device_of",
    "modes_kept",
    "noise_images",
    "untouched",
    "without_hooks",
]

# what a network raises that cannot take some images, unless the device is at fault
FAILURES = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
OF_THE_DEVICE = (torch.OutOfMemoryError, torch.AcceleratorError)


@contextlib.contextmanager
def modes_kept(module):
    """Put the train/eval flag of each part of a module back on leaving."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def device_of(net):
    """The device of a network's first weight; "cpu" if it has none."""
    weight = next(net.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device


@contextlib.contextmanager
def without_hooks(net):
    """Keep the forward hooks of a network from running on noise; they are meant for images."""
    kept = [(part, part._forward_hooks, part._forward_pre_hooks) for part in net.modules()]
    kept = [(part, *hooks) for part, *hooks in kept if any(hooks)]
    for part, _, _ in kept:
        part._forward_hooks, part._forward_pre_hooks = OrderedDict(), OrderedDict()
    try:
        yield
    finally:
        for part, after, before in kept:
            part._forward_hooks, part._forward_pre_hooks = after, before


@contextlib.contextmanager
def untouched(net):
    """Leave modes, buffers, hooks, torch's random numbers and warnings as they were."""
    devices = [device_of(net)] if device_of(net).type == "cuda" else []
    buffers = [(buffer, buffer.clone()) for buffer in net.buffers()]
    with (
        without_hooks(net),
        torch.inference_mode(False),
        torch.no_grad(),
        torch.random.fork_rng(devices),
        modes_kept(net),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            for buffer, before in buffers:
                buffer.copy_(before)


def noise_images(module, *shape):
    """Images of noise, the same every time, as the network in a StandardizedNet takes them."""
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return noise.to(module.standardize.mean.device, module.dtype)
