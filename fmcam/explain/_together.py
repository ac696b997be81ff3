"""Heatmaps of several explainers over the same images: batches, classes, normalising, output."""

import contextlib
import numbers
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from skorch.dataset import Dataset as ArrayDataset
from torch import nn
from torch.utils.data import DataLoader

from fmcam._data.batches import ArrayBatches, StreamedBatches
from fmcam._data.images import as_image_array
from fmcam._data.loaders import check_in_order, make_loader
from fmcam._data.streams import as_stream
from fmcam._files import check_writable
from fmcam._progress import ProgressBar
from fmcam._typing import FilePath, Images
from fmcam.explain._map_writer import MapWriter
from fmcam.explain._recording import Recording
from fmcam.explain._target import check_target

__all__ = [
    "Batch",
    "class_indices_of",
    "explain_group",
    "explain_together",
    "min_max",
    "normalized",
]

_FLAT = 1e-5
_PROGRESS_AFTER = 2  # seconds


class Batch:
    """Some images and what the network makes of them, computed once for all explainers.

    Attributes
    ----------
    clf : CNNClassifier
    images : tensor of shape (n, c, h, w)
        Raw, on the classifier's device.
    layers : dict of str to Layout
        The layers whose maps the recording keeps.
    """

    def __init__(self, clf, images, layers=None):
        self.clf = clf
        self.images = images
        self.layers = layers or {}
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


def explain_together(
    explainers: Mapping[Any, Any],
    X: Images,
    y: ArrayLike | None = None,
    *,
    out: Mapping[str, FilePath | None] | None = None,
    return_proba: bool = False,
) -> Any:
    """Heatmaps of several explainers; those of one classifier share its forwards.

    Parameters
    ----------
    explainers : mapping of str to explainer
        Of fitted classifiers.
    X : array-like, tensor, Dataset or DataLoader
        Images as in ``explain``.
    y : array-like of shape (n,) or (n, k), default=None
        Labels of the classes to explain as in ``explain``.
    out : mapping of str to path, default=None
        For each explainer a .npy file to write its maps to.
    return_proba : bool, default=False
        Whether to return the probabilities of the classes too, as `predict_proba` gives them, of
        the same forward. All explainers must then be of one classifier.

    Returns
    -------
    maps : dict of str to ndarray of shape (n, h, w) or (n, k, h, w), float32
    proba : ndarray of shape (n, n_classes), float32
        With `return_proba`.

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
    groups: dict[tuple, dict] = {}
    for path in (out or {}).values():
        if path is not None:
            check_writable(path)
    for name, explainer in explainers.items():
        _check_parameters(explainer)
        net = explainer.estimator if isinstance(explainer.estimator, nn.Module) else None
        shared = explainer.classifier_ if net is None else net
        key = id(shared), id(getattr(explainer, "layout", None))
        groups.setdefault(key, {})[name] = explainer
    if return_proba and len({shared for shared, _ in groups}) > 1:
        raise ValueError("With `return_proba` all explainers must be of one classifier.")
    found: dict[str, np.ndarray] = {}
    for group in groups.values():
        proba: list[np.ndarray] | None = [] if return_proba else None
        found |= explain_group(group, X, y, out or {}, proba=proba)
    maps = {name: found[name] for name in explainers}
    return (maps, np.concatenate(proba)) if proba is not None else maps


def _check_parameters(explainer):
    check_target(getattr(explainer, "target", "logit"))
    if explainer.normalize not in ("minmax", None):
        raise ValueError(f"`normalize` must be 'minmax' or None, got {explainer.normalize!r}.")
    if not isinstance(explainer.batch_size, numbers.Integral) or explainer.batch_size < 1:
        raise ValueError(
            f"`batch_size` must be an integer of at least 1, got {explainer.batch_size!r}."
        )
    for name in ("rectify", "upsample", "align"):
        value = getattr(explainer, name, True)
        if not isinstance(value, bool | np.bool_):
            hint = "" if name == "rectify" else " Maps are drawn at the size of the images."
            raise ValueError(f"`{name}` must be True or False, got {value!r}.{hint}")


@contextlib.contextmanager
def _checkpointing_told():
    """Say in other words that torch cannot differentiate a network that checkpoints."""
    try:
        yield
    except RuntimeError as error:
        if "use_reentrant" not in str(error):
            raise
        raise ValueError(
            "The network runs torch.utils.checkpoint with use_reentrant=True, through which torch "
            "gives no gradient by maps. Switch its checkpointing off, or to use_reentrant=False."
        ) from error


@_checkpointing_told()
@torch.inference_mode(False)  # no gradient passes tensors made in that mode
@torch.no_grad()
def explain_group(explainers, X, y, out, *, proba=None, quiet=False):
    """The maps of explainers of one classifier; `quiet`: without a progress bar.

    Where `proba` is a list, the probabilities of each batch are added to it.
    """
    clf = next(iter(explainers.values())).classifier_
    batch_size = min(explainer.batch_size for explainer in explainers.values())
    batches, n_images = _image_batches(clf, X, batch_size)
    class_indices = None if y is None else class_indices_of(clf, y, n_images)
    writers = {name: MapWriter(out.get(name), n_images) for name in explainers}
    try:
        with ProgressBar(
            total=n_images, unit="image", disable=quiet or None, delay=_PROGRESS_AFTER, leave=False
        ) as progress:
            for batch, chosen in _batches_to_explain(explainers, clf, batches, class_indices):
                for name, maps in _explain_batch(explainers, batch, chosen).items():
                    writers[name].add(maps)
                if proba is not None:
                    proba.append(batch.recording.probabilities.cpu().numpy())
                progress.update(len(batch.images))
        return {name: writer.finish() for name, writer in writers.items()}
    finally:
        for writer in writers.values():
            writer.discard()


def _batches_to_explain(explainers, clf, batches, class_indices):
    """Each Batch and its classes to explain, (n,) or (n, k); all images must be of one shape."""
    start, shape, layers = 0, None, {}
    for images in batches:
        if shape is None:
            shape = images.shape[1:]
            clf.module_.standardize.check_units(images)
            needed = [explainer.layers_for(clf, images) for explainer in explainers.values()]
            layers = {name: layout for one in needed for name, layout in one.items()}
        if images.shape[1:] != shape:
            raise ValueError(
                f"All images must have one shape (c, h, w), got {tuple(shape)} and, after {start} "
                f"images, {tuple(images.shape[1:])}. Resize them, or explain them apart."
            )
        if images.is_floating_point() and not images.isfinite().all():
            raise ValueError(
                f"`X` contains NaN or infinity in the images {start}..{start + len(images) - 1}. "
                "Replace those pixels or drop the images."
            )
        batch = Batch(clf, images, layers)
        stop = start + len(images)
        if class_indices is None:
            yield batch, batch.recording.predicted
        elif stop <= len(class_indices):
            yield batch, class_indices[start:stop].to(images.device)
        start = stop
    if class_indices is not None and start != len(class_indices):
        raise ValueError(
            f"`y` has {len(class_indices)} labels for {start} images. Give one for each."
        )
    if start == 0:
        raise ValueError("`X` gives no images.")


def _explain_batch(explainers, batch, class_indices):
    """The normalised maps of each explainer, of shape (n, h, w) or (n, k, h, w)."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in explainers}
    for one in class_indices.reshape(len(class_indices), -1).T.contiguous():
        for name, explainer in explainers.items():
            maps = explainer.maps_of_batch(batch, one).float()
            if not maps.isfinite().all():
                raise ValueError(
                    f"The maps of {name!r} are NaN or infinite: gradients or values in "
                    f"{type(batch.clf.module_.net).__name__} are. Is its precision float16, or "
                    "does it divide by zero, or take a root or logarithm of it?"
                )
            raw = explainer.normalize is None
            found[name].append(maps if raw else normalized(maps, explainer.signed))
    several = class_indices.ndim == 2
    return {name: torch.stack(maps, 1) if several else maps[0] for name, maps in found.items()}


