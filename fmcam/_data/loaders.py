"""DataLoaders of data sets, and the order in which they give the rows."""

import functools
import itertools
import random
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from fmcam._data.items import collate
from fmcam._random_state import generators_kept

__all__ = ["JoinedBatchSampler", "check_in_order", "has_lone_row", "make_loader"]

_RANDOM = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)
_N_DRAWS, _N_DRAWN = 8, 1000


def has_lone_row(n_rows, batch_size):
    """Whether the last batch would hold a single row.

    Batch normalization cannot be trained on one row, so in training the batch before takes it in.

    >>> from fmcam._data.batches import has_lone_row
    >>> has_lone_row(33, 32), has_lone_row(34, 32), has_lone_row(1, 32), has_lone_row(3, 1)
    (True, False, False, False)
    """
    return n_rows > batch_size > 1 and n_rows % batch_size == 1


class JoinedBatchSampler(BatchSampler):
    """torch's BatchSampler, which adds a last row that is alone to the batch before."""

    def __len__(self):
        return super().__len__() - has_lone_row(len(self.sampler), self.batch_size)  # type: ignore[arg-type]

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
    if not training and make is DataLoader:  # it would draw one of torch's random numbers
        options = {"generator": torch.Generator(), **options}
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
        made_for: Any = getattr(sampler, name, None)
        if hasattr(made_for, "__len__") and len(made_for) != len(dataset):
            raise ValueError(
                f"{type(sampler).__name__} was made for {len(made_for)} rows, but the training has "
                f"{len(dataset)}. A `train_split` and a search take rows away: pass "
                "`class_weight` or `sample_weight`, which follow the rows, or leave the split out."
            )


def check_in_order(loader, name="X"):
    """Raise ValueError where the order in which a DataLoader gives its rows cannot be known.

    Results could not be matched to rows then. Samplers of torch that draw at random
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
    >>> from fmcam._data.batches import check_in_order
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
            f"`{name}` is a DataLoader that shuffles, so results could not be matched to its "
            f"rows. Pass its data set, `{name}.dataset`, or a DataLoader without a random "
            "sampler (shuffle=False)."
        )


def _draws_differ(sampler):
    in_numpy, in_python = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with generators_kept("cpu"):
            rows = getattr(sampler, "sampler", sampler)
            if iter(rows) is rows:  # it would be used up
                return False
            draws = (str(list(itertools.islice(sampler, _N_DRAWN))) for _ in range(_N_DRAWS))
            return len(set(draws)) > 1
    finally:
        np.random.set_state(in_numpy)  # noqa: NPY002
        random.setstate(in_python)
