"""Labels: those that `fit` is given, the classes, and class indices."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import assert_all_finite, check_consistent_length, column_or_1d
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from fmcam._sklearn_compat import is_missing

__all__ = [
    "check_several",
    "checked_labels",
    "class_indices_of",
    "given_names",
    "is_text",
    "label_array",
    "labels_of_dataset",
    "named",
    "names_of_dataset",
    "stream_classes",
]

_ATTRIBUTES = ("targets", "labels", "y")


def label_array(y, *, name="y", warn=True):
    """Labels of any kind as an array of shape (n,).

    Parameters
    ----------
    y : array-like, tensor or pandas Series of shape (n,) or (n, 1)
    name : str
        The argument's name in error messages.
    warn : bool
        Whether to warn of shape (n, 1), as scikit-learn does; data sets often have it.

    Raises
    ------
    ValueError
        For rows of several columns, such as one-hot labels, for labels that are missing, and for
        texts among numbers.
    """
    if isinstance(y, torch.Tensor):
        y = y.detach().cpu().numpy()
    plain = isinstance(y, list | tuple) and not any(hasattr(label, "__len__") for label in y)
    y = np.asarray(y, dtype=object) if plain or _some_texts(y) else np.asarray(y)
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            f"`{name}` must hold one label for each image, got shape {y.shape}. If these are "
            f"one-hot rows, pass `{name}.argmax(axis=1)`."
        )
    if y.dtype == object and y.ndim == 1:
        y = _of_one_kind(y, name)
    return column_or_1d(y, warn=warn)


def _some_texts(y):
    return isinstance(y, list | tuple) and any(isinstance(label, str) for label in y)


def _of_one_kind(y, name):
    missing = [row for row, label in enumerate(y) if is_missing(label)]
    if missing:
        raise ValueError(
            f"`{name}` must hold a label for each image, got NaN or None in {len(missing)} of "
            f"{len(y)} rows, the first of them row {missing[0]}. Drop these rows."
        )
    texts = [isinstance(label, str) for label in y]
    if any(texts) and not all(texts):
        kinds = [repr(y[texts.index(kind)]) for kind in (True, False)]
        raise ValueError(
            f"`{name}` must hold labels of one kind, got texts such as {kinds[0]} and others such "
            f"as {kinds[1]}. Make all of them texts or all of them numbers."
        )
    return y if all(texts) else np.asarray(y.tolist())


def checked_labels(clf, X, y, classes):
    """Labels as an array of shape (n,); sets the classes of the classifier.

    Parameters
    ----------
    clf : CNNClassifier
    X : sized
        The images.
    y : array-like of shape (n,)
    classes : array-like or None
        All labels; None: those in `y`.
    """
    if y is None:
        raise ValueError(f"{type(clf).__name__} requires y to be passed, but the target y is None.")
    y = label_array(y)
    check_consistent_length(X, y)
    assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    labels = unique_labels(y)
    classes = labels if classes is None else np.unique(_listed(classes))
    check_several(clf, classes)
    unknown = _unknown(labels, classes)
    if len(unknown):
        raise ValueError(f"`y` holds labels {unknown.tolist()} that are not in {classes.tolist()}.")
    clf._classes = classes
    return y


def given_names(classes):
    """The parameter `classes` as an array in its order where it holds texts, else None."""
    if classes is None:
        return None
    classes = _listed(classes)
    return classes if is_text(classes) else None


def _listed(classes):
    if isinstance(classes, dict | str):
        raise ValueError(
            f"`classes` must be a list of labels, got a {type(classes).__name__}. Pass "
            "`list(classes)`."
        )
    return label_array(classes, name="classes")


def check_several(clf, classes):
    """Raise ValueError unless there are at least two classes."""
    if len(classes) < 2:
        raise ValueError(
            f"{type(clf).__name__} needs at least two classes, got one class: {classes.tolist()}."
        )


def is_text(labels):
    """Whether an array of labels holds texts."""
    return labels.dtype.kind in "UST" or (
        labels.dtype == object and len(labels) > 0 and isinstance(labels[0], str)
    )


def _unknown(labels, classes):
    if is_text(labels) != is_text(classes):
        return labels
    return np.setdiff1d(labels, classes)


def class_indices_of(labels, classes, names=None):
    """Class indices, 0..k-1, of labels: int64 of shape (n,).

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Labels in `classes`; where these are texts also numbers, which count `names`.
    classes : ndarray of shape (k,)
        The label of each class index.
    names : ndarray of str or None
        The labels that the numbers 0, 1, ... stand for.

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam._data.labels import class_indices_of
    >>> class_indices_of(np.array([5, 0, 5]), np.array([0, 5]))
    array([1, 0, 1])
    >>> class_indices_of(np.array([0, 1]), np.array(["cat", "dog"]), names=np.array(["dog", "cat"]))
    array([1, 0])
    """
    if len(labels) == 0:
        return np.zeros(0, dtype=np.int64)
    if is_text(classes) and not is_text(labels):
        labels = named(labels, names, classes)
    unknown = np.unique(_unknown(labels, classes))
    if len(unknown):
        raise ValueError(
            f"The data set holds the labels {unknown.tolist()}, which are not in the classes "
            f"{classes.tolist()}. Pass all labels as `classes`."
        )
    order = np.argsort(classes)
    return order[np.searchsorted(classes, labels, sorter=order)].astype(np.int64)


def named(labels, names, classes):
    """The names that labels 0, 1, ... stand for; ValueError where `names` do not tell."""
    if names is None or len(np.unique(names)) < len(names):
        raise ValueError(
            f"The data set's labels are numbers, such as {labels[0]}, and the classes are "
            f"{classes.tolist()}. Pass `classes` as the list of names in the order of the numbers, "
            "each once."
        )
    numbers = np.asarray(labels)
    wrong = (numbers < 0) | (numbers >= len(names)) | (numbers != np.floor(numbers))
    if wrong.any():
        raise ValueError(
            f"The data set holds the label {numbers[wrong][0]}, but `classes` names "
            f"{len(names)} classes, 0 to {len(names) - 1}: {names.tolist()}."
        )
    return names[numbers.astype(np.int64)]


# Data sets ----------------------------------------------------------------------------------------


def labels_of_dataset(dataset):
    """One label for each row of a data set, an array of shape (n,); None where they are not known.

    They are read off ``tensors[1]`` of a TensorDataset, an attribute `targets`, `labels` or `y`
    with one label a row, and parts of such data sets.
    """
    if isinstance(dataset, Subset):
        labels = labels_of_dataset(dataset.dataset)
        return None if labels is None else labels[np.asarray(dataset.indices, dtype=np.int64)]
    if isinstance(dataset, ConcatDataset):
        parts = [labels_of_dataset(part) for part in dataset.datasets]
        return None if any(part is None for part in parts) else np.concatenate(parts)
    if isinstance(dataset, TensorDataset):
        return label_array(dataset.tensors[1], warn=False) if len(dataset.tensors) == 2 else None
    for name in _ATTRIBUTES:
        found: Any = getattr(dataset, name, None)
        if hasattr(found, "__len__") and len(found) == len(dataset):
            shape = np.shape(found)
            if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1):
                return label_array(found, warn=False)
    return None


def names_of_dataset(dataset, names):
    """The names that the numbers of a data set stand for; None where that is not known.

    `names` are those in the order of `classes`; a data set that has the same ones as its own
    `classes`, as torchvision's ImageFolder, knows their order itself.
    """
    while hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    own = getattr(dataset, "classes", None)
    if names is not None and isinstance(own, list | tuple) and sorted(own) == sorted(names):
        return np.asarray(own)
    return names


def stream_classes(clf, stream, labels, classes):
    """The sorted labels of a Dataset or DataLoader: `classes`, or those that it is known to have.

    Parameters
    ----------
    clf : CNNClassifier
    stream : Dataset or DataLoader
    labels : ndarray of shape (n,) or None
        The labels of its rows, as far as they are known.
    classes : array-like or None
    """
    if classes is None:
        dataset = getattr(stream, "dataset", stream)
        classes = getattr(dataset, "targets", None) if labels is None else labels
    if classes is None:
        raise ValueError(
            f"The labels of a {type(stream).__name__} are not known before it is read. "
            "Pass them as `classes`, or give the data set an attribute `targets`."
        )
    classes = np.unique(_listed(classes))
    check_several(clf, classes)
    return classes
