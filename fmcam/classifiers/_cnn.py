"""CNNClassifier: a network as a scikit-learn classifier of images."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from torch import nn

from fmcam._data.images import as_image_array
from fmcam._data.streams import as_stream
from fmcam._typing import Images, RandomState
from fmcam.classifiers._adopting import Adopting
from fmcam.classifiers._outputs import check_predicted

__all__ = ["CNNClassifier"]


class CNNClassifier(Adopting):
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
    given. A batch holds class indices, 0..k-1, in place of labels, as the loss needs them, but
    skorch's EpochScoring and BatchScoring get its labels. A last row alone joins the batch before.

    Parameters
    ----------
    module : class or instance of nn.Module
        Maps images (n, c, h, w) to logits (n, k), or for two classes to one logit (n, 1). A class
        is built in ``fit`` with `n_classes` and `in_channels`, where it takes them or `num_classes`
        and `in_chans`, and the ``module__*`` parameters; an instance is copied. What it returns may
        hold the logits, as tuples and the outputs of Hugging Face's networks do.
    criterion : class, default=nn.CrossEntropyLoss
        Takes logits (n, k) and class indices (n,). nn.BCEWithLogitsLoss is for two classes.
    optimizer : class, default=torch.optim.Adam
        Takes the parameters of the network and `lr`; further arguments are ``optimizer__*``.
    lr : float, default=1e-3
        Learning rate.
    max_epochs : int, default=10
        How often the training rows are seen.
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
        such instructions, ten times slower and more on others. The weights stay float32.
    outputs : {"logits", "probabilities"}, default="logits"
        What the network gives. "probabilities" is for one that ends in a softmax or, with a single
        output, in a sigmoid: they are taken as they are.
    random_state : int, RandomState or None, default=None
        Seeds weights, batch order, augmentation and dropout; two fits with the same integer are
        equal bit for bit on the CPU with the same number of threads.
    device : str, default="auto"
        "auto" is "cuda" where there is one, else "mps" where there is one, else "cpu".
    callbacks : list, "disable" or None, default=None
        Callbacks of skorch beside the default ones.
    verbose : int, default=1
        1 prints a line an epoch where the output is a terminal; 0 never does.
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
        That of the training images.
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

    def __init__(
        self,
        module: type[nn.Module] | nn.Module | Callable[..., nn.Module],
        *,
        criterion: Callable[..., nn.Module] = nn.CrossEntropyLoss,
        optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
        lr: float = 1e-3,
        max_epochs: int = 10,
        batch_size: int = 128,
        train_split: Callable[..., Any] | None = None,
        classes: ArrayLike | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        image_shape: tuple[int, int, int] | Literal["pad"] | None = None,
        augment: Callable[..., torch.Tensor] | None = None,
        precision: Literal["float32", "bfloat16"] = "float32",
        outputs: Literal["logits", "probabilities"] = "logits",
        random_state: RandomState = None,
        device: str = "auto",
        **kwargs: Any,
    ) -> None:
        # skorch lets no nn.Module be set later, which is told better in `fit`
        self.augment = augment
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
        self.precision = precision
        self.outputs = outputs
        self.random_state = random_state

    # Training -------------------------------------------------------------------------------------

    def fit(
        self,
        X: Images,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        **fit_params: Any,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like, tensor, Dataset or DataLoader
            Images of shape (n, c, h, w), (n, h, w) or (n, c * h * w), uint8 or floats in any unit.
        y : array-like of shape (n,) or None, default=None
            Labels of any kind. For a Dataset None, or its labels in order, which are checked
            against its own; for a DataLoader None.
        sample_weight : array-like of shape (n,) or None, default=None
            Weights of the rows in the loss, see the Notes of the class. They follow the rows
            through `train_split` and shuffling. Not for a Dataset or DataLoader.
        **fit_params
            `epochs` ends the training after so many of its `max_epochs`, over which schedules run
            all the same; with :class:`Resumable` a later ``fit`` goes on from there. All others are
            passed to the network's `forward` and to `train_split`.

        Returns
        -------
        self
        """
        afresh = not (self.warm_start and self.initialized_)
        return self._train(X, y, afresh, self.classes, sample_weight, **fit_params)

    def partial_fit(
        self,
        X: Images,
        y: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        **fit_params: Any,
    ) -> Self:
        """Train for `max_epochs` more epochs from the present weights.

        Parameters
        ----------
        X : array-like, tensor, Dataset or DataLoader
            Images as in :meth:`fit`. A Dataset or DataLoader may hold images of another size than
            before, if the network takes them; the classifier is then for images of that size.
        y : array-like of shape (n,) or None, default=None
            Labels as in :meth:`fit`.
        classes : array-like or None, default=None
            All labels, needed in the first call where `y` lacks some.
        sample_weight : array-like of shape (n,) or None, default=None
            Weights as in :meth:`fit`.
        **fit_params
            Passed to the network's `forward` and to `train_split`.

        Returns
        -------
        self
        """
        classes = self.classes if classes is None else classes
        return self._train(X, y, not self.initialized_, classes, sample_weight, **fit_params)

    # Prediction -----------------------------------------------------------------------------------

    def predict_proba(self, X: Images) -> NDArray[np.float32]:
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
        probabilities = super().predict_proba(X)
        check_predicted(probabilities, self.module_.net)
        return probabilities

    def predict(self, X: Images) -> NDArray[Any]:
        """The most probable label of each image.

        Parameters
        ----------
        X : array-like, tensor, Dataset or DataLoader
            Images as in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n,)
            Labels in `classes_`.
        """
        class_indices = self.predict_proba(X).argmax(axis=1)
        return self.classes_[class_indices]

    def score(
        self, X: Images, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """The share of images whose label is predicted.

        Parameters
        ----------
        X : array-like, tensor, Dataset or DataLoader
            Images as in :meth:`fit`.
        y : array-like of shape (n,) or None, default=None
            Labels; None for a Dataset or DataLoader that gives them, in any order.
        sample_weight : array-like of shape (n,) or None, default=None
            How much each image counts.

        Returns
        -------
        float
            In [0, 1].
        """
        if y is not None or as_stream(X) is None:
            return super().score(X, y, sample_weight)
        check_is_fitted(self)
        right = [
            self.evaluation_step(batch).argmax(dim=1).cpu() == batch[1].cpu()
            for batch in self.get_iterator(self.get_dataset(X))
        ]
        return torch.cat(right).double().mean().item()
