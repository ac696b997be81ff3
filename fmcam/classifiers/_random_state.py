"""The generators of random numbers that a training draws from."""

import contextlib

import torch

__all__ = ["generator_states", "seeded", "set_generator_states"]


@contextlib.contextmanager
def seeded(seed, device):
    """A seeded generator for the batches, torch's own seeded too and put back after; or nothing."""
    if seed is None:
        yield None
        return
    devices = [device] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


def generator_states(batches, device):
    """The states of the batches' generator, of torch's and of a CUDA device's, by name."""
    states = {"batches": batches.get_state(), "torch": torch.get_rng_state()}
    if torch.device(device).type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_generator_states(states, batches, device):
    """Put the generators into the states that `generator_states` gave."""
    batches.set_state(states["batches"])
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.device(device).type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
