"""Whether several fits of a classifier can be trained as one network."""

import itertools

import numpy as np
import torch
from sklearn.base import clone
from skorch.callbacks import EarlyStopping, GradientNormClipping
from skorch.dataset import ValidSplit
from torch import nn

from fmcam._data.batches import ArrayBatches
from fmcam._data.images import as_image_array
from fmcam._ensemble.member import initialized_parts
from fmcam._ensemble.training import Ensemble
from fmcam._sklearn_compat import safe_indexing
from fmcam.classifiers import CNNClassifier, OneCycle

__all__ = ["why_not_together"]

_OPTIMIZERS = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
_PLAIN = {"amsgrad": False, "dampening": 0, "differentiable": False, "maximize": False}
_SEEN_TO = (OneCycle, GradientNormClipping, EarlyStopping)


def why_not_together(clf, X, y):
    """Why an ensemble cannot do what ``fit`` of a classifier does, in a few words; None: it can.

    Parameters
    ----------
    clf : estimator
        Not fitted, and left so.
    X, y
        As for ``CNNClassifier.fit``.

    Raises
    ------
    ValueError, TypeError
        What ``fit`` would raise for such parameters and such data.
    """
    fault = _fault_of_settings(clf)
    if fault is not None:
        return fault
    probe = clone(clf)
    images = as_image_array(probe, X, reset=True)
    batches, _ = initialized_parts(probe, images, X, y, np.arange(len(images)))
    return (
        _fault_of_parts(probe, batches)
        or _fault_of_weights(probe, batches.images[:2])
        or _fault_of_network(clf, X, probe.classes_)
    )


def _fault_of_settings(clf):
    if not isinstance(clf, CNNClassifier):
        return f"{type(clf).__name__} is no CNNClassifier"
    kinds = itertools.takewhile(lambda kind: kind is not CNNClassifier, type(clf).__mro__)
    names = {name for kind in kinds for name in vars(kind)}
    own = sorted(
        n for n in names if not n.startswith(("__", "_abc_")) and not n.endswith("_request")
    )
    if own:
        return f"{type(clf).__name__} has a {own[0]!r} of its own"
    if clf.precision != "float32":
        return f"precision is {clf.precision!r}"
    if clf.outputs != "logits":
        return f"outputs is {clf.outputs!r}"
    if options := clf.get_params_for("iterator_train"):
        return f"iterator_train__{next(iter(options))} is set"
    if clf.class_weight is not None:
        return "class_weight is set"
    split = clf.train_split
    # one by a number leaves equally many rows wherever equally many come
    if split and not (type(split) is ValidSplit and isinstance(split.cv, int | float)):
        return "train_split is no ValidSplit with a number"
    return None


def _fault_of_parts(clf, batches):
    if not isinstance(batches, ArrayBatches):
        return "its batches come from a loader of its own"
    if type(clf.criterion_) is not nn.CrossEntropyLoss:
        return f"the criterion is {type(clf.criterion_).__name__}"
    if type(clf.optimizer_) not in _OPTIMIZERS:
        return f"the optimizer is {type(clf.optimizer_).__name__}"
    group, *others = clf.optimizer_.param_groups
    if others:
        return "the optimizer has several parameter groups"
    for name, plain in _PLAIN.items():
        if group.get(name, plain) != plain:
            return f"optimizer__{name} is {group[name]!r}"
    callbacks = [type(callback) for _, callback in clf.callbacks_]
    without_effect = [type(callback) for _, callback in clf._default_callbacks]  # on the weights
    unknown = [kind.__name__ for kind in callbacks if kind not in (*_SEEN_TO, *without_effect)]
    if unknown:
        return f"it has the callback {unknown[0]}"
    twice = [kind.__name__ for kind in _SEEN_TO if callbacks.count(kind) > 1]
    if twice:
        return f"it has the callback {twice[0]} twice"
    parts = ("train", "valid") if clf.train_split else ("train",)
    noted = [f"{part}_{what}" for part in parts for what in ("loss", "acc")]
    for _, callback in clf.callbacks_:
        if isinstance(callback, EarlyStopping) and callback.monitor not in noted:
            return f"EarlyStopping monitors {callback.monitor!r}"
    return None


def _fault_of_weights(clf, images):
    # an optimizer leaves a weight without a gradient alone, where an ensemble would let it decay
    class_indices = torch.zeros(len(images), dtype=torch.int64, device=clf.device)
    logits = clf.module_.train()(images)
    if logits.shape[1] != len(clf.classes_):
        return "its network has a single output"
    clf.criterion_(logits, class_indices).backward()
    weights = dict(clf.module_.named_parameters())
    still = [name for name, weight in weights.items() if weight.grad is None]
    if still:
        return f"its weight {still[0]!r} takes no gradient"
    if len({weight.dtype for weight in weights.values()}) > 1:
        return "its weights are of several data types"
    return None


def _fault_of_network(clf, X, classes):
    few = safe_indexing(X, slice(0, 2))
    settings = {"classes": classes, "max_epochs": 1, "batch_size": 2}
    settings |= {"train_split": None, "compile": False}
    pair = [clone(clf).set_params(**settings) for _ in range(2)]
    for probe in pair:
        probe.callbacks = "disable"  # skorch's `set_params` does so only where there are some
    rows = np.arange(2)
    try:
        Ensemble(pair, few, classes[:2], [rows, rows]).train()
    except RuntimeError as error:
        return f"torch.func.vmap refuses its network: {str(error).splitlines()[0]}"
    return None
