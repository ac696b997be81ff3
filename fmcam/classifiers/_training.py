"""A training from its first epoch to its last: callbacks, early ends, random numbers."""

import contextlib
import warnings
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_consistent_length, check_random_state, check_scalar
from skorch.callbacks import EpochTimer, PassthroughScoring, PrintLog

from fmcam._data.images import as_image_array
from fmcam._data.labels import class_indices_of, label_array
from fmcam._interrupts import stopped_early
from fmcam._random_state import seeded
from fmcam.classifiers._augment import check_augmented
from fmcam.classifiers._callbacks import BatchAccuracy, print_on_terminal
from fmcam.classifiers._feeding import check_monitors
from fmcam.classifiers._resume import Resumable
from fmcam.classifiers._running import Running
from fmcam.classifiers._weights import check_loss

__all__ = ["Training"]


class _EarlyStop(Exception):  # noqa: N818, no error
    """A callback ended the training."""


class Training(Running):
    """A classifier that trains its network."""

    # What a training is about while it goes on.
    _afresh = _in_training = _in_epoch = False
    _generator = augment_ = None
    _last_epoch = 0

    def _train(self, X, y, afresh, classes, sample_weight, epochs=None, **fit_params):
        self.check_parameters()
        if epochs is not None:
            check_scalar(epochs, "epochs", Integral, min_val=0, max_val=self.max_epochs)
        with self._training(afresh):
            X, y = self._opened(X, y, classes, sample_weight)
            if afresh:
                self.initialize()
            elif not hasattr(self, "optimizer_"):
                self._initialize_optimizer()
            if self._row_weights is not None or self._class_weights is not None:
                check_loss(self.criterion_)
            check_monitors(self)
            self._last_epoch = self.max_epochs if epochs is None else epochs
            resumed = self._begin(X, y)
            try:
                self.fit_loop(X, y, self._last_epoch - resumed, **fit_params)
            except _EarlyStop:
                pass
            finally:
                self.notify("on_train_end", X=X, y=y)
                super()._set_training(False)
        return self

    def _begin(self, X, y):
        """Call the callbacks, and give the number of epochs that one has read from a file."""
        epochs_before = len(self.history)
        self.notify("on_train_begin", X=X, y=y)
        resumes = any(isinstance(callback, Resumable) for _, callback in self.callbacks_)
        resumed = len(self.history) - epochs_before if resumes else 0
        if resumed > self._last_epoch:
            raise ValueError(
                f"The state that Resumable has read is that after {resumed} epochs, but the "
                f"training is to end after {self._last_epoch}. Ask for more `epochs`, or delete "
                "the file to start again."
            )
        if resumed:
            self._afresh = self._to_learn = False
        return resumed

    def notify(self, method_name, **cb_kwargs):
        """Call the callbacks; one that stops the training early is told from a person's Ctrl-C.

        skorch's EarlyStopping raises KeyboardInterrupt, and skorch ends `fit` quietly on any such.
        Here a Ctrl-C goes through, or a search would take a half-trained network for a whole one.
        """
        try:
            self.tell_callbacks(method_name, **cb_kwargs)
        except KeyboardInterrupt as interrupt:
            if stopped_early(interrupt):
                raise _EarlyStop from interrupt
            raise

    @contextlib.contextmanager
    def _training(self, afresh):
        """Note what training this is, with torch's generators seeded from `random_state`."""
        self._afresh, self._in_training = afresh, True
        self.augment_ = self.augment
        seed = None
        if self.random_state is not None:
            seed = int(check_random_state(self.random_state).randint(2**31))
            seed += 0 if afresh else len(self.history)
        try:
            with seeded(seed, self.device) as self._generator:
                yield
        finally:
            self._afresh, self._in_training, self._generator = False, False, None

    def run_single_epoch(self, iterator, training, *args, **kwargs):
        """One pass over the training or the validation data."""
        super()._set_training(training)
        self._in_epoch = True
        try:
            super().run_single_epoch(iterator, training, *args, **kwargs)
        finally:
            self._in_epoch = False
        if training and self.history[-1, "train_batch_count"] == 0:
            raise ValueError(
                "There was no batch to train on. Where `drop_last` is set, leave it out, or take a "
                "`batch_size` that is not larger than the number of rows."
            )

    def _set_training(self, training=True):
        # skorch calls it for every batch and walks through all modules, which takes longer than a
        # small layer; outside of epochs `evaluation_step` sees to evaluation mode
        there = self.module_.training == training if self._in_epoch else not training
        if not there:
            super()._set_training(training)

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """One step of the optimizer on one batch, augmented.

        It needs a classifier that is fitted or :meth:`initialize`-d; after that the first batch
        also says how images are standardized.

        Parameters
        ----------
        batch : tuple (images, labels)
            Arrays or tensors, as `fit` takes them, such as a batch of a DataLoader.
        **fit_params
            Passed to the network's `forward`.

        Returns
        -------
        dict
            loss, a tensor, and y_pred, the logits of shape (n, n_classes).

        Raises
        ------
        NotFittedError
            If there is no network yet.
        ValueError
            If images have another shape, labels are unknown, or there are not as many as images.

        Examples
        --------
        >>> import numpy as np
        >>> from fmcam.classifiers import SimpleCNNClassifier
        >>> clf = SimpleCNNClassifier(classes=[0, 1], image_shape=(1, 28, 28), random_state=0)
        >>> batch = np.random.default_rng(0).random((8, 1, 28, 28)), np.arange(8) % 2
        >>> losses = [clf.initialize().train_step(batch)["loss"], clf.train_step(batch)["loss"]]
        >>> bool(losses[1] < losses[0])
        True
        """
        if not self._in_training:
            batch = self._given_batch(batch)
        if self.augment_ is not None:
            images, class_indices = batch
            augmented = self.augment_(images, self._generator)
            check_augmented(augmented, images)
            batch = augmented, class_indices
        try:
            return super().train_step(batch, **fit_params)
        except ValueError as error:
            if len(batch[0]) == 1 and "more than 1 value per channel" in str(error):
                raise ValueError(
                    "The network's batch normalization cannot be trained on a batch of one row, "
                    "but got one. Take another `batch_size`, or a loader with drop_last=True."
                ) from error
            raise

    def _given_batch(self, batch):
        """Images and class indices of what somebody else than `fit` takes a step on."""
        if not self.initialized_:
            raise NotFittedError(
                f"This {type(self).__name__} has no network to train yet. Call `initialize` first."
            )
        if not isinstance(batch, list | tuple) or len(batch) < 2:
            raise ValueError(f"`batch` must be (images, labels), got a {type(batch).__name__}.")
        images, labels, *_ = batch
        images = torch.tensor(as_image_array(self, images, reset=False))
        labels = class_indices_of(label_array(labels), self.classes_, self._names)
        check_consistent_length(images, labels)
        if self._to_learn:
            self.module_.standardize.learn([images])
            self._to_learn = False
        return images, torch.from_numpy(labels)

    def on_epoch_end(self, net, **kwargs):
        """Warn where the loss of the epoch became NaN or infinite, once in a training."""
        super().on_epoch_end(net, **kwargs)
        self.warn_of_divergence(self.history[-1, "batches", :, "train_loss"])

    def warn_of_divergence(self, losses: ArrayLike) -> None:
        """Warn if losses of the last epoch are not finite, unless those before were not either.

        Parameters
        ----------
        losses : array-like of float
            One for each batch.
        """
        if np.isfinite(losses).all():
            return
        epoch = len(self.history)
        if epoch > 1 and not np.isfinite(self.history[-2].get("train_loss", 0)):
            return
        warnings.warn(
            f"The training loss became NaN or infinite in epoch {epoch}, with lr={self.lr}. The "
            "network cannot predict any more. Train with a lower learning rate, or clip the "
            "gradients with skorch's GradientNormClipping.",
            stacklevel=2,
        )

    @property
    def _default_callbacks(self):
        return [
            ("epoch_timer", EpochTimer()),
            ("batch_accuracy", BatchAccuracy()),
            ("train_loss", PassthroughScoring("train_loss", on_train=True)),
            ("train_acc", PassthroughScoring("train_acc", on_train=True, lower_is_better=False)),
            ("valid_loss", PassthroughScoring("valid_loss")),
            ("valid_acc", PassthroughScoring("valid_acc", lower_is_better=False)),
            ("print_log", PrintLog(sink=print_on_terminal)),
        ]
