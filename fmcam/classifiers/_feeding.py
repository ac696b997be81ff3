"""What a classifier is fed: data sets, splits, batches, weights, and what callbacks see of them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from skorch.callbacks import LRScheduler
from skorch.callbacks.scoring import ScoringBase
from skorch.dataset import ValidSplit
from skorch.exceptions import SkorchException
from skorch.helper import predefined_split
from skorch.utils import to_device
from torch.utils.data import DataLoader, IterableDataset

from fmcam._data.batches import ArrayBatches, StreamedBatches, WeightedDataset
from fmcam._data.items import IMAGES_ALONE, WeightedLabel
from fmcam._data.labels import class_indices_of, names_of_dataset
from fmcam._data.loaders import check_in_order, make_loader
from fmcam._data.streams import as_stream, lacks_labels
from fmcam.classifiers._outputs import binary, takes_one_logit
from fmcam.classifiers._skorch_base import SkorchClassifier
from fmcam.classifiers._weights import fitted_criterion, weight_tensor, weighted_mean

__all__ = ["Feeding", "check_monitors", "is_predefined"]

_PREDICTION_PIXELS = 2**18  # in more, the feature maps of a first layer would leave the cache


class Feeding(SkorchClassifier):
    """A skorch classifier whose data sets hold labels and whose batches hold class indices.

    Everything that is handed out, to `train_split`, `on_train_begin` and the data sets of
    `on_epoch_begin` and `on_epoch_end`, holds the labels that `fit` was given. Batches hold
    class indices, as the loss needs them; only skorch's EpochScoring and BatchScoring, which
    compare a batch with ``predict``, get its labels.
    """

    _names = _row_weights = _class_weights = None
    _to_learn = False  # whether the images of the next training are to be standardized

    # Data sets and batches ------------------------------------------------------------------------

    def get_dataset(self, X, y=None):
        """The data set of some images and labels; a DataLoader stays one."""
        stream = as_stream(X)
        if stream is not None:
            return stream
        if y is not None and self._row_weights is not None:
            return WeightedDataset(X, y, self._row_weights)
        return super().get_dataset(X, y)

    def get_iterator(self, dataset, training=False):
        """Batches of (images, class indices) of a data set, shuffled for training."""
        batches = self._batches(dataset, training, labelled=True)
        if training:
            self.n_batches_ = batches.n_batches
        return batches

    def image_batches(self, dataset: Any) -> Iterable[tuple[torch.Tensor, Any]]:
        """Batches of images in the order of a data set, whose labels do not matter.

        Parameters
        ----------
        dataset : Dataset or DataLoader
            As :meth:`get_dataset` gives it.

        Returns
        -------
        iterable of (tensor of shape (n, c, h, w), anything)
        """
        return self._batches(dataset, training=False, labelled=False)

    def _batches(self, dataset, training, labelled):
        classes = self.classes_ if labelled else None
        if labelled and lacks_labels(dataset):
            raise ValueError(IMAGES_ALONE)
        if isinstance(dataset, DataLoader):
            return StreamedBatches(dataset, classes, self._names, training=training)
        make = self.iterator_train if training else self.iterator_valid
        options = self.get_params_for("iterator_train" if training else "iterator_valid")
        options = {"batch_size": self.batch_size, **options}
        if not training:
            _check_whole(options)
        elif not isinstance(dataset, IterableDataset):
            options = {"shuffle": True, "generator": self._generator, **options}
        if make is DataLoader and ArrayBatches.can_serve(dataset, options):
            names = names_of_dataset(dataset, self._names)
            return ArrayBatches(
                dataset,
                self.device,
                least_pixels=0 if training else _PREDICTION_PIXELS,
                join_last=training,
                encode=(lambda y: class_indices_of(y, classes, names)) if labelled else _no_indices,
                **options,
            )
        loader = make_loader(make, dataset, options, training=training, labelled=labelled)
        return StreamedBatches(loader, classes, self._names, training=training)

    def get_split_datasets(self, X, y=None, **split_params):
        """The training and validation data; `fit` learns to standardize the former."""
        stream = as_stream(X)
        if stream is not None and not isinstance(self.train_split, ValidSplit):
            y = None  # as skorch does: only what was passed to `fit`
        if getattr(self.train_split, "stratified", False) and y is None:
            raise ValueError(
                f"A stratified `train_split` needs the labels of the {type(X).__name__} before "
                "they are read. Pass them as `y`, or give the data set an attribute `targets`."
            )
        train, valid = super().get_split_datasets(X, y, **split_params)
        if self._to_learn:
            images = (images for images, _ in self.get_iterator(train, training=False))
            self.module_.standardize.learn(images)
            self._to_learn = False
        return train, valid

    def forward_iter(self, X, training=False, device="cpu"):
        """Yield the logits of each batch of some images, in their order."""
        dataset = self.get_dataset(X)
        if isinstance(dataset, DataLoader):
            check_in_order(dataset)
        batch = None
        for batch in self.image_batches(dataset):
            yield to_device(self.evaluation_step(batch, training=training), device=device)
        if batch is None:
            raise ValueError(f"`X` holds no images, got an empty {type(X).__name__}.")

    # The loss -------------------------------------------------------------------------------------

    def initialize_criterion(self):
        """Build the loss; class weights of any kind become a tensor like the logits."""
        kwargs = self.get_params_for("criterion")
        dtypes = {weight.dtype for weight in self.module_.parameters()}
        dtype = torch.float64 if torch.float64 in dtypes else torch.float32
        for name in ("weight", "pos_weight"):
            if kwargs.get(name) is not None:
                kwargs[name] = weight_tensor(name, kwargs[name], dtype)
        criterion = self.initialized_instance(self.criterion, kwargs)
        self.criterion_ = fitted_criterion(criterion, self.classes_, dtype)
        return self

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        """The loss of a batch; with weights w of rows and classes sum(w * loss) / sum(w)."""
        class_indices, weights = y_true if isinstance(y_true, WeightedLabel) else (y_true, None)
        if self._class_weights is not None:
            class_indices = class_indices.to(y_pred.device)
            of_class = self._class_weights.to(y_pred.device)[class_indices]
            weights = of_class if weights is None else of_class * weights.to(y_pred.device)
        columns = class_indices.to(y_pred.device)
        if takes_one_logit(self.criterion_):
            y_pred, columns = binary(y_pred, columns)
        if weights is None:
            return super().get_loss(y_pred, columns, *args, **kwargs)
        return weighted_mean(self.criterion_, y_pred, columns, weights.to(y_pred.device))

    # Callbacks ------------------------------------------------------------------------------------

    def tell_callbacks(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call a method of the classifier and of all callbacks, each in its label space.

        Parameters
        ----------
        method_name : str
            Such as "on_batch_end".
        **cb_kwargs
            What the method is called with.
        """
        batch: Any = cb_kwargs.get("batch")
        if batch is not None and isinstance(batch[1], WeightedLabel):
            batch = cb_kwargs["batch"] = batch[0], batch[1].label
        getattr(self, method_name)(self, **cb_kwargs)
        labelled = None
        for _, callback in self.callbacks_:
            kwargs = cb_kwargs
            if isinstance(callback, ScoringBase) and method_name == "on_batch_end":
                if labelled is None:
                    labels = self.classes_[np.asarray(batch[1].cpu())]
                    labelled = {**cb_kwargs, "batch": (batch[0], labels)}
                kwargs = labelled
            try:
                getattr(callback, method_name)(self, **kwargs)
            except (KeyError, SkorchException, ValueError) as error:
                if method_name == "on_epoch_end" and _misses(callback, self.history):
                    raise ValueError(_not_recorded(callback, self.history)) from error
                raise


