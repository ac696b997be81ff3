"""Batches for training and prediction: whole batches out of one tensor, or a stream."""

import operator
from collections.abc import Callable

import numpy as np
import torch
from skorch.dataset import Dataset as ArrayDataset
from torch.utils.data import Subset

from fmcam._data.items import IMAGES_ALONE, WeightedLabel, check_channels_first, parts_of
from fmcam._data.labels import class_indices_of, label_array, names_of_dataset
from fmcam._data.loaders import check_in_order, has_lone_row
from fmcam._random_state import generators_kept
from fmcam._warnings import warnings_ignored

__all__ = [
    "ArrayBatches",
    "StreamedBatches",
    "WeightedDataset",
    "check_in_order",
    "resident_arrays",
]


class WeightedDataset(ArrayDataset):
    """Images and labels in memory, with a weight for each row: (image, (label, weight))."""

    def __init__(self, X, y, weights):
        super().__init__(X, y)
        self.weights = weights

    def transform(self, X, y):
        """The image and the label, which :meth:`__getitem__` gives its weight."""
        return X, y

    def __getitem__(self, i):
        image, label = super().__getitem__(i)
        return image, WeightedLabel(label, self.weights[i])


def resident_arrays(dataset):
    """Images, labels (or None) and row numbers (or None: all) of a data set held in memory.

    Labels with weights come as a WeightedLabel of arrays. None for any other data set, which has to
    be read row by row.
    """
    if isinstance(dataset, Subset):
        whole = resident_arrays(dataset.dataset)
        if whole is None:
            return None
        X, y, rows = whole
        rows = torch.arange(len(X)) if rows is None else rows
        return X, y, rows[torch.as_tensor(dataset.indices)]
    if type(dataset) is WeightedDataset:
        return dataset.X, WeightedLabel(dataset.y, dataset.weights), None
    if type(dataset) is ArrayDataset and np.ndim(dataset.X) == 4:
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
    join_last : bool
        Whether a last row alone goes to the batch before.
    generator : torch.Generator or None
        Draws the order of the rows; None is torch's global generator.
    encode : callable or None
        Labels (n,) -> class indices (n,), both arrays. None: labels pass as they are.

    Yields
    ------
    images : tensor of shape (b, c, h, w)
    labels : tensor of shape (b,), zeros where the data set has none; WeightedLabel of two such
        tensors where it has weights
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
        join_last=False,
        generator=None,
        encode=None,
    ):
        images, labels, rows = resident_arrays(dataset)
        # a read-only memory map is fine: nothing writes to it
        with warnings_ignored("The given NumPy array is not writable"):
            self.images = torch.as_tensor(images).to(device)
        self.rows = rows
        self.n_rows = len(self.images) if rows is None else len(rows)
        self.weights = None
        if isinstance(labels, WeightedLabel):
            labels, weights = labels
            self.weights = torch.as_tensor(weights).to(device)
        self.labels = None if labels is None else self._encoded(labels, encode).to(device)
        least_rows = least_pixels // self.images[0].numel()
        self.batch_size = self.n_rows if batch_size == -1 else max(batch_size, least_rows)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.joined = join_last and not drop_last and has_lone_row(self.n_rows, self.batch_size)
        self.generator = generator

    def _encoded(self, labels, encode):
        if encode is None:
            return torch.as_tensor(labels)
        labels = label_array(labels, warn=False)
        rows = slice(None) if self.rows is None else self.rows.numpy()
        class_indices = np.zeros(len(labels), dtype=np.int64)  # other rows may hold other labels
        class_indices[rows] = encode(labels[rows])
        return torch.from_numpy(class_indices)

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
        if self.n_rows == 0:
            return 0
        full, rest = divmod(self.n_rows, self.batch_size)
        return full + (rest > 0 and not self.drop_last and not self.joined)

    def __iter__(self):
        order = self.rows
        if self.shuffle:
            order = torch.randperm(self.n_rows, generator=self.generator)
            order = order if self.rows is None else self.rows[order]
        if order is not None:
            order = order.to(self.images.device)
        for number in range(len(self)):
            start = number * self.batch_size
            stop = min(start + self.batch_size, self.n_rows)
            if self.joined and number == len(self) - 1:
                stop = self.n_rows
            take: Callable
            if order is None:
                take = operator.itemgetter(slice(start, stop))
            else:  # several times as fast as indexing
                take = operator.methodcaller("index_select", 0, order[start:stop])
            labels = torch.zeros(stop - start) if self.labels is None else take(self.labels)
            if self.weights is not None:
                labels = WeightedLabel(labels, take(self.weights))
            yield take(self.images), labels


