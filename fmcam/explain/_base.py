"""What all explainers share: fitting, batches, classes to explain, normalising, output."""

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from skorch.dataset import Dataset as ArrayDataset
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from fmcam.classifiers import CNNClassifier
from fmcam.classifiers._batches import ArrayBatches, StreamedBatches
from fmcam.classifiers._inputs import as_image_array
from fmcam.explain._output import MapWriter
from fmcam.explain._recording import Recording

__all__ = ["BaseExplainer", "Batch", "columns_of", "explain_group", "explain_together", "min_max"]

_FLAT = 1e-5
_PROGRESS_AFTER = 2  # seconds


class BaseExplainer(TransformerMixin, BaseEstimator, ABC):
    """Turns images into heatmaps; a kind of explainer writes `maps_of_batch`.

    Parameters
    ----------
    estimator : CNNClassifier or FrozenEstimator of one
        A frozen classifier is explained as it is; any other is cloned and fitted in ``fit``.
    normalize : "minmax" or None, default="minmax"
        "minmax" stretches each map to [0, 1]; a flat one becomes zeros. None leaves raw values.
    batch_size : int, default=128

    Attributes
    ----------
    estimator_ : CNNClassifier or FrozenEstimator
    """

    def __init__(self, estimator, *, normalize="minmax", batch_size=128):
        self.estimator = estimator
        self.normalize = normalize
        self.batch_size = batch_size

    def fit(self, X, y=None):
        """Fit a clone of the classifier, unless it is frozen.

        Parameters
        ----------
        X, y
            As for the classifier.

        Returns
        -------
        self
        """
        self.estimator_ = clone(self.estimator).fit(X, y)
        return self

    def transform(self, X):
        """Heatmaps of the predicted classes, as :meth:`explain` without `y` gives them."""
        return self.explain(X)

    def explain(self, X, y=None, *, out=None):
        """Heatmaps of chosen classes.

        Parameters
        ----------
        X : array-like or tensor of shape (n, c, h, w), (n, h, w) or (n, c * h * w), Dataset or \
                DataLoader
            Images as for the classifier. A DataLoader must not shuffle.
        y : array-like of shape (n,) or (n, k), default=None
            Labels of the classes to explain, one or k for each image. None: the predicted class.
        out : path, default=None
            A .npy file to write the maps to, for more of them than memory holds.

        Returns
        -------
        ndarray of shape (n, h, w) or (n, k, h, w), float32
            With `out` a read-only memory map of that file.
        """
        return explain_together({"maps": self}, X, y, out={"maps": out})["maps"]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "estimator_") or isinstance(self.estimator, FrozenEstimator)

    @property
    def classifier_(self):
        """The fitted classifier that is explained."""
        if not self.__sklearn_is_fitted__():
            name = type(self).__name__
            raise NotFittedError(
                f"This {name} has no fitted classifier. Call `fit`, or freeze a fitted one: "
                f"{name}(FrozenEstimator(clf))."
            )
        clf = getattr(self, "estimator_", self.estimator)
        clf = clf.estimator if isinstance(clf, FrozenEstimator) else clf
        if not isinstance(clf, CNNClassifier):
            raise TypeError(
                f"`estimator` must be a CNNClassifier, got a {type(clf).__name__}. "
                "Wrap a torch network by `CNNClassifier.from_module(net)`."
            )
        if not hasattr(clf, "module_"):
            raise NotFittedError(
                f"The {type(clf).__name__} to explain is not fitted. Fit it first."
            )
        return clf

    def layers_for(self, clf, images):
        """Names of the layers whose maps `maps_of_batch` needs; none by default."""
        return []

    @abstractmethod
    def maps_of_batch(self, batch, columns):
        """Maps of one class of each image of a batch, before normalising.

        Parameters
        ----------
        batch : Batch
        columns : tensor of shape (n,), int64
            The logit to explain for each image.

        Returns
        -------
        tensor of shape (n, h, w), not negative
        """


class Batch:
    """Some images and what the network makes of them, computed once for all explainers.

    Attributes
    ----------
    clf : CNNClassifier
    images : tensor of shape (n, c, h, w)
        Raw, on the classifier's device.
    layers : tuple of str
        The layers whose maps the recording keeps.
    """

    def __init__(self, clf, images, layers=()):
        self.clf = clf
        self.images = images
        self.layers = tuple(layers)
        self._found: dict = {}

    @cached_property
    def recording(self):
        """One forward of these images."""
        return Recording(self.clf, self.images, self.layers)

    def once(self, key, compute):
        """`compute()`, called once for each key: what classes and explainers share."""
        if key not in self._found:
            self._found[key] = compute()
        return self._found[key]