def normalized(maps, signed):
    """Maps of shape (h, w) by `min_max`; signed ones divided each by its largest magnitude."""
    if not signed:
        return min_max(maps)
    largest = maps.abs().amax(dim=(-2, -1), keepdim=True)
    return torch.where(largest == 0, 0, maps / torch.where(largest == 0, 1, largest))


def min_max(maps):
    """Each map of shape (h, w) stretched to [0, 1]; one that is flat becomes zeros."""
    low, high = maps.amin(dim=(-2, -1), keepdim=True), maps.amax(dim=(-2, -1), keepdim=True)
    span = high - low
    flat = span <= _FLAT * high.abs()
    return torch.where(flat, 0, (maps - low) / torch.where(flat, 1, span))


def _image_batches(clf, X, batch_size):
    """Batches of raw images on the classifier's device, and how many images; None: not known.

    How many a DataLoader yields is known in the end: it may drop some or draw some twice.
    """
    stream = as_stream(X)
    if isinstance(stream, DataLoader):
        check_in_order(stream)
        return (images.to(clf.device) for images, _ in StreamedBatches(stream)), None
    if stream is not None:
        options = {"batch_size": batch_size}
        loader = make_loader(DataLoader, stream, options, training=False, labelled=False)
        n_images = len(stream) if hasattr(stream, "__len__") else None
        return (images.to(clf.device) for images, _ in StreamedBatches(loader)), n_images
    images = as_image_array(clf, X, reset=False)
    batches = ArrayBatches(ArrayDataset(images), clf.device, batch_size=batch_size)
    return (part for part, _ in batches), len(images)


def class_indices_of(clf, y, n_images):
    """Class indices of shape (n,) or (n, k) for labels."""
    y = y.detach().cpu().numpy() if isinstance(y, torch.Tensor) else np.asarray(y)
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
    if y.shape[1:] == (len(clf.classes_),) and len(clf.classes_) > 2 and _are_one_hot(y):
        raise ValueError(
            "`y` must name the classes to explain, got rows of a single 1 among zeros, as one-hot "
            "labels are. Pass `clf.classes_[y.argmax(axis=1)]`."
        )
    return torch.as_tensor(np.searchsorted(clf.classes_, y))


def _are_one_hot(y):
    return np.isin(y, [0, 1]).all() and (y.sum(axis=1) == 1).all()
