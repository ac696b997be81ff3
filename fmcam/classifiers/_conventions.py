"""Where scikit-learn's conventions and skorch's differ: one class that settles them."""

from abc import ABC
from contextlib import contextmanager
from functools import cache, partial

import torch
from skorch import NeuralNetClassifier

from fmcam.classifiers._parameters import check_parameter_names

__all__ = ["Conventions"]

_has_cuda = cache(torch.cuda.is_available)  # asked for twice a batch


class Conventions(NeuralNetClassifier, ABC):
    """A skorch classifier that behaves as scikit-learn's checks ask for.

    Parameters are what the constructor was given, attributes come with `fit`, a name that does not
    exist is an error, and `device` may be "auto".
    """

    @property
    def classes_(self):
        """The labels, sorted: ndarray of shape (k,)."""
        try:
            return self._classes
        except AttributeError:
            message = f"{type(self).__name__} has no `classes_` before it is fitted."
            raise AttributeError(message) from None

    def _get_predict_nonlinearity(self):
        # skorch would leave the logits of losses other than cross-entropy as they are
        if self.predict_nonlinearity == "auto":
            return partial(torch.softmax, dim=-1)
        return super()._get_predict_nonlinearity()

    # skorch prints that it builds these anew, also into a pipe.

    def _initialize_module(self, reason=None):
        with self._quietly():
            return super()._initialize_module(reason)

    def _initialize_criterion(self, reason=None):
        with self._quietly():
            return super()._initialize_criterion(reason)

    def _initialize_optimizer(self, reason=None):
        with self._quietly():
            return super()._initialize_optimizer(reason)

    @contextmanager
    def _quietly(self):
        loud = vars(self)["verbose"]
        self.verbose = 0
        try:
            yield
        finally:
            self.verbose = loud

    def check_data(self, X, y):
        """Nothing: the data are checked before the network is built."""

    def _get_param_names(self):
        return [
            name for name in vars(self) if not name.startswith("_") and not name.endswith("_")
        ] + ["device"]

    def get_params(self, deep=True, **kwargs):
        """The parameters, `device` as it was given; see scikit-learn."""
        params = super().get_params(deep=deep, **kwargs)
        return {**params, "device": self._device}

    def set_params(self, **params):
        """Set parameters by name, with skorch's double underscores; see scikit-learn.

        Raises
        ------
        ValueError
            For a name that does not exist; the nearest one that does is named.
        """
        check_parameter_names(self, params)
        try:
            return super().set_params(**params)
        except AttributeError as error:
            raise ValueError(f"Invalid value among {params}: {error}") from error

    def _validate_params(self):
        """Nothing: names are checked before training, see `check_parameter_names`."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    # skorch's `__init__` sets these three as public attributes and reads `device` everywhere.

    @property
    def history_(self):
        """Losses, accuracies and seconds of each epoch, a skorch History."""
        return self._history

    @history_.setter
    def history_(self, history):
        self._history = history

    @property
    def initialized_(self):
        """Whether there is a network."""
        return self._initialized

    @initialized_.setter
    def initialized_(self, initialized):
        self._initialized = initialized

    @property
    def virtual_params_(self):
        """Parameters that skorch sets on parts of a net in place, such as `lr`."""
        return self._virtual_params

    @virtual_params_.setter
    def virtual_params_(self, virtual_params):
        self._virtual_params = virtual_params

    @property
    def device(self):
        """The device in use."""
        if self._device == "auto":
            return "cuda" if _has_cuda() else "cpu"
        return self._device

    @device.setter
    def device(self, device):
        self._device = device

    def __getstate__(self):
        return {**super().__getstate__(), "device": self.device}

    def __setstate__(self, state):
        super().__setstate__(state)
        found = self.__dict__.pop("device")
        if self._device != "auto":
            self._device = found
