"""Fits of a search that are trained many at once, as one network, and their scores."""

import time
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib.parallel import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import get_tags

from fmcam._data.labels import checked_labels
from fmcam._ensemble.eligibility import why_not_together
from fmcam._ensemble.memory import trained_ensembles
from fmcam._fit_results import write_result
from fmcam._hashing import hash_of
from fmcam._parallel import one_thread
from fmcam._sklearn_compat import check_method_params, num_samples, safe_indexing, safe_split, score

__all__ = ["ensemble_on_worker", "results_of_ensemble", "sorted_into_ensembles"]

# what may differ between the networks of an ensemble, and what it is set to while they are compared
_FREE = {"lr": 0.0, "optimizer__weight_decay": 0.0, "random_state": None}


@dataclass(frozen=True)
class _Fit:
    index: int
    estimator: Any
    train: np.ndarray
    test: np.ndarray


def sorted_into_ensembles(fits, shared):
    """Lists of those fits that can be trained together; a warning tells of the others.

    Parameters
    ----------
    fits : list of (int, estimator, array-like, array-like)
        Number in the search, estimator, not fitted, training and test rows of each. Those of one
        candidate have the same estimator, those of one split the same arrays.
    shared : dict
        What all fits of the search share: `X`, `y`, `scorer`, `score_params` and so on.
    """
    numbers = np.arange(num_samples(shared["X"]))
    rows = {id(part): numbers[part] for *_, train, test in fits for part in (train, test)}
    fits = [_Fit(index, clf, rows[id(train)], rows[id(test)]) for index, clf, train, test in fits]
    kinds: dict = {}
    ensembles = defaultdict(list)
    refused: Counter[str] = Counter()
    for fit in fits:
        if id(fit.estimator) not in kinds:
            kinds[id(fit.estimator)] = _kind(fit.estimator, shared)
        kind, reason = kinds[id(fit.estimator)]
        if reason is None:
            n_classes, reason = _classes(fit, shared)
        if reason is None:
            # batches must be equally many and equally large, and networks of one shape
            ensembles[kind, len(fit.train), n_classes].append(fit)
        else:
            refused[reason] += 1
    if refused:
        reasons = "; ".join(f"{reason} ({n} fits)" for reason, n in refused.items())
        warnings.warn(
            f"strategy='vmap': {refused.total()} of {len(fits)} fits cannot be trained together "
            f"and run in processes instead: {reasons}.",
            stacklevel=2,
        )
    return list(ensembles.values())


def _kind(estimator, shared):
    """What the networks of an ensemble have in common, as a hash; or None and why there is none."""
    if shared["fit_params"]:
        return None, "parameters are passed to `fit`"
    try:
        reason = why_not_together(estimator, shared["X"], shared["y"])
        kind = None if reason else hash_of(clone(estimator).set_params(**_FREE))
    except Exception as error:  # for the single fit to run into and to report
        return None, str(error)
    return kind, reason


def _classes(fit, shared):
    """The number of classes of a fit; or None and what is wrong with its labels."""
    clf = clone(fit.estimator)
    try:
        checked_labels(clf, fit.train, safe_indexing(shared["y"], fit.train), clf.classes)
    except ValueError as error:
        return None, str(error)
    return len(clf.classes_), None


def results_of_ensemble(fits, files, **shared):
    """Train and score the fits of an ensemble, and keep their results.

    Parameters
    ----------
    fits : list
        One of :func:`sorted_into_ensembles`.
    files : list of path or None
        Where results are kept, by the number in the search.
    **shared
        As for :func:`sorted_into_ensembles`.

    Yields
    ------
    index : int
    result : dict
        As scikit-learn's ``_fit_and_score`` gives it. Each fit gets an equal share of the time of
        its ensemble.
    """
    X, y = shared["X"], shared["y"]
    tests = {
        key: safe_split(fit.estimator, X, y, fit.test, fit.train)
        for key, fit in {id(fit.test): fit for fit in fits}.items()
    }
    clfs, rows = [fit.estimator for fit in fits], [fit.train for fit in fits]
    start = time.time()
    for places, ensemble in trained_ensembles(clfs, X, y, rows):
        some = [fits[place] for place in places]
        fit_time = (time.time() - start) / len(some)
        start = time.time()
        probabilities = ensemble.predict_proba([fit.test for fit in some])
        predict_time = (time.time() - start) / len(some)
        for fit, clf, known in zip(some, ensemble.clfs, probabilities, strict=True):
            result = _scored(fit, clf, known, tests[id(fit.test)], shared)
            result["fit_time"] = fit_time
            result["score_time"] += predict_time
            if files[fit.index] is not None:
                write_result(files[fit.index], result)
            yield fit.index, result
        start = time.time()


def ensemble_on_worker(fits, files, **shared):
    """:func:`results_of_ensemble` as a list, on one thread; parallel work stays in this process."""
    with one_thread(), parallel_config("threading", n_jobs=1):
        return list(results_of_ensemble(fits, files, **shared))


def _scored(fit, clf, probabilities, test, shared):
    start = time.time()
    scorer, error_score = shared["scorer"], shared["error_score"]
    X_test, y_test = test
    if _is_scikit_learns(scorer):
        clf = _Known(clf, X_test, probabilities)
    of_test, of_train = (
        check_method_params(shared["X"], params=shared["score_params"], indices=rows)
        for rows in (fit.test, fit.train)
    )
    result = {
        "fit_error": None,
        "test_scores": score(clf, X_test, y_test, scorer, of_test, error_score),
        "n_test_samples": num_samples(X_test),
        "score_time": time.time() - start,
    }
    if shared["return_train_score"]:
        X_train, y_train = safe_split(clf, shared["X"], shared["y"], fit.train)
        result["train_scores"] = score(clf, X_train, y_train, scorer, of_train, error_score)
    return result


def _is_scikit_learns(scorer):
    """Whether a scorer asks the classifier for predictions alone; others may want all of it."""
    scorers = getattr(scorer, "_scorers", {"score": scorer})
    return all(type(each).__module__.startswith("sklearn.") for each in scorers.values())


class _Known(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose probabilities of some images are known already."""

    def __init__(self, estimator, images, probabilities):
        self.estimator = estimator
        self.images = images
        self.probabilities = probabilities

    def __getattr__(self, name):
        return getattr(self.estimator, name)

    def __sklearn_tags__(self):
        return get_tags(self.estimator)

    def predict_proba(self, X):
        return self.probabilities if X is self.images else self.estimator.predict_proba(X)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]
