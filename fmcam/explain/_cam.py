"""Class activation maps: sums of a layer's maps, weighted by what they mean for a class."""

from collections.abc import Sequence

import torch

from fmcam.explain._base_cam import BaseCAM, BaseGradientCAM
from fmcam.explain._together import Batch

__all__ = ["CAM", "EigenCAM", "GradCAM", "GradCAMPlusPlus", "HiResCAM", "LayerCAM", "XGradCAM"]


class CAM(BaseCAM):
    r"""Class activation mapping [1]_: the maps weighted by the class's row of the linear head.

    .. math:: M_c = \sum_k w_{ck} A_k

    It needs a network that ends in a global average pooling and a linear layer, and there equals
    Grad-CAM, HiResCAM and XGrad-CAM; for another network use :class:`GradCAM`.

    References
    ----------
    .. [1] Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016, eq. 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import CAM
    >>> from fmcam.models import CNN_CAM
    >>> clf = CNNClassifier.from_module(CNN_CAM())
    >>> CAM(FrozenEstimator(clf)).transform(np.zeros((2, 32, 32))).shape
    (2, 32, 32)
    """

    def raw_map(
        self, batch: Batch, layer: str | Sequence[str] | None, class_indices: torch.Tensor
    ) -> torch.Tensor:
        """The weighted sum; ValueError where the head is not a linear layer of averages."""
        if self.target != "logit":
            raise ValueError(f"CAM explains a logit, got the target {self.target!r}. Use GradCAM.")
        weights = batch.recording.head_weights(layer)
        if weights is None:
            raise ValueError(
                f"CAM needs logits that are a linear layer of each map's mean in {layer!r}; those "
                f"of {type(batch.clf.module_.net).__name__} are not. Use GradCAM."
            )
        activations = batch.recording.activations[layer]
        return torch.einsum("nkhw,nk->nhw", activations, weights[class_indices])


