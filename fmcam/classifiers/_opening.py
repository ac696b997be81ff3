"""What a training is opened with: images or a stream, labels and weights."""

from typing import Any

import numpy as np
from skorch.dataset import Dataset as ArrayDataset
from torch.utils.data import DataLoader

from fmcam._data.images import as_image_array
from fmcam._data.labels import checked_labels, class_indices_of, given_names, stream_classes
from fmcam._data.streams import as_stream, labelled_stream
from fmcam._random_state import generators_kept
from fmcam.classifiers._feeding import Feeding, is_predefined
from fmcam.classifiers._trials import try_on_blank_image
from fmcam.classifiers._weights import class_weights, sample_weights

__all__ = ["Opening"]


class Opening(Feeding):
    """A classifier that finds out classes, image shape and weights before its network is built."""

    image_shape_: Any  # (c, h, w), or None for images of any shape

    def _opened(self, X, y, classes, sample_weight):
        """Images, or a stream of them, and their labels; notes classes, shape and weights."""
        if self._afresh:
            self._names = given_names(classes)
        stream = as_stream(X)
        if stream is not None:
            return self._open_stream(stream, y, classes, sample_weight)
        X = as_image_array(self, X, reset=self._afresh)
        y = checked_labels(self, X, y, classes if self._afresh else self.classes_)
        weights = sample_weights(sample_weight, X)
        if weights is not None and not weights.all():
            X, y, weights = X[weights > 0], y[weights > 0], weights[weights > 0]
        if weights is not None and self.dataset is not ArrayDataset:
            raise ValueError("`sample_weight` needs skorch's own `dataset`; leave that out.")
        self._row_weights = weights
        self._weigh_classes(y)
        return X, y

    def _weigh_classes(self, y):
        class_indices = None
        if self.class_weight is not None and y is not None:
            class_indices = class_indices_of(y, self.classes_, self._names)
        self._class_weights = class_weights(self.class_weight, self.classes_, class_indices)

    def _open_stream(self, stream, y, classes, sample_weight):
        if sample_weight is not None:
            raise ValueError(
                "`sample_weight` needs images in an array. For a Dataset pass `class_weight`, or "
                "iterator_train__sampler=WeightedRandomSampler(...)."
            )
        splits = self.train_split is not None and not is_predefined(self.train_split)
        if isinstance(stream, DataLoader) and splits:
            raise ValueError("`train_split` cannot split a DataLoader. Pass the Dataset instead.")
        stream, labels = labelled_stream(stream, y, self._names)
        if self._afresh:
            self._classes = stream_classes(self, stream, labels, classes)
        if self._afresh or self.image_shape_ is not None:
            self._note_shape_of(stream)
        self._weigh_classes(labels)
        return stream, labels

    def _note_shape_of(self, stream):
        with generators_kept("cpu"):  # a DataLoader draws a number when it begins
            images, _ = next(iter(self.get_iterator(stream)), (None, None))
        if images is None:
            raise ValueError(f"The {type(stream).__name__} holds no images to train on.")
        shape = tuple(images.shape[1:])
        if not self._afresh:
            try_on_blank_image(self.module_, shape, self.classes_)
        self.image_shape_, self.n_features_in_ = shape, int(np.prod(shape))

    # Without data ---------------------------------------------------------------------------------

    def initialize(self):
        """Build network, loss and optimizer anew without training, as for ``load_params``.

        Raises
        ------
        ValueError
            Before the first `fit`, unless `classes` and `image_shape` were given.
        """
        self._to_learn = True
        if self._in_training:
            return super().initialize()
        self.check_parameters()
        self._note_what_is_given()
        with self._training(afresh=True):
            return super().initialize()

    def _note_what_is_given(self):
        if self.initialized_:
            return
        shape = self.image_shape
        if self.classes is None or shape is None or isinstance(shape, str):
            raise ValueError(
                f"{type(self).__name__} can be initialized without data only where it knows its "
                f"classes and images, got classes={self.classes!r} and image_shape={shape!r}. Pass "
                "`classes=[...]` and `image_shape=(c, h, w)`, or call `fit`."
            )
        self._names = given_names(self.classes)
        self._classes = stream_classes(self, None, None, self.classes)
        self.image_shape_, self.n_features_in_ = tuple(shape), int(np.prod(shape))

    def load_params(self, f_params=None, *args, checkpoint=None, **kwargs):
        """Read weights, optimizer or history from files of ``save_params``; see skorch.

        An unfitted classifier is made ready by :meth:`initialize`.
        """
        super().load_params(f_params, *args, checkpoint=checkpoint, **kwargs)
        if f_params is not None or checkpoint is not None or "f_module" in kwargs:
            self._to_learn = False
