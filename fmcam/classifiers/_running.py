"""How a classifier builds its network, and what the network makes of images."""

import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn

from fmcam._memory_format import channels_last_is_safe
from fmcam._network_state import device_of, evaluating, lock_of, without_hooks
from fmcam.classifiers._given import copied, make_lazy_weights, plain_network
from fmcam.classifiers._opening import Opening
from fmcam.classifiers._outputs import are_probabilities, as_logits, ends_in_sigmoid
from fmcam.classifiers._parameters import PRECISIONS, size_arguments
from fmcam.classifiers._trials import check_rows, check_width, failures_told, try_on_blank_image
from fmcam.models import Standardize, StandardizedNet

__all__ = ["Running"]


class Running(Opening):
    """A classifier that runs its network on raw images."""

    module_: StandardizedNet
    _seen = _guessed = False  # the first outputs, the number of classes

    def initialize_module(self):
        """Build the network and try it on one blank image."""
        net = self._built_network()
        if isinstance(net, nn.Module):
            make_lazy_weights(net, self.image_shape_)
        net = plain_network(net, "module")
        # set_params builds a net anew
        standardize = (
            Standardize(self.image_shape_[0]) if self._afresh else self.module_.standardize
        )
        module = StandardizedNet(net, standardize.to(device_of(net)), len(self.classes_))
        try_on_blank_image(module, self.image_shape_, self.classes_)
        flattens = self.optimizer is torch.optim.LBFGS  # all weights, in torch's own order
        if not flattens and channels_last_is_safe(module, self.image_shape_):
            module.net = net.to(memory_format=torch.channels_last)
        self.module_, self._seen, self._guessed = module, False, False
        return self

    def _built_network(self):
        kwargs = self.get_params_for("module")
        if isinstance(self.module, nn.Module):
            return type(self.module)(**kwargs) if kwargs else copied(self.module)
        sizes = size_arguments(self.module, len(self.classes_), self.image_shape_[0])
        return self.module(**{**sizes, **kwargs})

    def raw_outputs(self, x: torch.Tensor, *, n_copies: int = 1, **fit_params: Any) -> torch.Tensor:
        """What the network gives for raw images, which is what heatmaps explain.

        The network runs under `precision`.

        Parameters
        ----------
        x : tensor of shape (n, c, h, w)
            Raw images.
        n_copies : int, default=1
            How many rows something in the network makes of each image.
        **fit_params
            Passed to the network's `forward`.

        Returns
        -------
        tensor of shape (n, k), or (n, 1) for one logit
            In float32, or float64 for a network in float64; columns follow `classes_`.

        Raises
        ------
        ValueError
            If the network cannot take the images, or gives another number of rows than there are
            images or of outputs than before.
        """
        dtype = PRECISIONS[self.precision]
        x = x.to(self.device)
        autocast = torch.autocast(x.device.type, dtype=dtype, enabled=dtype is not None)
        with failures_told(self.module_.net, x), autocast:
            outputs = self.module_(x, **fit_params)
        if not self._seen:
            with lock_of(self.module_.net):
                self._see(x, outputs)
        check_width(self.module_.net, outputs, self.classes_)
        check_rows(self.module_.net, outputs, n_copies * len(x))
        return outputs

    def _see(self, x, outputs):
        """Look at the first images and outputs: units, number of classes, whether logits."""
        if self._seen:
            return
        if not self._in_training:
            self.module_.standardize.check_units(x)
        if self._guessed and outputs.shape[1] != len(self.classes_):
            self._classes = np.arange(max(outputs.shape[1], 2))
            self.module_.n_classes, self.module_.n_outputs = len(self._classes), outputs.shape[1]
        if self.outputs == "logits" and (
            are_probabilities(outputs) or (outputs.shape[1] == 1 and self._ends_in_sigmoid(x[:1]))
        ):
            warnings.warn(
                f"{type(self.module_.net).__name__} seems to give probabilities: its outputs are "
                "rows that sum to one, or come from a sigmoid. They are taken as logits. Pass "
                "outputs='probabilities', or remove the softmax or sigmoid at its end.",
                stacklevel=2,
            )
        self._seen = True

    def _ends_in_sigmoid(self, image):
        with without_hooks(self.module_.net), evaluating(self.module_.net):
            return ends_in_sigmoid(self.module_, image)

    def evaluation_step(self, batch, training=False):
        """The logits for a batch in evaluation mode, after which the modes are as they were."""
        with nullcontext() if training else evaluating(self.module_.net):
            return super().evaluation_step(batch, training)

    def infer(self, x, **fit_params):
        """Logits of shape (n, k), a column for each of `classes_`, for raw images (n, c, h, w)."""
        # for `contiguous` one channel is contiguous in any layout
        x = x.reshape(-1).view(x.shape)
        return self.as_logits(self.raw_outputs(x, **fit_params))

    def as_logits(self, raw_outputs: torch.Tensor) -> torch.Tensor:
        """Logits of all classes from what the network gives.

        Parameters
        ----------
        raw_outputs : tensor of shape (n, k) or (n, 1)
            As :meth:`raw_outputs` gives them.

        Returns
        -------
        tensor of shape (n, k), k >= 2
        """
        return as_logits(raw_outputs, self.outputs)
