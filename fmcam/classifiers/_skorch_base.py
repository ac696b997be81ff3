"""Where scikit-learn's conventions and skorch's differ: one class that settles them."""

from abc import ABC
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from numpy.typing import NDArray
from skorch import NeuralNetClassifier
from skorch.callbacks import ParamMapper

from fmcam._docstrings import complete_docstrings
from fmcam._network_state import lock_of
from fmcam.classifiers._parameters import (
    check_parameter_names,
    check_parameter_values,
    check_patterns,
)

__all__ = ["SkorchClassifier"]

_has_cuda = cache(torch.cuda.is_available)  # asked for twice a batch
_has_mps = cache(torch.backends.mps.is_available)


def _probabilities(logits):
    return logits.softmax(dim=-1).float()


class SkorchClassifier(NeuralNetClassifier, ABC):
    """A skorch classifier that behaves as scikit-learn's checks ask for.

    Parameters are what the constructor was given, attributes come with `fit`, a name that does not
    exist is an error, and `device` may be "auto".
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        complete_docstrings(cls)

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, sorted: ndarray of shape (k,)."""
        try:
            return self._classes
        except AttributeError:
            message = f"{type(self).__name__} has no `classes_` before it is fitted."
            raise AttributeError(message) from None

    def _get_predict_nonlinearity(self):
        # skorch would leave the logits of losses other than cross-entropy as they are
        if self.predict_nonlinearity == "auto":
            return _probabilities
        return super()._get_predict_nonlinearity()

    # Parameters are named as in the network that the user wrote, without the wrapper around it.

    def get_all_learnable_params(self):
        """Yield names and parameters of the network and of a criterion that has some."""
        own = {id(parameter): name for name, parameter in self.module_.net.named_parameters()}
        for name, parameter in super().get_all_learnable_params():
            yield own.get(id(parameter), name), parameter

    def get_params_for_optimizer(self, prefix, named_parameters):
        """What an optimizer is made with; ValueError for a group whose pattern matches nothing."""
        parameters = list(named_parameters)
        names = [name for name, _ in parameters]
        for group in self.get_params_for(prefix).get("param_groups", []):
            if not (isinstance(group, tuple | list) and len(group) == 2):
                raise ValueError(
                    f"`{prefix}__param_groups` must be a list of pairs, a pattern of names and a "
                    f"dict of options, such as [('head.*', {{'lr': 0.01}})]; got {group!r} in it."
                )
            found = check_patterns(group[0], names, f"{prefix}__param_groups")
            names = [name for name in names if name not in found]
        return super().get_params_for_optimizer(prefix, parameters)

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Check that skorch's Freezer and its kin have parameters to work on."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        names = [name for name, _ in self.get_all_learnable_params()]
        for name, callback in self.callbacks_:
            if isinstance(callback, ParamMapper):
                check_patterns(callback.patterns, names, f"callbacks__{name}__patterns")

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
        """Nothing: parameters are checked before training, see :meth:`check_parameters`."""

    def check_parameters(self) -> None:
        """Raise ValueError or TypeError for a parameter that does not exist or cannot be used."""
        check_parameter_names(self)
        check_parameter_values(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    # skorch's `__init__` sets these three as public attributes and reads `device` everywhere.

    @property
    def history_(self) -> Any:
        """Losses, accuracies and seconds of each epoch, a skorch History."""
        return self._history

    @history_.setter
    def history_(self, history) -> None:
        self._history = history

    @property
    def initialized_(self):
        """Whether there is a network."""
        return self._initialized

    @initialized_.setter
    def initialized_(self, initialized):
        self._initialized = initialized

    @property
    def virtual_params_(self) -> Any:
        """Parameters that skorch sets on parts of a net in place, such as `lr`."""
        return self._virtual_params

    @virtual_params_.setter
    def virtual_params_(self, virtual_params) -> None:
        self._virtual_params = virtual_params

    @property
    def device(self) -> str:
        """The device in use."""
        if self._device != "auto":
            return self._device
        return "cuda" if _has_cuda() else "mps" if _has_mps() else "cpu"

    @device.setter
    def device(self, device: str) -> None:
        self._device = device

    def __getstate__(self):
        # while no other thread has switched modes
        with lock_of(self.module_.net) if hasattr(self, "module_") else nullcontext():
            return {**super().__getstate__(), "device": self.device}

    def __setstate__(self, state):
        super().__setstate__(state)
        found = self.__dict__.pop("device")
        if self._device != "auto":
            self._device = found
