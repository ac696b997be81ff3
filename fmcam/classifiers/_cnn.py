"""CNNClassifier: a network as a scikit-learn classifier of images."""

import contextlib
import copy
import warnings

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import EpochTimer, PassthroughScoring, PrintLog
from torch import nn

from fmcam._data.images import as_image_array
from fmcam._data.streams import as_stream
from fmcam._interrupts import stopped_early
from fmcam._memory_format import channels_last_is_safe
from fmcam._network_state import device_of, modes_kept, without_hooks
from fmcam.classifiers._callbacks import BatchAccuracy, print_on_terminal
from fmcam.classifiers._class_order import assign_classes
from fmcam.classifiers._feeding import check_monitors
from fmcam.classifiers._given import check_weights, plain_network
from fmcam.classifiers._opening import Opening
from fmcam.classifiers._outputs import (
    are_probabilities,
    as_logits,
    check_predicted,
    ends_in_sigmoid,
)
from fmcam.classifiers._parameters import (
    PRECISIONS,
    check_parameter_values,
    size_arguments,
)
from fmcam.classifiers._random_state import seeded
from fmcam.classifiers._resume import Resumable
from fmcam.classifiers._trials import check_width, failures_told, try_on_blank_image
from fmcam.classifiers._weights import check_loss
from fmcam.models import Standardize, StandardizedNet

__all__ = ["CNNClassifier"]


class _EarlyStop(Exception):  # noqa: N818, no error
    """A callback ended the training."""


