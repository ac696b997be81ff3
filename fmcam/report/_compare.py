"""Whether one classifier beats another on the same images: overall and by class."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fmcam._predictions import check_class_names, check_probabilities
from fmcam._typing import Seed
from fmcam.report._paired import N_RESAMPLES, compare_correct

_RECALL_COLUMNS = {
    "n": "support",
    "accuracy_a": "recall_a",
    "accuracy_b": "recall_b",
    "difference": "recall_difference",
    "low": "recall_low",
    "high": "recall_high",
}


def compare_classifiers(
    y_true: ArrayLike,
    probas: Mapping[str, ArrayLike],
    classes: ArrayLike,
    *,
    baseline: str | None = None,
    random_state: Seed = 0,
) -> pd.DataFrame:
    """Return one row a pair of classifiers: how their accuracies differ on the same images.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True labels, all of them in `classes`.
    probas : mapping of str to array-like of float, of shape (n, k)
        The probabilities of two or more classifiers, by name.
    classes : array-like of shape (k,)
        The labels of the columns, sorted: `clf.classes_`.
    baseline : str, optional
        Compare each other classifier (a) with this one (b). By default all pairs, in the order of
        `probas`.
    random_state : int, Generator or None, default=0
        For the bootstrap.

    Returns
    -------
    frame : DataFrame
        a, b
            Names of the pair.
        n
            Number of images.
        accuracy_a, accuracy_b, difference, low, high
            The difference is a minus b; low and high are the ends of its 95 % paired bootstrap
            interval.
        n_only_a, n_only_b, mcnemar_p
            How many images only a and only b gets right, and McNemar's exact p-value, not
            corrected for the number of pairs.

    Raises
    ------
    ValueError
        If there is no pair, `baseline` is no name in `probas`, or labels and probabilities do not
        fit together.

    See Also
    --------
    bootstrap_difference : The interval.
    mcnemar_test : The test.

    Examples
    --------
    >>> sure, unsure = [[0.9, 0.1], [0.1, 0.9], [0.1, 0.9]], [[0.4, 0.6], [0.1, 0.9], [0.1, 0.9]]
    >>> frame = compare_classifiers([0, 1, 1], {"LeNet5": sure, "SimpleCNN": unsure}, [0, 1])
    >>> frame[["a", "b", "accuracy_a", "accuracy_b", "difference", "mcnemar_p"]].round(2)
            a          b  accuracy_a  accuracy_b  difference  mcnemar_p
    0  LeNet5  SimpleCNN         1.0        0.67        0.33        1.0
    """
    if len(probas) < 2 or (baseline is not None and baseline not in probas):
        raise ValueError(
            "`probas` must name two or more classifiers, the baseline among them, "
            f"got {list(probas)} and baseline={baseline!r}. Add or rename a classifier."
        )
    correct = {}
    for name, proba in probas.items():
        codes, proba = check_probabilities(y_true, proba, classes)
        correct[name] = proba.argmax(axis=1) == codes
    if baseline is None:
        pairs = list(combinations(correct, 2))
    else:
        pairs = [(name, baseline) for name in correct if name != baseline]
    rng = np.random.default_rng(random_state)
    return pd.DataFrame(
        [{"a": a, "b": b} | compare_correct(correct[a], correct[b], rng) for a, b in pairs]
    )


def compare_per_class(
    y_true: ArrayLike,
    proba_a: ArrayLike,
    proba_b: ArrayLike,
    classes: ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    random_state: Seed = 0,
) -> pd.DataFrame:
    """Return one row a class: where classifier a wins and where it loses against b.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True labels, all of them in `classes`.
    proba_a, proba_b : array-like of float, of shape (n, k)
        Probabilities of the two classifiers for the same images; each row sums to one.
    classes : array-like of shape (k,)
        The labels of the columns, sorted: `clf.classes_`.
    class_names : sequence of k str, optional
        Names to show in place of `classes`.
    random_state : int, Generator or None, default=0
        For the bootstrap.

    Returns
    -------
    frame : DataFrame of k rows, index "class"
        support
            Number of images of the class.
        recall_a, recall_b, recall_difference, recall_low, recall_high
            The difference is a minus b; low and high are the ends of its 95 % paired bootstrap
            interval over the images of the class.
        n_only_a, n_only_b, mcnemar_p, mcnemar_p_holm
            How many images of the class only a and only b gets right, McNemar's exact p-value, and
            the same after Holm's correction [1]_ for testing every class that occurs.
        f1_a, f1_b, f1_difference, f1_low, f1_high
            Likewise for F1, the interval over all n images: those wrongly taken for it count too.

    Raises
    ------
    ValueError
        If shapes, labels, names or probabilities do not fit together.

    Notes
    -----
    What is undefined is NaN: the recall columns of a class absent from `y_true`, the F1 of a class
    neither present nor predicted, the recall interval of a class of one image. The intervals are
    for each class by itself, not corrected for the number of classes.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
       of Statistics 6 (2), 1979, p. 65-70.

    Examples
    --------
    >>> a, b = [[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]], [[0.8, 0.2], [0.6, 0.4], [0.6, 0.4]]
    >>> frame = compare_per_class(["bag", "coat", "coat"], a, b, ["bag", "coat"])
    >>> frame[["support", "recall_a", "recall_b", "mcnemar_p"]]  # doctest: +NORMALIZE_WHITESPACE
           support  recall_a  recall_b  mcnemar_p
    class
    bag          1       1.0       1.0        1.0
    coat         2       1.0       0.0        0.5
    """
    codes, proba_a = check_probabilities(y_true, proba_a, classes)
    _, proba_b = check_probabilities(y_true, proba_b, classes)
    names = check_class_names(class_names, classes)
    predicted_a, predicted_b = proba_a.argmax(axis=1), proba_b.argmax(axis=1)
    rng = np.random.default_rng(random_state)
    present = np.unique(codes)
    hits_a, hits_b = predicted_a == codes, predicted_b == codes
    rows = [compare_correct(hits_a[codes == c], hits_b[codes == c], rng) for c in present]
    recall = pd.DataFrame(rows, index=present).rename(columns=_RECALL_COLUMNS)
    recall["mcnemar_p_holm"] = _holm(recall["mcnemar_p"].to_numpy())
    recall = recall.reindex(range(len(names)))
    counts = ["support", "n_only_a", "n_only_b"]
    recall[counts] = recall[counts].fillna(0).astype(int)
    f1 = _compare_f1(codes, predicted_a, predicted_b, len(names), rng)
    return recall.join(f1).set_index(names)


def _holm(p_values):
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1)
    return adjusted


def _compare_f1(codes, predicted_a, predicted_b, k, rng):
    # Images with the same label and the same two predictions are alike, so drawing images with
    # replacement is one multinomial draw of how many there are of each kind.
    kinds, counts = np.unique(
        np.column_stack([codes, predicted_a, predicted_b]), axis=0, return_counts=True
    )
    drawn = rng.multinomial(len(codes), counts / len(codes), size=N_RESAMPLES)
    weights = np.vstack([counts, drawn])  # row 0 is the sample itself
    f1_a = _f1_by_class(weights, kinds[:, 0], kinds[:, 1], k)
    f1_b = _f1_by_class(weights, kinds[:, 0], kinds[:, 2], k)
    difference = f1_a - f1_b
    low, high = np.full((2, k), np.nan)
    defined = ~np.isnan(difference[0])
    # A resample without the class has no F1 and says nothing about it.
    low[defined], high[defined] = np.nanquantile(difference[1:, defined], [0.025, 0.975], axis=0)
    return pd.DataFrame(
        {
            "f1_a": f1_a[0],
            "f1_b": f1_b[0],
            "f1_difference": difference[0],
            "f1_low": low,
            "f1_high": high,
        }
    )


def _f1_by_class(weights, codes, predicted, k):
    """Return 2 hits / (support + predicted) of each class for each row of weights."""
    is_true, is_predicted = codes[:, None] == np.arange(k), predicted[:, None] == np.arange(k)
    hits, total = weights @ (is_true & is_predicted), weights @ is_true + weights @ is_predicted
    return np.divide(2 * hits, total, out=np.full(total.shape, np.nan), where=total > 0)
