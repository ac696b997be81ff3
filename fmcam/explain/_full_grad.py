"""FullGrad: the gradients by the image and by every bias, which sum to the logit."""

from collections.abc import Callable
from typing import Literal

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from fmcam._typing import Target
from fmcam.explain._base import BaseExplainer, Explained
from fmcam.explain._geometry import half_pixel_grid, upsample
from fmcam.explain._survey import undisturbed
from fmcam.explain._target import scores
from fmcam.explain._together import Batch

__all__ = ["FullGrad"]

_TOLERANCES = {"float32": 1e-3, "bfloat16": 5e-2}  # of the sum of the terms' magnitudes


class FullGrad(BaseExplainer):
    r"""FullGrad [1]_: what the pixels and the biases of all layers add to a logit.

    .. math:: S_c = \sum (x \odot \nabla_x S_c) + \sum_l \sum (b_l \odot \nabla_{b_l} S_c), \qquad
        M_c = \psi(x \odot \nabla_x S_c) + \sum_l \psi(b_l \odot \nabla_{b_l} S_c)

    :math:`\psi` takes magnitudes, sums over channels and upsamples to the image. :math:`b_l` are
    the biases of convolutions and, implicitly, of batch normalizations
    (:math:`\beta - \mu \gamma / \sigma`) and of activations f without kinks at zero,
    :math:`f(z) - f'(z) z`. Biases behind the flattening have no place in the image and no part in
    the map.

    Parameters
    ----------
    target : "logit" or callable, default="logit"
        The number :math:`S_c` to explain: the output of the class, or a weighted sum of outputs,
        such as their difference: ``target(outputs, class_indices)``, of shape (n,), from the
        outputs of shape (n, k) and the class indices of shape (n,).

    Raises
    ------
    ValueError
        Where the terms do not sum to the number: the network computes something whose bias is not
        known, such as products of maps (squeeze and excitation), layer normalization or attention,
        or the target is more than a weighted sum of outputs, such as a probability.

    Notes
    -----
    x is the standardized image. The paper stretches each term to [0, 1] before the sum; here it
    keeps its units, so that a layer counts as much as it adds to the logit.

    References
    ----------
    .. [1] Srinivas and Fleuret, "Full-Gradient Representation for Neural Network Visualization",
       NeurIPS 2019, eq. 2 and 3, section 4. https://arxiv.org/abs/1905.00780

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import FullGrad
    >>> from fmcam.models import LeNet5
    >>> clf = CNNClassifier.from_module(LeNet5())
    >>> FullGrad(FrozenEstimator(clf)).transform(np.zeros((2, 28, 28))).shape
    (2, 28, 28)
    """

    def __init__(
        self,
        estimator: Explained,
        *,
        target: Target = "logit",
        normalize: Literal["minmax"] | None = "minmax",
        batch_size: int = 128,
    ) -> None:
        super().__init__(estimator, normalize=normalize, batch_size=batch_size)
        self.target = target

    def maps_of_batch(self, batch: Batch, class_indices: torch.Tensor) -> torch.Tensor:
        """The magnitudes of all terms that have a place, upsampled and summed."""
        recording = batch.once(BiasRecording, lambda: BiasRecording(batch.clf, batch.images))
        size = batch.images.shape[2:]
        total = batch.images.new_zeros((len(batch.images), *size), dtype=torch.float32)
        for term in recording.terms(class_indices, self.target):
            if term.ndim == 4:
                maps = term.abs().sum(dim=1)
                total = total + upsample(maps, size, half_pixel_grid(size, maps.shape[1:]))
        return total


