"""Guided backpropagation: gradients by the pixels that pass ReLUs only where they are positive."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from fmcam._docstrings import documented_like
from fmcam._memory_format import memory_format_of
from fmcam._typing import FilePath, Images, Target
from fmcam.classifiers import CNNClassifier
from fmcam.explain._base import BaseExplainer, Explained
from fmcam.explain._cam import GradCAM
from fmcam.explain._layout import Layout
from fmcam.explain._survey import undisturbed
from fmcam.explain._target import scores
from fmcam.explain._together import Batch, explain_together

__all__ = ["BaseAttribution", "GuidedBackprop", "GuidedGradCAM"]


class BaseAttribution(BaseExplainer):
    """Signed values of all pixels in all channels; a kind writes `attributions_of_batch`.

    The heatmap is the largest magnitude over the channels.
    """

    def attribute(
        self, X: Images, y: ArrayLike | None = None, *, out: FilePath | None = None
    ) -> NDArray[np.float32]:
        """Signed attributions of the pixels.

        Parameters
        ----------
        X : array-like, tensor, Dataset or DataLoader
            Images as in `explain`.
        y : array-like of shape (n,) or (n, k), default=None
            Labels of the classes to explain, one or k for each image. None: the predicted class.
        out : path, default=None
            A .npy file to write the attributions to, for more of them than memory holds.

        Returns
        -------
        ndarray of shape (n, c, h, w) or (n, k, c, h, w), float32
            In units of the logit for each unit of the raw image.
        """
        signed = SimpleNamespace(
            estimator=self.estimator,
            classifier_=self.classifier_,
            target=self.target,
            normalize=None,
            batch_size=self.batch_size,
            layers_for=self.layers_for,
            maps_of_batch=self.attributions_of_batch,
        )
        return explain_together({"signed": signed}, X, y, out={"signed": out})["signed"]

    def maps_of_batch(self, batch: Batch, class_indices: torch.Tensor) -> torch.Tensor:
        """The largest magnitude over the channels."""
        return self.attributions_of_batch(batch, class_indices).abs().amax(dim=1)

    @abstractmethod
    def attributions_of_batch(self, batch: Batch, class_indices: torch.Tensor) -> torch.Tensor:
        """Signed values of all pixels for one class of each image of a batch.

        Parameters
        ----------
        batch : Batch
            Images and what the network makes of them.
        class_indices : tensor of shape (n,), int64
            The class to explain for each image.

        Returns
        -------
        tensor of shape (n, c, h, w)
        """


@documented_like(GradCAM)
class GuidedBackprop(BaseAttribution):
    r"""Guided backpropagation [1]_: a logit's gradient that no ReLU passes where it is negative.

    The backward pass of each ReLU that reads x and gets the gradient g gives

    .. math:: \operatorname{ReLU}(g) \cdot [x > 0]

    It finds ReLUs however the network spells them, as a module, a function or a method, in place or
    not. Other activations keep their own gradient, also ReLU6 and ``clamp``.

    Notes
    -----
    Such maps mostly show edges of the image, and change little where the weights of the last
    layers are random [2]_.

    References
    ----------
    .. [1] Springenberg et al., "Striving for Simplicity: The All Convolutional Net", ICLR 2015
       workshop, section 3.4.
    .. [2] Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import GuidedBackprop
    >>> from fmcam.models import LeNet5
    >>> guided = GuidedBackprop(FrozenEstimator(CNNClassifier.from_module(LeNet5(in_channels=3))))
    >>> X = np.zeros((2, 3, 28, 28))
    >>> guided.transform(X).shape, guided.attribute(X, y=[3, 9]).shape
    ((2, 28, 28), (2, 3, 28, 28))
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

    def attributions_of_batch(self, batch: Batch, class_indices: torch.Tensor) -> torch.Tensor:
        """The guided gradient by the raw images."""
        return _guided_gradient(batch, class_indices, self.target)


