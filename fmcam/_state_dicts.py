"""State dicts in files: where they stand, and what their networks were wrapped in."""

import re
from collections import Counter

import torch

__all__ = ["StateDict", "few", "find_weights", "tied_names"]

_WRAPPERS = {"module", "_orig_mod"}  # of nn.DataParallel and torch.compile
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)")  # norm.1 is now norm1


def find_weights(content, net, path, key):
    """The state dict for a network among what a file holds.

    Parameters
    ----------
    content : object
    net : nn.Module
        Its names count, not its shapes.
    path : str or path
        For messages.
    key : str or None
        The place of the weights, where several in the file fit.

    Returns
    -------
    weights : StateDict
        Under the names that the network gives; of other tensors where none fit.
    rest : dict
        The other entries of the file.

    Raises
    ------
    ValueError
        If the file holds no tensors by name, none under `key`, or several that fit.
    """
    groups = dict(_tensors_by_place(content)) if isinstance(content, dict) else {}
    if not groups:
        keys = f" with the keys {few(map(repr, content))}" if isinstance(content, dict) else ""
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
            raise ValueError(f"{path} has no weights under {key!r}. There are: {few(found, 9)}.")
        found = {place: found[place] for place in ([key] if key in found else under)}
    fitting = [place for place, (_, weights) in found.items() if _fits(weights, net)]
    if len(fitting) > 1:
        raise ValueError(
            f"{path} holds weights of {type(net).__name__} under "
            f"{few(map(repr, fitting))}. Say which to take: load_classifier(..., "
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
    tensors = StateDict((n, value) for n, value in named.items() if torch.is_tensor(value))
    if tensors:
        tensors.versions = getattr(content, "_metadata", {})
        yield place, tensors
    for name, value in named.items():
        if isinstance(value, dict):
            yield from _tensors_by_place(value, (*place, name))


class StateDict(dict):
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
    least = len(tied_names(net))
    for start in ("", *(start for start, count in starts.items() if count >= least)):
        weights = StateDict(
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
    return all(any(name in weights for name in names) for names in tied_names(net))


def tied_names(net):
    """The names of each tensor of a network that a file must hold: several for a tied one."""
    names: dict[int, list[str]] = {}
    for name, tensor in net.state_dict(keep_vars=True).items():
        if not name.endswith("num_batches_tracked"):  # which older files lack
            names.setdefault(id(tensor), []).append(name)
    return list(names.values())


def few(names, n=3):
    """The first of some names, for messages."""
    names = [name if name.isprintable() else repr(name) for name in names]
    return ", ".join([*names[:n], *["..."] * (len(names) > n)])
