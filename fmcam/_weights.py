"""Weights into a network: which of a file's tensors, and for a network of which sizes."""

import copy
import functools
import inspect
import itertools
from collections import OrderedDict

import torch
from torch import nn

from fmcam._state_dicts import few, find_weights, tied_names

__all__ = ["check_fit", "load_weights", "name_of", "network_for", "resized_network", "sizes_in"]

_SIZES = (  # what constructors call the number of classes, and that of channels
    ("n_classes", "num_classes", "num_labels", "n_outputs", "num_outputs", "out_features"),
    ("in_channels", "in_chans", "num_channels", "n_channels", "channels"),
)


def network_for(make, content, path, *, key=None, **sizes):
    """A network with the weights in a file.

    Parameters
    ----------
    make : callable
        A class or function that makes the network; its arguments for the numbers of classes and
        channels are found by what they change.
    content : object
        What :func:`fmcam._weight_files.read_weight_file` gave.
    path : str or path
        For messages.
    key : str or None, default=None
        The place of the weights, where several in the file fit.
    **sizes : int
        `n_classes` and `in_channels` where they are to differ from the file's. The last layer is
        then left random, the first convolution's weights are averaged over the file's channels.

    Returns
    -------
    net : nn.Module
    rest : dict
        The other entries of the file.

    Raises
    ------
    TypeError
        If `make` gives no network.
    ValueError
        If the file holds no weights, several, others than the network's, or NaN.
    """
    make = functools.partial(make, **sizes)
    blank = _blank(make, **_required_sizes(make, path))
    weights, rest = find_weights(content, blank, path, key)
    found = sizes_in(make, weights, path, but=sizes)
    if not sizes:
        check_fit(make, found, weights, path)
    net = make(**found)
    load_weights(net, _resized(weights, net, **sizes), path)
    return net, rest


def resized_network(net, make, n_classes=None, in_channels=None):
    """A network of other numbers of classes and channels than a trained one, with its weights.

    Parameters
    ----------
    net : nn.Module
    make : callable
        Makes it from `n_classes` and `in_channels`.
    n_classes, in_channels : int or None, default=None
        As in :func:`network_for`. With neither, `net` itself comes back.
    """
    if n_classes is None and in_channels is None:
        return net
    other = make(n_classes=n_classes, in_channels=in_channels)
    load_weights(other, _resized(net.state_dict(), other, n_classes, in_channels), name_of(make))
    return other


def name_of(make):
    """What a class, a function or a partial of one is called in messages."""
    while isinstance(make, functools.partial):
        make = make.args[0] if make.func is copy.deepcopy else make.func
    return getattr(make, "__name__", type(make).__name__)


# Networks of the sizes in a file ------------------------------------------------------------------


def sizes_in(make, weights, path, but=()):
    """The arguments for the numbers of classes and channels, read off the shapes that they set.

    Parameters
    ----------
    make : callable
    weights : mapping of str to tensor
    path : str or path
        For messages.
    but : container of str, default=()
        Arguments that are given already.

    Returns
    -------
    dict of str to int
        For example ``{"num_classes": 5}``; an argument that sets no tensor's shape is left out
        unless `make` must have it.

    Raises
    ------
    ValueError
        If `make` must be given anything else.
    """
    sizes = _required_sizes(make, path)
    for names in _SIZES:
        if not any(name in but for name in names):
            sizes |= _size_in(make, _taken(make, names), weights, sizes)
    return sizes


