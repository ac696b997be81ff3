"""Maps that know nothing of the network: what every explainer must beat."""

import math
from zlib import crc32

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch.nn import functional

from fmcam.explain._base import BaseExplainer

__all__ = ["CenterMap", "EdgeMap", "ForegroundMap", "RandomMap"]


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

    def maps_of_batch(self, batch, columns):
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
    normalize : "minmax" or None, default="minmax"
        "minmax" stretches each map to [0, 1]; a flat one becomes zeros. None leaves raw values.
    batch_size : int, default=128
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

    def __init__(self, estimator, *, normalize="minmax", batch_size=128, random_state=None):
        super().__init__(estimator, normalize=normalize, batch_size=batch_size)
        self.random_state = random_state

    def maps_of_batch(self, batch, columns):
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

    def maps_of_batch(self, batch, columns):
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

    def maps_of_batch(self, batch, columns):
        """Absolute differences of the raw images."""
        images = batch.images.float()
        sides = images[:, :, [0, -1]].flatten(2), images[:, :, 1:-1, [0, -1]].flatten(2)
        background = torch.cat(sides, dim=2).median(dim=2).values
        return (images - background[:, :, None, None]).abs().amax(dim=1)