def _no_indices(labels):
    return np.zeros(len(labels), dtype=np.int64)


def _check_whole(options):
    wrong = [
        name
        for name in ("shuffle", "sampler", "batch_sampler", "drop_last")
        if options.get(name) not in (None, False)
    ]
    if wrong:
        raise ValueError(
            f"`iterator_valid__{wrong[0]}` must be left out: predictions are given for each row, "
            "in the order of the rows."
        )


def is_predefined(train_split):
    """Whether a split is skorch's `predefined_split`, which leaves the training data whole."""
    return getattr(train_split, "func", None) is predefined_split(None).func


def check_monitors(clf):
    """Raise ValueError for a callback that watches a score that only a `train_split` gives."""
    if clf.train_split:
        return
    held_out = {"valid_loss", "valid_acc"}
    held_out |= {
        callback.name_
        for _, callback in clf.callbacks_
        if isinstance(callback, ScoringBase) and not callback.on_train
    }
    for _, callback in clf.callbacks_:
        monitor = _monitor(callback)
        if monitor is not None and monitor.removesuffix("_best") in held_out:
            raise ValueError(
                f"{type(callback).__name__} watches {monitor!r}, which is only recorded with a "
                "`train_split`. Pass train_split=ValidSplit(0.1, stratified=True), or "
                f"monitor={monitor.replace('valid', 'train')!r}."
            )


def _monitor(callback):
    if isinstance(callback, LRScheduler) and "ReduceLROnPlateau" not in str(callback.policy):
        return None
    monitor = getattr(callback, "monitor", None)
    return monitor if isinstance(monitor, str) else None


def _misses(callback, history):
    monitor = _monitor(callback)
    return monitor is not None and monitor not in history[-1]


def _not_recorded(callback, history):
    recorded = sorted(name for name in history[-1] if name not in ("batches", "epoch"))
    return (
        f"{type(callback).__name__} watches {_monitor(callback)!r}, which is not recorded before "
        f"it in an epoch. Recorded are {recorded}. Watch one of these, or put the callback that "
        "records it in front."
    )
