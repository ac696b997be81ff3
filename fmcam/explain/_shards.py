"""Heatmaps of more images than memory holds: shard by shard, in several processes, resumable.

All maps are in one .npy file from the first shard on, so the disk holds them once and nothing is
put together in the end. Each process writes its own rows; only the one that was called writes the
list of finished shards, when the rows are on the disk. So whichever is killed, and whenever, no
more is lost than the shards under way.
"""

import copy
import mmap
import os
import zlib
from importlib.metadata import version
from numbers import Integral
from typing import Any

import numpy as np
from joblib import delayed
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar, gen_batches
from torch.utils.data import DataLoader, Dataset

from fmcam._files import full_disk_told
from fmcam._hashing import hash_of
from fmcam._parallel import one_thread, shared_on_cluster, trouble_told, workers
from fmcam._progress import ProgressBar
from fmcam._typing import FilePath, Images
from fmcam.explain._base import BaseExplainer
from fmcam.explain._shard_folder import KEPT, ShardFolder
from fmcam.explain._together import class_indices_of, explain_group

__all__ = ["explain_in_shards"]


def explain_in_shards(
    explainer: Any,
    X: Images,
    y: ArrayLike | None = None,
    *,
    folder: FilePath,
    rows_per_shard: int = 1024,
    n_jobs: int | None = None,
) -> Any:
    """Heatmaps as ``explainer.explain(X, y)`` gives them, made by several processes, on disk.

    Each process reads the rows of a shard, explains them on one thread and writes their maps into
    their place in one file. A list of the finished shards is kept beside it, so the same call
    resumes where a killed one stopped, and does nothing where all is done. If classifier,
    explainer, images or labels change, the maps in `folder` are deleted and made again.

    Parameters
    ----------
    explainer : explainer
        Of a fitted classifier. A `random_state` must be an int, or shards differ from the whole.
    X : ndarray or memmap of shape (n, c, h, w), (n, h, w) or (n, c * h * w)
        Images as for the classifier. Of a memory map, such as ``np.load(file, mmap_mode="r")``,
        no process holds more than a shard, and the workers of a cluster must see its file.
    y : array-like of shape (n,) or (n, k), default=None
        Labels of the classes to explain, one or k for each image. None: the predicted class.
    folder : str or path
        For the maps of this call, made if need be; the workers of a cluster must see it.
    rows_per_shard : int, default=1024
        Rounded up to whole batches, so that batches are those of ``explain``.
    n_jobs : int or None, default=None
        Processes. A backend chosen with `joblib.parallel_config`, such as "dask" for a cluster, is
        used instead.

    Returns
    -------
    memmap of shape (n, h, w) or (n, k, h, w), float32
        Of ``maps.npy`` in `folder`, read-only. The file is there when it is whole.

    Raises
    ------
    TypeError, ValueError
        Before the first shard, for what ``explain`` would not take, a Dataset or a DataLoader.
    OSError
        If `folder` cannot be written to or has no room for the maps; or, with the finished shards
        kept, if a worker process was killed (ChildProcessError).

    Notes
    -----
    All images are read once beforehand, to tell whether they are those of the maps in `folder`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.explain import GradCAM, explain_in_shards
    >>> from fmcam.models import LeNet5
    >>> cam = GradCAM(FrozenEstimator(CNNClassifier.from_module(LeNet5())), batch_size=2)
    >>> X = np.random.default_rng(0).random((5, 28, 28), np.float32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     maps = explain_in_shards(cam, X, folder=folder, rows_per_shard=2)
    ...     (maps == cam.explain(X)).all()
    np.True_
    """
    X, y = _checked(explainer, X, y)
    check_scalar(rows_per_shard, "rows_per_shard", Integral, min_val=1)
    first = explainer.explain(X[:1], None if y is None else y[:1])
    batch_size = max(explainer.batch_size, 1)
    shards = list(gen_batches(len(X), -(-rows_per_shard // batch_size) * batch_size))
    source = _source(X)
    key = hash_of([_recipe(explainer), y, shards, [hash_of(source[rows]) for rows in shards]])
    kept = ShardFolder(folder, key, (len(X), *first.shape[1:]), shards)
    if not kept.whole():
        kept.begin()
        _run(explainer, source, y, kept, n_jobs)
        kept.finish()
    return np.load(kept.file, mmap_mode="r")


def _checked(explainer, X, y):
    if isinstance(X, DataLoader | Dataset):
        raise TypeError(
            f"`X` must be an array or a memory map, whose rows can be read in any order, got a "
            f"{type(X).__name__}. Use `explain(X, out=...)`."
        )
    X = X if isinstance(X, np.ndarray) else np.asarray(X)
    if y is not None:
        y = np.asarray(y)
        class_indices_of(explainer.classifier_, y, len(X))
    return X, y


def _recipe(explainer):
    """All that maps depend on besides images and labels."""
    parameters = explainer.get_params(deep=False)
    parameters.pop("estimator", None)
    for name, value in parameters.items():
        if isinstance(value, BaseExplainer):
            parameters[name] = _recipe(value)
    clf = explainer.classifier_
    net = [str(clf.module_), clf.module_.state_dict(), clf.classes_, clf.precision]
    return [type(explainer), parameters, net, version("fmcam"), version("torch")]


def _run(explainer, source, y, kept, n_jobs):
    """Explain the shards that are missing."""
    shards = kept.shards
    missing = [number for number in range(len(shards)) if number not in kept.finished]
    n_rows = shards[-1].stop
    n_missing = sum(shards[number].stop - shards[number].start for number in missing)
    with (
        one_thread(),
        trouble_told(KEPT),
        shared_on_cluster(explainer, source, y, kept),
        workers(n_jobs) as parallel,
        ProgressBar(total=n_rows, initial=n_rows - n_missing, unit="image") as progress,
    ):
        tasks = (delayed(_explain_shard)(number, explainer, source, y, kept) for number in missing)
        for number, checksum in parallel(tasks):
            kept.add(number, checksum)
            progress.update(shards[number].stop - shards[number].start)


def _explain_shard(number, explainer, source, y, kept):
    """Write the maps of a shard into the file, and get its number and checksum.

    A cluster sends a task again if its worker dies before the result is let go, and joblib holds on
    to the result that came last. Then the list may have the shard.
    """
    if done := kept.read([number]):
        return number, done[number]
    rows = kept.shards[number]
    explainer = copy.deepcopy(explainer)  # threads of a process must not share its hooks
    with one_thread():
        clf = explainer.classifier_
        clf.module_.to(clf.device)  # "auto" may mean another device in this process
        labels = None if y is None else y[rows]
        maps = explain_group({"maps": explainer}, source[rows], labels, {}, quiet=True)["maps"]
    file, offset = kept.place
    # by seek and write: two machines may share a page
    with full_disk_told(file, KEPT), open(file, "r+b") as stream:
        stream.seek(offset + rows.start * maps[0].nbytes)
        stream.write(maps.data)
        stream.flush()
        os.fsync(stream.fileno())
    return number, zlib.crc32(maps.data)


def _source(X):
    """An array, or in its place where its rows are in a file."""
    whole: Any = X
    while isinstance(whole, np.ndarray) and not isinstance(whole.base, mmap.mmap):
        whole = whole.base
    in_file = isinstance(whole, np.memmap) and whole.filename and whole.mode != "c"
    if not in_file or not X.flags.c_contiguous:
        return X
    offset = whole.offset + X.ctypes.data - whole.ctypes.data
    return _MappedRows(whole.filename, offset, X.dtype, X.shape)


class _MappedRows:
    """An array in a file; a slice of its rows is mapped into memory while it is used."""

    def __init__(self, file, offset, dtype, shape):
        self.file = file
        self.offset = offset
        self.dtype = dtype
        self.shape = shape

    def __getitem__(self, rows):
        shape = (rows.stop - rows.start, *self.shape[1:])
        row_bytes = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        start = self.offset + rows.start * row_bytes
        return np.memmap(self.file, self.dtype, "r", start, shape)
