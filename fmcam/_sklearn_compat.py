"""What is private in scikit-learn and used here, alike for scikit-learn 1.7 to 1.9."""

from contextlib import nullcontext
from functools import partial

import numpy as np
from sklearn.base import _fit_context as fit_context
from sklearn.experimental import enable_halving_search_cv  # noqa: F401, tools look for a class where it is public
from sklearn.model_selection import GridSearchCV
from sklearn.model_selection import _search_successive_halving as halving
from sklearn.model_selection import _validation as model_validation
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import _insert_error_scores as insert_error_scores
from sklearn.model_selection._validation import _score as score
from sklearn.model_selection._validation import (
    _warn_or_raise_about_fit_failures as warn_or_raise_about_fit_failures,
)
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils import validation
from sklearn.utils._missing import is_pandas_na, is_scalar_nan
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import _safe_split as safe_split
from sklearn.utils.validation import _check_method_params as check_method_params
from sklearn.utils.validation import _num_samples as num_samples

__all__ = [
    "BaseSearchCV",
    "Interval",
    "StrOptions",
    "callback_context",
    "check_method_params",
    "check_sample_weight",
    "fit_and_score",
    "fit_context",
    "halving",
    "insert_error_scores",
    "is_missing",
    "num_samples",
    "run_search",
    "safe_indexing",
    "safe_split",
    "score",
    "top_k",
    "warn_or_raise_about_fit_failures",
]

top_k = halving._top_k
_SEARCHES_HAVE_CALLBACKS = hasattr(GridSearchCV, "_init_callback_context")  # since 1.9


def is_missing(label):
    """Whether a label is None, nan or pandas' NA."""
    return label is None or is_scalar_nan(label) or is_pandas_na(label)


def check_sample_weight(sample_weight, X):
    """Weights of rows, float32; an error where one is negative or, as since 1.9, all are 0."""
    weights = validation._check_sample_weight(
        sample_weight, X, dtype=np.float32, ensure_non_negative=True
    )
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def fit_and_score(*arguments, caller, callback_ctx, **options):
    """Results of one fit of a search; its callbacks hear of it where searches have any."""
    if _SEARCHES_HAVE_CALLBACKS:
        options |= {"caller": caller, "callback_ctx": callback_ctx}
    return model_validation._fit_and_score(*arguments, **options)


def callback_context(search, max_subtasks):
    """The context of the callbacks of a search, where searches have any."""
    if _SEARCHES_HAVE_CALLBACKS:
        return search._init_callback_context(max_subtasks=max_subtasks)
    return _NoCallbacks()


def run_search(search, evaluate, callback_ctx):
    """Let a search choose the candidates that `evaluate` is called with."""
    if _SEARCHES_HAVE_CALLBACKS:
        return search._run_search(evaluate, callback_ctx=callback_ctx)
    return search._run_search(partial(evaluate, callback_ctx=callback_ctx))


class _NoCallbacks:
    """A context that nobody listens to."""

    def subcontext(self, **task):
        return self

    def propagate_callback_context(self, estimator):
        return nullcontext()

    def call_on_fit_task_begin(self, **task):
        return self

    def call_on_fit_task_end(self, **task):
        return self
