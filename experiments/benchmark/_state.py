"""What a call must leave as it was: networks, and what belongs to the process."""

import os
import random
import threading
import warnings

import matplotlib
import numpy as np
import torch
from threadpoolctl import threadpool_info

from fmcam._hashing import hash_of

__all__ = ["changes", "global_state", "members", "state_of"]


def members(clf):
    """The classifiers of an ensemble, or the one that a classifier is."""
    return getattr(clf, "members_", [clf])


def state_of(clfs):
    """All that a call must leave as it was in the networks of some classifiers."""
    found = {}
    for number, member in enumerate(member for clf in clfs for member in members(clf)):
        for name, part in member.module_.named_modules():
            hooks = *part._forward_hooks, *part._forward_pre_hooks, *part._backward_hooks
            found[f"mode of {number} {name}"] = part.training
            found[f"hooks of {number} {name}"] = hooks
        for name, weight in member.module_.named_parameters():
            found[f"weight {number} {name}"] = hash_of(weight.detach())
            gradient = None if weight.grad is None else hash_of(weight.grad)
            found[f"gradient of {number} {name}"] = gradient, weight.requires_grad
        for name, buffer in member.module_.named_buffers():
            found[f"buffer {number} {name}"] = hash_of(buffer)
    return found


def global_state():
    """What belongs to the process and must be the same after a call."""
    return {
        "threads": torch.get_num_threads(),
        "pools": [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()],
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "default dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "warnings": [str(one) for one in warnings.filters],
        "random numbers of torch": hash_of(torch.get_rng_state()),
        "random numbers of numpy": hash_of(np.random.get_state()[1]),  # noqa: NPY002
        "random numbers of Python": hash_of(repr(random.getstate())),
        "matplotlib": hash_of(repr(dict(matplotlib.rcParams))),
        "threads alive": sorted(thread.name for thread in threading.enumerate()),
        "environment": dict(os.environ),
    }


def changes(before, after):
    """The names of what is not as it was."""
    return [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
