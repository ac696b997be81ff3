"""Network, optimizer and batches of one member of an ensemble, as its own fit would make them."""

from skorch.dataset import Dataset
from torch.utils.data import Subset

from fmcam._data.images import as_image_array
from fmcam._data.labels import checked_labels, label_array
from fmcam._sklearn_compat import safe_indexing

__all__ = ["initialized_parts"]


def initialized_parts(clf, images, X, y, rows):
    """Build a classifier's network as ``fit`` on some rows does, and give the batches of its data.

    Parameters
    ----------
    clf : CNNClassifier
        Not fitted; on return it lacks the training alone, and the mean and standard deviation of
        the images.
    images : ndarray or tensor of shape (n, c, h, w)
        Those of `X`; a tensor on the device is not copied.
    X, y
        As for ``CNNClassifier.fit``.
    rows : ndarray of int

    Returns
    -------
    training, held_out : batches
        `held_out` is None without a `train_split`.
    """
    clf.check_parameters()
    with clf._training(afresh=True):
        as_image_array(clf, safe_indexing(X, slice(0, 1)), reset=True)
        own = checked_labels(clf, rows, None if y is None else safe_indexing(y, rows), clf.classes)
        compiled, clf.compile = clf.compile, False  # an ensemble compiles its own gradient
        clf.initialize()
        clf.compile = compiled
        data = Subset(Dataset(images, label_array(y)), rows)
        if not clf.train_split:
            return clf.get_iterator(data, training=True), None
        train, held_out = clf.train_split(data, own)
        return clf.get_iterator(train, training=True), clf.get_iterator(held_out)
