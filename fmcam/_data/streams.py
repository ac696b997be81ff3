"""Data sets made of what users pass: lists of pairs, labels of their own, rows for a search."""

import numpy as np
from skorch.dataset import Dataset as ArrayDataset
from skorch.helper import SliceDataset
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from fmcam._data.items import is_item, parts_of
from fmcam._data.labels import (
    given_names,
    is_text,
    label_array,
    labels_of_dataset,
    named,
    names_of_dataset,
)

__all__ = [
    "LabelledDataset",
    "RowsOfDataset",
    "as_stream",
    "labelled_stream",
    "labels_in_classes",
    "lacks_labels",
]


def as_stream(X):
    """What is read row by row or in batches as a Dataset or DataLoader; None for arrays.

    Beside those two it is skorch's SliceDataset, a list of (image, label) pairs or mappings, as
    scikit-learn's splitters make of a Dataset, and a table of Hugging Face's `datasets`.
    """
    if isinstance(X, Dataset | DataLoader):
        return X
    if isinstance(X, SliceDataset):
        plain = type(X) is SliceDataset and X.idx == 0
        return Subset(X.dataset, X.indices_) if plain else _Rows(X)
    if isinstance(X, list) and X and is_item(X[0]):
        return _Rows(X)
    if hasattr(X, "column_names") and hasattr(X, "features") and hasattr(X, "__getitem__"):
        return _Rows(X)
    return None


def lacks_labels(dataset):
    """Whether this is a skorch Dataset of images alone, which gives 0 in place of labels."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return isinstance(dataset, ArrayDataset) and dataset.y is None


class _Rows(Dataset):
    """A Dataset of the rows of a sequence."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[int(index)]

    @property
    def targets(self):
        """The labels of all rows; AttributeError where the rows are not a list."""
        if not isinstance(self.rows, list):
            raise AttributeError("targets")
        labels = [parts_of(row, labelled=True)[1] for row in self.rows]
        return [getattr(label, "item", lambda label=label: label)() for label in labels]


class LabelledDataset(Dataset):
    """A data set with its labels passed beside it; those that it has itself must be the same.

    Parameters
    ----------
    dataset : Dataset
        Gives images, or images and labels.
    targets : ndarray of shape (n,)
    names : ndarray of str or None
        What labels of the data set that are numbers stand for, where `targets` are texts.
    """

    def __init__(self, dataset, targets, names=None):
        self.dataset = dataset
        self.targets = targets
        self.names = names

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        image, own = parts_of(self.dataset[index])
        label = self.targets[index]
        if own is not None and not lacks_labels(self.dataset):
            self._check_same(index, own, label)
        return image, label

    def _check_same(self, index, own, label):
        (own,) = label_array([own.item() if hasattr(own, "item") else own])
        if isinstance(label, str) and not isinstance(own, str) and self.names is not None:
            own = self.names[int(own)]
        if own != label:
            raise ValueError(
                f"Row {index} of the data set has the label {own}, but `y` says {label}. Leave "
                "`y` out, or put it in the order of the data set."
            )


class RowsOfDataset(Dataset):
    """A data set that scikit-learn can take rows out of, as of an array.

    Parameters
    ----------
    dataset : Dataset
    """

    def __init__(self, dataset):
        self.dataset = dataset

    @property
    def shape(self):
        """The number of rows, as of an array with one axis."""
        return (len(self.dataset),)

    @property
    def targets(self):
        """The labels; AttributeError where they are not known."""
        labels = labels_of_dataset(self.dataset)
        if labels is None:
            raise AttributeError("targets")
        return labels

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        if isinstance(index, int | np.integer):
            return self.dataset[index]
        index = index[0] if isinstance(index, tuple) else index  # scikit-learn's X[rows, ...]
        return RowsOfDataset(Subset(self.dataset, np.arange(len(self))[index]))


def labelled_stream(stream, y, names):
    """A stream and the labels of its rows, an array or None where they are not known.

    Parameters
    ----------
    stream : Dataset or DataLoader
    y : array-like of shape (n,) or None
        The labels, where they were passed beside the data set.
    names : ndarray of str or None
        See :func:`fmcam._data.labels.names_of_dataset`.
    """
    if isinstance(stream, DataLoader | IterableDataset):
        if y is not None:
            raise ValueError(
                f"`y` must be None where `X` is a {type(stream).__name__}, which has the labels "
                "itself."
            )
        dataset = getattr(stream, "dataset", stream)
        sized = not isinstance(dataset, IterableDataset)
        return stream, labels_of_dataset(dataset) if sized else None
    if y is None:
        return stream, labels_of_dataset(stream)
    y = label_array(y)
    if len(y) != len(stream):
        raise ValueError(f"`y` holds {len(y)} labels for the {len(stream)} rows of the data set.")
    if names is not None and not is_text(y):
        raise ValueError(
            f"`y` holds numbers, such as {y[0]}, and `classes` names. Pass "
            "`np.asarray(classes)[y]` as `y`, or leave it out where the data set has the labels."
        )
    return LabelledDataset(stream, y, names_of_dataset(stream, names)), y


def labels_in_classes(dataset, classes):
    """The labels of a data set, an array of shape (n,), by name where `classes` are names.

    Raises
    ------
    ValueError
        Where they are not known.
    """
    labels = labels_of_dataset(dataset)
    if labels is None:
        raise ValueError(
            f"The labels of a {type(dataset).__name__} are not known before it is read. Pass them "
            "as `y`, or give the data set an attribute `targets`."
        )
    names = given_names(classes)
    if names is None or is_text(labels):
        return labels
    return named(labels, names_of_dataset(dataset, names), names)
