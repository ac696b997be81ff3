"""Batches for training and prediction: whole batches out of one tensor, or a stream."""

import functools
import itertools
import operator
import random
import warnings
from collections.abc import Callable

import numpy as np
import torch
from skorch.dataset import Dataset as ArrayDataset
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from fmcam.classifiers._items import WeightedLabel, check_channels_first, collate, parts_of
from fmcam.classifiers._labels import columns_of, label_array, names_of_dataset

__all__ = [
    "ArrayBatches",
    "JoinedBatchSampler",
    "StreamedBatches",
    "WeightedDataset",
    "check_in_order",
    "has_lone_row",
    "make_loader",
    "resident_arrays",
]

_RANDOM = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)
_N_DRAWS, _N_DRAWN = 8, 1000


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


def has_lone_row(n_rows, batch_size):
    """Whether batches would leave one row alone in the last of them.

    Batch normalization cannot be trained on one row, so in training the batch before takes it in.

    >>> from fmcam.classifiers._batches import has_lone_row
    >>> has_lone_row(33, 32), has_lone_row(34, 32), has_lone_row(1, 32), has_lone_row(3, 1)
    (True, False, False, False)
    """
    return n_rows > batch_size > 1 and n_rows % batch_size == 1


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
        Labels (n,) -> columns (n,), both arrays. None: labels pass as they are.

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
        with warnings.catch_warnings():  # a read-only memory map is fine: nothing writes to it
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
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
        columns = np.zeros(len(labels), dtype=np.int64)  # other rows may hold other labels
        columns[rows] = encode(labels[rows])
        return torch.from_numpy(columns)

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
    """The batches of a DataLoader, as images and columns of the network's output.

    Parameters
    ----------
    loader : iterable
        Yields images, or images and labels, as tuples, lists or mappings.
    classes : ndarray of shape (k,) or None
        The label of each column. None: labels do not matter, and pass as they are.
    names : ndarray of str or None
        Where the classes are texts and the labels numbers: what these stand for.

    Yields
    ------
    images : tensor of shape (b, c, h, w)
    columns : tensor of shape (b,), int64; WeightedLabel of two tensors where there are weights
    """

    def __init__(self, loader, classes=None, names=None):
        self.loader = loader
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
        for batch in _collated(self.loader):
            images, labels = parts_of(batch, labelled=self.classes is not None)
            images = self._checked(images)
            if self.classes is not None:
                labels = self._columns(labels, len(images))
            yield images, torch.zeros(len(images)) if labels is None else labels

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
                f"{tuple(images.shape)}. Leave `batch_size=None` out, or add the axis that lacks."
            )
        check_channels_first(images.shape[1:])
        return images

    def _columns(self, labels, n_images):
        if labels is None:
            raise ValueError(
                "The data set gives images alone, but labels are needed too. Let it give pairs "
                "(image, label), or pass the labels as `y`."
            )
        if isinstance(labels, WeightedLabel):
            columns = self._columns(labels.label, n_images)
            return WeightedLabel(columns, torch.as_tensor(labels.weight))
        labels = label_array(labels, name="labels", warn=False)
        if len(labels) != n_images:
            raise ValueError(f"A batch holds {n_images} images and {len(labels)} labels.")
        return torch.from_numpy(columns_of(labels, self.classes, self.names))


def _collated(loader):
    """Yield the batches of a loader; what stops torch's `default_collate` is said in our words."""
    batches = iter(loader)
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


# Loaders ------------------------------------------------------------------------------------------


class JoinedBatchSampler(BatchSampler):
    """torch's BatchSampler, with a last row alone in the batch before."""

    def __len__(self):
        return super().__len__() - has_lone_row(len(self.sampler), self.batch_size)

    def __iter__(self):
        batches = super().__iter__()
        batch = next(batches, None)
        while batch is not None:
            following = next(batches, None)
            if following is not None and len(following) == 1 < self.batch_size:
                batch, following = batch + following, next(batches, None)
            yield batch
            batch = following


