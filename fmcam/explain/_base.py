"""What an explainer is: which classifier it explains, and what a kind of explainer writes."""

from abc import ABC, abstractmethod
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from torch import nn

from fmcam._docstrings import complete_docstrings
from fmcam._typing import FilePath, Images
from fmcam.classifiers import CNNClassifier
from fmcam.explain._layout import Layout
from fmcam.explain._together import Batch, explain_together

__all__ = ["BaseExplainer", "Explained"]

Explained: TypeAlias = CNNClassifier | FrozenEstimator | nn.Module


class BaseExplainer(TransformerMixin, BaseEstimator, ABC):
    """Turns images into heatmaps; a kind of explainer writes `maps_of_batch`.

    Parameters
    ----------
    estimator : CNNClassifier, FrozenEstimator of one, or nn.Module
        A frozen classifier and a trained network are explained as they are; any other classifier
        is cloned and fitted in ``fit``.
    normalize : "minmax" or None, default="minmax"
        "minmax" stretches each map to [0, 1]; a flat one becomes zeros. None leaves raw values.
    batch_size : int, default=128
        Images that are explained at once: fewer take less memory.

    Attributes
    ----------
    estimator_ : CNNClassifier, FrozenEstimator or nn.Module
        What is explained, after ``fit``.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        complete_docstrings(cls)

    def __init__(
        self,
        estimator: Explained,
        *,
        normalize: Literal["minmax"] | None = "minmax",
        batch_size: int = 128,
    ) -> None:
        self.estimator: Any = estimator
        self.normalize = normalize
        self.batch_size = batch_size

    def fit(self, X: Images, y: ArrayLike | None = None) -> Self:
        """Fit a clone of the classifier, unless it is frozen.

        Parameters
        ----------
        X : array-like, tensor, Dataset or DataLoader
            Images as for the classifier.
        y : array-like of shape (n,) or None, default=None
            Labels as for the classifier.

        Returns
        -------
        self
        """
        is_net = isinstance(self.estimator, nn.Module)
        self.estimator_ = self.estimator if is_net else clone(self.estimator).fit(X, y)
        return self

    def transform(self, X: Images) -> NDArray[np.float32]:
        """Heatmaps of the predicted classes.

        Parameters
        ----------
        X : array-like, tensor, Dataset or DataLoader
            Images as in :meth:`explain`.

        Returns
        -------
        ndarray of shape (n, h, w), float32
        """
        return self.explain(X)

    def explain(
        self, X: Images, y: ArrayLike | None = None, *, out: FilePath | None = None
    ) -> NDArray[np.float32]:
        """Heatmaps of chosen classes.

        Parameters
        ----------
        X : array-like, tensor, Dataset or DataLoader
            Images of shape (n, c, h, w), (n, h, w) or (n, c * h * w) as for the classifier, all of
            one shape. Of a DataLoader, which must not shuffle, the rows that it yields.
        y : array-like of shape (n,) or (n, k), default=None
            Labels of the classes to explain, one or k for each image. None: the predicted class.
        out : path, default=None
            A .npy file to write the maps to, for more of them than memory holds.

        Returns
        -------
        ndarray of shape (n, h, w) or (n, k, h, w), float32
            With `out` a read-only memory map of that file.
        """
        return explain_together({"maps": self}, X, y, out={"maps": out})["maps"]

    def __sklearn_is_fitted__(self):
        trained = isinstance(self.estimator, FrozenEstimator | nn.Module)
        return trained or hasattr(self, "estimator_")

    @property
    def classifier_(self) -> CNNClassifier:
        """The fitted classifier that is explained."""
        if not self.__sklearn_is_fitted__():
            name = type(self).__name__
            raise NotFittedError(
                f"This {name} has no fitted classifier. Call `fit`, or freeze a fitted one: "
                f"{name}(FrozenEstimator(clf))."
            )
        clf = getattr(self, "estimator_", self.estimator)
        clf = clf.estimator if isinstance(clf, FrozenEstimator) else clf
        if isinstance(clf, nn.Module):
            return self._classifier_of(clf)
        if not isinstance(clf, CNNClassifier):
            raise TypeError(
                "`estimator` must be a CNNClassifier or a torch network, "
                f"got a {type(clf).__name__}. Of a pipeline or a search pass the classifier in it."
            )
        if not hasattr(clf, "module_"):
            raise NotFittedError(
                f"The {type(clf).__name__} to explain is not fitted. Fit it first."
            )
        return clf

    def _classifier_of(self, net):
        parts = list(net.modules())
        known, clf = getattr(self, "_wrapped", (None, None))
        if known != parts:
            clf = CNNClassifier.from_module(net)
            self._wrapped = parts, clf
        return clf

    @property
    def signed(self) -> bool:
        """Whether maps have negative values, for what speaks against a class."""
        return False

    def layers_for(self, clf: CNNClassifier, images: torch.Tensor) -> dict[str, Layout]:
        """The layers whose maps `maps_of_batch` needs, and how they keep them.

        Parameters
        ----------
        clf : CNNClassifier
            Fitted.
        images : tensor of shape (n, c, h, w)
            Raw, on the classifier's device; a few suffice.

        Returns
        -------
        dict of str to Layout
        """
        return {}

    @abstractmethod
    def maps_of_batch(self, batch: Batch, class_indices: torch.Tensor) -> torch.Tensor:
        """Maps of one class of each image of a batch, before normalising.

        Parameters
        ----------
        batch : Batch
            Images and what the network makes of them.
        class_indices : tensor of shape (n,), int64
            The class to explain for each image.

        Returns
        -------
        tensor of shape (n, h, w), not negative unless `signed`
        """
