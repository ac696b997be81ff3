"""The rungs of a halving search: how many candidates train for how many epochs."""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log

__all__ = ["Rungs", "make_rungs"]


@dataclass(frozen=True)
class Rungs:
    """Epochs and candidates of each rung, and scikit-learn's numbers of them."""

    resources: list
    candidates: list
    required: int
    possible: int
    smallest: int

    @property
    def steps(self):
        """The epochs that each rung adds to those of the rung before."""
        return [late - early for early, late in pairwise([0, *self.resources])]


def make_rungs(n_candidates, factor, min_resources, max_resources, aggressive, most):
    """The rungs that `n_candidates` climb.

    Parameters
    ----------
    n_candidates : int
    factor : float
        Above 1: of the candidates one in `factor` goes on, and trains `factor` times as long.
    min_resources : int, "exhaust", "smallest" or "auto"
        Epochs of the first rung, as in scikit-learn's halving searches. "auto" counts from the
        top: the last rung has all of `max_resources`, the one before a share of 1 / `factor`.
    max_resources : int
        The most epochs.
    aggressive : bool
        Whether rungs of the fewest epochs are put in front until fewer than `factor` candidates are
        left in the last one.
    most : int
        The most rungs of different lengths with "auto".

    Returns
    -------
    Rungs

    Raises
    ------
    ValueError
        If the first rung would be longer than `max_resources`.

    Examples
    --------
    >>> make_rungs(27, 3, "auto", 9, False, most=3).resources
    [1, 3, 9]
    >>> make_rungs(27, 3, "auto", 10, False, most=2).resources
    [3, 10]
    >>> make_rungs(27, 3, "exhaust", 30, False, most=2).resources
    [1, 3, 9, 27]
    """
    required = 1 + floor(log(n_candidates, factor))
    if min_resources == "auto":
        n_lengths = min(most, required, 1 + floor(log(max_resources, factor)))
        lengths = [int(max_resources // factor**power) for power in reversed(range(n_lengths))]
    else:
        lengths = _from_the_bottom(min_resources, max_resources, factor, required)
    possible = len(lengths)
    places = list(range(min(required, possible)))
    if aggressive:
        places = [max(0, rung - required + possible) for rung in range(required)]
    candidates = [n_candidates]
    while len(candidates) < len(places):
        candidates.append(ceil(candidates[-1] / factor))
    resources = [lengths[place] for place in places]
    return Rungs(resources, candidates, required, possible, lengths[0])


def _from_the_bottom(min_resources, max_resources, factor, required):
    words = {"smallest": 1, "exhaust": max(1, int(max_resources // factor ** (required - 1)))}
    smallest = words.get(min_resources, min_resources)
    if smallest > max_resources:
        raise ValueError(
            f"`min_resources` must be at most `max_resources`, got {smallest} and {max_resources}."
        )
    possible = 1 + floor(log(max_resources // smallest, factor))
    return [min(int(factor**power * smallest), max_resources) for power in range(possible)]
