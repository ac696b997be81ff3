"""All explainers by the names that people type."""

import re
from typing import TYPE_CHECKING

from fmcam import explain
from fmcam._suggest import nearest

if TYPE_CHECKING:  # it takes seconds
    from fmcam.explain._base import BaseExplainer

__all__ = ["get_explainer", "list_explainers"]

_OTHERS = {"SmoothedExplainer"}  # takes an explainer
_USUAL = {"GradCAMPlusPlus": "grad-cam++", "HiResCAM": "hirescam", "LeGrad": "legrad"}


def _kinds():
    """The name of the class of each explainer, by the name that people type.

    Every public class of `fmcam.explain` is one; none is imported, which takes seconds.
    """
    kinds = [name for name in dir(explain) if name[0].isupper() and name not in _OTHERS]
    return {_USUAL.get(kind, _hyphenated(kind)): kind for kind in kinds}


def _hyphenated(kind):
    return re.sub("(?<=[a-z])(?=[A-Z])", "-", kind).lower()


def list_explainers() -> list[str]:
    """Names of all explainers, sorted.

    Returns
    -------
    list of str
        What :func:`get_explainer` takes.

    Examples
    --------
    >>> from fmcam.explain import list_explainers
    >>> list_explainers()[:3]
    ['ablation-cam', 'attention-rollout', 'cam']
    """
    return sorted(_kinds())


def get_explainer(name: str) -> "type[BaseExplainer]":
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
    kinds = _kinds()
    spellings = {
        _plain(spelling): known for known, kind in kinds.items() for spelling in (known, kind)
    }
    if _plain(name) in spellings:
        return getattr(explain, kinds[spellings[_plain(name)]])
    near = nearest(_plain(name), spellings)
    near = list(dict.fromkeys(spellings[one] for one in near))
    hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else ""
    known = f"Known are {', '.join(list_explainers())}."
    raise ValueError(f"There is no explainer {name!r}. {hint or known}")


def _plain(name):
    return "".join(letter for letter in name.lower() if letter not in "-_ ")
