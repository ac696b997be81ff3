"""All explainers by the names that people type."""

import difflib

from fmcam.explain._attention import AttentionRollout, LeGrad
from fmcam.explain._baseline import CenterMap, EdgeMap, ForegroundMap, RandomMap
from fmcam.explain._cam import (
    CAM,
    EigenCAM,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    XGradCAM,
)
from fmcam.explain._cam_variants import EigenGradCAM, FinerCAM, ShapleyCAM
from fmcam.explain._full_grad import FullGrad
from fmcam.explain._guided import GuidedBackprop, GuidedGradCAM
from fmcam.explain._perturb import AblationCAM, Occlusion, ScoreCAM

__all__ = ["get_explainer", "list_explainers"]

_EXPLAINERS = {
    "cam": CAM,
    "grad-cam": GradCAM,
    "grad-cam++": GradCAMPlusPlus,
    "hirescam": HiResCAM,
    "xgrad-cam": XGradCAM,
    "layer-cam": LayerCAM,
    "eigen-cam": EigenCAM,
    "eigen-grad-cam": EigenGradCAM,
    "shapley-cam": ShapleyCAM,
    "finer-cam": FinerCAM,
    "score-cam": ScoreCAM,
    "ablation-cam": AblationCAM,
    "occlusion": Occlusion,
    "full-grad": FullGrad,
    "guided-backprop": GuidedBackprop,
    "guided-grad-cam": GuidedGradCAM,
    "attention-rollout": AttentionRollout,
    "legrad": LeGrad,
    "center-map": CenterMap,
    "edge-map": EdgeMap,
    "foreground-map": ForegroundMap,
    "random-map": RandomMap,
}


def list_explainers():
    """Names of all explainers, related ones side by side.

    Returns
    -------
    list of str
        What :func:`get_explainer` takes.

    Examples
    --------
    >>> from fmcam.explain import list_explainers
    >>> list_explainers()[:3]
    ['cam', 'grad-cam', 'grad-cam++']
    """
    return list(_EXPLAINERS)


def get_explainer(name):
    """The class of an explainer by its name.

    Parameters
    ----------
    name : str
        One of :func:`list_explainers`, or the name of the class. Upper and lower case, hyphens,
        underscores and spaces make no difference.

    Returns
    -------
    type

    Raises
    ------
    ValueError
        If there is no such explainer. The message names those that are alike.

    Examples
    --------
    >>> from fmcam.explain import get_explainer
    >>> get_explainer("grad-cam").__name__, get_explainer("LayerCAM").__name__
    ('GradCAM', 'LayerCAM')
    """
    if not isinstance(name, str):
        raise TypeError(f"`name` must be a str such as 'grad-cam', got a {type(name).__name__}.")
    names = {
        _plain(spelling): known
        for known, kind in _EXPLAINERS.items()
        for spelling in (known, kind.__name__)
    }
    if _plain(name) in names:
        return _EXPLAINERS[names[_plain(name)]]
    near = dict.fromkeys(names[one] for one in difflib.get_close_matches(_plain(name), names))
    hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else ""
    known = f"Known are {', '.join(_EXPLAINERS)}."
    raise ValueError(f"There is no explainer {name!r}. {hint or known}")


def _plain(name):
    return "".join(letter for letter in name.lower() if letter not in "-_ ")
