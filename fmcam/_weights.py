"""Weights into a network: which of a file's tensors, and for a network of which sizes."""

import copy
import functools
import inspect
import itertools
import re
from collections import Counter, OrderedDict

import torch
from torch import nn

__all__ = ["load_weights", "name_of", "network_for", "resized_network", "sizes_in"]

_SIZES = (  # what constructors call the number of classes, and that of channels
    ("n_classes", "num_classes", "num_labels", "n_outputs", "num_outputs", "out_features"),
    ("in_channels", "in_chans", "num_channels", "n_channels", "channels"),
)
_WRAPPERS = {"module", "_orig_mod"}  # of nn.DataParallel and torch.compile
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)")  # norm.1 is now norm1


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
    weights, rest = _find_weights(content, blank, path, key)
    net = make(**sizes_in(make, weights, path, but=sizes))
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


# A network's weights among what a file holds ------------------------------------------------------


def _find_weights(content, net, path, key):
    """The state dict for a network, under its own names, and the other entries of a file."""
    groups = dict(_tensors_by_place(content)) if isinstance(content, dict) else {}
    if not groups:
        keys = f" with the keys {_few(map(repr, content))}" if isinstance(content, dict) else ""
        raise ValueError(
            f"{path} must hold a state dict, alone or as an entry; it holds a "
            f"{type(content).__name__}{keys}. Save one with torch.save(net.state_dict(), path)."
        )
    found = {
        ".".join([*place, *filter(None, [prefix])]): (place, weights)
        for place, tensors in groups.items()
        for prefix, weights in _without_prefixes(tensors, net)
    }
    place, weights = found[_chosen(found, net, path, key)]
    taken = place[:1] or groups[place]
    return weights, {name: value for name, value in content.items() if name not in taken}


def _chosen(found, net, path, key):
    """The one place in a file whose weights a network takes, or else the one most like them."""
    if key is not None:
        under = [place for place in found if f".{key}." in f".{place}."]
        if not under:
            raise ValueError(f"{path} has no weights under {key!r}. There are: {_few(found, 9)}.")
        found = {place: found[place] for place in ([key] if key in found else under)}
    fitting = [place for place, (_, weights) in found.items() if _fits(weights, net)]
    if len(fitting) > 1:
        raise ValueError(
            f"{path} holds weights of {type(net).__name__} under "
            f"{_few(map(repr, fitting))}. Say which to take: load_classifier(..., "
            f"key={fitting[-1]!r})."
        )
    own = net.state_dict().keys()
    return max(
        fitting or found,
        key=lambda place: (len(own & found[place][1].keys()), len(found[place][1])),
    )


def _tensors_by_place(content, place=()):
    """The tensors of each dictionary in a file, by the keys that lead to it."""
    named = {name: value for name, value in content.items() if isinstance(name, str)}
    tensors = _StateDict((n, value) for n, value in named.items() if torch.is_tensor(value))
    if tensors:
        tensors.versions = getattr(content, "_metadata", {})
        yield place, tensors
    for name, value in named.items():
        if isinstance(value, dict):
            yield from _tensors_by_place(value, (*place, name))


class _StateDict(dict):
    """Tensors by name; `versions` of the modules that wrote them, in the words of state dicts."""

    versions: dict


def _without_prefixes(tensors, net):
    """State dicts under the names that a network may give, for each prefix that could go."""
    wrappers = _WRAPPERS - {part for name in net.state_dict() for part in name.split(".")}

    def unwrapped(name):
        return ".".join(part for part in name.split(".") if part not in wrappers)

    found = list(_by_prefix(tensors, tensors.versions, net))
    if not any(_fits(weights, net) for _, weights in found):
        plain = {unwrapped(name): value for name, value in tensors.items()}
        versions = {unwrapped(name): version for name, version in tensors.versions.items()}
        found += _by_prefix(plain, versions, net)
    return found


def _by_prefix(tensors, versions, net):
    own_key = getattr(net, "own_key", lambda name: name)
    starts = Counter(name[: i + 1] for name in tensors for i, c in enumerate(name) if c == ".")
    least = len(_tied_names(net))
    for start in ("", *(start for start, count in starts.items() if count >= least)):
        weights = _StateDict(
            (own_key(_OLD_DENSENET.sub(r"\1\2", name.removeprefix(start))), value)
            for name, value in tensors.items()
            if name.startswith(start)
        )
        weights.versions = {
            f"{name}.".removeprefix(start)[:-1]: version
            for name, version in versions.items()
            if f"{name}.".startswith(start)
        }
        yield start[:-1], weights


def _fits(weights, net):
    return all(any(name in weights for name in names) for names in _tied_names(net))


def _tied_names(net):
    """The names of each tensor of a network that a file must hold: several for a tied one."""
    names: dict[int, list[str]] = {}
    for name, tensor in net.state_dict(keep_vars=True).items():
        if not name.endswith("num_batches_tracked"):  # which older files lack
            names.setdefault(id(tensor), []).append(name)
    return list(names.values())


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
        For other names or shapes than the network's, or NaN.
    """
    broken = [n for n, w in weights.items() if w.is_floating_point() and w.isnan().any()]
    if broken:
        raise ValueError(
            f"{path} holds NaN in {len(broken)} of {len(weights)} tensors ({_few(broken)}), as a "
            "training that diverged leaves. Take an earlier checkpoint."
        )
    state = OrderedDict(weights)
    for names in _tied_names(net):
        for there in [name for name in names if name in weights][:1]:
            state.update({name: weights[there] for name in names if name not in weights})
    versions = getattr(weights, "versions", None)
    state._metadata = versions or net.state_dict()._metadata  # type: ignore[attr-defined]
    try:
        missing, unexpected = net.load_state_dict(state, strict=False)
        wrong = []
    except RuntimeError:  # with a line for each tensor
        own = net.state_dict()
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        wrong = [
            f"{name} {tuple(state[name].shape)} in the file, {tuple(one.shape)} in the network"
            for name, one in own.items()
            if name in state and state[name].shape != one.shape
        ]
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    lists = {
        "not in the file": missing,
        "unknown to the network": unexpected,
        "of another shape": wrong,
    }
    counts = [f"{len(names)} {what} ({_few(names)})" for what, names in lists.items() if names]
    if counts:
        raise ValueError(
            f"The weights in {path} do not fit {type(net).__name__}. Tensors: {'; '.join(counts)}."
        )


def _few(names, n=3):
    names = list(names)
    return ", ".join([*names[:n], *["..."] * (len(names) > n)])
