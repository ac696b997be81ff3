"""Halving searches over epochs, whose survivors train on from their state."""

from numbers import Integral, Real
from typing import Any

import numpy as np

from fmcam._docstrings import documented_like
from fmcam._sklearn_compat import Interval, StrOptions, halving
from fmcam._typing import FilePath, RandomState
from fmcam.classifiers import CNNClassifier
from fmcam.model_selection._grid_search import GridSearchCV
from fmcam.model_selection._halving_search import HalvingSearch

__all__ = ["HalvingGridSearchCV", "HalvingRandomSearchCV"]

_CONSTRAINTS: dict = {  # in place of scikit-learn's
    "refit": ["boolean"],
    "resource": [StrOptions({"max_epochs"})],
    "factor": [Interval(Real, 1, None, closed="neither")],
    "min_resources": [
        Interval(Integral, 1, None, closed="left"),
        StrOptions({"auto", "exhaust", "smallest"}),
    ],
}


@documented_like(GridSearchCV)
class HalvingGridSearchCV(HalvingSearch, halving.HalvingGridSearchCV):
    r"""Halving over epochs, as in scikit-learn, whose survivors train on from their state.

    All candidates train for a few epochs, and one in `factor` of them trains on, rung by rung [1]_.
    scikit-learn fits a survivor anew; here each of its folds goes on from weights, optimizer,
    schedule and generators, and ends bit for bit as a fit that never paused: the scores of the
    last rung are those of :class:`GridSearchCV` with as many `max_epochs`. From the first epoch on,
    schedules run over the full length of the last rung.

    Parameters
    ----------
    estimator : CNNClassifier
        With an integer as `random_state`. A `train_split` must give the same rows again.
    param_grid : dict or list of dict
        As in `sklearn.model_selection.GridSearchCV`, without `max_epochs`.
    factor : float, default=3
        Above 1. Of the candidates of a rung the best ``ceil(n / factor)`` go on, for `factor` times
        as many epochs.
    resource : "max_epochs"
        What the rungs hand out; others cannot go on from a state.
    max_resources : int or "auto", default="auto"
        Most epochs of a fit. "auto": the `max_epochs` of `estimator`.
    min_resources : int or {"auto", "exhaust", "smallest"}, default="auto"
        Epochs of the first rung. "auto" counts from the top, where the last rung has all of
        `max_resources`: two rungs, such as 3 and 9 epochs, or three, such as 1, 3 and 9, where all
        candidates have :class:`fmcam.classifiers.OneCycle`. See Notes. The others as in
        scikit-learn.
    aggressive_elimination : bool, default=False
        Whether to put more rungs of the first length in front, until fewer than `factor`
        candidates are left in the last one.
    cv : int, splitter or iterable, default=5
        How to split the rows; a number of folds, stratified for classifiers.
    scoring : str, callable or None, default=None
        One score, as scikit-learn names it. None: the `score` of the estimator.
    refit : bool, default=True
        Whether to fit the best candidate of the last rung on all data.
    return_train_score : bool, default=False
        scikit-learn's default is True; here the scores of the training rows would take a third of
        the time of a rung of one epoch.
    random_state : int, RandomState or None, default=None
        Without effect, as in scikit-learn where `resource` is no number of rows.
    memory : str, path-like or None, default=None
        Folder for the results of finished fits, as in :class:`GridSearchCV`, and for the states of
        paused ones. States are deleted as soon as their candidates fall, and all of them at the
        end; the same call goes on after kill -9 and gives the same `cv_results_`. None keeps
        results nowhere and states in a temporary folder. Needed on a dask cluster.

    Attributes
    ----------
    n_resources_, n_candidates_ : list of int
        Epochs and candidates of each rung.
    n_iterations_, n_required_iterations_, n_possible_iterations_ : int
        Rungs, see `sklearn.model_selection.HalvingGridSearchCV`.
    n_remaining_candidates_, min_resources_, max_resources_ : int
        As in `sklearn.model_selection.HalvingGridSearchCV`.
    cv_results_ : dict
        One row for each candidate and rung, as in scikit-learn: "iter" is the rung, "n_resources"
        the epochs done. The `max_epochs` among "params" is that of the whole training in all rungs,
        and "mean_fit_time" the time since the rung before.
    best_estimator_, best_score_, best_params_, best_index_
        As in `sklearn.model_selection.GridSearchCV`; best in the last rung.
    scorer_, n_splits_, refit_time_, multimetric_, classes_, n_features_in_
        As in `sklearn.model_selection.GridSearchCV`.

    Raises
    ------
    ValueError, TypeError
        In `fit`, before any work: for an estimator that cannot pause, and as
        :class:`GridSearchCV` does.
    OSError
        As :class:`GridSearchCV` does.

    Notes
    -----
    Halving finds the best candidate if early ranks are like late ones, which is for you to know:
    with a constant learning rate high rates lead early and lose late. ``docs/halving.md`` has
    measurements. Networks that are trained as one (``strategy="vmap"`` of :class:`GridSearchCV`)
    share a state and cannot pause one by one, so each fit is done by itself.

    References
    ----------
    .. [1] Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
       Optimization", AISTATS 2016, figure 3. https://arxiv.org/abs/1502.07943

    Examples
    --------
    >>> from fmcam.classifiers import LeNet5Classifier
    >>> from fmcam.datasets import make_fashion_shapes
    >>> shapes = make_fashion_shapes(60, random_state=0)
    >>> clf = LeNet5Classifier(max_epochs=6, random_state=0)
    >>> search = HalvingGridSearchCV(clf, {"lr": [0.001, 0.01, 0.1]}, cv=2)
    >>> search.fit(shapes.images, shapes.target).n_resources_
    [2, 6]
    >>> search.n_candidates_
    [3, 1]
    """

    _parameter_constraints: dict = {  # noqa: RUF012, scikit-learn's name
        **halving.HalvingGridSearchCV._parameter_constraints,
        **_CONSTRAINTS,
    }

    def __init__(
        self,
        estimator: CNNClassifier,
        param_grid: Any,
        *,
        factor: float = 3,
        resource: str = "max_epochs",
        max_resources: int | str = "auto",
        min_resources: int | str = "auto",
        aggressive_elimination: bool = False,
        cv: Any = 5,
        scoring: Any = None,
        refit: Any = True,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        random_state: RandomState | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        memory: FilePath | None = None,
    ) -> None:
        super().__init__(
            estimator,
            param_grid,
            factor=factor,
            resource=resource,
            max_resources=max_resources,
            min_resources=min_resources,
            aggressive_elimination=aggressive_elimination,
            cv=cv,
            scoring=scoring,
            refit=refit,
            error_score=error_score,
            return_train_score=return_train_score,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
        )
        self.memory = memory


