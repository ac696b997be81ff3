"""One classifier trained with many seeds at once, and their ensemble."""

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import get_tags, indexable
from sklearn.utils.validation import check_is_fitted

from fmcam._typing import Images
from fmcam.classifiers import CNNClassifier

__all__ = ["SeedEnsembleClassifier", "fit_many"]


def fit_many(
    estimator: CNNClassifier, X: Images, y: ArrayLike, seeds: Sequence[int]
) -> list[CNNClassifier]:
    """Classifiers trained with different seeds, as one network.

    Each has the weights that its own ``fit`` would give it, up to rounding. Networks that
    ``torch.func.vmap`` refuses, such as those with dropout, are trained one after another, with a
    warning that names the reason. On a processor this saves no time; on a GPU it is not measured.

    Parameters
    ----------
    estimator : CNNClassifier
        Left unfitted.
    X : array-like of shape (n, c, h, w), (n, h, w) or (n, c * h * w)
        Images as for the classifier.
    y : array-like of shape (n,)
        Labels.
    seeds : sequence of int
        The `random_state` of each classifier.

    Returns
    -------
    list of CNNClassifier
        Fitted, in the order of `seeds`. Trained together, each has a history of `train_loss`,
        `train_acc`, its share of the seconds as `dur`, `valid_loss` and `valid_acc` with a
        `train_split`, and `lr` with a one-cycle schedule.

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam.classifiers import LeNet5Classifier
    >>> from fmcam.model_selection import fit_many
    >>> X = np.zeros((20, 16, 16), dtype=np.uint8)
    >>> X[10:, 4:12, 4:12] = 255
    >>> clfs = fit_many(LeNet5Classifier(max_epochs=5), X, np.repeat([0, 1], 10), seeds=[0, 1, 2])
    >>> [clf.predict(X[[0, -1]]).tolist() for clf in clfs]
    [[0, 1], [0, 1], [0, 1]]
    """
    # here, as searches over other estimators and their workers do without PyTorch
    from fmcam._ensemble.eligibility import why_not_together
    from fmcam._ensemble.memory import trained_ensembles

    clfs = [clone(estimator).set_params(random_state=seed) for seed in seeds]
    if not clfs:
        raise ValueError("`seeds` must hold at least one integer, got none.")
    X, y = indexable(X, y)
    reason = why_not_together(clfs[0], X, y)
    if reason is not None:
        warnings.warn(
            f"{len(clfs)} fits are done one after another instead of at once: {reason}.",
            stacklevel=2,
        )
        return [clf.fit(X, y) for clf in clfs]
    rows = [np.arange(len(y))] * len(clfs)  # one array, so that equal seeds share batches
    return [clf for _, ensemble in trained_ensembles(clfs, X, y, rows) for clf in ensemble.clfs]


class SeedEnsembleClassifier(ClassifierMixin, BaseEstimator):
    """The mean of one network trained with several seeds at once, and how far the seeds differ.

    Parameters
    ----------
    estimator : CNNClassifier
        Left unfitted; its copies are trained.
    seeds : sequence of int, default=(0, 1, 2)
        The `random_state` of each member; see :func:`fit_many`.

    Attributes
    ----------
    members_ : list of CNNClassifier
        Fitted, in the order of `seeds`.
    classes_ : ndarray of shape (k,)
        The labels, sorted; column j of the probabilities belongs to ``classes_[j]``.
    n_features_in_ : int
        c * h * w.

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam.classifiers import LeNet5Classifier
    >>> from fmcam.model_selection import SeedEnsembleClassifier
    >>> X = np.zeros((20, 16, 16), dtype=np.uint8)
    >>> X[10:, 4:12, 4:12] = 255
    >>> y = np.repeat(["dark", "square"], 10)
    >>> ensemble = SeedEnsembleClassifier(LeNet5Classifier(max_epochs=5)).fit(X, y)
    >>> ensemble.predict(X[[0, -1]])
    array(['dark', 'square'], dtype='<U6')
    >>> ensemble.predict_proba_std(X).shape
    (20, 2)
    """

    def __init__(self, estimator: CNNClassifier, *, seeds: Sequence[int] = (0, 1, 2)) -> None:
        self.estimator = estimator
        self.seeds = seeds

    def fit(self, X: Images, y: ArrayLike) -> Self:
        """Train the members.

        Parameters
        ----------
        X : array-like of shape (n, c, h, w), (n, h, w) or (n, c * h * w)
            Images as for the classifier.
        y : array-like of shape (n,)
            Labels.

        Returns
        -------
        self
        """
        self.members_ = fit_many(self.estimator, X, y, self.seeds)
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            if hasattr(self.members_[0], name):
                setattr(self, name, getattr(self.members_[0], name))
        return self

    def predict_proba(self, X: Images) -> NDArray[np.float32]:
        """Mean probabilities of the members.

        Parameters
        ----------
        X : array-like
            Images as in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n, k), float32
        """
        return self._probabilities(X).mean(axis=0)

    def predict_proba_std(self, X: Images) -> NDArray[np.float32]:
        r"""Standard deviation of the members' probabilities.

        :math:`\sqrt{\sum_m (p_m - \bar p)^2 / (M - 1)}` over the M members.

        Parameters
        ----------
        X : array-like
            Images as in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n, k), float32

        Raises
        ------
        ValueError
            If there is only one member.
        """
        probabilities = self._probabilities(X)
        if len(probabilities) == 1:
            raise ValueError("A spread needs at least two members, got one. Pass more `seeds`.")
        return probabilities.std(axis=0, ddof=1)

    def predict(self, X: Images) -> NDArray[Any]:
        """The label with the largest mean probability for each image.

        Parameters
        ----------
        X : array-like
            Images as in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n,)
            Labels in `classes_`.
        """
        class_indices = self.predict_proba(X).argmax(axis=1)
        return self.classes_[class_indices]

    def _probabilities(self, X):
        check_is_fitted(self)
        return np.stack([member.predict_proba(X) for member in self.members_])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags
