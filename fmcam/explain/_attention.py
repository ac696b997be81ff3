"""Heatmaps from the attention of transformers."""

from abc import abstractmethod
from typing import Literal

import torch

from fmcam._typing import Target
from fmcam.explain._attention_maps import AttentionRecording, token_grid
from fmcam.explain._base import BaseExplainer, Explained
from fmcam.explain._geometry import half_pixel_grid, upsample
from fmcam.explain._together import Batch

__all__ = ["AttentionRollout", "LeGrad"]


class BaseAttention(BaseExplainer):
    """Maps from what the tokens of a transformer attend to; a kind writes `relevance`.

    All tokens must attend to all, on one grid, in every layer, as in ViT and DeiT; Swin and
    convolutional networks are refused. Class, distillation and register tokens may be there; which
    tokens are patches, and which the logits are read from, is found by trial.

    Parameters
    ----------
    upsample : bool, default=True
        Bilinear to the size of the images. False: one value for each patch.
    """

    def __init__(
        self,
        estimator: Explained,
        *,
        normalize: Literal["minmax"] | None = "minmax",
        upsample: bool = True,
        batch_size: int = 128,
    ) -> None:
        super().__init__(estimator, normalize=normalize, batch_size=batch_size)
        self.upsample = upsample

    def maps_of_batch(self, batch: Batch, class_indices: torch.Tensor) -> torch.Tensor:
        """The relevance of the patches, upsampled."""
        tokens = token_grid(batch.clf, batch.images)
        recording = batch.once(
            AttentionRecording, lambda: AttentionRecording(batch.clf, batch.images)
        )
        maps = tokens.maps_of(self.relevance(recording, class_indices, tokens.read))
        if not self.upsample:
            return maps
        size = batch.images.shape[2:]
        return upsample(maps, size, half_pixel_grid(size, tokens.size))

    @abstractmethod
    def relevance(
        self, recording: AttentionRecording, class_indices: torch.Tensor, read: torch.Tensor
    ) -> torch.Tensor:
        """How much each token means, (n, t), not negative.

        Parameters
        ----------
        recording : AttentionRecording
            What the tokens attend to.
        class_indices : tensor of shape (n,), int64
            The logit to explain for each image.
        read : tensor of int64
            The rows of the last attention that the logits are read from.

        Returns
        -------
        tensor of shape (n, t)
        """


class AttentionRollout(BaseAttention):
    r"""Attention rollout [1]_: how much of each patch arrives where the class is read.

    .. math:: R = \hat A_L \cdots \hat A_2 \hat A_1, \qquad
        \hat A_l = \tfrac{1}{2} \operatorname{mean}_h A_{lh} + \tfrac{1}{2} I

    :math:`A_{lh}` is the attention of head h in layer l, the identity stands for the residual
    connection. The map is the row of R that the logits are read from, the class token's, or the
    mean of the rows where they are several. It is the same for all classes.

    Notes
    -----
    A last attention that pools the tokens into others has no residual connection and multiplies as
    it is.

    References
    ----------
    .. [1] Abnar and Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020, section 3.
       https://arxiv.org/abs/2005.00928

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sklearn.frozen import FrozenEstimator
    >>> from torchvision.models import VisionTransformer
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import AttentionRollout
    >>> net = VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=3)
    >>> _ = torch.nn.init.eye_(net.heads[0].weight)  # torchvision begins with zeros
    >>> rollout = AttentionRollout(FrozenEstimator(CNNClassifier.from_module(net)))
    >>> rollout.transform(np.zeros((2, 3, 32, 32))).shape
    (2, 32, 32)
    """

    def relevance(
        self, recording: AttentionRecording, class_indices: torch.Tensor, read: torch.Tensor
    ) -> torch.Tensor:
        """The product over the layers, the rows that are read averaged."""
        first, *others = [_with_residual(one.mean(dim=1)) for one in recording.attention]
        flow = first
        for attention in others:
            flow = attention @ flow
        return flow[:, read].mean(dim=1)


def _with_residual(attention):
    n_queries, n_tokens = attention.shape[1:]
    if n_queries != n_tokens:
        return attention
    return (attention + torch.eye(n_tokens).to(attention)) / 2


class LeGrad(BaseAttention):
    r"""LeGrad [1]_: the positive gradients of a logit by the attention, over all layers.

    .. math:: M_c = \frac{1}{L} \sum_l \operatorname{mean}_{hi}
        \operatorname{ReLU}\left(\frac{\partial S_c}{\partial A_{lhi\cdot}}\right)

    :math:`A_{lhi\cdot}` is what token i attends to, in head h of layer l. In each layer the
    gradients are averaged over heads and tokens that look; the map is that of the patches.

    Parameters
    ----------
    target : "logit" or callable, default="logit"
        The number :math:`S_c` to explain: the output of the class, or
        ``target(outputs, class_indices)``, of shape (n,), from the outputs of shape (n, k) and the
        class indices of shape (n,).

    Notes
    -----
    For layer l the paper takes the score of the tokens after that layer, read by the head of the
    network. Here :math:`S_c` is the network's own logit for all layers: the head of a classifier
    was trained on the last tokens only. A last attention that pools the tokens counts as a layer.

    References
    ----------
    .. [1] Bousselham et al., "LeGrad: An Explainability Method for Vision Transformers via Feature
       Formation Sensitivity", ICCV 2025, section 3. https://arxiv.org/abs/2404.03214

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sklearn.frozen import FrozenEstimator
    >>> from torchvision.models import VisionTransformer
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import LeGrad
    >>> net = VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=3)
    >>> _ = torch.nn.init.eye_(net.heads[0].weight)  # torchvision begins with zeros
    >>> legrad = LeGrad(FrozenEstimator(CNNClassifier.from_module(net)), upsample=False)
    >>> legrad.explain(np.zeros((2, 3, 32, 32)), y=[0, 2]).shape
    (2, 4, 4)
    """

    def __init__(
        self,
        estimator: Explained,
        *,
        target: Target = "logit",
        normalize: Literal["minmax"] | None = "minmax",
        upsample: bool = True,
        batch_size: int = 128,
    ) -> None:
        super().__init__(estimator, normalize=normalize, upsample=upsample, batch_size=batch_size)
        self.target = target

    def relevance(
        self, recording: AttentionRecording, class_indices: torch.Tensor, read: torch.Tensor
    ) -> torch.Tensor:
        """The mean over layers, heads and queries of the positive gradients."""
        gradients = recording.gradients(class_indices, self.target)
        layers = [one.relu().mean(dim=(1, 2)) for one in gradients]
        return torch.stack(layers).mean(dim=0)
