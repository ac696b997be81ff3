"""Fits that pause at the end of a rung and go on from there in the next."""

from pathlib import Path

from sklearn.base import clone

from fmcam._files import DiskFullError
from fmcam.model_selection._fit import fit_and_keep

__all__ = ["check_pausable", "fit_and_pause", "have_full_schedules"]


def fit_and_pause(index, file, *, estimator, state, parameters, **options):
    """As :func:`fit_and_keep`, of a fit that goes on from the file `state` and ends with its state.

    Parameters
    ----------
    index : int
    file : path or None
    estimator : CNNClassifier
        Not fitted, its parameters set.
    state : path
        A file that is damaged, or that other searches have taken further, is begun anew.
    parameters : dict
        What has been set, for the lines that `verbose` prints.
    **options
        Others of :func:`fit_and_keep`; the `fit_params` say after how many `epochs` to pause.
    """
    epochs = options["fit_params"]["epochs"]
    estimator, resumable = _pausable(estimator, state, epochs)
    if not 0 < resumable.epochs_kept() <= epochs:
        Path(state).unlink(missing_ok=True)
    # the list of callbacks would be set once more, without the last one
    parameters = {name: value for name, value in parameters.items() if name != "callbacks"}
    index, result = fit_and_keep(index, file, estimator, parameters=parameters, **options)
    if DiskFullError.__name__ in (result["fit_error"] or ""):
        raise DiskFullError(result["fit_error"].splitlines()[-1])  # no fault of the candidate
    return index, result


def _pausable(estimator, state, every=1):
    """The classifier with a last callback that keeps its state, and that callback."""
    from fmcam.classifiers import Resumable  # here, as other searches do without PyTorch

    resumable = Resumable(state, every)
    return estimator.set_params(callbacks=[*(estimator.callbacks or ()), resumable]), resumable


def check_pausable(estimators):
    """Raise ValueError or TypeError for classifiers whose trainings cannot pause and go on."""
    from fmcam.classifiers import CNNClassifier, Resumable

    for estimator in estimators:
        if not isinstance(estimator, CNNClassifier):
            raise TypeError(
                "Halving pauses trainings and goes on with them, which takes a CNNClassifier; got "
                f"a {type(estimator).__name__}. scikit-learn's halving searches take any estimator "
                "and fit it anew."
            )
        if estimator.callbacks == "disable":
            raise ValueError(
                "Halving pauses trainings by a callback, but `callbacks` is 'disable'. Leave it "
                "out, or pass an empty list."
            )
        probe, resumable = _pausable(clone(estimator), "")
        callbacks = [part for _, part in probe.initialize_callbacks().callbacks_]
        if sum(isinstance(part, Resumable) for part in callbacks) > 1:
            raise ValueError(
                "Halving keeps the states of trainings itself, and all fits would share the file "
                "of the Resumable among `callbacks`. Leave it out; `memory` keeps what is done."
            )
        resumable.check(probe)


def have_full_schedules(estimators):
    """Whether the learning rates of all classifiers run over the full length of a training."""
    from fmcam.classifiers import OneCycle

    return all(
        any(isinstance(part, OneCycle) for _, part in clone(each).initialize_callbacks().callbacks_)
        for each in estimators
    )
