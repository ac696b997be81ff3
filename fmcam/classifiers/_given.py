"""A network from elsewhere: the plain nn.Module in it, or why it cannot be used."""

import copy
import inspect
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from fmcam._network_state import evaluating, modes_kept
from fmcam.classifiers._trials import failures_told

__all__ = ["check_weights", "copied", "make_lazy_weights", "plain_network"]

_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)
_QUANTIZED = (
    "torch.ao.nn.quantized",
    "torch.ao.nn.intrinsic.quantized",
    "torchao.",
    "bitsandbytes.",
)
_WITHOUT_PYTHON = (
    "{}, whose layers cannot be watched or differentiated one by one. Pass the nn.Module that it "
    "was made of."
)


def plain_network(net, name="net"):
    """The network inside DataParallel, DistributedDataParallel and what ``torch.compile`` returns.

    Parameters
    ----------
    net : nn.Module
        Not changed: one compiled in place comes back as another module with the same parts.
    name : str
        The argument's name in error messages.

    Returns
    -------
    nn.Module

    Raises
    ------
    TypeError
        For what is no nn.Module.
    ValueError
        For a network of TorchScript, torch.export or quantized layers, and for one whose weights
        are not there.
    """
    inner = net.module if isinstance(net, _WRAPPERS) else getattr(net, "_orig_mod", net)
    if inner is not net:
        return plain_network(inner, name)
    if not isinstance(net, nn.Module) or isinstance(net, torch.jit.ScriptModule):
        raise _no_module(net, name)
    _check_kind(net)
    _check_device(net)
    return net if net._compiled_call_impl is None else copy.copy(net)  # a copy is not compiled


def copied(net):
    """A copy of a network, which other libraries' hooks can make impossible."""
    try:
        return copy.deepcopy(net)
    except RuntimeError as error:
        if "deepcopy protocol" not in str(error):
            raise
        raise ValueError(
            f"{type(net).__name__} cannot be copied, as it computes weights before each run like "
            "torch.nn.utils.prune and the old weight_norm and spectral_norm do. Pass a function "
            "that makes it, use torch.nn.utils.parametrizations, or make the weights permanent: "
            "`prune.remove(part, 'weight')`, `remove_weight_norm(part)`."
        ) from error


def make_lazy_weights(net, image_shape):
    """Run a network of lazy layers on one image, which makes their weights."""
    if _lazy(net):
        image = torch.zeros(1, *image_shape)
        with failures_told(net, image), torch.no_grad(), evaluating(net):
            net(image)


def _lazy(net):
    return [n for n, weight in net.named_parameters() if isinstance(weight, UninitializedParameter)]


def _no_module(net, name):
    found = type(net).__name__
    if isinstance(net, torch.jit.ScriptModule | torch.jit.ScriptFunction):
        return ValueError(_WITHOUT_PYTHON.format(f"`{name}` is TorchScript"))
    if isinstance(net, torch.export.ExportedProgram):
        return ValueError(_WITHOUT_PYTHON.format(f"`{name}` is a program of torch.export"))
    hint = "Wrap what it does in the `forward` of an nn.Module."
    if inspect.isclass(net):
        found, hint = (
            f"the class {net.__name__}",
            f"Pass a trained instance of it: {net.__name__}(...).",
        )
    elif isinstance(net, Mapping):
        hint = "Load a state dict into its network, `network.load_state_dict(...)`, and pass that."
    elif isinstance(getattr(net, "module_", None), nn.Module):
        hint = f"It is a classifier already; its network is `{name}.module_`."
    elif isinstance(net, str):
        hint = "For a network by its name see fmcam.models, for a file load_classifier."
    return TypeError(f"`{name}` must be an instance of nn.Module, got {found}. {hint}")


def _check_kind(net):
    name = type(net).__name__
    if getattr(net, "num_classes", None) == 0:  # timm's way to leave the head out
        raise ValueError(
            f"{name} has no head: its num_classes is 0, and what it gives are features. Make it "
            "with a number of classes."
        )
    quantized = [
        type(part).__name__
        for part in (*net.modules(), *(weight.data for weight in net.parameters()))
        if type(part).__module__.startswith(_QUANTIZED)
    ]
    if quantized:
        raise ValueError(
            f"{name} is quantized: it holds a {quantized[0]}, through which no gradient flows. "
            "Pass the floating-point network that it was made from."
        )
    unborn = _lazy(net)
    if unborn:
        raise ValueError(
            f"{name} has no weights yet: {unborn[0]!r} is lazy. Run the network on an image first."
        )
    try:
        with evaluating(net), modes_kept(net):  # in turn with threads that switch the modes
            net.eval()
    except NotImplementedError as error:
        raise ValueError(_WITHOUT_PYTHON.format(f"{name} was made by torch.export")) from error


def _check_device(net):
    devices = sorted({str(weight.device) for weight in (*net.parameters(), *net.buffers())})
    if "meta" in devices:
        raise ValueError(
            f"{type(net).__name__} has weights on the device 'meta', so they have no values. Load "
            "them first, for instance by `net.to_empty(device='cpu')` and `load_state_dict`."
        )
    if len({str(weight.device) for weight in net.parameters()}) > 1:
        raise ValueError(
            f"{type(net).__name__} is split over the devices {devices}. Move it to one of them, "
            f"for instance by `net.to({devices[0]!r})`."
        )


@torch.no_grad()  # with gradients, PyTorch would lock each weight, and wait for Python inside
def check_weights(net):
    """Raise ValueError, naming the tensors, if weights are NaN or infinite or statistics NaN."""
    bad = [n for n, weight in net.named_parameters() if not bool(weight.isfinite().all())]
    bad += [n for n, buffer in net.named_buffers() if bool(buffer.isnan().any())]
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise ValueError(
            f"{type(net).__name__} has NaN or infinite weights in {', '.join(bad[:3])}{more}, so "
            "it cannot predict. Did its training loss become NaN? Take weights from before that, "
            "or train with a lower learning rate."
        )
