"""Grid search that keeps every finished fit, gives each its own core and says when it will end."""

import time
from functools import partial
from itertools import chain, product

import numpy as np
from sklearn import model_selection
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import indexable
from sklearn.utils.parallel import Parallel, delayed

from fmcam._fit_results import read_result
from fmcam._parallel import cluster_is_active, one_thread, shared_on_cluster, trouble_told, workers
from fmcam._progress import ProgressBar
from fmcam._sklearn_compat import (
    StrOptions,
    callback_context,
    check_method_params,
    fit_context,
    insert_error_scores,
    run_search,
    warn_or_raise_about_fit_failures,
)
from fmcam.model_selection._fit import fit_and_keep
from fmcam.model_selection._result_files import result_files
from fmcam.model_selection._rows import rows_and_labels
from fmcam.model_selection._set_parameters import configured

__all__ = ["GridSearchCV"]


class GridSearchCV(model_selection.GridSearchCV):
    """scikit-learn's `GridSearchCV`, resumable after a crash and with one core for each fit.

    Arguments, attributes and `cv_results_` are those of `sklearn.model_selection.GridSearchCV`;
    `memory` and `strategy` are the only additions. Under the hood

    - each fit and its scoring use one thread, so scores do not depend on `n_jobs`; the refit of
      the best candidate uses all threads;
    - the workers share the images as one read-only memory map, in the data type given: pass uint8;
    - a parameter name that the estimator does not know is an error before the first fit;
    - a progress bar with the time left is shown on a terminal and nothing in a pipe.

    Parameters
    ----------
    estimator, param_grid, scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, \
return_train_score
        As in `sklearn.model_selection.GridSearchCV`. `n_jobs` counts processes; a backend chosen
        with `joblib.parallel_config`, such as "dask" for a cluster, is used instead. `verbose`
        above 1 prints a line for each fit; the headline that 1 prints is left to the progress bar.
    memory : str, path-like or None, default=None
        Folder that keeps the scores and times of each finished fit (not the fitted estimator), in
        one small JSON file each. The process that did the fit writes the file at once, so nothing
        finished is lost when a search is killed: the same call does only the fits that are
        missing and gives the same `cv_results_`. Searches may share a folder, and the workers of
        a cluster must see it under the same path. None keeps nothing.
    strategy : {"processes", "vmap"}, default="processes"
        "processes" does each fit by itself. "vmap" trains candidates and folds of a
        :class:`fmcam.classifiers.CNNClassifier` that differ in `lr`, `optimizer__weight_decay` and
        `random_state` alone as one network, by ``torch.func.vmap``. It warns of fits that cannot be
        trained together, which run in processes. It is for GPUs: on a processor it is slower.

    Attributes
    ----------
    cv_results_, best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, \
refit_time_, multimetric_, classes_, n_features_in_, feature_names_in_
        As in `sklearn.model_selection.GridSearchCV`.

    Raises
    ------
    ValueError
        In `fit`, before any work: if a name in `param_grid` or a `strategy` is unknown, if `memory`
        cannot be written to, or if with `memory` something cannot be told apart by its pickled
        form, such as a lambda.
    OSError
        In `fit`, with what is kept: if a worker process was killed (ChildProcessError) or a disk is
        full.

    Notes
    -----
    A fit is known by a hash of the estimator with its parameters, the images and labels, the
    training and test rows, `scoring`, the fit parameters, `error_score`, `return_train_score` and
    the versions of fmcam, scikit-learn, skorch and torch; if one of them changes, the fit is done
    again. Code is known by its name alone: after a change to your own network or scorer, take a
    new folder. A damaged file is ignored and its fit done again. A fit that failed is not kept: the
    next search tries it again.

    With ``strategy="vmap"`` weights are those of single fits up to rounding. Fits that are trained
    together run in this process with all its threads, on a cluster in one worker, and their files
    are written when all of them are trained; `verbose` prints no line for them. This can be done
    with SGD, with and without momentum, Adam and AdamW, cross-entropy,
    :class:`fmcam.classifiers.OneCycle`, skorch's GradientNormClipping and EarlyStopping, and a
    ValidSplit as `train_split`; other losses, optimizers and callbacks, dropout, bfloat16 and
    parameters of `fit` cannot. ``compile=True`` compiles the step that moves all of the networks.

    scikit-learn's callbacks (`set_callbacks`) work, but hear nothing of fits that were kept or
    trained together. Workers end within seconds after kill -9 of the search. Of the search and its
    workers at once, joblib's copy of the images stays in its temporary folder (JOBLIB_TEMP_FOLDER,
    or /dev/shm) until you delete it.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     search = GridSearchCV(SVC(), {"C": [0.001, 1]}, cv=3, memory=folder)
    ...     first = search.fit(X, y).cv_results_["mean_fit_time"]
    ...     again = search.fit(X, y).cv_results_["mean_fit_time"]  # nothing is fitted twice
    >>> search.best_params_
    {'C': 1}
    >>> (first == again).all()
    np.True_
    """

    def __init__(
        self,
        estimator,
        param_grid,
        *,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        error_score=np.nan,
        return_train_score=False,
        memory=None,
        strategy="processes",
    ):
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.memory = memory
        self.strategy = strategy

    _parameter_constraints: dict = {  # noqa: RUF012, scikit-learn's name
        **model_selection.GridSearchCV._parameter_constraints,
        "strategy": [StrOptions({"processes", "vmap"})],
    }

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **params):
        """Fit and score every candidate on every split, then refit the best on all data.

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
        GridSearchCV
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
        shared = {
            "X": X,
            "y": y,
            "scorer": scorer,
            "fit_params": routed.estimator.fit,
            "score_params": routed.scorer.score,
            "error_score": self.error_score,
            "return_train_score": self.return_train_score,
        }
        run_search(self, partial(self._evaluate, splits, shared), root)
        if self.refit:
            self._refit(task, routed.estimator.fit, root)
        self.scorer_ = getattr(scorer, "_scorers", scorer)
        root.call_on_fit_task_end(**task)
        return self

    def _evaluate(self, splits, shared, candidates, *, callback_ctx):
        """Get the results of all fits, kept or new, and what follows from them."""
        candidates = list(candidates)
        if not (candidates and splits):
            raise ValueError(
                f"A search needs at least one candidate and one split, got {len(candidates)} and "
                f"{len(splits)}. Look at `param_grid` and `cv`."
            )
        estimators = [configured(self.estimator, parameters) for parameters in candidates]
        files = result_files(self, estimators, splits, shared)
        fits = [
            {"parameters": parameters, "train": train, "test": test}
            for parameters, (train, test) in product(candidates, splits)
        ]
        with shared_on_cluster(shared["X"], shared["y"], *chain.from_iterable(splits)):
            results = self._run(fits, estimators, files, shared, callback_ctx)
        warn_or_raise_about_fit_failures(results, self.error_score)
        if callable(self.scoring):
            insert_error_scores(results, self.error_score)
        self.cv_results_ = self._format_results(candidates, len(splits), results)
        self._choose(results[0]["test_scores"])

    def _run(self, fits, estimators, files, shared, callback_ctx):
        """Return the results of `fits` in their order; those that `files` hold are not run."""
        results = [read_result(file) for file in files]
        kept = sum(result is not None for result in results)
        progress = ProgressBar(total=len(fits), initial=kept, unit="fit")
        runs = (
            partial(self._run_together, estimators=estimators),
            partial(self._run_in_processes, callback_ctx=callback_ctx),
        )
        with progress:
            for run in runs:
                missing = [index for index, result in enumerate(results) if result is None]
                for index, result in run(missing, fits, files, shared):
                    results[index] = result
                    progress.update()
        return results

    def _run_together(self, missing, fits, files, shared, estimators):
        """Yield the results of the missing fits that can be trained as one network."""
        if self.strategy != "vmap" or not missing:
            return
        # here, as searches over other estimators and their workers do without PyTorch
        from fmcam._ensemble import search

        chosen = [
            (index, estimators[index // self.n_splits_], fits[index]["train"], fits[index]["test"])
            for index in missing
        ]
        ensembles = search.sorted_into_ensembles(chosen, shared)
        if not cluster_is_active():
            for ensemble in ensembles:
                yield from search.results_of_ensemble(ensemble, files, **shared)
            return
        run = delayed(search.ensemble_on_worker)
        with self._parallel() as parallel:
            for results in parallel(run(ensemble, files, **shared) for ensemble in ensembles):
                yield from results

    def _run_in_processes(self, missing, fits, files, shared, callback_ctx):
        """Yield the results of the missing fits, each done by itself."""
        contexts = [
            callback_ctx.subcontext(task_name="candidate-split-evaluation", task_id=index)
            for index in missing
        ]
        tasks = (
            delayed(fit_and_keep)(
                index,
                files[index],
                clone(self.estimator),
                **fits[index],
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
        estimator = configured(self.estimator, self.best_params_)
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
