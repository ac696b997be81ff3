"""What maps are held against: a network that learned nothing."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state

from fmcam._random_state import seeded
from fmcam._typing import RandomState
from fmcam.classifiers import CNNClassifier

__all__ = ["randomized"]


def randomized(
    clf: CNNClassifier | FrozenEstimator,
    layers: Sequence[str] | None = None,
    *,
    random_state: RandomState = None,
) -> CNNClassifier:
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
    module: Any = copy.deepcopy(clf.module_)
    parts = dict(module.net.named_modules())
    layers = [""] if layers is None else layers
    unknown = [name for name in layers if name not in parts]
    if unknown:
        raise ValueError(
            f"`layers` must name modules of {type(module.net).__name__}, got {unknown}. "
            f"It has {list(parts)[1:]}."
        )
    with seeded(int(check_random_state(random_state).randint(2**31)), clf.device):
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
