"""Intervals of rates."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri


def effective_number(hits, groups):
    r"""Return how many independent trials tell as much about a rate as trials that come in groups.

    With p the rate of n trials, :math:`s_g` of the :math:`m_g` in group g succeed [1]_,

    .. math:: n_\mathrm{eff} = \min\Bigl(n, \frac{n^2 p (1 - p)}{\sum_g (s_g - p m_g)^2}\Bigr)

    Where all or none succeed, or all trials are of one group, it is the number of groups.

    Parameters
    ----------
    hits : array-like of bool, of shape (n,)
    groups : array-like of shape (n,)
        Equal values are of one group.

    Returns
    -------
    float

    References
    ----------
    .. [1] N. Dean and M. Pagano, "Evaluating confidence interval methods for binomial proportions
       in clustered surveys", Journal of Survey Statistics and Methodology 3 (4), 2015.
    """
    hits, (_, codes) = np.asarray(hits, float), np.unique(groups, return_inverse=True)
    n, sizes = len(hits), np.bincount(codes)
    rate = hits.mean() if n else np.nan
    if len(sizes) < 2 or not 0 < rate < 1:
        return float(len(sizes))
    spread = ((np.bincount(codes, hits) - rate * sizes) ** 2).sum()
    return float(min(n, n**2 * rate * (1 - rate) / spread)) if spread else float(n)


def wilson_interval(successes: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> Any:
    r"""Return the lower and upper end of Wilson's interval of a rate.

    With p the observed rate and z the normal quantile at (1 + confidence) / 2, the ends are [1]_

    .. math:: \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4n^2}}{1 + z^2 / n}

    Unlike :math:`p \pm z \sqrt{p (1 - p) / n}`, the interval stays inside [0, 1] and keeps a width
    where the rate is 0 or 1.

    Parameters
    ----------
    successes : array-like of float
        How many trials succeeded, in 0..n.
    n : array-like of float
        How many trials there were, or as how many they count if they are not independent;
        of any shape that broadcasts with `successes`.
    confidence : float, default=0.95
        In (0, 1).

    Returns
    -------
    low, high : ndarray of float
        In [0, 1], of the broadcast shape; NaN where n is 0.

    Raises
    ------
    ValueError
        If `successes` is not in 0..n, or `confidence` not in (0, 1).

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
       Journal of the American Statistical Association 22 (158), 1927, p. 209-212.

    Examples
    --------
    >>> low, high = wilson_interval([8, 0], [10, 0])
    >>> low.round(3), high.round(3)
    (array([0.49,  nan]), array([0.943,   nan]))
    """
    successes, n = np.broadcast_arrays(np.asarray(successes, float), np.asarray(n, float))
    if not ((successes >= 0) & (successes <= n)).all():
        raise ValueError(
            f"`successes` must lie in 0..n, got {successes.tolist()} of {n.tolist()}. "
            "Pass counts, not rates."
        )
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must lie in (0, 1), got {confidence}. For 95 % pass 0.95.")
    z = ndtri((1 + confidence) / 2)
    # Multiplied out by n, so that only n = 0 divides by zero.
    with np.errstate(invalid="ignore"):
        centre = successes + z**2 / 2
        half = z * np.sqrt(successes * (n - successes) / n + z**2 / 4)
        low, high = (centre - half) / (n + z**2), (centre + half) / (n + z**2)
    return low, np.minimum(high, 1)  # rounding can pass 1
