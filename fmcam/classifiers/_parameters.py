"""The parameters that a classifier takes, and what a mistyped one probably meant."""

import difflib
import inspect

import torch
from torch import nn

__all__ = ["PRECISIONS", "check_parameter_names", "check_parameter_values", "constructor_names"]

OUTPUTS = ("logits", "probabilities")
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}
_COMPONENTS = ("module", "criterion", "optimizer")
_PREFIXES = (*_COMPONENTS, "iterator_train", "iterator_valid", "dataset", "callbacks", "compile")


def constructor_names(component):
    """The names that a class, or the class of an instance, takes; any name if it has `**kwargs`."""
    maker = component if inspect.isclass(component) or inspect.isroutine(component) else None
    parameters = inspect.signature(maker or type(component)).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return _AnyName(parameters)
    return list(parameters)


class _AnyName(list):
    def __contains__(self, name):
        return True


def check_parameter_names(clf, params=None):
    """Raise ValueError for names, among `params` or those given to `__init__`, that do not exist.

    Parameters
    ----------
    clf : CNNClassifier
    params : mapping of name to value, or None
        None: the keyword arguments that `clf` was made with.
    """
    names = clf._params_to_validate if params is None else params
    for name in sorted(names):
        prefix, found, rest = name.partition("__")
        if not found:
            known = top_level_names(clf)
        elif prefix not in _PREFIXES:
            known = [f"{p}__{rest}" for p in _PREFIXES]
        elif prefix in _COMPONENTS and not rest.startswith("param_groups"):
            component = (params or {}).get(prefix, getattr(clf, prefix))
            rests = constructor_names(component)
            known = [name] if rest in rests else [f"{prefix}__{r}" for r in rests]
        else:
            continue
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known are: {', '.join(known)}."
            raise ValueError(f"Invalid parameter {name!r} for {type(clf).__name__}.{hint}")


def top_level_names(clf):
    """The parameters that the constructors of a classifier and its parents name.

    `kwargs` itself is among them: scikit-learn's own checks set every name in the signature.
    """
    return [
        name
        for parent in type(clf).__mro__
        if "__init__" in vars(parent) and parent is not object
        for name, p in inspect.signature(vars(parent)["__init__"]).parameters.items()
        if name != "self" and p.kind is not p.VAR_POSITIONAL
    ]


def check_parameter_values(clf):
    """Raise ValueError for a criterion, precision or device that cannot be used."""
    if clf.criterion is nn.NLLLoss or isinstance(clf.criterion, nn.NLLLoss):
        raise ValueError(
            "`criterion` must take logits, as nn.CrossEntropyLoss does, got nn.NLLLoss."
        )
    if clf.precision not in PRECISIONS:
        raise ValueError(f"`precision` must be one of {list(PRECISIONS)}, got {clf.precision!r}.")
    if clf.outputs not in OUTPUTS:
        raise ValueError(f"`outputs` must be one of {list(OUTPUTS)}, got {clf.outputs!r}.")
    try:
        torch.empty(0, device=clf.device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"`device` must be 'auto' or a torch device of this machine such as 'cpu' or 'cuda'; "
            f"got {clf.device!r}: {error}"
        ) from error
