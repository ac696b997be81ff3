"""Remove and debias: whether the classifier needs pixels that neighbours cannot stand in for."""

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import diags_array, eye_array, kron
from scipy.sparse.linalg import splu
from sklearn.utils import check_scalar

from fmcam._arrays import as_array
from fmcam._docstrings import documented_like
from fmcam._per_image import average_images, map_batches
from fmcam._typing import Images, Seed
from fmcam.metrics._class_probability import check_faithfulness, probability_of_label
from fmcam.metrics._faithfulness import insertion_auc_score

_SHARES = tuple(tenths / 10 for tenths in range(1, 10))


@documented_like(insertion_auc_score)
def road_score(
    predict_proba: Callable[[Any], ArrayLike],
    X: Images,
    y: ArrayLike,
    heatmaps: ArrayLike,
    *,
    shares: Sequence[float] = _SHARES,
    noise: float = 0.01,
    classes: ArrayLike | None = None,
    average: str | None = "mean",
    random_state: Seed = 0,
) -> Any:
    r"""Return how much more the probability loses without the hottest pixels than the coldest.

    ROAD [1]_: a share of the pixels is removed, and what is left of the image tells what takes
    their place: each is the mean of its neighbours, those that share a side with double weight,
    plus noise, so that the shape of the hole tells the classifier little. With the probability of
    the class after the hottest pixels are removed, :math:`p_\text{MoRF}` (most relevant first), and
    after the coldest are, :math:`p_\text{LeRF}`, both means over shares, the score is [2]_

    .. math:: \frac{p_\text{LeRF} - p_\text{MoRF}}{2}

    Parameters
    ----------
    shares : sequence of float, default=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
        Which shares of the pixels are removed, in (0, 1).
    noise : float, default=0.01
        Standard deviation of the noise, in that of the image's own pixels; all images and shares
        have the same noise.
    random_state : int, Generator or None, default=0
        For the noise.

    Returns
    -------
    score : float, or ndarray of shape (n,)
        In [-0.5, 0.5]; of random maps about 0.

    Raises
    ------
    ValueError
        If shapes or labels do not fit together, `shares` or `noise` is out of range, or
        `predict_proba` returns no probabilities.

    See Also
    --------
    road_morf_error, road_lerf_score : The two parts.

    Notes
    -----
    Each image and share takes two systems of equations, as large as the hole, and two
    classifications: of nine shares of an image of 224 x 224 pixels, two seconds and 18
    classifications. The code of [1]_ gives the accuracy after removal, too.

    References
    ----------
    .. [1] Rong et al., "A consistent and efficient evaluation strategy for attribution methods",
       ICML 2022, section 4. https://arxiv.org/abs/2202.00449
    .. [2] Gildenblat and contributors, "PyTorch library for CAM methods", `ROADCombined`.
       https://github.com/jacobgil/pytorch-grad-cam

    Examples
    --------
    The class is told by the left pixel, which the map knows: without it, its neighbour takes its
    place.

    >>> import numpy as np
    >>> from fmcam.metrics import road_score
    >>> def predict_proba(images):
    ...     return np.column_stack([1 - images[:, 0, 0, 0], images[:, 0, 0, 0]])
    >>> X = np.array([1, 0, 0], dtype=np.float32).reshape(1, 1, 1, 3)
    >>> float(road_score(predict_proba, X, [1], [[[0.9, 0.5, 0.1]]], shares=[1 / 3], noise=0))
    0.5
    """
    remove = _Removal(predict_proba, X, y, heatmaps, shares, noise, classes, random_state)
    return average_images((remove(hottest=False) - remove(hottest=True)) / 2, average)


@documented_like(road_score)
def road_morf_error(
    predict_proba: Callable[[Any], ArrayLike],
    X: Images,
    y: ArrayLike,
    heatmaps: ArrayLike,
    *,
    shares: Sequence[float] = _SHARES,
    noise: float = 0.01,
    classes: ArrayLike | None = None,
    average: str | None = "mean",
    random_state: Seed = 0,
) -> Any:
    """Return the probability of the class without the hottest pixels, a mean over shares of them.

    ROAD with the most relevant pixels first [1]_, see `road_score`. Lower is better.

    Returns
    -------
    error : float, or ndarray of shape (n,)
        In [0, 1].

    Raises
    ------
    ValueError
        As `road_score`.

    References
    ----------
    .. [1] Rong et al., "A consistent and efficient evaluation strategy for attribution methods",
       ICML 2022, section 4. https://arxiv.org/abs/2202.00449

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam.metrics import road_morf_error
    >>> def predict_proba(images):
    ...     return np.column_stack([1 - images[:, 0, 0, 0], images[:, 0, 0, 0]])
    >>> X = np.array([0.75, 0.25, 0], dtype=np.float32).reshape(1, 1, 1, 3)
    >>> float(road_morf_error(predict_proba, X, [1], [[[0.9, 0.5, 0.1]]], shares=[1 / 3], noise=0))
    0.25
    """
    remove = _Removal(predict_proba, X, y, heatmaps, shares, noise, classes, random_state)
    return average_images(remove(hottest=True), average)


