"""Torch's generators of random numbers, which belong to all threads of a process."""

import contextlib
import threading

import torch

__all__ = ["generator_states", "generators_kept", "seeded", "set_generator_states"]

_turn = threading.RLock()  # of the thread whose seed torch's generators go by


@contextlib.contextmanager
def seeded(seed, device):
    """A seeded generator for the batches, torch's own seeded too and put back after; or nothing.

    Threads take turns: numbers that two drew from the same generators would be no seed's.
    """
    if seed is None:
        yield None
        return
    with _turn, torch.random.fork_rng(devices=_cuda(device)):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


@contextlib.contextmanager
def generators_kept(device):
    """Put torch's generators back on leaving, but not while another thread draws by its seed."""
    if not _turn.acquire(blocking=False):
        yield
        return
    try:
        with torch.random.fork_rng(devices=_cuda(device)):
            yield
    finally:
        _turn.release()


def _cuda(device):
    return [device] if torch.device(device).type == "cuda" else []


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
