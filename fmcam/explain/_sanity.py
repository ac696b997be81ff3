"""What maps are held against: a network that learned nothing, and the best a layer allows."""

import copy

import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state

from fmcam._data.images import as_image_array
from fmcam._validation import check_masks
from fmcam.explain._base import Batch, min_max
from fmcam.explain._cam import BaseCAM, aligned_grid
from fmcam.explain._geometry import upsample

__all__ = ["oracle_heatmaps", "randomized"]


def randomized(clf, layers=None, *, random_state=None):
    """Return a copy of a fitted classifier with weights drawn anew.

    The model-randomization sanity check of [1]_: maps that stay the same show the image, not what
    the network learned. Compare maps before and after by `fmcam.metrics.rank_correlation`, and
    localization in a table by `fmcam.report.summarize`. For the cascading check randomize from the
    output down: first the last layer, then the last two, and so on.

    Parameters
    ----------
    clf : CNNClassifier or FrozenEstimator of one
        Fitted. It is left as it is.
    layers : sequence of str, optional
        Dotted names of the modules of its network to draw anew, with all that is inside them. By
        default all of the network.
    random_state : int, RandomState or None, default=None
        An int gives the same weights at every call.

    Returns
    -------
    clf : CNNClassifier
        Fitted, with the classes of the original and its way to standardize images.

    Raises
    ------
    ValueError
        If a layer does not exist.

    Notes
    -----
    Modules draw their weights by their `reset_parameters`, which also takes the statistics of a
    batch normalization back to mean 0 and variance 1. Weights of modules without one are shuffled.

    References
    ----------
    .. [1] Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, section 4.
       https://arxiv.org/abs/1810.03292

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import GradCAM, randomized
    >>> from fmcam.models import LeNet5
    >>> clf = CNNClassifier.from_module(LeNet5())
    >>> gradcam = GradCAM(FrozenEstimator(randomized(clf, random_state=0)))
    >>> last_layer_only = randomized(clf, ["head.6"], random_state=0)
    """
    clf = clf.estimator if isinstance(clf, FrozenEstimator) else clf
    module = copy.deepcopy(clf.module_)
    parts = dict(module.net.named_modules())
    layers = [""] if layers is None else layers
    unknown = [name for name in layers if name not in parts]
    if unknown:
        raise ValueError(
            f"`layers` must name modules of {type(module.net).__name__}, got {unknown}. "
            f"It has {list(parts)[1:]}."
        )
    devices = [clf.device] if torch.device(clf.device).type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(check_random_state(random_state).randint(2**31))
        for name in layers:
            parts[name].apply(_draw_anew)
    return clone(clf).adopt(module, clf.classes_, clf.image_shape_)


def _draw_anew(module):
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()
        return
    for weight in module.parameters(recurse=False):
        order = torch.randperm(weight.numel(), device=weight.device)
        weight.data = weight.data.flatten()[order].reshape(weight.shape)


def oracle_heatmaps(explainer, X, masks):
    """Return the maps of an explainer that knows the objects, at the resolution of its layer.

    The exact mask of each object is averaged over the cells of the layer, each around the centre of
    its receptive field, and drawn as the explainer draws its own maps. Boxes from these maps, with
    a threshold of their own, are what the layer's resolution allows a map that is bright where the
    object is. That is a strong reference, no strict bound: a map can tell more than how much of a
    cell the object covers.

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
        In [0, 1]; zeros where a mask holds no object.

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
    maps = [_shown_by(explainer, batch, layer, objects) for layer in batch.layers]
    return min_max(torch.stack([min_max(one) for one in maps]).mean(dim=0)).numpy()


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
