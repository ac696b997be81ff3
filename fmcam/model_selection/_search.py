"""What all searches share: folds, workers, results that are kept, the choice and the refit."""

import time
from abc import ABC, abstractmethod
from itertools import chain, product
from typing import Any, Self

from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import indexable
from sklearn.utils.parallel import Parallel, delayed

from fmcam._fit_results import read_result
from fmcam._parallel import one_thread, shared_on_cluster, trouble_told, workers
from fmcam._sklearn_compat import (
    BaseSearchCV,
    callback_context,
    check_method_params,
    fit_context,
    insert_error_scores,
    warn_or_raise_about_fit_failures,
)
from fmcam.model_selection._rows import rows_and_labels
from fmcam.model_selection._set_parameters import configured

__all__ = ["Search", "fits_of"]


class Search(BaseSearchCV, ABC):
    """A search over parameters; its kinds inherit from scikit-learn's class of their name, too."""

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit and score the candidates on every split, then refit the best on all data.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Images (n, c, h, w), or whatever `estimator` takes; for a CNNClassifier also a Dataset,
            whose rows are read by each fit for itself.
        y : array-like of shape (n,), default=None
            Labels; for a Dataset those that it is known to have.
        **params : dict
            Passed on to the `fit` of the estimator, to the scorer and to the splitter
            (`groups`), as in `sklearn.model_selection.GridSearchCV`.

        Returns
        -------
        self
            The fitted search itself.
        """
        scorer, _ = self._get_scorers()
        X, y = indexable(*rows_and_labels(X, y, self.estimator))
        params = check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        weight = params.get("sample_weight")
        task = {
            "estimator": self,
            "X": X,
            "y": y,
            "metadata": None if weight is None else {"sample_weight": weight},
        }
        root = callback_context(self, 1 + (self.refit is not False))
        root.call_on_fit_task_begin(**task)

        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(cv.split(X, y, **routed.splitter.split))
        self.n_splits_ = len(splits)
        with shared_on_cluster(X, y, *chain.from_iterable(splits)):
            self._search(splits, self._shared(X, y, scorer, routed), root)
        if self.refit:
            self._refit(task, routed.estimator.fit, root)
        self.scorer_ = getattr(scorer, "_scorers", scorer)
        root.call_on_fit_task_end(**task)
        return self

    def _shared(self, X, y, scorer, routed):
        """What every fit is told alike."""
        return {
            "X": X,
            "y": y,
            "scorer": scorer,
            "fit_params": routed.estimator.fit,
            "score_params": routed.scorer.score,
            "error_score": self.error_score,
            "return_train_score": self.return_train_score,
        }

    @abstractmethod
    def _search(self, splits, shared, callback_ctx):
        """Get the results of all fits and choose by them."""

    def _configured(self, candidates, splits):
        """The estimator of each candidate; an error where there is nothing to search."""
        if not (candidates and splits):
            raise ValueError(
                f"A search needs at least one candidate and one split, got {len(candidates)} and "
                f"{len(splits)}. Look at `{self._space}` and `cv`."
            )
        return [configured(self.estimator, parameters, self._space) for parameters in candidates]

    @property
    def _space(self):
        """The name of the argument that holds what is searched over."""
        return "param_grid" if hasattr(self, "param_grid") else "param_distributions"

    def _results(self, files, ways, progress, size=1):
        """The results of all fits in their order; those that `files` hold are not run.

        Parameters
        ----------
        files : list of path or None
        ways : sequence of callables
            Each is given the numbers of the fits that are missing and yields numbers and results,
            not necessarily of all.
        progress : ProgressBar
        size : int
            How far a fit moves the bar.
        """
        results = [read_result(file) for file in files]
        progress.skip(size * sum(result is not None for result in results))
        for way in ways:
            missing = [index for index, result in enumerate(results) if result is None]
            for index, result in way(missing):
                results[index] = result
                progress.update(size)
        warn_or_raise_about_fit_failures(results, self.error_score)
        if callable(self.scoring):
            insert_error_scores(results, self.error_score)
        return results

    def _in_processes(self, missing, work, fits, files, shared, callback_ctx):
        """Yield the results of the missing fits, each done by itself by a call of `work`."""
        contexts = [
            callback_ctx.subcontext(task_name="candidate-split-evaluation", task_id=index)
            for index in missing
        ]
        tasks = (
            delayed(work)(
                index,
                files[index],
                **{**fits[index], "estimator": clone(fits[index]["estimator"])},
                **shared,
                verbose=self.verbose,
                caller=self,
                callback_ctx=context,
            )
            for index, context in zip(missing, contexts, strict=True)
        )
        with one_thread(), trouble_told(self._kept), self._parallel() as parallel:
            yield from parallel(tasks)

    @property
    def _kept(self):
        if self.memory is None:
            return "With `memory` the fits that it had not under way would have been kept."
        return f"The fits finished before are kept in {self.memory}, and the same call goes on."

    def _parallel(self):
        return workers(self.n_jobs, kind=Parallel, pre_dispatch=self.pre_dispatch)

    def _choose(self, first_scores):
        """Set `multimetric_` and the `best_` attributes that the search alone decides."""
        self.multimetric_ = isinstance(first_scores, dict)
        if self.multimetric_:
            self._check_refit_for_multimetric(first_scores)
        if self.refit or not self.multimetric_:
            metric = self.refit if self.multimetric_ else "score"
            self.best_index_ = self._select_best_index(self.refit, metric, self.cv_results_)
            self.best_params_ = self.cv_results_["params"][self.best_index_]
            if not callable(self.refit):
                self.best_score_ = self.cv_results_[f"mean_test_{metric}"][self.best_index_]

    def _refit(self, task, fit_params, callback_ctx):
        """Fit the best candidate on all data."""
        estimator = configured(self.estimator, self.best_params_, self._space)
        context = callback_ctx.subcontext(task_name="refit-with-best-params")
        with context.propagate_callback_context(estimator):
            context.call_on_fit_task_begin(**task)
            start = time.time()
            arguments = (task["X"],) if task["y"] is None else (task["X"], task["y"])
            estimator.fit(*arguments, **fit_params)
            self.refit_time_ = time.time() - start
        self.best_estimator_ = estimator
        if hasattr(estimator, "feature_names_in_"):
            self.feature_names_in_ = estimator.feature_names_in_
        context.call_on_fit_task_end(**task)


def fits_of(candidates, estimators, splits):
    """What each fit is told, candidate by candidate: estimator, parameters, training and test rows.

    Parameters
    ----------
    candidates : list of dict
    estimators : list of estimator
        Not fitted, one a candidate.
    splits : list of (array-like, array-like)
    """
    return [
        {"estimator": estimator, "parameters": parameters, "train": train, "test": test}
        for (parameters, estimator), (train, test) in product(
            zip(candidates, estimators, strict=True), splits
        )
    ]
