"""How good one classifier is: by class and overall."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.metrics import f1_score, log_loss, precision_recall_fscore_support, roc_auc_score

from fmcam._predictions import check_class_names, check_probabilities
from fmcam.report._wilson import wilson_interval


def classification_frame(
    y_true: ArrayLike,
    y_proba: ArrayLike,
    classes: ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return precision, recall, F1 and ROC-AUC of each class, with 95 % intervals.

    The predicted class is the one of the largest probability, the first one on a tie.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True labels, all of them in `classes`.
    y_proba : array-like of float, of shape (n, k)
        Probabilities; each row sums to one.
    classes : array-like of shape (k,)
        The labels of the columns of `y_proba`, sorted: `clf.classes_`.
    class_names : sequence of k str, optional
        Names to show in place of `classes`.

    Returns
    -------
    frame : DataFrame of k rows, index "class"
        precision, recall
            Each followed by the ends of its Wilson interval: precision_low, precision_high,
            recall_low, recall_high.
        f1
            Harmonic mean of precision and recall, 2 hits / (support + n_predicted).
        auc
            Area under the ROC curve of this class against all others.
        support, n_predicted
            How many images are of the class, and how many were taken for it: the n of recall and
            of precision.

    Raises
    ------
    ValueError
        If shapes, labels, names or probabilities do not fit together.

    See Also
    --------
    wilson_interval : The interval used.

    Notes
    -----
    What is undefined is NaN, not zero: the precision of a class that is never predicted, the recall
    and AUC of a class that is absent from `y_true`.

    Examples
    --------
    >>> y_proba = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]]
    >>> frame = classification_frame(["bag", "coat", "coat", "coat"], y_proba, ["bag", "coat"])
    >>> frame[["precision", "recall", "f1", "support"]].round(3)  # doctest: +NORMALIZE_WHITESPACE
           precision  recall     f1  support
    class
    bag          0.5   1.000  0.667        1
    coat         1.0   0.667  0.800        3
    """
    codes, y_proba = check_probabilities(y_true, y_proba, classes)
    names = check_class_names(class_names, classes)
    predicted = y_proba.argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(
        codes, predicted, labels=range(len(names)), zero_division=np.nan
    )
    hits = np.bincount(codes[codes == predicted], minlength=len(names))
    n_predicted = np.bincount(predicted, minlength=len(names))
    precision_low, precision_high = wilson_interval(hits, n_predicted)
    recall_low, recall_high = wilson_interval(hits, support)
    columns = {
        "precision": precision,
        "precision_low": precision_low,
        "precision_high": precision_high,
        "recall": recall,
        "recall_low": recall_low,
        "recall_high": recall_high,
        "f1": f1,
        "auc": _one_vs_rest_auc(codes, y_proba),
        "support": support,
        "n_predicted": n_predicted,
    }
    return pd.DataFrame(columns, index=names)


