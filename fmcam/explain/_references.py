"""What maps are held against: those that know nothing of the network, and the best it allows."""

import math
from typing import Any, Literal
from zlib import crc32

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from torch.nn import functional

from fmcam._boxes import check_true_boxes
from fmcam._data.images import as_image_array
from fmcam._masks import check_masks
from fmcam._typing import RandomState
from fmcam.explain._base import BaseExplainer, Explained
from fmcam.explain._base_cam import BaseCAM, aligned_grid
from fmcam.explain._constant_boxes import centre_box, constant_box
from fmcam.explain._geometry import upsample
from fmcam.explain._together import Batch, min_max

__all__ = ["CenterMap", "EdgeMap", "ForegroundMap", "RandomMap"]
__all__ += ["chance_heatmaps", "oracle_heatmaps"]


class CenterMap(BaseExplainer):
    r"""A map that is bright in the middle: 1 at the centre, falling off evenly to 0 at the corners.

    .. math:: M(y, x) = 1 - \sqrt{(y^2 + x^2) / 2}, \qquad y, x \in [-1, 1]

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import CenterMap
    >>> from fmcam.models import LeNet5
    >>> clf = CNNClassifier.from_module(LeNet5())
    >>> CenterMap(FrozenEstimator(clf)).transform(np.zeros((2, 29, 29)))[0, 14, :15:7].round(3)
    array([0.293, 0.646, 1.   ], dtype=float32)
    """

    def maps_of_batch(self, batch: Batch, class_indices: torch.Tensor) -> torch.Tensor:
        """The same map for each image."""
        n, _, height, width = batch.images.shape
        y, x = (torch.linspace(-1, 1, side, device=batch.images.device) for side in (height, width))
        return (1 - torch.hypot(y[:, None], x) / math.sqrt(2)).expand(n, -1, -1)


