"""The parameters that a classifier takes, and what a mistyped one probably meant."""

import fnmatch
import functools
import inspect
import numbers

import torch
from torch import nn

from fmcam._suggest import nearest, suggest

__all__ = [
    "PRECISIONS",
    "check_parameter_names",
    "check_parameter_values",
    "check_patterns",
    "constructor_names",
    "size_arguments",
]

OUTPUTS = ("logits", "probabilities")
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}
_N_CLASSES = ("n_classes", "num_classes", "num_labels")
_IN_CHANNELS = ("in_channels", "in_chans", "num_channels")
_COMPONENTS = ("module", "criterion", "optimizer")
_LOSSES_OF_LIKE = {nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.KLDivLoss}
_LOSSES_OF_LOGITS = {nn.NLLLoss: "nn.CrossEntropyLoss", nn.BCELoss: "nn.BCEWithLogitsLoss"}
_PREFIXES = (*_COMPONENTS, "iterator_train", "iterator_valid", "dataset", "callbacks", "compile")


def constructor_names(component):
    """The names that a class, or the class of an instance, takes; any name if it has `**kwargs`."""
    is_maker = inspect.isclass(component) or inspect.isroutine(component)
    maker = component if is_maker or isinstance(component, functools.partial) else type(component)
    try:
        parameters = inspect.signature(maker).parameters
    except ValueError:  # what is built in does not say
        return _AnyName()
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return _AnyName(parameters)
    return list(parameters)


def size_arguments(maker, n_classes, in_channels):
    """The arguments that size a network, by the names that its class or function has for them.

    Parameters
    ----------
    maker : class or callable
    n_classes, in_channels : int

    Returns
    -------
    dict of str to int

    Examples
    --------
    >>> import torchvision
    >>> from fmcam.classifiers._parameters import size_arguments
    >>> size_arguments(torchvision.models.resnet18, 5, 3)
    {'num_classes': 5}
    """
    known = list(inspect.signature(maker).parameters.values())
    names = [parameter.name for parameter in known]
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known)
    sizes = {}
    for spellings, size in ((_N_CLASSES, n_classes), (_IN_CHANNELS, in_channels)):
        found = [name for name in spellings if name in names]
        if found:
            sizes[found[0]] = size
    if takes_any and not set(sizes) & set(_N_CLASSES):
        # torchvision's functions hand it on to the class
        sizes["num_classes"] = n_classes
    return sizes


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
            hint = suggest(name, known)
            raise ValueError(f"Invalid parameter {name!r} for {type(clf).__name__}. {hint}")


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
    """Raise ValueError or TypeError for values that no classifier of images can be made of."""
    _check_module(clf.module)
    _check_criterion(clf.criterion)
    _check_maker("optimizer", clf.optimizer, "torch.optim.Adam")
    _check_maker("dataset", clf.dataset, "skorch.dataset.Dataset")
    if clf.augment is not None and (
        not callable(clf.augment) or isinstance(clf.augment, type | nn.Module)
    ):
        raise TypeError(
            "`augment` must be a function (images, generator) -> images of a whole batch, such as "
            f"FlipAndShift(), got {clf.augment!r}."
        )
    size = clf.batch_size
    if not isinstance(size, numbers.Integral) or (size < 1 and size != -1):
        raise ValueError(
            f"`batch_size` must be an integer of at least 1, or -1 for all rows, got {size!r}."
        )
    if not isinstance(clf.precision, str) or clf.precision not in PRECISIONS:
        raise ValueError(f"`precision` must be one of {list(PRECISIONS)}, got {clf.precision!r}.")
    if clf.outputs not in OUTPUTS:
        raise ValueError(f"`outputs` must be one of {list(OUTPUTS)}, got {clf.outputs!r}.")
    nonlinearity = clf.predict_nonlinearity
    if nonlinearity not in ("auto", None) and not callable(nonlinearity):
        raise ValueError(
            "`predict_nonlinearity` must be 'auto', None or a function of the logits, got "
            f"{nonlinearity!r}."
        )
    _check_device(clf.device)


def _check_criterion(criterion):
    kind = criterion if inspect.isclass(criterion) else type(criterion)
    if kind in _LOSSES_OF_LOGITS:
        raise ValueError(
            f"`criterion` must take logits, as {_LOSSES_OF_LOGITS[kind]} does, got "
            f"nn.{kind.__name__}. Pass that one; for a network that ends in a softmax or a sigmoid "
            "with outputs='probabilities'."
        )
    if kind in _LOSSES_OF_LIKE:
        raise ValueError(
            "`criterion` must compare logits (n, k) with columns (n,), as nn.CrossEntropyLoss "
            f"does, got nn.{kind.__name__}, which compares numbers with numbers."
        )
    _check_maker("criterion", criterion, "nn.CrossEntropyLoss")


def _check_device(device):
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"`device` must be 'auto' or a torch device of this machine such as 'cpu' or 'cuda'; "
            f"got {device!r}: {error}"
        ) from error


def _check_maker(name, value, example):
    """Raise TypeError for what makes no loss or optimizer when it is called."""
    of_torch = getattr(value, "__module__", None) == nn.functional.__name__
    if not callable(value) or of_torch or isinstance(value, torch.optim.Optimizer):
        raise TypeError(
            f"`{name}` must be a class such as {example}, got {value!r}. Its arguments are "
            f"parameters `{name}__...` of the classifier."
        )


def _check_module(module):
    if isinstance(module, nn.Module) or (inspect.isclass(module) and issubclass(module, nn.Module)):
        return
    if callable(module) and not inspect.isclass(module):
        return
    found = f"the class {module.__name__}" if inspect.isclass(module) else type(module).__name__
    raise TypeError(
        "`module` must be a class or an instance of nn.Module, or a function that builds one, got "
        f"{found}. For a network by its name see fmcam.models."
    )


def check_patterns(patterns, names, where):
    """Raise ValueError for a pattern that no name matches.

    Parameters
    ----------
    patterns : str, callable or list of them
        With wildcards as of the shell; a callable tells whether a name is meant.
    names : sequence of str
        Of parameters of a network.
    where : str
        The argument's name in the message.

    Returns
    -------
    list of str
        The names that are matched.
    """
    matched = []
    for pattern in patterns if isinstance(patterns, list | tuple) else [patterns]:
        meant = pattern if callable(pattern) else lambda name, p=pattern: fnmatch.fnmatch(name, p)
        found = [name for name in names if meant(name)]
        if not found:
            parents = {f"{name[:i]}.*" for name in names for i, c in enumerate(name) if c == "."}
            near = nearest(str(pattern), [*sorted(parents), *names])
            hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise ValueError(
                f"`{where}` must match parameters of the network, but none of those left has a "
                f"name like {pattern!r}. {hint}The names are {', '.join(names[:20])}"
                f"{', ...' if len(names) > 20 else '.'}"
            )
        matched += found
    return matched
