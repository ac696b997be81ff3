"""Variants of Grad-CAM: of the gradient's main direction, its change, and other classes."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch

from fmcam._typing import Target
from fmcam.explain._base import Explained
from fmcam.explain._base_cam import BaseCAM, BaseGradientCAM
from fmcam.explain._recording import Recording
from fmcam.explain._together import Batch
from fmcam.explain._unfused import Unfused

__all__ = ["EigenGradCAM", "FinerCAM", "ShapleyCAM"]


class EigenGradCAM(BaseGradientCAM):
    r"""Eigen-CAM [1]_ of gradients times maps, so that it depends on the class.

    .. math:: M_c = X v_1, \qquad X = \operatorname{cells}(G \odot A) \in
        \mathbb{R}^{h'w' \times k}, \quad X = U \Sigma V^\top

    Where :class:`HiResCAM` sums the channels of :math:`G \odot A`, this weights them by their part
    in what the channels have in common.

    Notes
    -----
    A singular vector has no sign; here its entries sum to a positive number. Then the map rises
    with that of HiResCAM over the cells, and shows what speaks for the class, not against it.

    References
    ----------
    .. [1] Muhammad and Yeasin, "Eigen-CAM: Class Activation Map using Principal Components",
       IJCNN 2020, section III. With gradients it is known from Gildenblat's pytorch-grad-cam, which
       subtracts the mean of each channel first.

    Examples
    --------
    >>> import torch
    >>> from fmcam.explain import EigenGradCAM
    >>> A = torch.tensor([[[[3.0, 6.0]], [[4.0, 8.0]]]])  # cells (3, 4) and (6, 8): v = (0.6, 0.8)
    >>> EigenGradCAM(None).combine(A, torch.ones(1, 2, 1, 2))
    tensor([[[ 5., 10.]]])
    """

    def combine(self, activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        """The projection, the ReLU left to the caller."""
        cells = (activations * gradients).flatten(2).mT  # (n, h' * w', k)
        direction = torch.linalg.svd(cells, full_matrices=False).Vh[:, 0]
        sign = torch.where(direction.sum(dim=1, keepdim=True) < 0, -1, 1)
        return torch.einsum("nik,nk->ni", cells, sign * direction).unflatten(
            1, activations.shape[2:]
        )


class ShapleyCAM(BaseCAM):
    r"""ShapleyCAM [1]_: the maps weighted by their gradient and half of its change.

    .. math:: M_c = \sum_k w_{ck} A_k, \qquad
        w_{ck} = \operatorname{mean}_{ij} \left(G - \tfrac{1}{2} H A\right)_{kij}

    G is the gradient and H the Hessian of the logit by the layer's maps A. Cell by cell,
    :math:`A \odot (G - \frac{1}{2} H A)` is the Shapley value of A's cells in the logit's
    second-order Taylor polynomial. Where the rest of the network is linear or made of ReLUs, H is
    zero and this is :class:`GradCAM`.

    Notes
    -----
    The logit is explained, as for all explainers; the paper recommends to add the logarithm of the
    class's probability to it (its utility ReST).

    References
    ----------
    .. [1] Cai, "CAMs as Shapley Value-based Explainers", The Visual Computer, 2025.
       https://arxiv.org/abs/2501.06261

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import ShapleyCAM
    >>> from fmcam.models import LeNet5
    >>> clf = CNNClassifier.from_module(LeNet5())
    >>> ShapleyCAM(FrozenEstimator(clf)).transform(np.zeros((2, 28, 28))).shape
    (2, 28, 28)
    """

    def raw_map(
        self, batch: Batch, layer: str | Sequence[str] | None, class_indices: torch.Tensor
    ) -> torch.Tensor:
        """The weighted sum, the ReLU left to the caller."""
        activations = batch.recording.activations[layer]
        gradients = batch.recording.gradient(layer, class_indices, self.target)
        weights = (gradients - self._curvature(batch, layer, class_indices) / 2).mean(dim=(2, 3))
        return torch.einsum("nkhw,nk->nhw", activations, weights)

    def _curvature(self, batch, layer, class_indices):
        try:
            return batch.recording.curvature(layer, class_indices, self.target)
        except RuntimeError:  # torch's fused attention can be differentiated only once
            with Unfused():
                unfused = batch.once(
                    ShapleyCAM, lambda: Recording(batch.clf, batch.images, batch.layers)
                )
            return unfused.curvature(layer, class_indices, self.target)


class FinerCAM(BaseCAM):
    r"""Finer-CAM [1]_: Grad-CAM of how much more a class is than those that are most like it.

    .. math:: M_c = \sum_k A_k \operatorname{mean}_{ij}
        \frac{\partial}{\partial A_{kij}} \left(S_c - \frac{\alpha}{m} \sum_{t=1}^{m} S_{d_t}\right)

    The classes :math:`d_t` are the m others whose logits are closest to the logit :math:`S_c`. What
    the image has in common with them falls away; what tells the class from them is left.

    Parameters
    ----------
    alpha : float, default=1.0
        How much of the other logits is subtracted; 0 gives :class:`GradCAM`.
    n_similar : int, default=3
        The number m of other classes; all others, if there are fewer.

    Notes
    -----
    The classes count alike. The code of pytorch-grad-cam weights them by their probabilities.

    References
    ----------
    .. [1] Zhang et al., "Finer-CAM: Spotting the Difference Reveals Finer Details for Visual
       Explanation", CVPR 2025, section 3. https://arxiv.org/abs/2501.11309

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import FinerCAM
    >>> from fmcam.models import LeNet5
    >>> clf = CNNClassifier.from_module(LeNet5())
    >>> FinerCAM(FrozenEstimator(clf), n_similar=2).transform(np.zeros((2, 28, 28))).shape
    (2, 28, 28)
    """

    def __init__(
        self,
        estimator: Explained,
        *,
        alpha: float = 1.0,
        n_similar: int = 3,
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
        self.alpha = alpha
        self.n_similar = n_similar

    def raw_map(
        self, batch: Batch, layer: str | Sequence[str] | None, class_indices: torch.Tensor
    ) -> torch.Tensor:
        """The weighted sum, the ReLU left to the caller."""
        key = FinerCAM, self.n_similar, class_indices
        similar = batch.once(
            key, lambda: self._similar(batch.recording.class_scores, class_indices)
        )
        weights = self._weights(batch, layer, class_indices)
        others = [self._weights(batch, layer, others) for others in similar]
        weights = weights - self.alpha * torch.stack(others).mean(dim=0)
        return torch.einsum("nkhw,nk->nhw", batch.recording.activations[layer], weights)

    def _similar(self, logits, class_indices):
        """Columns of the most similar classes, a tensor of shape (n,) for each of them."""
        if self.n_similar < 1:
            raise ValueError(
                "Finer-CAM compares a class with at least one other: `n_similar` must be 1 or "
                f"more, got {self.n_similar!r}. Use GradCAM for a class on its own."
            )
        distance = (logits - logits.gather(1, class_indices[:, None])).abs()
        distance = distance.scatter(1, class_indices[:, None], torch.inf)
        return distance.argsort(dim=1, stable=True)[:, : min(self.n_similar, logits.shape[1] - 1)].T

    def _weights(self, batch, layer, class_indices):
        return batch.recording.gradient(layer, class_indices, self.target).mean(dim=(2, 3))
