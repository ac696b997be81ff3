"""Running a network and leaving it as it was: modes, buffers, hooks, random numbers."""

import contextlib
import threading
import warnings
from collections import OrderedDict
from weakref import WeakKeyDictionary, ref

import torch

__all__ = [
    "FAILURES",
    "OF_THE_DEVICE",
    "Findings",
    "device_of",
    "evaluating",
    "hooked",
    "modes_kept",
    "noise_images",
    "untouched",
    "without_hooks",
]

# what a network raises that cannot take some images, unless the device is at fault
FAILURES = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
OF_THE_DEVICE = (torch.OutOfMemoryError, torch.AcceleratorError)

_locks: WeakKeyDictionary = WeakKeyDictionary()
_while_making = threading.Lock()


def _lock_of(net):
    """The lock of a network, which a thread holds that hooks it or switches its modes."""
    with _while_making:
        return _locks.setdefault(net, threading.RLock())


@contextlib.contextmanager
def evaluating(net):
    """Evaluation mode. Where modes must be switched for it, other threads wait to do the same."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_lock_of(net))
        if any(part.training for part in net.modules()):
            stack.enter_context(modes_kept(net))
            net.eval()
        else:
            stack.close()
        yield


@contextlib.contextmanager
def hooked(net, hooks):
    """Forward hooks on parts of a network, which run for this thread alone.

    Parameters
    ----------
    net : nn.Module
    hooks : mapping of str to callable
        For the dotted name of a part ``hook(module, args, output)``, as of torch's modules.
    """
    owner = threading.get_ident()
    with _lock_of(net), contextlib.ExitStack() as stack:
        for name, hook in hooks.items():

            def run(*args, hook=hook):
                return hook(*args) if threading.get_ident() == owner else None

            stack.callback(net.get_submodule(name).register_forward_hook(run).remove)
        yield


class Findings:
    """What was found out about networks, forgotten when parts of them are replaced."""

    def __init__(self):
        self._known: WeakKeyDictionary = WeakKeyDictionary()

    def of(self, net):
        """A dictionary for what is known of a network as it is."""
        parts = [ref(part) for part in net.modules()]
        known = self._known.get(net)
        if known is None or known[0] != parts:
            self._known[net] = known = parts, {}
        return known[1]


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
    with _lock_of(net):
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
    """Evaluation mode; buffers, hooks, random numbers and warnings stay as they were."""
    devices = [device_of(net)] if device_of(net).type == "cuda" else []
    buffers = [(buffer, buffer.clone()) for buffer in net.buffers()]
    with (
        without_hooks(net),
        torch.inference_mode(False),
        torch.no_grad(),
        torch.random.fork_rng(devices),
        evaluating(net),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            for buffer, before in buffers:
                if not torch.equal(buffer, before):  # a graph of another thread may need it
                    buffer.copy_(before)


def noise_images(module, *shape):
    """Images of noise, the same every time, as the network in a StandardizedNet takes them."""
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return noise.to(module.standardize.mean.device, module.dtype)
