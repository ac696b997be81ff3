"""Batches for training and prediction: whole batches out of one tensor, or a stream."""

import operator
import warnings
from collections.abc import Callable

import torch
from skorch.dataset import Dataset as ArrayDataset
from torch.utils.data import Subset

__all__ = ["ArrayBatches", "StreamedBatches", "resident_arrays"]


def resident_arrays(dataset):
    """Images, labels (or None) and row numbers (or None: all) of a data set held in memory.

    None for any other data set, which has to be read row by row.
    """
    if isinstance(dataset, Subset):
        whole = resident_arrays(dataset.dataset)
        if whole is None:
            return None
        X, y, rows = whole
        rows = torch.arange(len(X)) if rows is None else rows
        return X, y, rows[torch.as_tensor(dataset.indices)]
    if type(dataset) is ArrayDataset:
        return dataset.X, dataset.y, None
    return None


class ArrayBatches:
    """Iterate over whole batches of a data set in memory: one indexing call a batch, not one a row.

    Parameters
    ----------
    dataset : skorch.dataset.Dataset, or a Subset of one
        Images of shape (n, c, h, w) and labels of shape (n,), or None.
    device : str
        Where the images are put, once, in their own dtype, and the batches are made.
    batch_size : int
        -1: all rows in one batch.
    least_pixels : int
        Small images come in larger batches, of at least that many numbers.
    shuffle, drop_last : bool
        As in torch's DataLoader.
    generator : torch.Generator or None
        Draws the order of the rows; None is torch's global generator.

    Yields
    ------
    images : tensor of shape (b, c, h, w)
    labels : tensor of shape (b,), zeros where the data set has none
    """

    def __init__(
        self,
        dataset,
        device,
        *,
        batch_size,
        least_pixels=0,
        shuffle=False,
        drop_last=False,
        generator=None,
    ):
        images, labels, rows = resident_arrays(dataset)
        with warnings.catch_warnings():  # a read-only memory map is fine: nothing writes to it
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            self.images = torch.as_tensor(images).to(device)
            self.labels = None if labels is None else torch.as_tensor(labels).to(device)
        self.rows = rows
        self.n_rows = len(self.images) if rows is None else len(rows)
        least_rows = least_pixels // self.images[0].numel()
        self.batch_size = self.n_rows if batch_size == -1 else max(batch_size, least_rows)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = generator

    @staticmethod
    def can_serve(dataset, options):
        """Whether a data set is in memory, and the options of its DataLoader can be served here."""
        known = {"batch_size", "shuffle", "drop_last", "generator"}
        return resident_arrays(dataset) is not None and options.keys() <= known

    @property
    def n_batches(self):
        """Batches in an epoch."""
        return len(self)

    def __len__(self):
        full, rest = divmod(self.n_rows, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self):
        order = self.rows
        if self.shuffle:
            order = torch.randperm(self.n_rows, generator=self.generator)
            order = order if self.rows is None else self.rows[order]
        if order is not None:
            order = order.to(self.images.device)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            stop = min(start + self.batch_size, self.n_rows)
            take: Callable
            if order is None:
                take = operator.itemgetter(slice(start, stop))
            else:  # several times as fast as indexing
                take = operator.methodcaller("index_select", 0, order[start:stop])
            labels = torch.zeros(stop - start) if self.labels is None else take(self.labels)
            yield take(self.images), labels


class StreamedBatches:
    """The batches of a DataLoader, as images and columns of the network's output.

    Parameters
    ----------
    loader : iterable
        Yields images, or images and labels.
    classes : ndarray of shape (k,) or None
        The labels in the order of the columns, sorted. None: labels pass as they are.
    """

    def __init__(self, loader, classes=None):
        self.loader = loader
        self.classes = classes

    @property
    def n_batches(self):
        """Batches in an epoch, or None where the data set has no length."""
        try:
            return len(self.loader)
        except TypeError:
            return None

    def __iter__(self):
        for batch in self.loader:
            images, *rest = batch if isinstance(batch, tuple | list) else (batch,)
            labels = rest[0] if rest else torch.zeros(len(images))
            yield images, labels if self.classes is None else _columns(labels, self.classes)


def _columns(labels, classes):
    known = torch.as_tensor(classes)
    columns = torch.searchsorted(known, labels).clamp(max=len(known) - 1)
    if not torch.equal(known[columns].to(labels.dtype), labels):
        unknown = sorted(set(labels.tolist()) - set(classes.tolist()))
        raise ValueError(
            f"The data set holds the labels {unknown}, which are not in the classes "
            f"{classes.tolist()}. Pass all labels as `classes`."
        )
    return columns
