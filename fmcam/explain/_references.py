"""What maps are held against: maps that know nothing of the network."""

import math
from typing import Literal
from zlib import crc32

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from torch.nn import functional

from fmcam._boxes import check_true_boxes
from fmcam._typing import RandomState
from fmcam.explain._base import BaseExplainer, Explained
from fmcam.explain._constant_boxes import centre_box, constant_box
from fmcam.explain._together import Batch

__all__ = ["CenterMap", "EdgeMap", "ForegroundMap", "RandomMap", "chance_heatmaps"]


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