@documented_like(GradCAM)
class GuidedGradCAM(BaseAttribution):
    """Guided Grad-CAM [1]_: the guided gradient times the upsampled Grad-CAM map.

    See Also
    --------
    GuidedBackprop : The first factor, and which ReLUs it finds.

    References
    ----------
    .. [1] Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
       Localization", ICCV 2017, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import GuidedGradCAM
    >>> from fmcam.models import LeNet5
    >>> guided = GuidedGradCAM(FrozenEstimator(CNNClassifier.from_module(LeNet5())))
    >>> guided.transform(np.zeros((2, 28, 28))).shape
    (2, 28, 28)
    """

    def __init__(
        self,
        estimator: Explained,
        *,
        layer: str | Sequence[str] | None = None,
        layout: str | Callable[[torch.Tensor], torch.Tensor] | None = None,
        target: Target = "logit",
        normalize: Literal["minmax"] | None = "minmax",
        align: bool = True,
        batch_size: int = 128,
    ) -> None:
        super().__init__(estimator, normalize=normalize, batch_size=batch_size)
        self.layer = layer
        self.layout = layout
        self.target = target
        self.align = align

    def layers_for(self, clf: CNNClassifier, images: torch.Tensor) -> dict[str, Layout]:
        """The layers of Grad-CAM."""
        return self._grad_cam.layers_for(clf, images)

    def attributions_of_batch(self, batch: Batch, class_indices: torch.Tensor) -> torch.Tensor:
        """The product of both."""
        cam = self._grad_cam.maps_of_batch(batch, class_indices)
        return _guided_gradient(batch, class_indices, self.target) * cam[:, None]

    @property
    def _grad_cam(self):
        cells: dict[str, Any] = {"layer": self.layer, "layout": self.layout, "align": self.align}
        return GradCAM(self.estimator, target=self.target, **cells)


def _guided_gradient(batch, class_indices, target):
    recording = batch.once(GuidedRecording, lambda: GuidedRecording(batch.clf, batch.images))
    return recording.gradient(class_indices, target)


class GuidedRecording:
    """One forward whose gradients by the raw pixels are guided: ReLUs pass positive ones only.

    Parameters
    ----------
    clf : CNNClassifier
        Fitted. Its network is left as it was.
    images : tensor of shape (n, c, h, w)

    Raises
    ------
    ValueError
        If the network runs no ReLU.
    """

    def __init__(self, clf, images):
        layout = memory_format_of(clf.module_, images)
        pixels = images.detach().to(torch.float32, copy=True, memory_format=layout)
        self._pixels = pixels.requires_grad_()
        with undisturbed(clf), torch.enable_grad(), _GuideReLUs() as relus:
            self._outputs = clf.raw_outputs(self._pixels)
        if not relus.n_found:
            raise ValueError(
                "Guided backpropagation changes ReLUs only, and "
                f"{type(clf.module_.net).__name__} runs none. Use GradCAM."
            )
        self._key, self._gradient = None, None

    def gradient(self, class_indices, target):
        """Guided gradient of the score of each image, (n,) int64 -> (n, c, h, w) float32."""
        if self._key is None or self._key[0] is not class_indices or self._key[1] is not target:
            with torch.enable_grad():
                score = scores(self._outputs, class_indices, target).sum()
            (self._gradient,) = torch.autograd.grad(score, self._pixels, retain_graph=True)
            self._key = class_indices, target
        return self._gradient


class _GuideReLUs(TorchFunctionMode):
    """Every ReLU that runs gets the guided backward pass; modules stay as they are."""

    def __init__(self):
        super().__init__()
        self.n_found = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func not in _RELUS:
            return func(*args, **kwargs)
        self.n_found += 1
        return _RELUS[func](*args, **kwargs)


class _GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input > 0)
        return input.relu()

    @staticmethod
    def backward(ctx, gradient):
        (positive,) = ctx.saved_tensors
        return gradient.relu() * positive


def _relu(input, inplace=False):
    output = _GuidedReLU.apply(input)
    return input.copy_(output) if inplace else output


def _relu_(input):
    return _relu(input, inplace=True)


_RELUS = {
    functional.relu: _relu,
    torch.relu: _relu,
    torch.Tensor.relu: _relu,
    torch.relu_: _relu_,
    torch.Tensor.relu_: _relu_,
}
