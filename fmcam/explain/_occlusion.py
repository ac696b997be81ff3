"""Occlusion: how far the logit falls where a patch is hidden."""

import math
import numbers
from typing import Literal

import torch

from fmcam._typing import Target
from fmcam.explain._base import BaseExplainer, Explained
from fmcam.explain._recording import run
from fmcam.explain._target import falls
from fmcam.explain._together import Batch

__all__ = ["Occlusion"]


class Occlusion(BaseExplainer):
    r"""Occlusion [1]_: how far the logit falls where a patch is hidden.

    A square patch slides over the image. The value of a pixel is the mean fall of the logit over
    the patches that cover it, or 0 where the logit rises. The logits serve all classes.

    Parameters
    ----------
    size : int or None, default=None
        Pixels on a side of the patch. None: an eighth of the shorter side of the image.
    stride : int or None, default=None
        Pixels from one patch to the next, at most `size`. None: half of `size`. An image needs one
        forward for each patch: 225 with the defaults, if it is a square of whole patches.
    target : "logit" or callable, default="logit"
        The number that falls: the output of the class, or ``target(outputs, class_indices)``, of
        shape (n,), from the outputs of shape (n, k) and the class indices of shape (n,).
    batch_size : int, default=128
        Also the number of images with a patch that run at once.

    Notes
    -----
    A patch is filled with the mean colour of the training images, which is 0 once standardized; of
    a network taken by ``from_module``, which gets its images standardized, with 0.

    References
    ----------
    .. [1] Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014,
       section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import Occlusion
    >>> from fmcam.models import LeNet5
    >>> clf = CNNClassifier.from_module(LeNet5())
    >>> Occlusion(FrozenEstimator(clf), size=7, stride=7).transform(np.zeros((2, 28, 28))).shape
    (2, 28, 28)
    """

    def __init__(
        self,
        estimator: Explained,
        *,
        size: int | None = None,
        stride: int | None = None,
        target: Target = "logit",
        normalize: Literal["minmax"] | None = "minmax",
        batch_size: int = 128,
    ) -> None:
        super().__init__(estimator, normalize=normalize, batch_size=batch_size)
        self.size = size
        self.stride = stride
        self.target = target

    def maps_of_batch(self, batch: Batch, class_indices: torch.Tensor) -> torch.Tensor:
        """The mean fall over the patches that cover each pixel, its negative part cut off."""
        height, width = batch.images.shape[2:]
        size, stride = self._patches(height, width)
        rows = _windows(height, size, stride).to(batch.images.device)
        cols = _windows(width, size, stride).to(batch.images.device)
        key = Occlusion, size, stride
        outputs = batch.once(key, lambda: self._hidden_outputs(batch, rows, cols))
        fallen = falls(batch.recording.outputs, outputs, class_indices, self.target)
        sums = rows.T @ fallen.to(rows).unflatten(1, (len(rows), len(cols))) @ cols
        return (sums / torch.outer(rows.sum(dim=0), cols.sum(dim=0))).relu()

    def _patches(self, height, width):
        side = min(height, width)
        size = math.ceil(side / 8) if self.size is None else self.size
        stride = math.ceil(size / 2) if self.stride is None else self.stride
        if not all(isinstance(length, numbers.Integral) for length in (size, stride)):
            raise ValueError(
                f"`size` and `stride` must be whole numbers of pixels, got {size!r} and {stride!r}."
            )
        if not 1 <= size <= side:
            raise ValueError(
                f"`size` must be in 1..{side} for images of {height}x{width} pixels, got {size}."
            )
        if not 1 <= stride <= size:
            raise ValueError(
                f"`stride` must be in 1..{size}, the size of a patch, or patches would leave "
                f"gaps; got {stride}."
            )
        return size, stride

    def _hidden_outputs(self, batch, rows, cols):
        """Outputs (n, patches, n_classes) of the images with each patch hidden."""
        fill = batch.clf.module_.standardize.mean
        n_patches = len(rows) * len(cols)
        parts = []
        for pairs in torch.arange(len(batch.images) * n_patches).split(self.batch_size):
            patch = pairs % n_patches
            hidden = rows[patch // len(cols), :, None] * cols[patch % len(cols), None, :]
            images = batch.images[pairs // n_patches].float()
            parts.append(run(batch.clf, torch.where(hidden[:, None] > 0, fill, images)))
        return torch.cat(parts).unflatten(0, (len(batch.images), n_patches))


def _windows(length, size, stride):
    """One row a window: 1 at the pixels it covers, 0 elsewhere; the last one ends at the border."""
    starts = torch.tensor([*range(0, length - size, stride), length - size])[:, None]
    pixels = torch.arange(length)
    return ((pixels >= starts) & (pixels < starts + size)).float()