class BiasRecording:
    """One forward that keeps what every bias is added to.

    Parameters
    ----------
    clf : CNNClassifier
        Fitted. Its network is left as it was.
    images : tensor of shape (n, c, h, w)
        Raw, on the classifier's device.
    """

    def __init__(self, clf, images):
        self._clf = clf
        self._pixels = images.detach().to(torch.float32, copy=True).requires_grad_()
        with undisturbed(clf), torch.enable_grad(), _SeeBiases() as seen:
            self._outputs = clf.raw_outputs(self._pixels)
        self._biases = seen.biases

    def terms(self, class_indices, target="logit"):
        """Input and biases times their gradients: tensors (n, ...) whose sum is the score.

        Parameters
        ----------
        class_indices : tensor of shape (n,), int64
            The class of each image.
        target : "logit" or callable, default="logit"
            As in `scores`.
        """
        with torch.enable_grad():
            score = scores(self._outputs, class_indices, target)
            total = score.sum()
        by_pixels, *gradients = torch.autograd.grad(
            total,
            [self._pixels, *(output for output, _ in self._biases)],
            retain_graph=True,
            materialize_grads=True,
        )
        terms = [by_pixels * (self._pixels.detach() - self._clf.module_.standardize.mean)]
        terms += [
            (gradient * bias).float()
            for gradient, (_, bias) in zip(gradients, self._biases, strict=True)
        ]
        self._check(terms, score.detach(), target)
        return terms

    def _check(self, terms, score, target):
        sums = torch.stack([term.flatten(1).sum(dim=1) for term in terms])
        error = (sums.sum(dim=0) - score).abs()
        size = sums.abs().sum(dim=0) + score.abs()
        if (error > _TOLERANCES[self._clf.precision] * size).any():
            row = error.argmax()
            what, hint = "logit", ""
            if target != "logit":
                what, hint = "target", ", or the target is no weighted sum of outputs"
            raise ValueError(
                f"FullGrad needs terms that sum to the {what}; those of "
                f"{type(self._clf.module_.net).__name__} sum to {sums[:, row].sum():.4g}, not "
                f"{score[row]:.4g}. It computes something that is more than biases, convolutions, "
                "batch normalization and activations, such as layer normalization, attention or "
                f"squeeze and excitation{hint}. Use GradCAM."
            )


class _SeeBiases(TorchFunctionMode):
    """Keep the outputs that a bias is part of, and the bias; modules stay as they are."""

    def __init__(self):
        super().__init__()
        self.biases = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _WITH_BIAS:
            bias = _WITH_BIAS[func](*args, **kwargs)
        elif func in _ACTIVATIONS:
            bias = _bias_of_activation(func, *args, **kwargs)
        else:
            return func(*args, **kwargs)
        output = func(*args, **kwargs)
        if bias is None or not output.requires_grad:
            return output
        self.biases.append((output, bias.detach()))
        return output.clone()  # what follows may change its input in place


def _bias_of_convolution(input, weight, bias=None, *args, **kwargs):
    # detached: an index of a weight may wait, with Python held, for a thread that waits for Python
    return None if bias is None else bias.detach()[:, None, None]


def _bias_of_linear(input, weight, bias=None):
    # of channels-last maps no place is known: without their bias, the terms miss the logit
    return None if input.ndim > 2 else bias


def _bias_of_batch_norm(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    if training or running_mean is None:
        return None
    scale = (running_var + eps).rsqrt() * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - running_mean * scale
    return shift.reshape(-1, *[1] * (input.ndim - 2))


def _bias_of_activation(func, input, *args, **kwargs):
    """What an activation gives beyond its slope times its input, at each place."""
    with torch.enable_grad():
        leaf = input.detach().clone().requires_grad_()
        output = func(leaf.clone(), *args, **kwargs)
        (slope,) = torch.autograd.grad(output.sum(), leaf)
    return output.detach() - slope * leaf.detach()


_WITH_BIAS: dict[Callable, Callable] = {
    torch.conv2d: _bias_of_convolution,
    torch.conv_transpose2d: _bias_of_convolution,
    functional.linear: _bias_of_linear,
    functional.batch_norm: _bias_of_batch_norm,
}
_ACTIVATIONS = {
    *(functional.relu6, functional.hardtanh, functional.hardswish, functional.hardsigmoid),
    *(functional.elu, functional.selu, functional.celu, functional.softplus),
    *(functional.gelu, functional.silu, functional.mish),
    *(torch.sigmoid, torch.Tensor.sigmoid, torch.tanh, torch.Tensor.tanh),
    *(torch.clamp, torch.Tensor.clamp),
}
