"""The layers of a network that an explainer can take."""

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

    Examples
    --------
    >>> from fmcam.explain import list_layers
    >>> from fmcam.models import LeNet5
    >>> list_layers(LeNet5(), (1, 28, 28))[-2:]
    ['features', 'head.0']
    """
    frozen = FrozenEstimator(estimator) if isinstance(estimator, CNNClassifier) else estimator
    clf = GradCAM(frozen).classifier_
    return list(survey_of(clf, torch.empty(1, *image_shape, device=clf.device)).layers)
