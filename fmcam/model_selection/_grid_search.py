"""Grid search that keeps every finished fit, gives each its own core and says when it will end."""

from functools import partial
from typing import Any

import numpy as np
from sklearn import model_selection
from sklearn.utils.parallel import delayed

from fmcam._parallel import cluster_is_active
from fmcam._progress import ProgressBar
from fmcam._sklearn_compat import StrOptions, run_search
from fmcam._typing import FilePath
from fmcam.model_selection._fit import fit_and_keep
from fmcam.model_selection._result_files import result_files
from fmcam.model_selection._search import Search, fits_of

__all__ = ["GridSearchCV"]


class GridSearchCV(Search, model_selection.GridSearchCV):
    """The `GridSearchCV` of scikit-learn, resumable after a crash and with one core for each fit.

    Arguments, attributes and `cv_results_` are those of `sklearn.model_selection.GridSearchCV`;
    `memory` and `strategy` are the only additions. Under the hood

    - each fit and its scoring use one thread, so scores do not depend on `n_jobs`; the refit of
      the best candidate uses all threads;
    - the workers share the images as one read-only memory map, in the data type given: pass uint8;
    - a parameter name that the estimator does not know is an error before the first fit;
    - a progress bar with the time left is shown on a terminal and nothing in a pipe.

    Parameters
    ----------
    estimator : estimator
        Left unfitted; copies are fitted.
    param_grid : dict or list of dict
        Values to try by the name of the parameter.
    scoring : str, callable, list, tuple, dict or None, default=None
        One score or several, as scikit-learn names them. None: the `score` of the estimator.
    n_jobs : int or None, default=None
        Processes. A backend chosen with `joblib.parallel_config`, such as "dask" for a cluster, is
        used instead.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate on all rows; of several scores, the one that is to choose.
    cv : int, splitter, iterable or None, default=None
        How to split the rows. None: five folds, stratified for classifiers.
    verbose : int, default=0
        Above 1 a line is printed for each fit; the headline that 1 prints is left to the progress
        bar.
    pre_dispatch : int or str, default="2*n_jobs"
        Fits that are handed to the processes ahead.
    error_score : "raise" or float, default=np.nan
        The score of a fit that failed.
    return_train_score : bool, default=False
        Whether the training rows are scored, too.
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
        estimator: Any,
        param_grid: Any,
        *,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: Any = "2*n_jobs",
        error_score: Any = np.nan,
        return_train_score: bool = False,
        memory: FilePath | None = None,
        strategy: str = "processes",
    ) -> None:
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

    def _search(self, splits, shared, callback_ctx):
        run_search(self, partial(self._evaluate, splits, shared), callback_ctx)

    def _evaluate(self, splits, shared, candidates, *, callback_ctx):
        """Get the results of all fits, kept or new, and what follows from them."""
        candidates = list(candidates)
        estimators = self._configured(candidates, splits)
        files = result_files(self, candidates, estimators, splits, shared)
        fits = fits_of(candidates, [self.estimator] * len(candidates), splits)
        given = {"fits": fits, "files": files, "shared": shared}
        ways = (
            partial(self._together, estimators=estimators, **given),
            partial(self._in_processes, work=fit_and_keep, callback_ctx=callback_ctx, **given),
        )
        with ProgressBar(total=len(fits), unit="fit") as progress:
            results = self._results(files, ways, progress)
        self.cv_results_ = self._format_results(candidates, len(splits), results)
        self._choose(results[0]["test_scores"])

    def _together(self, missing, estimators, fits, files, shared):
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
