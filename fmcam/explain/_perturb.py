"""Explainers that change something and watch the logit: no gradients."""

import contextlib
import math
import numbers
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from sklearn.utils import check_scalar
from torch.nn import functional

from fmcam._network_state import hooked
from fmcam._typing import Target
from fmcam.explain._base import BaseExplainer, Explained
from fmcam.explain._base_cam import BaseCAM
from fmcam.explain._geometry import upsample
from fmcam.explain._layout import first_tensor
from fmcam.explain._recording import run, with_first
from fmcam.explain._target import scores, scores_of_changed
from fmcam.explain._together import Batch, min_max

__all__ = ["AblationCAM", "Occlusion", "ScoreCAM"]


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


class AblationCAM(BaseCAM):
    r"""Ablation-CAM [1]_: the maps weighted by how far the logit falls without each.

    .. math:: w_{ck} = S_c(A) - S_c(A \text{ with } A_k = 0)

    Where the logits are a linear layer of the averaged maps this is a product, and nothing runs.
    Elsewhere the network runs on one image up to the layer and from there on at most `batch_size`
    copies of its maps, each without one, so its first part costs next to nothing. Where the rest of
    the network joins maps from before the layer that do not broadcast, copies of the image run.
    The logits serve all classes, and maps that are zero are not ablated.

    Notes
    -----
    The paper divides by the logit. That is the same for all k, so it only scales the map, and where
    the logit is negative it would turn the map's sign.

    References
    ----------
    .. [1] Desai and Ramaswamy, "Ablation-CAM: Visual Explanations for Deep Convolutional Network
       via Gradient-free Localization", WACV 2020, eq. 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import AblationCAM
    >>> from fmcam.models import LeNet5
    >>> clf = CNNClassifier.from_module(LeNet5())
    >>> AblationCAM(FrozenEstimator(clf)).transform(np.zeros((2, 28, 28))).shape
    (2, 28, 28)
    """

    def raw_map(
        self, batch: Batch, layer: str | Sequence[str] | None, class_indices: torch.Tensor
    ) -> torch.Tensor:
        """The weighted sum, the ReLU left to the caller."""
        activations = batch.recording.activations[layer]
        head = batch.recording.head_weights(layer)
        if head is not None and self.target == "logit":
            weights = head[class_indices] * activations.mean(dim=(2, 3))
        else:
            key = AblationCAM, layer
            outputs = batch.once(key, lambda: self._ablated_outputs(batch, layer))
            weights = _falls(batch, outputs, class_indices, self.target)
        return torch.einsum("nkhw,nk->nhw", activations, weights.to(activations))

    def _ablated_outputs(self, batch, layer):
        """Outputs (n, k, n_classes) of the images without each map."""
        maps = batch.recording.activations[layer]
        outputs = batch.recording.outputs[:, None].repeat(1, maps.shape[1], 1)
        for row, image in enumerate(batch.images.split(1)):
            for chosen in maps[row].flatten(1).any(dim=1).nonzero()[:, 0].split(self.batch_size):
                if len(chosen):
                    outputs[row, chosen] = _run_without(batch, layer, image, chosen)
        return outputs


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
        falls = _falls(batch, outputs, class_indices, self.target).to(rows)
        sums = rows.T @ falls.unflatten(1, (len(rows), len(cols))) @ cols
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


def _falls(batch, outputs, class_indices, target):
    """How far the score of each image falls in each of m copies, (n, m), from outputs (n, m, k)."""
    intact = scores(batch.recording.outputs, class_indices, target)
    return intact[:, None] - scores_of_changed(outputs, class_indices, target)


def _run_without(batch, layer, image, chosen):
    """Outputs (m, n_classes) of one image without each of m maps of a layer."""
    clf, layout = batch.clf, batch.layers[layer]

    def ablate(module, args, output):
        tensor = first_tensor(output)
        kept = _all_but(layout, tensor, chosen)
        return with_first(output, tensor * kept)

    with hooked(clf.module_.net, {layer: ablate}):
        with contextlib.suppress(ValueError):  # one map from before the layer meets m behind it
            return run(clf, image, n_copies=len(chosen))  # the hook makes them of one image
        return run(clf, image.expand(len(chosen), -1, -1, -1))


@torch.enable_grad()
def _all_but(layout, output, chosen):
    """Zeros at the cells of map `chosen[i]` in row i of a layer's output, ones elsewhere.

    A layout selects and reorders, so its transpose, which is its gradient, puts maps back.
    """
    zeros = output.new_zeros(len(chosen), *output.shape[1:]).requires_grad_()
    maps = layout.maps(zeros)
    one = functional.one_hot(chosen, maps.shape[1])[:, :, None, None].to(maps)
    (away,) = torch.autograd.grad(maps, zeros, one.expand_as(maps))
    return 1 - away
