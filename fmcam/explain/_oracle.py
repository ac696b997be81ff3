"""The best maps that the resolution of a layer allows."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from fmcam._data.images import as_image_array
from fmcam._masks import check_masks
from fmcam.explain._base_cam import BaseCAM, aligned_grid
from fmcam.explain._geometry import upsample
from fmcam.explain._together import Batch, min_max

__all__ = ["oracle_heatmaps"]


def oracle_heatmaps(
    explainer: BaseCAM, X: NDArray[Any] | torch.Tensor, masks: ArrayLike
) -> NDArray[np.float32]:
    """Return the maps of an explainer that knows the objects, at the resolution of its layer.

    The exact mask of each object is averaged over the cells of the layer, each around the geometric
    centre of its receptive field, and drawn as the explainer draws its own maps. Boxes from these
    maps, with a threshold of their own, are what the layer's resolution allows a map that is bright
    where the object is. That is a strong reference, no strict bound: a map can tell more than how
    much of a cell the object covers.

    Parameters
    ----------
    explainer : BaseCAM, such as GradCAM
        Of a fitted classifier; its `layer` and `align` count. Of several layers the maps are
        averaged, as the explainer does it.
    X : array-like of shape (n, c, h, w) or (n, h, w)
        Images; one of them is run to find the cells.
    masks : array-like of shape (m, h, w)
        0 is background, 1 the object, 255 ignored, which counts as background here.

    Returns
    -------
    ndarray of shape (m, h, w), float32
        In [0, 1]; zeros where a mask holds no object, ones where that fills all cells alike.

    Raises
    ------
    TypeError
        If the explainer is no BaseCAM.
    ValueError
        If masks and images differ in size.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import GradCAM, oracle_heatmaps
    >>> from fmcam.models import SimpleCNN
    >>> cam = GradCAM(FrozenEstimator(CNNClassifier.from_module(SimpleCNN())))
    >>> mask = np.zeros((1, 28, 28), dtype=int)
    >>> mask[0, 8:10, 4:7] = 1  # one cell of 2x2 pixels and half of the next
    >>> oracle_heatmaps(cam, np.zeros((1, 28, 28)), mask)[0, 8, 3:9].round(2)
    array([0.29, 0.86, 1.  , 0.71, 0.43, 0.14], dtype=float32)
    """
    if not isinstance(explainer, BaseCAM):
        raise TypeError(
            f"`explainer` must draw maps of a layer, as GradCAM does, got {explainer!r}."
        )
    clf = explainer.classifier_
    image = torch.as_tensor(as_image_array(clf, X[:1], reset=False)).to(clf.device)
    masks = check_masks(masks)
    if masks.shape[1:] != image.shape[2:]:
        raise ValueError(
            f"`masks` must have the size of the images, (h, w) = {tuple(image.shape[2:])}, "
            f"got {masks.shape[1:]}. Pass the masks of the same images."
        )
    objects = torch.as_tensor(masks == 1, dtype=torch.float32)
    batch = Batch(clf, image, explainer.layers_for(clf, image))
    shown = torch.stack([_shown_by(explainer, batch, layer, objects) for layer in batch.layers])
    maps = min_max(min_max(shown).mean(dim=0))
    in_all_cells = (shown > 0).all(dim=(0, 2, 3)) & ~maps.any(dim=2).any(dim=1)
    return torch.where(in_all_cells[:, None, None], 1, maps).numpy()


def _shown_by(explainer, batch, layer, objects):
    """Objects (m, h, w) averaged over the cells of a layer and drawn at their own size again."""
    size, cells = objects.shape[1:], batch.recording.activations[layer].shape[2:]
    grid = aligned_grid(batch, layer)
    rows, columns = (
        _area_weights(*axis) for axis in zip(size, cells, grid.start, grid.stride, strict=True)
    )
    return upsample(rows @ objects @ columns.T, size, explainer.grid_of(batch, layer))


def _area_weights(n_pixels, n_cells, start, stride):
    """Weights (n_cells, n_pixels) of the mean over the pixels of a cell, those in the image."""
    pixels = torch.arange(n_pixels, dtype=torch.float32)
    centres = start + stride * torch.arange(n_cells, dtype=torch.float32)[:, None]
    left = (centres - stride / 2).maximum(pixels - 0.5)
    right = (centres + stride / 2).minimum(pixels + 0.5)
    overlap = (right - left).clamp(min=0)
    return overlap / overlap.sum(dim=1, keepdim=True).clamp(min=1e-6)