def _size_in(make, names, weights, sizes):
    for name in names:
        try:
            small, large = (_shapes(_blank(make, **{**sizes, name: size})) for size in (2, 3))
        except Exception:  # a stranger's constructor that takes no such argument
            continue
        for key, shape in small.items():
            in_file = weights[key].shape if key in weights else ()
            for two, three, found in zip(shape, large[key], in_file, strict=False):
                if two != three:
                    return {name: 2 + (found - two) // (three - two)}
    return {}


def _taken(make, names):
    parameters = inspect.signature(make).parameters
    named = [name for name in names if name in parameters]
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return names if anything and not named else named


def _required_sizes(make, path):
    """Some number for each size that `make` must be given; ValueError if it needs anything else."""
    required = [
        name
        for name, p in inspect.signature(make).parameters.items()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    others = [name for name in required if name not in itertools.chain(*_SIZES)]
    if others:
        raise ValueError(
            f"{name_of(make)} must be given {', '.join(others)}, which {path} does not say. Pass a "
            f"network, or functools.partial({name_of(make)}, {others[0]}=...)."
        )
    return dict.fromkeys(required, 2)


def _blank(make, **sizes):
    """A network whose names and shapes count, made without memory where that is possible."""
    try:
        with torch.device("meta"):
            net = make(**sizes)
    except Exception:
        net = make(**sizes)
    if not isinstance(net, nn.Module):
        raise TypeError(f"{name_of(make)} must make an nn.Module, it made a {type(net).__name__}.")
    return net


def _shapes(net):
    return {key: tensor.shape for key, tensor in net.state_dict().items()}


# Into the network ---------------------------------------------------------------------------------


def _resized(weights, net, n_classes=None, in_channels=None):
    """The weights, those that have another number of classes or channels than a network changed."""
    for name, own in net.state_dict().items():
        shape = weights[name].shape if name in weights else own.shape
        if shape == own.shape or len(shape) != own.ndim:
            continue
        if own.shape[0] == n_classes and shape[1:] == own.shape[1:]:
            weights[name] = own
        elif own.ndim == 4 and own.shape[1] == in_channels and shape[0] == own.shape[0]:
            mean = weights[name].mean(dim=1, keepdim=True)
            weights[name] = mean.repeat(1, in_channels, 1, 1) * (shape[1] / in_channels)
    return weights


def load_weights(net, weights, path):
    """Load a state dict, or say in a few words why it does not fit.

    Parameters
    ----------
    net : nn.Module
    weights : mapping of str to tensor
        One name of tied tensors is enough.
    path : str or path
        For messages.

    Raises
    ------
    ValueError
        For other names or shapes than the network's, integers for its real numbers, or NaN.
    """
    _check_numbers(weights, path)
    _check_kinds(weights, net.state_dict(), path)
    state = OrderedDict(weights)
    for names in tied_names(net):
        for there in [name for name in names if name in weights][:1]:
            state.update({name: weights[there] for name in names if name not in weights})
    versions = getattr(weights, "versions", None)
    state._metadata = versions or net.state_dict()._metadata  # type: ignore[attr-defined]
    try:
        missing, unexpected = net.load_state_dict(state, strict=False)
        wrong = []
    except RuntimeError:  # with a line for each tensor
        missing, unexpected, wrong = _differences(net.state_dict(), state)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected or wrong:
        _raise_misfit(net, missing, unexpected, wrong, path)


def _raise_misfit(net, missing, unexpected, wrong, path):
    lists = {
        "not in the file": missing,
        "unknown to the network": unexpected,
        "of another shape": wrong,
    }
    counts = [f"{len(names)} {what} ({few(names)})" for what, names in lists.items() if names]
    raise ValueError(
        f"The weights in {path} do not fit {type(net).__name__}. Tensors: {'; '.join(counts)}."
    )


def check_fit(make, sizes, weights, path):
    """Raise ValueError, before memory is taken, where a network is not the one of the weights.

    Parameters
    ----------
    make : callable
    sizes : dict of str to int
        Its arguments.
    weights : mapping of str to tensor
    path : str or path
        For messages.
    """
    blank = _blank(make, **sizes)
    tied = {name: names for names in tied_names(blank) for name in names}
    missing, unexpected, wrong = _differences(blank.state_dict(), weights)
    missing = [n for n in missing if n in tied and not any(other in weights for other in tied[n])]
    if missing or wrong:
        _raise_misfit(blank, missing, unexpected, wrong, path)


def _check_numbers(weights, path):
    broken = [n for n, w in weights.items() if w.is_floating_point() and w.isnan().any()]
    if broken:
        raise ValueError(
            f"{path} holds NaN in {len(broken)} of {len(weights)} tensors ({few(broken)}), as a "
            "training that diverged leaves. Take an earlier checkpoint."
        )


def _check_kinds(weights, own, path):
    whole = [
        name
        for name, weight in weights.items()
        if name in own and own[name].is_floating_point() and not weight.is_floating_point()
    ]
    if whole:
        dtype = weights[whole[0]].dtype
        hint = (
            "No network here computes with them."
            if dtype.is_complex
            else "Quantized networks have them: take the weights before they were quantized."
        )
        raise ValueError(
            f"{path} holds {dtype} for real numbers in {len(whole)} tensors ({few(whole)}). {hint}"
        )


def _differences(own, state):
    """The names missing in a state dict, those too many, and what is said of those misshaped."""
    shapes = {n: (tuple(state[n].shape), tuple(w.shape)) for n, w in own.items() if n in state}
    wrong = [f"{n} {a} in the file, {b} in the network" for n, (a, b) in shapes.items() if a != b]
    return [n for n in own if n not in state], [n for n in state if n not in own], wrong