class RandomMap(BaseExplainer):
    """A map of independent uniform random numbers, another one for each image.

    Parameters
    ----------
    estimator : CNNClassifier or FrozenEstimator of one
        Its classes and images are what `explain` takes; its network is not used.
    random_state : int, RandomState or None, default=None
        An int gives equal images equal maps, whatever else is explained.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import RandomMap
    >>> from fmcam.models import LeNet5
    >>> clf = CNNClassifier.from_module(LeNet5())
    >>> RandomMap(FrozenEstimator(clf), random_state=0).transform(np.zeros((2, 28, 28))).shape
    (2, 28, 28)
    """

    def __init__(
        self,
        estimator: Explained,
        *,
        normalize: Literal["minmax"] | None = "minmax",
        batch_size: int = 128,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(estimator, normalize=normalize, batch_size=batch_size)
        self.random_state = random_state

    def maps_of_batch(self, batch: Batch, class_indices: torch.Tensor) -> torch.Tensor:
        """Maps drawn from a generator that `random_state` and the image's pixels seed."""
        seed = check_random_state(self.random_state).randint(2**31)
        maps = []
        for image in batch.images.cpu().numpy():
            generator = np.random.default_rng([seed, crc32(image.tobytes())])
            maps.append(generator.random(image.shape[1:], np.float32))
        return torch.as_tensor(np.stack(maps), device=batch.images.device)


class EdgeMap(BaseExplainer):
    """The strength of edges: the length of the Sobel gradient [1]_, the largest over the channels.

    References
    ----------
    .. [1] Sobel and Feldman, "A 3x3 isotropic gradient operator for image processing", 1968.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import EdgeMap
    >>> from fmcam.models import LeNet5
    >>> X = np.zeros((1, 28, 28))
    >>> X[:, :, 14:] = 1
    >>> clf = CNNClassifier.from_module(LeNet5())
    >>> EdgeMap(FrozenEstimator(clf), normalize=None).transform(X)[0, 5, 12:16]
    array([0., 4., 4., 0.], dtype=float32)
    """

    def maps_of_batch(self, batch: Batch, class_indices: torch.Tensor) -> torch.Tensor:
        """Gradients of the raw images, borders repeated."""
        across = torch.tensor([1.0, 2, 1]).outer(torch.tensor([-1.0, 0, 1]))
        kernels = torch.stack([across, across.T])[:, None].to(batch.images.device)
        planes = batch.images.float().flatten(0, 1)[:, None]
        slopes = functional.conv2d(functional.pad(planes, (1, 1, 1, 1), "replicate"), kernels)
        lengths = torch.linalg.vector_norm(slopes, dim=1)
        return lengths.unflatten(0, batch.images.shape[:2]).amax(dim=1)


class ForegroundMap(BaseExplainer):
    """How far each pixel is from the background, the median colour of the image's border.

    The difference is the largest over the channels. On a blank canvas this trivial map finds a
    perfect box.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import ForegroundMap
    >>> from fmcam.models import LeNet5
    >>> X = np.full((1, 28, 28), 200)
    >>> X[:, 10:20, 10:20] = 90
    >>> clf = CNNClassifier.from_module(LeNet5())
    >>> ForegroundMap(FrozenEstimator(clf), normalize=None).transform(X)[0, 15, 8:12]
    array([  0.,   0., 110., 110.], dtype=float32)
    """

    def maps_of_batch(self, batch: Batch, class_indices: torch.Tensor) -> torch.Tensor:
        """Absolute differences of the raw images."""
        images = batch.images.float()
        sides = images[:, :, [0, -1]].flatten(2), images[:, :, 1:-1, [0, -1]].flatten(2)
        background = torch.cat(sides, dim=2).median(dim=2).values
        return (images - background[:, :, None, None]).abs().amax(dim=1)


def chance_heatmaps(
    shape: tuple[int, int, int], boxes: ArrayLike
) -> dict[str, NDArray[np.float32]]:
    """Return maps that know nothing of the image: two boxes fitted to other images, and all of it.

    What turns the maps of a method into boxes is fitted for the best mean IoU on some images; so
    are these boxes.

    Parameters
    ----------
    shape : (n, h, w)
        Number, height and width of the maps.
    boxes : array-like of shape (m, 4) or (m, k, 4), or list of m array-likes of shape (k, 4)
        Boxes x0, y0, x1, y1 of other images, of the same size h x w, such as those that the
        thresholds were fitted on; rows of NaN are left out. Of several in an image the one that
        overlaps most counts.

    Returns
    -------
    heatmaps : dict of str to ndarray of shape (n, h, w), float32
        "centre box"
            0.5 in the box in the centre, up to half a pixel, that has the best mean IoU with
            `boxes` of all widths and heights in whole pixels.
        "constant box"
            0.5 in the box of whole pixels that has the best mean IoU with `boxes` wherever it
            lies, of those that a search from many boxes finds; never a worse one than the former.
        "full frame"
            1 everywhere.

        Boxes are 1 at the pixel in their middle and 0 outside. At thresholds up to 0.5 the maps
        give the boxes that their names say. The arrays are read-only.

    Raises
    ------
    ValueError
        If boxes leave the image, are fractions of it or are all NaN.

    Examples
    --------
    >>> from fmcam.explain import chance_heatmaps
    >>> maps = chance_heatmaps((2, 4, 6), [[0, 0, 4, 2], [0, 0, 5, 2], [1, 1, 5, 3]])
    >>> maps["centre box"][0]
    array([[0. , 0. , 0. , 0. , 0. , 0. ],
           [0. , 0.5, 0.5, 0.5, 0.5, 0. ],
           [0. , 0.5, 0.5, 1. , 0.5, 0. ],
           [0. , 0. , 0. , 0. , 0. , 0. ]], dtype=float32)
    >>> maps["constant box"][0]
    array([[0.5, 0.5, 0.5, 0.5, 0.5, 0. ],
           [0.5, 0.5, 1. , 0.5, 0.5, 0. ],
           [0. , 0. , 0. , 0. , 0. , 0. ],
           [0. , 0. , 0. , 0. , 0. , 0. ]], dtype=float32)
    """
    _, h, w = shape
    boxes = check_true_boxes(boxes, size=(h, w))
    if np.isnan(boxes).all():
        raise ValueError("`boxes` must hold at least one box, got NaN only.")
    maps = {
        "centre box": _map_of_box(centre_box(boxes, (h, w)), (h, w)),
        "constant box": _map_of_box(constant_box(boxes, (h, w)), (h, w)),
        "full frame": np.ones((h, w), dtype=np.float32),
    }
    return {name: np.broadcast_to(one, shape) for name, one in maps.items()}


def _map_of_box(box, size):
    x0, y0, x1, y1 = box
    found = np.zeros(size, dtype=np.float32)
    found[y0:y1, x0:x1] = 0.5
    found[(y0 + y1) // 2, (x0 + x1) // 2] = 1
    return found


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