@documented_like(HalvingGridSearchCV)
class HalvingRandomSearchCV(HalvingSearch, halving.HalvingRandomSearchCV):
    """:class:`HalvingGridSearchCV` over candidates that are drawn at random.

    Parameters
    ----------
    param_distributions : dict or list of dict
        Lists of values, or distributions with an `rvs`, as in
        `sklearn.model_selection.HalvingRandomSearchCV`, without `max_epochs`.
    n_candidates : int or "exhaust", default="exhaust"
        How many to draw. "exhaust": the longest rung divided by the shortest.
    random_state : int, RandomState or None, default=None
        Draws the candidates. With `memory` an integer, or the same call would draw others.

    Attributes
    ----------
    n_resources_, n_candidates_, cv_results_, best_params_
        These and others as in :class:`HalvingGridSearchCV`.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from fmcam.classifiers import LeNet5Classifier
    >>> from fmcam.datasets import make_fashion_shapes
    >>> shapes = make_fashion_shapes(60, random_state=0)
    >>> clf = LeNet5Classifier(max_epochs=3, random_state=0)
    >>> search = HalvingRandomSearchCV(clf, {"lr": loguniform(1e-4, 1e-1)}, cv=2, random_state=0)
    >>> search.fit(shapes.images, shapes.target).n_candidates_
    [3, 1]
    """

    _parameter_constraints: dict = {  # noqa: RUF012, scikit-learn's name
        **halving.HalvingRandomSearchCV._parameter_constraints,
        **_CONSTRAINTS,
    }

    def __init__(
        self,
        estimator: CNNClassifier,
        param_distributions: Any,
        *,
        n_candidates: int | str = "exhaust",
        factor: float = 3,
        resource: str = "max_epochs",
        max_resources: int | str = "auto",
        min_resources: int | str = "auto",
        aggressive_elimination: bool = False,
        cv: Any = 5,
        scoring: Any = None,
        refit: Any = True,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        random_state: RandomState | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        memory: FilePath | None = None,
    ) -> None:
        super().__init__(
            estimator,
            param_distributions,
            n_candidates=n_candidates,
            factor=factor,
            resource=resource,
            max_resources=max_resources,
            min_resources=min_resources,
            aggressive_elimination=aggressive_elimination,
            cv=cv,
            scoring=scoring,
            refit=refit,
            error_score=error_score,
            return_train_score=return_train_score,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
        )
        self.memory = memory
