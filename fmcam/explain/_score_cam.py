"""Score-CAM: each map weighs what the network says of the image seen through it."""

import numbers
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from sklearn.utils import check_scalar

from fmcam._typing import Target
from fmcam.explain._base import Explained
from fmcam.explain._base_cam import BaseCAM
from fmcam.explain._geometry import upsample
from fmcam.explain._recording import run
from fmcam.explain._target import scores_of_changed
from fmcam.explain._together import Batch, min_max

__all__ = ["ScoreCAM"]


class ScoreCAM(BaseCAM):
    r"""Score-CAM [1]_: the maps weighted by the logit of the image seen through each.

    .. math:: w_{ck} = \operatorname{softmax}_k S_c(X \odot H_k), \qquad
        H_k = \operatorname{minmax}(\operatorname{upsample}(A_k))

    The logits of the masked images serve all classes. Each batch of masked images holds at most
    `batch_size` of them; an image needs one forward for each map that is not flat, or for
    `max_channels` of them.

    Parameters
    ----------
    max_channels : int or None, default=None
        How many maps k of an image count: those of the highest standard deviation over its cells,
        as Faster Score-CAM [2]_ chooses them. None: all, as in the paper.

    Notes
    -----
    Raw pixels are masked, so what is hidden turns to 0, black in usual units. The paper's baseline,
    the logit of one fixed image, is the same for all k and cancels in the softmax. Flat maps mask
    nothing and get no weight. The softmax makes the weights depend on the scale of the logits.

    What `max_channels` costs is a matter of the network: with 64 of EfficientNet-Lite0's 1,280
    channels maps correlate with those of all by .998 in the median of ten photographs, but by .88
    on one; with 256 by .996 or more (results/benchmark/score_cam/correlation.csv).

    References
    ----------
    .. [1] Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural
       Networks", CVPR workshops 2020, eq. 7 to 9 and algorithm 1.
    .. [2] tabayashi0117, "Faster Score-CAM", 2020. https://github.com/tabayashi0117/Score-CAM

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import ScoreCAM
    >>> from fmcam.models import LeNet5
    >>> clf = CNNClassifier.from_module(LeNet5())
    >>> ScoreCAM(FrozenEstimator(clf)).transform(np.zeros((2, 28, 28))).shape
    (2, 28, 28)
    """

    def __init__(
        self,
        estimator: Explained,
        *,
        max_channels: int | None = None,
        layer: str | Sequence[str] | None = None,
        layout: str | Callable[[torch.Tensor], torch.Tensor] | None = None,
        target: Target = "logit",
        rectify: bool = True,
        normalize: Literal["minmax"] | None = "minmax",
        upsample: bool = True,
        align: bool = True,
        batch_size: int = 128,
    ) -> None:
        super().__init__(
            estimator,
            layer=layer,
            layout=layout,
            target=target,
            rectify=rectify,
            normalize=normalize,
            upsample=upsample,
            align=align,
            batch_size=batch_size,
        )
        self.max_channels = max_channels

    def raw_map(
        self, batch: Batch, layer: str | Sequence[str] | None, class_indices: torch.Tensor
    ) -> torch.Tensor:
        """The weighted sum; zeros where all maps are flat."""
        key = ScoreCAM, layer, self.align, self.max_channels
        outputs, chosen = batch.once(key, lambda: self._masked_outputs(batch, layer))
        found = scores_of_changed(outputs, class_indices, self.target).masked_fill(
            ~chosen, -torch.inf
        )
        weights = found.softmax(dim=1).nan_to_num(0)
        activations = batch.recording.activations[layer]
        return torch.einsum("nkhw,nk->nhw", activations, weights.to(activations))

    def _masked_outputs(self, batch, layer):
        """Outputs (n, k, n_classes) of the images seen through each map that is not flat."""
        activations = batch.recording.activations[layer]
        size, grid = batch.images.shape[2:], self.grid_of(batch, layer)

        def see_through(image, k):
            masks = min_max(upsample(activations[image, k], size, grid))
            return batch.images[image] * masks[:, None]

        chosen = (min_max(activations).amax(dim=(2, 3)) > 0) & self._among_strongest(activations)
        outputs = batch.recording.outputs[:, None].repeat(1, chosen.shape[1], 1)
        pairs = chosen.nonzero()
        for start in range(0, len(pairs), self.batch_size):
            image, k = pairs[start : start + self.batch_size].T
            outputs[image, k] = run(batch.clf, see_through(image, k))
        return outputs, chosen

    def _among_strongest(self, activations):
        """Which maps (n, k) count, of activations (n, k, h, w)."""
        n_channels = activations.shape[1]
        if self.max_channels is None:
            return activations.new_ones(activations.shape[:2], dtype=torch.bool)
        check_scalar(self.max_channels, "max_channels", numbers.Integral, min_val=1)
        spread = activations.flatten(2).std(dim=2, correction=0)
        strongest = spread.topk(min(self.max_channels, n_channels)).indices
        return torch.zeros_like(spread, dtype=torch.bool).scatter(1, strongest, True)
