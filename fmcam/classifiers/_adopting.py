"""A trained network taken as it is, in place of a training."""

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from fmcam._network_state import device_of
from fmcam.classifiers._class_order import assign_classes
from fmcam.classifiers._foreign_entries import standardize_as_published
from fmcam.classifiers._given import check_weights, plain_network
from fmcam.classifiers._parameters import check_parameter_values
from fmcam.classifiers._training import Training
from fmcam.models import Standardize, StandardizedNet

__all__ = ["Adopting"]


class Adopting(Training):
    """A classifier that a trained network may be given to."""

    @classmethod
    def from_module(
        cls,
        net: nn.Module,
        classes: ArrayLike | None = None,
        *,
        preprocessing: str | None = None,
        **params: Any,
    ) -> Self:
        """A fitted classifier around a trained network, which is shared, not copied or changed.

        Parameters
        ----------
        net : nn.Module
            Maps images (n, c, h, w), in whatever units it was trained on, to logits (n, k), or to
            one logit (n, 1) or (n,) that speaks for the second of two classes. It runs in its own
            number type. The network inside DataParallel or ``torch.compile`` is taken.
        classes : array-like of shape (k,) or None, default=None
            The label of each output of the network, in any order: `classes_` and the columns of
            ``predict_proba`` are sorted. By default 0..k-1, where k is what the network gives.
        preprocessing : str or None, default=None
            None: the network gets images as they are. The name of a network, or "imagenet" for most
            of those that learned ImageNet: images of 0..255 are standardized by the mean and
            deviation of its published weights, see :func:`fmcam.models.get_preprocessing`.
        **params
            Parameters of :class:`CNNClassifier`, such as `outputs`, `precision` or `batch_size`.

        Returns
        -------
        CNNClassifier

        Raises
        ------
        TypeError
            If `net` is no instance of nn.Module.
        ValueError
            If the classes do not fit the outputs, weights are NaN, the network is quantized, of
            TorchScript or torch.export, or spread over several devices, or `preprocessing` is not
            known or not for its number of channels.

        Examples
        --------
        >>> from fmcam.classifiers import CNNClassifier
        >>> from fmcam.models import LeNet5
        >>> CNNClassifier.from_module(LeNet5(), classes=list("abcdefghij")).classes_[:3]
        array(['a', 'b', 'c'], dtype='<U1')
        """
        net = plain_network(net)
        device = device_of(net)
        clf = cls(net, **{"device": str(device), **params})
        check_parameter_values(clf)
        if torch.empty(0, device=clf.device).device != device:
            raise ValueError(
                f"The network is on {device} and shared, not moved; got device={clf.device!r}. "
                f"Move it with `net.to({clf.device!r})`, or leave `device` out."
            )
        with torch.inference_mode(False):  # or no gradient would pass the tensors made here
            standardize = Standardize(1)
            if preprocessing is not None:
                standardize = standardize_as_published(net, preprocessing)
            return clf.adopt(StandardizedNet(net, standardize.to(device)), classes)

    def adopt(
        self,
        module: StandardizedNet,
        classes: ArrayLike | None = None,
        image_shape: tuple[int, int, int] | None = None,
    ) -> Self:
        """Become fitted with a given network instead of training one.

        Parameters
        ----------
        module : fmcam.models.StandardizedNet
            Its columns are brought into the order of the sorted classes.
        classes : array-like of shape (k,) or None, default=None
            The label of each column of `module`, in any order; None: 0..k-1.
        image_shape : tuple (c, h, w) or None, default=None
            None: images of any shape that the network takes.

        Returns
        -------
        self
        """
        check_weights(module.net)
        module.total = 1.0 if self.outputs == "probabilities" else 0.0
        self._classes = assign_classes(module, classes, image_shape)
        self._seen, self._guessed = False, classes is None
        self.image_shape_ = image_shape
        if image_shape is not None:
            self.n_features_in_ = int(np.prod(image_shape))
        self._initialize_virtual_params()
        self._initialize_callbacks()
        module.training = module.standardize.training = False  # the network's own modes stay
        with self._current_init_context("module"):
            self.module_ = module
        self._initialize_criterion()
        self._initialize_history()
        self.initialized_ = True
        return self