class StreamedBatches:
    """The batches of a DataLoader, as images and class indices.

    Parameters
    ----------
    loader : iterable
        Yields images, or images and labels, as tuples, lists or mappings.
    classes : ndarray of shape (k,) or None
        The label of each class index. None: labels do not matter, and pass as they are.
    names : ndarray of str or None
        Where the classes are texts and the labels numbers: what these stand for.
    training : bool
        Otherwise torch's random numbers are left as they are when the loader begins.

    Yields
    ------
    images : tensor of shape (b, c, h, w)
    class_indices : tensor of shape (b,), int64; WeightedLabel of two tensors with weights
    """

    def __init__(self, loader, classes=None, names=None, *, training=False):
        self.loader = loader
        self.training = training
        self.classes = classes
        self.names = names_of_dataset(getattr(loader, "dataset", None), names)

    @property
    def n_batches(self):
        """Batches in an epoch, or None where the data set has no length."""
        try:
            return len(self.loader)
        except TypeError:
            return None

    def __iter__(self):
        for batch in _collated(self._begun()):
            images, labels = parts_of(batch, labelled=self.classes is not None)
            images = self._checked(images)
            if self.classes is not None:
                labels = self._class_indices(labels, len(images))
            yield images, torch.zeros(len(images)) if labels is None else labels

    def _begun(self):
        if self.training:
            return iter(self.loader)
        with generators_kept("cpu"):
            return iter(self.loader)

    def _checked(self, images):
        if not isinstance(images, torch.Tensor):
            raise TypeError(
                f"A loader must give batches of images as tensors, got {type(images).__name__}."
            )
        if images.ndim == 3 and getattr(self.loader, "batch_sampler", None) is not None:
            images = images[:, None]  # items of shape (h, w)
        if images.ndim != 4:
            raise ValueError(
                "A loader must give batches of images of shape (n, c, h, w), got "
                f"{tuple(images.shape)}. Leave `batch_size=None` out, or add the missing axis."
            )
        check_channels_first(images.shape[1:])
        return images.float() if images.dtype == torch.float64 else images  # which MPS has not

    def _class_indices(self, labels, n_images):
        if labels is None:
            raise ValueError(IMAGES_ALONE)
        if isinstance(labels, WeightedLabel):
            class_indices = self._class_indices(labels.label, n_images)
            return WeightedLabel(class_indices, torch.as_tensor(labels.weight))
        labels = label_array(labels, name="labels", warn=False)
        if len(labels) != n_images:
            raise ValueError(f"A batch holds {n_images} images and {len(labels)} labels.")
        return torch.from_numpy(class_indices_of(labels, self.classes, self.names))


def _collated(batches):
    """Yield the batches of a loader; ValueError where torch cannot collate its items."""
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (RuntimeError, TypeError) as error:
            if "collate" in str(error) or "stack expects" in str(error):
                raise ValueError(
                    "The DataLoader cannot make a batch of the data set's items: their images must "
                    "be tensors of one shape. Add a transform that resizes and converts them, or "
                    f"pass the Dataset itself. ({error})"
                ) from error
            raise
        yield batch
