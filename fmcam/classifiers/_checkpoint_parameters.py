"""The parameters of a classifier in the header of its checkpoint, written and read."""

import inspect

import numpy as np
import torch
from torch import nn

__all__ = ["parameters_from_json", "parameters_to_json"]

_TORCH = {"torch.optim.": torch.optim, "torch.nn.": nn}


def parameters_to_json(clf):
    """Those that are numbers, strings, tuples or classes of torch, for the header of a file."""
    kept: dict[str, object] = {}
    for name, value in clf.get_params(deep=False).items():
        if name == "module" or name.startswith("callbacks") or _is_of_machine(name):
            continue
        if isinstance(value, np.generic):
            value = value.item()
        torch_name = _torch_name(value)
        if torch_name is not None:
            kept[name] = {"class": torch_name}
        elif isinstance(value, str | int | float | bool | None):
            kept[name] = value
        elif isinstance(value, tuple) and all(isinstance(part, int | float) for part in value):
            kept[name] = list(value)
    return kept


def _is_of_machine(name):
    """Whether a parameter says where a classifier runs, not what it is."""
    return name == "device" or name.endswith("__num_workers")


def parameters_from_json(parameters):
    """What `parameters_to_json` wrote; classes are taken from torch alone."""
    kept = {name: value for name, value in parameters.items() if not _is_of_machine(name)}
    return {name: _parameter_from_json(value) for name, value in kept.items()}


def _torch_name(value):
    if not inspect.isclass(value):
        return None
    name = value.__name__
    found = [prefix for prefix, module in _TORCH.items() if getattr(module, name, None) is value]
    return found[0] + name if found else None


def _parameter_from_json(value):
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, dict):
        return value
    prefix, _, name = value["class"].rpartition(".")
    found = getattr(_TORCH[prefix + "."], name)
    if not isinstance(found, type):
        raise TypeError(f"{value['class']} is not a class.")
    return found
