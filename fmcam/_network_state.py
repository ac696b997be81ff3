"""Running a network and leaving it as it was: modes, buffers, hooks, random numbers."""

import contextlib
import threading
from collections import OrderedDict
from weakref import WeakKeyDictionary, ref

import torch

from fmcam._random_state import generators_kept
from fmcam._warnings import warnings_ignored

__all__ = [
    "FAILURES",
    "OF_THE_DEVICE",
    "Findings",
    "device_of",
    "evaluating",
    "hooked",
    "lock_of",
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


def lock_of(net):
    """The lock of a network, which a thread holds that hooks it or switches its modes."""
    with _while_making:
        return _locks.setdefault(net, threading.RLock())


@contextlib.contextmanager
def evaluating(net):
    """Evaluation mode. Where modes must be switched for it, other threads wait to do the same."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(lock_of(net))
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
    mine = threading.get_ident()
    with lock_of(net), contextlib.ExitStack() as stack:
        for name, hook in hooks.items():
            part, run = net.get_submodule(name), _only_if(hook, lambda thread: thread == mine)
            stack.enter_context(_hooks_replaced(part, "_forward_hooks", {run: run}))
        yield


@contextlib.contextmanager
def without_hooks(net):
    """Keep the forward hooks of a network from running on noise; they are meant for images.

    For other threads they run.
    """
    mine = threading.get_ident()
    with lock_of(net), contextlib.ExitStack() as stack:
        for part in net.modules():
            for kind in ("_forward_hooks", "_forward_pre_hooks"):
                muted = {
                    key: _only_if(hook, lambda thread: thread != mine)
                    for key, hook in getattr(part, kind).items()
                }
                if muted:
                    stack.enter_context(_hooks_replaced(part, kind, muted))
        yield


def _only_if(hook, of_thread):
    """A hook that runs for some threads alone."""

    def run(*args):
        return hook(*args) if of_thread(threading.get_ident()) else None

    return run


@contextlib.contextmanager
def _hooks_replaced(part, kind, hooks):
    """Other hooks of a module, by their keys, for the time; those that come meanwhile stay."""
    own = getattr(part, kind)
    there = _Hooks({**own, **hooks}, own)
    known = set(there)
    setattr(part, kind, there)
    try:
        yield
    finally:
        own.update({key: hook for key, hook in there.items() if key not in known})
        setattr(part, kind, own)


class _Hooks(OrderedDict):
    """Hooks for the time being, in place of a module's own, which its copies and pickles get."""

    def __init__(self, hooks, own):
        super().__init__(hooks)
        self._own = own

    def __reduce_ex__(self, protocol):
        return self._own.__reduce_ex__(protocol)


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
def untouched(net):
    """Evaluation mode; buffers, hooks, random numbers and warnings stay as they were."""
    buffers = [(buffer, buffer.clone()) for buffer in net.buffers()]
    with (
        without_hooks(net),
        torch.inference_mode(False),
        torch.no_grad(),
        generators_kept(device_of(net)),
        evaluating(net),
        warnings_ignored(),
    ):
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
