"""Smoother maps: the mean over noisy and mirrored copies of each image."""

from typing import Any, Literal

import numpy as np
import torch
from sklearn.utils import check_random_state

from fmcam._typing import RandomState
from fmcam.classifiers import CNNClassifier
from fmcam.explain._base import BaseExplainer
from fmcam.explain._layout import Layout
from fmcam.explain._together import Batch

__all__ = ["SmoothedExplainer"]


class SmoothedExplainer(BaseExplainer):
    r"""The mean of another explainer's maps over noisy and mirrored copies of an image [1]_.

    .. math:: \bar M_c(x) = \frac{1}{n} \sum_{i=1}^{n} M_c(x + \epsilon_i),
        \qquad \epsilon_i \sim \mathcal{N}(0, \sigma^2), \quad
        \sigma = \text{noise} \cdot (\max x - \min x)

    The class is that of the image itself, and the noise patterns are the same for all images, so a
    map does not depend on what else is explained.

    Parameters
    ----------
    explainer : explainer
        Any of :mod:`fmcam.explain`; its raw maps are averaged.
    n_samples : int, default=8
        Noisy copies of an image.
    noise : float, default=0.1
        Standard deviation as a share of the image's range.
    flip : bool, default=False
        Explain the mirrored copies as well and mirror their maps back.
    random_state : int, RandomState or None, default=None
        Draws the noise.

    References
    ----------
    .. [1] Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import GradCAM, SmoothedExplainer
    >>> from fmcam.models import LeNet5
    >>> clf = FrozenEstimator(CNNClassifier.from_module(LeNet5()))
    >>> mirrored = SmoothedExplainer(GradCAM(clf), n_samples=1, noise=0, flip=True)
    >>> mirrored.transform(np.zeros((2, 28, 28))).shape
    (2, 28, 28)
    """

    def __init__(
        self,
        explainer: BaseExplainer,
        *,
        n_samples: int = 8,
        noise: float = 0.1,
        flip: bool = False,
        normalize: Literal["minmax"] | None = "minmax",
        batch_size: int = 128,
        random_state: RandomState = None,
    ) -> None:
        self.explainer = explainer
        self.n_samples = n_samples
        self.noise = noise
        self.flip = flip
        self.normalize = normalize
        self.batch_size = batch_size
        self.random_state = random_state

    @property
    def estimator(self) -> Any:
        """The classifier of the explainer."""
        return self.explainer.estimator

    @property
    def target(self) -> Any:
        """The target of the explainer, if it takes one."""
        return getattr(self.explainer, "target", "logit")

    @property
    def layout(self) -> Any:
        """The layout that the explainer is given, if it takes one."""
        return getattr(self.explainer, "layout", None)

    @property
    def signed(self) -> bool:
        """Whether the explainer's maps have negative values."""
        return self.explainer.signed

    def layers_for(self, clf: CNNClassifier, images: torch.Tensor) -> dict[str, Layout]:
        """The layers of the explainer."""
        return self.explainer.layers_for(clf, images)

    def maps_of_batch(self, batch: Batch, class_indices: torch.Tensor) -> torch.Tensor:
        """The mean of the explainer's maps."""
        if self.n_samples < 1 or self.noise < 0:
            raise ValueError(
                "`n_samples` must be at least 1 and `noise` not negative, got "
                f"{self.n_samples!r} and {self.noise!r}."
            )
        maps = [
            self.explainer.maps_of_batch(Batch(batch.clf, images, batch.layers), class_indices)
            for images in self._noisy(batch.images)
        ]
        if self.flip:
            maps += [
                self.explainer.maps_of_batch(
                    Batch(batch.clf, images.flip(-1), batch.layers), class_indices
                ).flip(-1)
                for images in self._noisy(batch.images)
            ]
        return torch.stack(maps).mean(dim=0)

    def _noisy(self, images):
        patterns = check_random_state(self.random_state).normal(
            scale=self.noise, size=(self.n_samples, *images.shape[1:])
        )
        images = images.float()
        span = images.amax(dim=(1, 2, 3), keepdim=True) - images.amin(dim=(1, 2, 3), keepdim=True)
        for pattern in torch.as_tensor(patterns.astype(np.float32), device=images.device):
            yield images + span * pattern
