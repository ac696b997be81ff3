"""The file that keeps the result of a fit: its name is a hash of all that the fit depends on."""

import pickle
from importlib.metadata import version
from itertools import product

from sklearn.base import clone

from fmcam._files import writable_folder
from fmcam._hashing import hash_of

__all__ = ["result_files"]

_PACKAGES = ("fmcam", "scikit-learn", "skorch", "torch")


def result_files(search, candidates, estimators, splits, shared):
    """The file of each fit, candidate by candidate; None for each where nothing is kept.

    Parameters
    ----------
    search : GridSearchCV or another
    candidates : list of dict
        Their parameters.
    estimators : list of estimator
        Those of the candidates, not fitted.
    splits : list of (array-like, array-like)
        Training and test rows.
    shared : dict
        What all fits share: `X`, `y`, `scorer`, `fit_params` and so on.

    Returns
    -------
    list of path or None

    Raises
    ------
    ValueError
        If `search.memory` cannot be written to, or something has no hash that lasts.
    """
    if search.memory is None:
        return [None] * (len(estimators) * len(splits))
    folder = writable_folder(search.memory, "`memory`")
    recipe = [search.estimator, candidates]
    if hash_of(recipe) != hash_of(pickle.loads(pickle.dumps(recipe))):
        raise ValueError(
            "With `memory`, the estimator and the values searched over must keep their hash when "
            f"pickled, so that a later run finds them again; {type(search.estimator).__name__} or "
            "its values do not. Use parts that are not fitted and hold plain values, or leave out "
            "`memory`."
        )
    common = hash_of([{**shared, "scorer": search.scoring}, *map(version, _PACKAGES)])
    estimator_keys = [hash_of(clone(estimator)) for estimator in estimators]
    split_keys = [hash_of(split) for split in splits]
    keys = product([common], estimator_keys, split_keys)
    return [folder / f"{hash_of(key)}.json" for key in keys]