@documented_like(road_score)
def road_lerf_score(
    predict_proba: Callable[[Any], ArrayLike],
    X: Images,
    y: ArrayLike,
    heatmaps: ArrayLike,
    *,
    shares: Sequence[float] = _SHARES,
    noise: float = 0.01,
    classes: ArrayLike | None = None,
    average: str | None = "mean",
    random_state: Seed = 0,
) -> Any:
    """Return the probability of the class without the coldest pixels, a mean over shares of them.

    ROAD with the least relevant pixels first [1]_, see `road_score`. Higher is better.

    Returns
    -------
    score : float, or ndarray of shape (n,)
        In [0, 1].

    Raises
    ------
    ValueError
        As `road_score`.

    References
    ----------
    .. [1] Rong et al., "A consistent and efficient evaluation strategy for attribution methods",
       ICML 2022, section 4. https://arxiv.org/abs/2202.00449

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam.metrics import road_lerf_score
    >>> def predict_proba(images):
    ...     return np.column_stack([1 - images[:, 0, 0, 0], images[:, 0, 0, 0]])
    >>> X = np.array([0.75, 0.25, 0], dtype=np.float32).reshape(1, 1, 1, 3)
    >>> float(road_lerf_score(predict_proba, X, [1], [[[0.9, 0.5, 0.1]]], shares=[1 / 3], noise=0))
    0.75
    """
    remove = _Removal(predict_proba, X, y, heatmaps, shares, noise, classes, random_state)
    return average_images(remove(hottest=False), average)


class _Removal:
    """Checked images, and the probability of their class without some of their pixels."""

    def __init__(self, predict_proba, X, y, heatmaps, shares, noise, classes, random_state):
        self._X, self._y, self._heatmaps, _ = check_faithfulness(X, y, heatmaps, None)
        self._shares = np.atleast_1d(as_array(shares, name="shares")).astype(float)
        inside = (self._shares > 0) & (self._shares < 1)
        if inside.ndim > 1 or inside.size == 0 or not inside.all():
            raise ValueError(
                f"`shares` must be numbers in (0, 1), got {shares!r}. For 10 % pass [0.1]."
            )
        check_scalar(noise, "noise", Real, min_val=0)
        if not np.isfinite(noise):
            raise ValueError(f"`noise` must be finite, got {noise}.")
        normal = np.random.default_rng(random_state).standard_normal
        self._noise = noise * normal(self._X.shape[1:], dtype=np.float32)
        self._predict_proba, self._classes = predict_proba, classes
        self._weights = _neighbour_weights(*self._X.shape[2:])

    def __call__(self, *, hottest):
        """Return the mean over shares of the probability without so many pixels, of shape (n,)."""

        def probability(y, heatmaps, X):
            rank = (-heatmaps if hottest else heatmaps).reshape(len(X), -1)
            order = np.argsort(rank, axis=1, kind="stable")
            at_shares = []
            for share in self._shares:
                n_removed = min(max(1, round(share * order.shape[1])), order.shape[1] - 1)
                images = np.stack(
                    [self._impute(*image) for image in zip(X, order[:, :n_removed], strict=True)]
                )
                at_shares.append(
                    probability_of_label(self._predict_proba, images, y, self._classes)
                )
            return np.mean(at_shares, axis=0)

        return map_batches(probability, self._y, self._heatmaps, self._X)

    def _impute(self, image, removed):
        """Return an image (c, h, w) with some of its pixels, of shape (m,), told by the others."""
        missing = np.zeros(image[0].size, dtype=bool)
        missing[removed] = True
        pixels = image.reshape(len(image), -1).astype(np.float64)
        of_missing = self._weights[missing]
        own = diags_array(of_missing.sum(axis=1))
        known = of_missing[:, ~missing] @ pixels[:, ~missing].T
        # The matrix is symmetric, for which these settings are the quick ones.
        equations = splu(
            (own - of_missing[:, missing]).tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0,
            options={"SymmetricMode": True},
        )
        noise = self._noise.reshape(pixels.shape)[:, missing] * pixels.std()
        pixels[:, missing] = equations.solve(known).T + noise
        if image.dtype == np.uint8:
            pixels = np.rint(pixels).clip(0, 255)
        return pixels.reshape(image.shape).astype(image.dtype)


def _neighbour_weights(h, w):
    """Return the weight of each pixel for each of its neighbours, sparse, of shape (h w, h w)."""
    rows, columns = (
        diags_array([np.ones(side - 1)] * 2, offsets=[-1, 1], shape=(side, side)) for side in (h, w)
    )
    sides = kron(rows, eye_array(w)) + kron(eye_array(h), columns)
    return (sides / 6 + kron(rows, columns) / 12).tocsr()
