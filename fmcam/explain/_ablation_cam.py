"""Ablation-CAM: each map weighs as much as the logit falls without it."""

import contextlib
from collections.abc import Sequence

import torch
from torch.nn import functional

from fmcam._network_state import hooked
from fmcam.explain._base_cam import BaseCAM
from fmcam.explain._layout import first_tensor
from fmcam.explain._recording import run, with_first
from fmcam.explain._target import falls
from fmcam.explain._together import Batch

__all__ = ["AblationCAM"]


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
            weights = falls(batch.recording.outputs, outputs, class_indices, self.target)
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
