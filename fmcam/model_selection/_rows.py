"""What a search takes the rows of its splits out of."""

import sys

__all__ = ["rows_and_labels"]


def rows_and_labels(X, y, estimator):
    """Images and labels that can be split: a torch Dataset is wrapped, its labels looked up.

    Parameters
    ----------
    X : array-like, Dataset or skorch SliceDataset
    y : array-like of shape (n,) or None
    estimator : estimator
        Its `classes`, if any, name the labels of the data set.

    Raises
    ------
    TypeError
        For a DataLoader or an IterableDataset, which have no rows to take out.
    ValueError
        If the labels of the data set are not known.
    """
    if "torch" not in sys.modules:  # then there can be no Dataset
        return X, y
    from torch.utils.data import DataLoader, IterableDataset

    from fmcam._data.streams import RowsOfDataset, as_stream, labels_in_classes

    stream = as_stream(X)
    if stream is None:
        return X, y
    if isinstance(stream, DataLoader | IterableDataset):
        raise TypeError(
            f"A search takes rows out of its data, which a {type(X).__name__} does not allow. Pass "
            "a Dataset with a length, or images in an array."
        )
    if y is None:
        y = labels_in_classes(stream, getattr(estimator, "classes", None))
    return RowsOfDataset(stream), y
