"""The layers of a network that an explainer can take."""

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator

from fmcam.classifiers import CNNClassifier
from fmcam.explain._base import Explained
from fmcam.explain._cam import GradCAM
from fmcam.explain._survey import survey_of

__all__ = ["list_layers"]


def list_layers(estimator: Explained, image_shape: tuple[int, int, int]) -> list[str]:
    """Names of the layers that give maps: what the `layer` of an explainer may be.

    Parameters
    ----------
    estimator : CNNClassifier, FrozenEstimator of one, or nn.Module
        Fitted or trained. It is left as it is.
    image_shape : tuple (c, h, w)
        Of the images to explain: a layer that still gives maps of large images may give single
        values of small ones.

    Returns
    -------
    list of str
        In the order in which they finish.

    Raises
    ------
    ValueError
        If `image_shape` is not (c, h, w), or the network cannot take such images.

    Examples
    --------
    >>> from fmcam.explain import list_layers
    >>> from fmcam.models import LeNet5
    >>> list_layers(LeNet5(), (1, 28, 28))[-2:]
    ['features', 'head.0']
    """
    if np.shape(image_shape) != (3,) or min(image_shape) < 1:
        raise ValueError(
            f"`image_shape` must be (c, h, w), got {image_shape!r}. For one grey image of 28 x 28 "
            "pixels pass (1, 28, 28)."
        )
    frozen = FrozenEstimator(estimator) if isinstance(estimator, CNNClassifier) else estimator
    clf = GradCAM(frozen).classifier_
    return list(survey_of(clf, torch.empty(1, *image_shape, device=clf.device)).layers)