def explain_together(explainers, X, y=None, *, out=None):
    """Heatmaps of several explainers; those of one classifier share its forwards.

    Parameters
    ----------
    explainers : mapping of str to explainer
        Of fitted classifiers.
    X, y
        As in ``explain``.
    out : mapping of str to path, default=None
        For each explainer a .npy file to write its maps to.

    Returns
    -------
    dict of str to ndarray of shape (n, h, w) or (n, k, h, w), float32

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import GradCAM, LayerCAM, explain_together
    >>> from fmcam.models import LeNet5
    >>> clf = FrozenEstimator(CNNClassifier.from_module(LeNet5()))
    >>> maps = explain_together({"a": GradCAM(clf), "b": LayerCAM(clf)}, np.zeros((2, 28, 28)))
    >>> maps["b"].shape
    (2, 28, 28)
    """
    if not explainers:
        raise ValueError("`explainers` must hold at least one explainer, got none.")
    groups: dict[int, dict] = {}
    for name, explainer in explainers.items():
        if explainer.normalize not in ("minmax", None):
            raise ValueError(
                f"`normalize` must be 'minmax' or None, got {explainer.normalize!r} ({name})."
            )
        groups.setdefault(id(explainer.classifier_), {})[name] = explainer
    found: dict[str, np.ndarray] = {}
    for group in groups.values():
        found |= explain_group(group, X, y, out or {})
    return {name: found[name] for name in explainers}


@torch.inference_mode(False)  # no gradient passes tensors made in that mode
@torch.no_grad()
def explain_group(explainers, X, y, out, *, quiet=False):
    """The maps of explainers of one classifier; `quiet`: without a progress bar."""
    clf = next(iter(explainers.values())).classifier_
    batch_size = min(explainer.batch_size for explainer in explainers.values())
    batches, n_images = _image_batches(clf, X, batch_size)
    columns = None if y is None else columns_of(clf, y, n_images)
    writers = {name: MapWriter(n_images, out.get(name)) for name in explainers}
    start, layers = 0, None
    with tqdm(
        total=n_images,
        unit="image",
        disable=quiet or None,
        delay=_PROGRESS_AFTER,
        leave=False,
    ) as progress:
        for images in batches:
            if layers is None:
                needed = (e.layers_for(clf, images) for e in explainers.values())
                layers = list(dict.fromkeys(name for names in needed for name in names))
            batch = Batch(clf, images, layers)
            if columns is None:
                chosen = batch.recording.logits.argmax(dim=1)
            else:
                chosen = columns[start : start + len(images)].to(images.device)
            for name, maps in _explain_batch(explainers, batch, chosen).items():
                writers[name].add(maps)
            start += len(images)
            progress.update(len(images))
    if columns is not None and start != len(columns):
        raise ValueError(f"`y` has {len(columns)} labels for {start} images. Give one for each.")
    return {name: writer.finish() for name, writer in writers.items()}


def _explain_batch(explainers, batch, columns):
    """The normalised maps of each explainer, of shape (n, h, w) or (n, k, h, w)."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in explainers}
    for one in columns.reshape(len(columns), -1).T.contiguous():
        for name, explainer in explainers.items():
            maps = explainer.maps_of_batch(batch, one).float()
            found[name].append(min_max(maps) if explainer.normalize == "minmax" else maps)
    several = columns.ndim == 2
    return {name: torch.stack(maps, 1) if several else maps[0] for name, maps in found.items()}


def min_max(maps):
    """Each map of shape (h, w) stretched to [0, 1]; one that is flat becomes zeros."""
    low, high = maps.amin(dim=(-2, -1), keepdim=True), maps.amax(dim=(-2, -1), keepdim=True)
    span = high - low
    flat = span <= _FLAT * high.abs()
    return torch.where(flat, 0, (maps - low) / torch.where(flat, 1, span))


def _image_batches(clf, X, batch_size):
    """Batches of raw images on the classifier's device, and how many images; None: not known."""
    if isinstance(X, DataLoader | Dataset):
        loader = X if isinstance(X, DataLoader) else DataLoader(X, batch_size=batch_size)
        stream = (images.to(clf.device) for images, _ in StreamedBatches(loader))
        sized = hasattr(loader.dataset, "__len__") and loader.batch_sampler is not None
        return stream, len(loader.dataset) if sized else None  # type: ignore[arg-type]
    images = as_image_array(clf, X, reset=False)
    batches = ArrayBatches(ArrayDataset(images), clf.device, batch_size=batch_size)
    return (part for part, _ in batches), len(images)


def columns_of(clf, y, n_images):
    """Logit columns of shape (n,) or (n, k) for labels."""
    y = np.asarray(y)
    if y.ndim not in (1, 2) or n_images not in (None, len(y)):
        raise ValueError(
            f"`y` must have shape (n,) or (n, k) with a row for each of {n_images} images, "
            f"got {y.shape}."
        )
    known = np.isin(y, clf.classes_)
    if not known.all():
        unknown = np.unique(y[~known]).tolist()
        raise ValueError(
            f"`y` holds labels {unknown} that the classifier does not know. It knows "
            f"{clf.classes_.tolist()}."
        )
    return torch.as_tensor(np.searchsorted(clf.classes_, y))