class GradCAM(BaseGradientCAM):
    r"""Grad-CAM [1]_: the maps weighted by their mean gradients.

    .. math:: M_c = \sum_k \alpha_{ck} A_k, \qquad \alpha_{ck} = \operatorname{mean}_{ij} G_{kij}

    References
    ----------
    .. [1] Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
       Localization", ICCV 2017, eq. 1 and 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import GradCAM
    >>> from fmcam.models import LeNet5
    >>> clf = CNNClassifier.from_module(LeNet5())
    >>> GradCAM(FrozenEstimator(clf)).explain(np.zeros((2, 28, 28)), y=[3, 9]).shape
    (2, 28, 28)
    """

    def combine(self, activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        """Equations 1 and 2, the ReLU left to the caller."""
        return torch.einsum("nkhw,nk->nhw", activations, gradients.mean(dim=(2, 3)))


class GradCAMPlusPlus(BaseGradientCAM):
    r"""Grad-CAM++ [1]_: the maps weighted by their positive gradients, cell by cell.

    .. math:: w_{ck} = \sum_{ij} \frac{\operatorname{ReLU}(G_{kij})}
              {2 + \operatorname{ReLU}(G_{kij}) \sum_{ab} \operatorname{ReLU}(A_{kab})}

    Notes
    -----
    Equation 19 divided by the squared gradient, which needs no small constant. The sum over A is
    that of the positive parts of its cells, so the denominator is at least 2 also in layers without
    a ReLU; where A is what a ReLU gives it is the paper's.
    The weights are not proportional to the logit's scale, since the paper derives the
    exponential of the logit.

    References
    ----------
    .. [1] Chattopadhay et al., "Grad-CAM++: Generalized Gradient-Based Visual Explanations for
       Deep Convolutional Networks", WACV 2018, eq. 19.

    Examples
    --------
    >>> import torch
    >>> from fmcam.explain import GradCAMPlusPlus
    >>> A = torch.tensor([[[[1.0, 3.0]]]])
    >>> GradCAMPlusPlus(None).combine(A, torch.tensor([[[[0.5, -1.0]]]]))  # weight 0.5 / 4
    tensor([[[0.1250, 0.3750]]])
    """

    def combine(self, activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        """The weighted sum, the ReLU left to the caller."""
        total = activations.relu().sum(dim=(2, 3), keepdim=True)
        positive = gradients.relu()
        weights = (positive / (2 + positive * total)).sum(dim=(2, 3))
        return torch.einsum("nkhw,nk->nhw", activations, weights)


class HiResCAM(BaseGradientCAM):
    r"""HiResCAM [1]_: gradients times maps, cell by cell.

    .. math:: M_c = \sum_k G_k \odot A_k

    Where the rest of the network is one linear layer of the flattened maps, the values of a map
    sum to the logit, up to the bias.

    References
    ----------
    .. [1] Draelos and Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of
       convolutional neural networks", 2020, eq. 3.

    Examples
    --------
    >>> import torch
    >>> from fmcam.explain import HiResCAM
    >>> A = torch.tensor([[[[1.0, 3.0]]]])
    >>> HiResCAM(None).combine(A, torch.tensor([[[[0.5, -1.0]]]]))
    tensor([[[ 0.5000, -3.0000]]])
    """

    def combine(self, activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        """The sum of products, the ReLU left to the caller."""
        return torch.einsum("nkhw,nkhw->nhw", activations, gradients)


class XGradCAM(BaseGradientCAM):
    r"""XGrad-CAM [1]_: the maps weighted by their gradients, averaged by activation.

    .. math:: w_{ck} = \frac{\sum_{ij} G_{kij} A_{kij}}{\sum_{ij} A_{kij}}

    A map that sums to zero gets no weight.

    References
    ----------
    .. [1] Fu et al., "Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of
       CNNs", BMVC 2020, eq. 8.

    Examples
    --------
    >>> import torch
    >>> from fmcam.explain import XGradCAM
    >>> A = torch.tensor([[[[1.0, 3.0]]]])
    >>> XGradCAM(None).combine(A, torch.tensor([[[[5.0, -1.0]]]]))  # weight (5 - 3) / 4
    tensor([[[0.5000, 1.5000]]])
    """

    def combine(self, activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        """The weighted sum, the ReLU left to the caller."""
        total = activations.sum(dim=(2, 3))
        product = torch.einsum("nkhw,nkhw->nk", activations, gradients)
        weights = torch.where(total == 0, 0, product / torch.where(total == 0, 1, total))
        return torch.einsum("nkhw,nk->nhw", activations, weights)


class LayerCAM(BaseGradientCAM):
    r"""LayerCAM [1]_: positive gradients times maps, cell by cell; made for early layers too.

    .. math:: M_c = \sum_k \operatorname{ReLU}(G_k) \odot A_k

    References
    ----------
    .. [1] Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for
       Localization", IEEE TIP 2021, eq. 5 and 6.

    Examples
    --------
    >>> import torch
    >>> from fmcam.explain import LayerCAM
    >>> A = torch.tensor([[[[1.0, 3.0]]]])
    >>> LayerCAM(None).combine(A, torch.tensor([[[[0.5, -1.0]]]]))
    tensor([[[0.5000, 0.0000]]])
    """

    def combine(self, activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        """The sum of products, the ReLU left to the caller."""
        return torch.einsum("nkhw,nkhw->nhw", activations, gradients.relu())


class EigenCAM(BaseCAM):
    r"""Eigen-CAM [1]_: the maps projected on their first principal direction, class or no class.

    .. math:: M = A v_1, \qquad A \in \mathbb{R}^{h'w' \times k}, \quad A = U \Sigma V^\top

    Notes
    -----
    A singular vector has no sign; here the map's sum is positive, so it follows the activations
    and never shows the background instead of the object.

    References
    ----------
    .. [1] Muhammad and Yeasin, "Eigen-CAM: Class Activation Map using Principal Components",
       IJCNN 2020, section III.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import EigenCAM
    >>> from fmcam.models import LeNet5
    >>> clf = CNNClassifier.from_module(LeNet5())
    >>> EigenCAM(FrozenEstimator(clf), upsample=False).transform(np.zeros((2, 28, 28))).shape
    (2, 5, 5)
    """

    def raw_map(
        self, batch: Batch, layer: str | Sequence[str] | None, class_indices: torch.Tensor
    ) -> torch.Tensor:
        """The projection, its sum made positive."""
        if self.target != "logit":
            raise ValueError(
                f"Eigen-CAM explains no output, got the target {self.target!r}. Use EigenGradCAM."
            )
        maps = batch.recording.activations[layer]
        cells = maps.flatten(2)  # (n, k, h' * w')
        if cells.shape[1] <= cells.shape[2]:
            direction = torch.linalg.eigh(cells @ cells.mT).eigenvectors[:, :, -1:]
            projected = (cells.mT @ direction)[:, :, 0]
        else:
            values, vectors = torch.linalg.eigh(cells.mT @ cells)
            projected = vectors[:, :, -1] * values[:, -1:].clamp(min=0).sqrt()
        sign = torch.where(projected.sum(dim=1, keepdim=True) < 0, -1, 1)
        return (sign * projected).unflatten(1, maps.shape[2:])
