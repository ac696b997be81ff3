"""What halving searches share: rungs, and survivors that go on from their state."""

import tempfile
from abc import ABC
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from math import ceil
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import check_scalar

from fmcam._parallel import cluster_is_active
from fmcam._progress import ProgressBar
from fmcam._sklearn_compat import halving, top_k
from fmcam.model_selection._pausing import check_pausable, fit_and_pause, have_full_schedules
from fmcam.model_selection._result_files import result_files
from fmcam.model_selection._rungs import make_rungs
from fmcam.model_selection._search import Search, fits_of

__all__ = ["HalvingSearch"]


class HalvingSearch(Search, halving.BaseSuccessiveHalving, ABC):
    """A search in rungs: the best candidates of each train on in the next."""

    def _search(self, splits, shared, callback_ctx):
        self._check(shared["fit_params"])
        candidates, rungs = self._planned(splits)
        self.min_resources_ = rungs.smallest
        self.n_required_iterations_ = rungs.required
        self.n_possible_iterations_ = rungs.possible
        self.n_iterations_ = len(rungs.resources)
        self.n_resources_, self.n_candidates_ = rungs.resources, rungs.candidates
        self.n_remaining_candidates_ = ceil(rungs.candidates[-1] / self.factor)
        context = callback_ctx.subcontext(task_name="search", max_subtasks=self.n_iterations_)
        context = context.call_on_fit_task_begin(estimator=self)
        self._climb(rungs, candidates, splits, shared, context)
        context.call_on_fit_task_end(estimator=self)

    def _check(self, fit_params):
        check_pausable([self.estimator])
        if "epochs" in fit_params:
            raise ValueError(
                "The search says itself how many epochs each fit has. Pass `max_resources` and "
                "`min_resources` in place of `epochs`."
            )
        if cluster_is_active() and self.memory is None:
            raise ValueError(
                "On a cluster the states of paused trainings lie in the folder `memory`, which all "
                "workers must see. Pass one."
            )
        draws = isinstance(self, halving.HalvingRandomSearchCV)
        if draws and self.memory is not None and not isinstance(self.random_state, Integral):
            raise ValueError(
                "With `memory` the same call must draw the same candidates again. Pass an integer "
                f"as `random_state`, got {self.random_state!r}."
            )

    def _planned(self, splits):
        """The candidates, with the `max_epochs` of a whole training, and the rungs they climb."""
        automatic = self.max_resources == "auto"
        self.max_resources_ = self.estimator.max_epochs if automatic else self.max_resources
        check_scalar(self.max_resources_, "max_epochs", Integral, min_val=1)
        # scikit-learn draws as many candidates as this one allows
        self.min_resources_ = self._rungs(self.max_resources_, [self.estimator]).smallest
        candidates = [dict(candidate) for candidate in self._generate_candidate_params()]
        if any("max_epochs" in candidate for candidate in candidates):
            raise ValueError(
                f"`max_epochs` is the resource that halving hands out. Leave it out of "
                f"`{self._space}`, and pass `max_resources`."
            )
        estimators = self._configured(candidates, splits)
        check_pausable(estimators)
        rungs = self._rungs(len(candidates), estimators)
        return [{**each, "max_epochs": rungs.resources[-1]} for each in candidates], rungs

    def _rungs(self, n_candidates, estimators):
        return make_rungs(
            n_candidates,
            self.factor,
            self.min_resources,
            self.max_resources_,
            self.aggressive_elimination,
            most=3 if have_full_schedules(estimators) else 2,
        )

    def _climb(self, rungs, candidates, splits, shared, callback_ctx):
        """Train rung by rung, and choose by the last one."""
        tried, results = [], []
        more: dict = {"iter": [], "n_resources": []}
        n_epochs = self.n_splits_ * int(np.dot(rungs.steps, rungs.candidates))
        with (
            self._climbers(candidates, splits, shared) as climbers,
            ProgressBar(total=n_epochs, unit="epoch") as progress,
        ):
            for rung, epochs in enumerate(rungs.resources):
                given = {**shared, "fit_params": {**shared["fit_params"], "epochs": epochs}}
                context = callback_ctx.subcontext(
                    task_name="halving-iteration",
                    max_subtasks=len(climbers) * self.n_splits_,
                    sequential_subtasks=False,
                ).call_on_fit_task_begin(estimator=self)
                ways, files = self._ways(climbers, splits, given, context)
                results += self._results(files, ways, progress, rungs.steps[rung])
                tried += climbers
                more["iter"] += [rung] * len(climbers)
                more["n_resources"] += [epochs] * len(climbers)
                self._note(tried, results, more)
                climbers = self._survivors(climbers, tried, rung)
                context.call_on_fit_task_end(estimator=self)
        self._choose(results[0]["test_scores"])

    @contextmanager
    def _climbers(self, candidates, splits, shared):
        """All candidates; none of their states is left if all goes well."""
        estimators = self._configured(candidates, splits)
        files = result_files(self, candidates, estimators, splits, shared)
        with tempfile.TemporaryDirectory(prefix="fmcam-halving-") as folder:
            states = [
                Path(folder, f"{number}.pt") if file is None else file.with_suffix(".pt")
                for number, file in enumerate(files)
            ]
            starts = range(0, len(states), len(splits))
            of_each = [states[start : start + len(splits)] for start in starts]
            climbers = list(map(_Climber, candidates, estimators, of_each))
            yield climbers
            for climber in climbers:
                climber.forget()

    def _ways(self, climbers, splits, shared, callback_ctx):
        """How the fits of a rung are done, and the files of their results."""
        parameters = [each.parameters for each in climbers]
        estimators = [each.estimator for each in climbers]
        states = chain.from_iterable(each.states for each in climbers)
        fits = fits_of(parameters, estimators, splits)
        fits = [{**fit, "state": state} for fit, state in zip(fits, states, strict=True)]
        files = result_files(self, parameters, estimators, splits, shared)
        given = {"fits": fits, "files": files, "shared": shared, "callback_ctx": callback_ctx}
        return [partial(self._in_processes, work=fit_and_pause, **given)], files

    def _note(self, tried, results, more):
        """Make `cv_results_` of all that has been tried; ValueError where there is no one score."""
        names = results[-1]["test_scores"]
        if isinstance(names, dict):
            raise ValueError(
                f"Halving goes by one score, but `scoring` gives several: {', '.join(names)}. Pass "
                "a function that gives one number."
            )
        parameters = [each.parameters for each in tried]
        self.cv_results_ = self._format_results(parameters, self.n_splits_, results, more)

    def _survivors(self, climbers, tried, rung):
        """Those that go on, in scikit-learn's order; the states of the others are deleted."""
        n_survivors = ceil(len(climbers) / self.factor)
        places = top_k({**self.cv_results_, "params": range(len(tried))}, n_survivors, rung)
        survivors = [tried[place] for place in places]
        for climber in climbers:
            if climber not in survivors:
                climber.forget()
        return survivors


@dataclass(frozen=True, eq=False)
class _Climber:
    """A candidate with its estimator, not fitted, and the file of its state for each split."""

    parameters: dict
    estimator: Any
    states: list

    def forget(self):
        for state in self.states:
            state.unlink(missing_ok=True)