def make_loader(make, dataset, options, *, training, labelled):
    """A DataLoader of a data set by skorch's options; in training the rows are shuffled.

    Parameters
    ----------
    make : class or callable
        `iterator_train` or `iterator_valid`.
    dataset : Dataset
    options : dict
        For `make`, with "batch_size".
    training : bool
    labelled : bool
        Whether the labels of the items matter.
    """
    if isinstance(make, type) and issubclass(make, DataLoader):
        options = {"collate_fn": functools.partial(collate, labelled=labelled), **options}
    if {"sampler", "batch_sampler"} & options.keys():
        options.pop("shuffle", None)
    if options.get("batch_sampler") is not None:
        options = {k: v for k, v in options.items() if k not in ("batch_size", "drop_last")}
        check_sampler(options["batch_sampler"], dataset)
        return make(dataset, **options)
    if options["batch_size"] == -1:
        options["batch_size"] = len(dataset)
    if options.get("sampler") is not None:
        check_sampler(options["sampler"], dataset)
    if training and not options.get("drop_last") and make is DataLoader:
        options = _with_lone_row_joined(dataset, options)
    return make(dataset, **options)


def _with_lone_row_joined(dataset, options):
    size, sampler = options["batch_size"], options.get("sampler")
    rows = dataset if sampler is None else sampler
    if size is None or not hasattr(rows, "__len__") or not has_lone_row(len(rows), size):
        return options
    if sampler is None and options.get("shuffle"):
        sampler = RandomSampler(dataset, generator=options.get("generator"))
    sampler = SequentialSampler(dataset) if sampler is None else sampler
    others = ("batch_size", "drop_last", "sampler", "shuffle")
    options = {name: value for name, value in options.items() if name not in others}
    return {**options, "batch_sampler": JoinedBatchSampler(sampler, size, False)}


def check_sampler(sampler, dataset):
    """Raise ValueError for a sampler that was made for another number of rows."""
    sampler = getattr(sampler, "sampler", sampler)
    for name in ("weights", "data_source"):
        made_for = getattr(sampler, name, None)
        if hasattr(made_for, "__len__") and len(made_for) != len(dataset):
            raise ValueError(
                f"{type(sampler).__name__} was made for {len(made_for)} rows, but the training has "
                f"{len(dataset)}. A `train_split` and a search take rows away: pass "
                "`class_weight` or `sample_weight`, which follow the rows, or leave the split out."
            )


def check_in_order(loader, name="X"):
    """Raise ValueError where a DataLoader gives its rows in an order that cannot be known.

    What comes out for each row could not be told apart then. Samplers of torch that draw at random
    are refused, and any other that draws differently when it is asked again; torch's, numpy's and
    Python's own generators of random numbers are left as they are.

    Parameters
    ----------
    loader : DataLoader
    name : str
        The argument's name in error messages.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import DataLoader, TensorDataset
    >>> from fmcam.classifiers._batches import check_in_order
    >>> check_in_order(DataLoader(TensorDataset(torch.zeros(4)), batch_size=3, drop_last=True))
    """
    if isinstance(loader.dataset, IterableDataset):
        return
    batches = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
    samplers = (batches, getattr(batches, "sampler", None), loader.sampler)
    shuffles = any(
        isinstance(sampler, _RANDOM) or getattr(sampler, "shuffle", False) is True
        for sampler in samplers
    )
    if shuffles or _draws_differ(batches):
        raise ValueError(
            f"`{name}` is a DataLoader that shuffles, so nobody could tell which row a result "
            f"belongs to. Pass its data set, `{name}.dataset`, or a DataLoader without a random "
            "sampler (shuffle=False)."
        )


def _draws_differ(sampler):
    in_numpy, in_python = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            rows = getattr(sampler, "sampler", sampler)
            if iter(rows) is rows:  # it would be used up
                return False
            draws = (str(list(itertools.islice(sampler, _N_DRAWN))) for _ in range(_N_DRAWS))
            return len(set(draws)) > 1
    finally:
        np.random.set_state(in_numpy)  # noqa: NPY002
        random.setstate(in_python)