class CNNClassifier(Opening):
    r"""A convolutional network as a scikit-learn classifier of images.

    A skorch ``NeuralNetClassifier`` that takes labels of any kind and raw images, learns to
    standardize them, and follows scikit-learn's conventions throughout. Everything that skorch
    offers works as there: ``module__*``, ``optimizer__*``, ``criterion__*`` and ``callbacks__*``
    parameters, callbacks, ``warm_start``, ``partial_fit``.

    Images are an array or tensor of shape (n, c, h, w) or (n, h, w), or flat rows of shape
    (n, c * h * w); uint8 or floats in any unit. ``fit`` also takes a torch Dataset or DataLoader
    as `X`, for data that does not fit in memory: of (image, label) pairs, or of mappings with one
    key for each, such as "image" and "label". Images may then be tensors, arrays or PIL images,
    and labels are in `classes` or, where these are texts, numbers that count them.

    `train_split`, callbacks and the data sets they are handed see the labels that ``fit`` was
    given. A batch holds the columns of `y_pred` in place of labels, as the loss needs them, but
    skorch's EpochScoring and BatchScoring get its labels. A last row alone joins the batch before.

    Parameters
    ----------
    module : class or instance of nn.Module
        Maps images (n, c, h, w) to logits (n, k), or for two classes to one logit (n, 1). A class
        is built in ``fit`` with `n_classes` and `in_channels`, where it takes them or `num_classes`
        and `in_chans`, and the ``module__*`` parameters; an instance is copied. What it returns may
        hold the logits, as tuples and the outputs of Hugging Face's networks do.
    criterion : class, default=nn.CrossEntropyLoss
        Takes logits (n, k) and columns (n,). nn.BCEWithLogitsLoss is for two classes.
    optimizer : class, default=torch.optim.Adam
    lr : float, default=1e-3
    max_epochs : int, default=10
    batch_size : int, default=128
        Rows in a training batch. Prediction takes larger batches for small images.
    train_split : callable or None, default=None
        None trains on all rows. ``skorch.dataset.ValidSplit(0.1, stratified=True)`` holds a tenth
        out to record `valid_loss` and `valid_acc`, for early stopping and schedules.
    classes : array-like or None, default=None
        All labels, where `y` may lack some, or where a streamed data set does not name them. For a
        data set whose labels are the numbers 0, 1, ... these may be names in that order.
    class_weight : "balanced", dict of label to float, or None, default=None
        A factor for the loss of each row by its label, 1 where the dictionary has none. "balanced":
        n / (k * n_c) for a class with n_c of the n rows that ``fit`` is given. See Notes.
    image_shape : (c, h, w), "pad" or None, default=None
        How flat rows become images. None: one square channel, an error where that is impossible.
        "pad": one square channel of at least 16x16, the rows filled up with zeros.
    augment : callable or None, default=None
        ``augment(images, generator)`` changes each training batch, as :class:`FlipAndShift` and
        :class:`RandomResizedCrop` do; images of another size are fine where the network takes them.
    precision : {"float32", "bfloat16"}, default="float32"
        "bfloat16" runs the network under torch's autocast: about twice as fast on processors with
        such instructions, slower on others. The weights stay float32.
    outputs : {"logits", "probabilities"}, default="logits"
        What the network gives. "probabilities" is for one that ends in a softmax or, with a single
        output, in a sigmoid: they are taken as they are.
    random_state : int, RandomState or None, default=None
        Seeds weights, batch order, augmentation and dropout; two fits with the same integer are
        equal bit for bit on the CPU with the same number of threads.
    device : str, default="auto"
        "auto" is "cuda" where there is one, else "mps" where there is one, else "cpu".
    verbose : int, default=1
        1 prints a line an epoch where the output is a terminal; 0 never does.
    callbacks : list, "disable" or None, default=None
        skorch callbacks beside the default ones.
    **kwargs
        Any other parameter of skorch's ``NeuralNetClassifier``.

    Attributes
    ----------
    classes_ : ndarray of shape (k,)
        The labels, sorted; column j of ``predict_proba`` belongs to ``classes_[j]``.
    module_ : fmcam.models.StandardizedNet
        Takes raw images. `module_.net` is the network, `module_.standardize` holds the mean and
        standard deviation of each channel over the training rows.
    history_ : skorch History
        For each epoch `train_loss`, `train_acc`, `dur` and, with `train_split`, `valid_loss` and
        `valid_acc`.
    image_shape_ : tuple (c, h, w)
    n_features_in_ : int
        c * h * w.

    Notes
    -----
    With `class_weight`, or `sample_weight` in ``fit``, the loss of a batch is

    .. math:: \sum_i w_i l_i / \sum_i w_i,

    where :math:`l_i` is the loss of row i and :math:`w_i` its weight times that of its class, as in
    ``torch.nn.CrossEntropyLoss(weight=...)``. `train_loss` and `valid_loss` are both weighted, and
    are means over batches by their number of rows; accuracies are not weighted. As each batch is
    divided by its own weights, an integer weight is not quite the same as repeated rows. Rows of
    weight 0 are left out before the training.

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.models import LeNet5
    >>> X = np.zeros((20, 28, 28), dtype=np.uint8)
    >>> X[10:, 8:20, 8:20] = 255
    >>> y = np.repeat(["dark", "square"], 10)
    >>> clf = CNNClassifier(LeNet5, max_epochs=5, random_state=0).fit(X, y)
    >>> clf.predict(X[[0, -1]])
    array(['dark', 'square'], dtype='<U6')
    """

    # What a training is about while it goes on.
    _afresh = _in_training = _in_epoch = False
    _generator = augment_ = None
    _seen = _guessed = False  # the first outputs, the number of classes

    def __init__(
        self,
        module,
        *,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        max_epochs=10,
        batch_size=128,
        train_split=None,
        classes=None,
        class_weight=None,
        image_shape=None,
        augment=None,
        precision="float32",
        outputs="logits",
        random_state=None,
        device="auto",
        **kwargs,
    ):
        super().__init__(
            module,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            train_split=train_split,
            classes=classes,
            device=device,
            **kwargs,
        )
        self.class_weight = class_weight
        self.image_shape = image_shape
        self.augment = augment
        self.precision = precision
        self.outputs = outputs
        self.random_state = random_state

    @classmethod
    def from_module(cls, net, classes=None, **params):
        """A fitted classifier around a trained network, which is shared, not copied or changed.

        Parameters
        ----------
        net : nn.Module
            Maps images (n, c, h, w), in whatever units it was trained on, to logits (n, k), or to
            one logit (n, 1) or (n,) that speaks for the second of two classes. It runs in its own
            number type. The network inside DataParallel or ``torch.compile`` is taken.
        classes : array-like of shape (k,) or None, default=None
            The label of each output of the network, in any order: `classes_` and the columns of
            ``predict_proba`` are sorted. By default 0..k-1, where k is what the network gives.
        **params
            Parameters of :class:`CNNClassifier`, such as `outputs`, `precision` or `batch_size`.

        Returns
        -------
        CNNClassifier

        Raises
        ------
        TypeError
            If `net` is no instance of nn.Module.
        ValueError
            If the classes do not fit the outputs, weights are NaN, or the network is quantized, of
            TorchScript or torch.export, or spread over several devices.

        Examples
        --------
        >>> from fmcam.classifiers import CNNClassifier
        >>> from fmcam.models import LeNet5
        >>> CNNClassifier.from_module(LeNet5(), classes=list("abcdefghij")).classes_[:3]
        array(['a', 'b', 'c'], dtype='<U1')
        """
        net = plain_network(net)
        device = device_of(net)
        clf = cls(net, **{"device": str(device), **params})
        check_parameter_values(clf)
        if torch.empty(0, device=clf.device).device != device:
            raise ValueError(
                f"The network is on {device} and shared, not moved; got device={clf.device!r}. "
                f"Move it with `net.to({clf.device!r})`, or leave `device` out."
            )
        with torch.inference_mode(False):  # or no gradient would pass the tensors made here
            return clf.adopt(StandardizedNet(net, Standardize(1).to(device)), classes)

    def adopt(self, module, classes=None, image_shape=None):
        """Become fitted with a given network instead of training one.

        Parameters
        ----------
        module : fmcam.models.StandardizedNet
            Its columns are brought into the order of the sorted classes.
        classes : array-like of shape (k,) or None, default=None
            The label of each column of `module`, in any order; None: 0..k-1.
        image_shape : tuple (c, h, w) or None
            None: images of any shape that the network takes.

        Returns
        -------
        self
        """
        check_weights(module.net)
        module.total = 1.0 if self.outputs == "probabilities" else 0.0
        self._classes = assign_classes(module, classes, image_shape)
        self._seen, self._guessed = False, classes is None
        self.image_shape_ = image_shape
        if image_shape is not None:
            self.n_features_in_ = int(np.prod(image_shape))
        self._initialize_virtual_params()
        self._initialize_callbacks()
        with self._current_init_context("module"):
            self.module_ = module
        self._initialize_criterion()
        self._initialize_history()
        self.initialized_ = True
        return self

    # Training -------------------------------------------------------------------------------------

    def fit(self, X, y=None, sample_weight=None, **fit_params):
        """Train the network.

        Parameters
        ----------
        X : array-like or tensor of shape (n, c, h, w), (n, h, w) or (n, c * h * w), Dataset or \
                DataLoader
        y : array-like of shape (n,)
            Labels of any kind. For a Dataset None, or its labels in order, which are checked
            against its own; for a DataLoader None.
        sample_weight : array-like of shape (n,) or None, default=None
            Weights of the rows in the loss, see the Notes of the class. They follow the rows
            through `train_split` and shuffling. Not for a Dataset or DataLoader.
        **fit_params
            Passed to the network's `forward` and to `train_split`.

        Returns
        -------
        self
        """
        afresh = not (self.warm_start and self.initialized_)
        return self._train(X, y, afresh, self.classes, sample_weight, fit_params)

    def partial_fit(self, X, y=None, classes=None, sample_weight=None, **fit_params):
        """Train for `max_epochs` more epochs from the present weights.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`. A Dataset or DataLoader may hold images of another size than before,
            if the network takes them; the classifier is then for images of that size.
        classes : array-like or None, default=None
            All labels, needed in the first call where `y` lacks some.

        Returns
        -------
        self
        """
        classes = self.classes if classes is None else classes
        return self._train(X, y, not self.initialized_, classes, sample_weight, fit_params)

    def _train(self, X, y, afresh, classes, sample_weight, fit_params):
        self.check_parameters()
        with self._training(afresh):
            X, y = self._opened(X, y, classes, sample_weight)
            if afresh:
                self.initialize()
            elif not hasattr(self, "optimizer_"):
                self._initialize_optimizer()
            if self._row_weights is not None or self._class_weights is not None:
                check_loss(self.criterion_)
            check_monitors(self)
            resumed = self._begin(X, y)
            try:
                self.fit_loop(X, y, **{"epochs": self.max_epochs - resumed, **fit_params})
            except _EarlyStop:
                pass
            finally:
                self.notify("on_train_end", X=X, y=y)
                self._set_training(False)
        return self

    def _begin(self, X, y):
        """Call the callbacks, and give the number of epochs that one has read from a file."""
        epochs_before = len(self.history)
        self.notify("on_train_begin", X=X, y=y)
        resumes = any(isinstance(callback, Resumable) for _, callback in self.callbacks_)
        resumed = len(self.history) - epochs_before if resumes else 0
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

    def initialize_module(self):
        """Build the network and try it on one blank image."""
        net = plain_network(self._built_network(), "module")
        # set_params builds a net anew
        standardize = (
            Standardize(self.image_shape_[0]) if self._afresh else self.module_.standardize
        )
        module = StandardizedNet(net, standardize.to(device_of(net)), len(self.classes_))
        try_on_blank_image(module, self.image_shape_, self.classes_)
        if channels_last_is_safe(module, self.image_shape_):
            module.net = net.to(memory_format=torch.channels_last)
        self.module_, self._seen, self._guessed = module, False, False
        return self

    def _built_network(self):
        kwargs = self.get_params_for("module")
        if isinstance(self.module, nn.Module):
            return type(self.module)(**kwargs) if kwargs else copy.deepcopy(self.module)
        sizes = size_arguments(self.module, len(self.classes_), self.image_shape_[0])
        return self.module(**{**sizes, **kwargs})

    def run_single_epoch(self, iterator, training, *args, **kwargs):
        """One pass over the training or the validation data."""
        self._set_training(training)
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
        # skorch walks through all modules for every batch, which takes longer than a small layer
        if not (self._in_epoch and self.module_.training == training):
            super()._set_training(training)

    def train_step(self, batch, **fit_params):
        """One step of the optimizer on one batch, augmented."""
        if self.augment_ is not None:
            images, columns = batch
            batch = self.augment_(images, self._generator), columns
        try:
            return super().train_step(batch, **fit_params)
        except ValueError as error:
            if len(batch[0]) == 1 and "more than 1 value per channel" in str(error):
                raise ValueError(
                    "The network's batch normalization cannot be trained on a batch of one row, "
                    "which came. Take another `batch_size`, or a loader with drop_last=True."
                ) from error
            raise

    def raw_outputs(self, x, **fit_params):
        """What the network gives for raw images (n, c, h, w): (n, k), or (n, 1) for one logit.

        In float32, or float64 for a network in float64; columns follow `classes_`. The network
        runs under `precision`. This is what heatmaps explain.

        Raises
        ------
        ValueError
            If the network cannot take the images, or gives another number of outputs than before.
        """
        dtype = PRECISIONS[self.precision]
        x = x.to(self.device)
        autocast = torch.autocast(x.device.type, dtype=dtype, enabled=dtype is not None)
        with failures_told(self.module_.net, x), autocast:
            outputs = self.module_(x, **fit_params)
        if not self._seen:
            self._see(x, outputs)
        check_width(self.module_.net, outputs, self.classes_)
        return outputs

    def _see(self, x, outputs):
        """Learn from the first outputs how many there are, and whether they can be logits."""
        self._seen = True
        if self._guessed and outputs.shape[1] != len(self.classes_):
            self._classes = np.arange(max(outputs.shape[1], 2))
            self.module_.n_classes, self.module_.n_outputs = len(self._classes), outputs.shape[1]
        if self.outputs == "logits" and (
            are_probabilities(outputs) or (outputs.shape[1] == 1 and self._ends_in_sigmoid(x[:1]))
        ):
            warnings.warn(
                f"{type(self.module_.net).__name__} gives probabilities, as it seems: its outputs "
                "are rows that sum to one, or come from a sigmoid. They are taken as logits. Pass "
                "outputs='probabilities', or leave the softmax or sigmoid at its end out.",
                stacklevel=2,
            )

    def _ends_in_sigmoid(self, image):
        with without_hooks(self.module_.net), modes_kept(self.module_):
            return ends_in_sigmoid(self.module_.eval(), image)

    def infer(self, x, **fit_params):
        """Logits of shape (n, k), a column for each of `classes_`, for raw images (n, c, h, w)."""
        # for `contiguous` one channel is contiguous in any layout
        x = x.reshape(-1).view(x.shape)
        return self.as_logits(self.raw_outputs(x, **fit_params))

    def as_logits(self, raw_outputs):
        """Logits of shape (n, k), k >= 2, from what :meth:`raw_outputs` gives."""
        return as_logits(raw_outputs, self.outputs)

    def on_epoch_end(self, net, **kwargs):
        """Warn where the loss of the epoch became NaN or infinite, once in a training."""
        super().on_epoch_end(net, **kwargs)
        self.warn_of_divergence(self.history[-1, "batches", :, "train_loss"])

    def warn_of_divergence(self, losses):
        """Warn if losses of the last epoch are not finite, unless those before were not either.

        Parameters
        ----------
        losses : array-like of float
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

    # Prediction -----------------------------------------------------------------------------------

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like, tensor, Dataset or DataLoader
            Images as in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n, k), float32
            Rows sum to one; columns follow `classes_`.
        """
        check_is_fitted(self)
        if as_stream(X) is None:
            X = as_image_array(self, X, reset=False)
        with modes_kept(self.module_):
            probabilities = super().predict_proba(X)
        check_predicted(probabilities, self.module_.net)
        return probabilities

    def predict(self, X):
        """The most probable label of each image, ndarray of shape (n,)."""
        columns = self.predict_proba(X).argmax(axis=1)
        return self.classes_[columns]

    def score(self, X, y=None, sample_weight=None):
        """The share of images whose label is predicted.

        Parameters
        ----------
        X : array-like, tensor, Dataset or DataLoader
            Images as in :meth:`fit`.
        y : array-like of shape (n,) or None
            Labels; None for a Dataset or DataLoader that gives them, in any order.
        sample_weight : array-like of shape (n,) or None, default=None

        Returns
        -------
        float
        """
        if y is not None or as_stream(X) is None:
            return super().score(X, y, sample_weight)
        check_is_fitted(self)
        with modes_kept(self.module_):
            right = [
                self.evaluation_step(batch).argmax(dim=1).cpu() == batch[1].cpu()
                for batch in self.get_iterator(self.get_dataset(X))
            ]
        return torch.cat(right).double().mean().item()