def overall_frame(
    y_true: ArrayLike,
    y_proba: ArrayLike,
    classes: ArrayLike,
    *,
    extra: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Return one row of numbers about a classifier as a whole.

    Rows of several classifiers go together with `pd.concat({"LeNet5": frame, ...})`.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True labels, all of them in `classes`.
    y_proba : array-like of float, of shape (n, k)
        Probabilities; each row sums to one.
    classes : array-like of shape (k,)
        The labels of the columns of `y_proba`, sorted: `clf.classes_`.
    extra : mapping of str to scalar, optional
        Columns to append, such as parameters, flops, fit_time and latency.

    Returns
    -------
    frame : DataFrame of one row
        n, n_absent_classes
            How many images there are, and how many of the k classes none of them belongs to.
        accuracy, accuracy_low, accuracy_high
            Share of images whose class has the largest probability, and its 95 % Wilson interval.
        macro_f1
            Mean F1 of the classes that occur in `y_true` or are predicted.
        log_loss
            Mean of minus the natural logarithm of the true class's probability, which is kept at
            least 2.2e-16.
        roc_auc_ovr
            Mean AUC of a class against all others, over the classes that occur in `y_true`.
        roc_auc_micro
            AUC over all n k pairs of an image and a class, true where the image is of the class.
        calibration_error
            Expected calibration error, see `calibration_error`.

    Raises
    ------
    ValueError
        If shapes, labels or probabilities do not fit together, or `extra` repeats a column.

    Examples
    --------
    >>> y_proba = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]]
    >>> frame = overall_frame([0, 1, 1, 1], y_proba, [0, 1], extra={"parameters": 61_706})
    >>> frame[["n", "accuracy", "macro_f1", "roc_auc_ovr", "parameters"]].round(3)
       n  accuracy  macro_f1  roc_auc_ovr  parameters
    0  4      0.75     0.733          1.0       61706
    """
    codes, y_proba = check_probabilities(y_true, y_proba, classes)
    n, k = y_proba.shape
    predicted = y_proba.argmax(axis=1)
    low, high = wilson_interval((predicted == codes).sum(), n)
    of_class = codes[:, None] == np.arange(k)
    # log_loss warns of float32 rounding in the row sums.
    normalized = y_proba / y_proba.sum(axis=1, keepdims=True)
    columns = {
        "n": n,
        "n_absent_classes": k - len(np.unique(codes)),
        "accuracy": (predicted == codes).mean(),
        "accuracy_low": low,
        "accuracy_high": high,
        "macro_f1": f1_score(codes, predicted, average="macro"),
        "log_loss": log_loss(codes, normalized, labels=range(k)),
        "roc_auc_ovr": pd.Series(_one_vs_rest_auc(codes, y_proba)).mean(),
        "roc_auc_micro": roc_auc_score(of_class.ravel(), y_proba.ravel()),
        "calibration_error": calibration_error(y_true, y_proba, classes),
    }
    extra = {} if extra is None else dict(extra)
    if repeated := sorted(columns.keys() & extra.keys()):
        raise ValueError(f"`extra` must hold new columns only, got {repeated}. Rename them.")
    return pd.DataFrame([columns | extra])


def calibration_error(
    y_true: ArrayLike, y_proba: ArrayLike, classes: ArrayLike, *, n_bins: int = 15
) -> float:
    r"""Return the expected calibration error of the top probability.

    Images are put into bins by their largest probability, bin m of M holding those in
    ((m - 1) / M, m / M]. The error is the mean gap between how often the top class is right in a
    bin and how sure the classifier was of it, weighted by the images in the bin [1]_ (eq. 3):

    .. math:: \mathrm{ECE} = \sum_{m=1}^{M} \frac{|B_m|}{n}
              \left| \mathrm{acc}(B_m) - \mathrm{conf}(B_m) \right|

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True labels, all of them in `classes`.
    y_proba : array-like of float, of shape (n, k)
        Probabilities; each row sums to one.
    classes : array-like of shape (k,)
        The labels of the columns of `y_proba`, sorted: `clf.classes_`.
    n_bins : int, default=15
        M, the number of bins of equal width, at least 1.

    Returns
    -------
    error : float
        In [0, 1]; 0 is perfect.

    Raises
    ------
    ValueError
        If shapes, labels or probabilities do not fit together, or `n_bins` is below 1.

    References
    ----------
    .. [1] Guo et al., "On calibration of modern neural networks", ICML 2017.
       https://arxiv.org/abs/1706.04599

    Examples
    --------
    Four answers, each given with 80 %, should be right 80 % of the time; three of four are.

    >>> y_proba = [[0.8, 0.2], [0.8, 0.2], [0.2, 0.8], [0.2, 0.8]]
    >>> round(calibration_error([0, 0, 0, 1], y_proba, [0, 1]), 3)
    0.05
    """
    codes, y_proba = check_probabilities(y_true, y_proba, classes)
    if n_bins < 1:
        raise ValueError(f"`n_bins` must be at least 1, got {n_bins}. The usual number is 15.")
    confidence = y_proba.max(axis=1)
    correct = y_proba.argmax(axis=1) == codes
    inner_edges = np.linspace(0, 1, n_bins + 1)[1:-1]
    bins = np.searchsorted(inner_edges, confidence, side="left")
    # |B| |acc - conf| is the absolute sum of correct - confidence over the bin.
    return float(np.abs(np.bincount(bins, weights=correct - confidence)).sum() / len(codes))


def _one_vs_rest_auc(codes, y_proba):
    """Return the AUC of each class against the others, of shape (k,); NaN with one side empty."""
    support = np.bincount(codes, minlength=y_proba.shape[1])
    return np.array(
        [
            roc_auc_score(codes == code, y_proba[:, code]) if 0 < count < len(codes) else np.nan
            for code, count in enumerate(support)
        ]
    )
