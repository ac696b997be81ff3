"""What every function on labels and probabilities asks of them, worded once."""

import numpy as np
import pandas as pd

from fmcam._arrays import as_array, plain_array
from fmcam._text import printable


def check_probabilities(y_true, y_proba, classes):
    """Return the column of each true label, of shape (n,), and the probabilities, of shape (n, k).

    Working with columns keeps the kind of the labels out of all that follows.
    """
    classes, y_true = np.asarray(classes), plain_array(y_true, name="y_true")
    y_proba = as_array(y_proba, name="y_proba").astype(float)
    if classes.ndim != 1 or len(classes) < 2 or not np.array_equal(np.unique(classes), classes):
        raise ValueError(
            "`classes` must be a sorted list of two or more distinct labels, "
            f"got {classes.tolist()}. Pass `clf.classes_`."
        )
    if y_proba.ndim != 2 or y_proba.shape[1] != len(classes):
        raise ValueError(
            f"`y_proba` must have shape (n, {len(classes)}), one column a class, "
            f"got {y_proba.shape}. Pass `clf.predict_proba(X)`."
        )
    if y_true.ndim != 1 or len(y_true) != len(y_proba) or len(y_true) == 0:
        raise ValueError(
            "`y_true` must have shape (n,), one label for each of the n >= 1 rows of `y_proba`, "
            f"got {y_true.shape} for {len(y_proba)} rows. Pass the labels of the same images."
        )
    _check_rows_are_distributions(y_proba)
    return _columns_of(y_true, classes), y_proba


def rank_of_label(y_true, y_score, classes=None):
    """Return which place the true label has among the scores, of shape (n,), 1 for the best.

    Of equal scores the first column is the better one, as for `argmax`. `classes` are the labels of
    the columns, in any order; None means 0 to k - 1.
    """
    y_true, y_score = plain_array(y_true, name="y_true"), as_array(y_score, name="y_score")
    if y_score.ndim != 2 or y_true.shape != y_score.shape[:1]:
        raise ValueError(
            "`y_score` must have shape (n, k), one row for each of the n labels `y_true` and one "
            f"column a class, got {y_score.shape} for labels of shape {y_true.shape}. Pass "
            "`clf.predict_proba(X)`."
        )
    if np.isnan(y_score).any():
        raise ValueError(
            f"`y_score` contains NaN in {int(np.isnan(y_score).any(axis=1).sum())} of "
            f"{len(y_score)} rows. Drop these images."
        )
    classes = np.arange(y_score.shape[1]) if classes is None else np.asarray(classes)
    if classes.shape != y_score.shape[1:]:
        raise ValueError(
            f"`classes` must name the {y_score.shape[1]} columns of `y_score`, got shape "
            f"{classes.shape}. Pass `clf.classes_`."
        )
    return rank_of_column(_columns_of(y_true, classes), y_score)


def rank_of_column(codes, y_score):
    """Return which place a column has among the scores of its row, (n,), (n, k) -> (n,)."""
    own = y_score[np.arange(len(codes)), codes][:, None]
    earlier = np.arange(y_score.shape[1]) < codes[:, None]
    return 1 + ((y_score > own) | ((y_score == own) & earlier)).sum(axis=1)


def _columns_of(y_true, classes):
    codes = pd.Index(classes).get_indexer(pd.Index(y_true))
    if (codes < 0).any():
        raise ValueError(
            f"`y_true` must hold labels of `classes` {classes.tolist()} only, got also "
            f"{pd.unique(y_true[codes < 0]).tolist()}. Pass labels of the kind the classifier saw."
        )
    return codes


def _check_rows_are_distributions(y_proba):
    # 1e-3 lets the rounding of float16 through and stops scores that are no probabilities.
    wrong = ~np.isclose(y_proba.sum(axis=1), 1, rtol=0, atol=1e-3) | (y_proba < 0).any(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            "Each row of `y_proba` must be non-negative and sum to one, got a sum of "
            f"{y_proba[row].sum():.4g} and a minimum of {y_proba[row].min():.4g} in row {row}. "
            "Pass probabilities, not logits."
        )


def check_class_names(class_names, classes):
    """Return the k names, by default the labels themselves, as an index called "class"."""
    names = pd.Index(
        [
            printable(name) if isinstance(name, str) else name
            for name in (classes if class_names is None else class_names)
        ],
        name="class",
    )
    if len(names) != len(classes) or not names.is_unique:
        raise ValueError(
            f"`class_names` must be {len(classes)} distinct names in the order of `classes`, "
            f"got {names.tolist()}. Pass one name a class."
        )
    return names
