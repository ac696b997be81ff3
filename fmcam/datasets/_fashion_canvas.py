"""The items of Fashion-MNIST on blank canvases, always at the same places."""

from sklearn.utils import Bunch

from fmcam._docstrings import documented_like
from fmcam._typing import FilePath
from fmcam.datasets._canvas import make_canvas
from fmcam.datasets._fashion_mnist import fetch_fashion_mnist

_SEEDS = {"train": 1, "test": 0}


@documented_like(fetch_fashion_mnist)
def fetch_canvas(
    data_home: FilePath | None = None,
    *,
    subset: str = "train",
    download_if_missing: bool = True,
    size: int = 128,
) -> Bunch:
    """Return the items of Fashion-MNIST, each at a random place of a blank canvas.

    The canvases are the same at every call. Those of the training items take a gigabyte at the
    default size: to train on new places in each epoch, in little memory, use
    :class:`CanvasFashionMNIST`.

    Parameters
    ----------
    size : int, default=128
        Height and width of the canvases in pixels, 28 or more.

    Returns
    -------
    sklearn.utils.Bunch
        As :func:`make_canvas` returns it, and target_names, a list of 10 str.

    Raises
    ------
    OSError
        If a file is missing and may not or cannot be downloaded.
    TypeError, ValueError
        If `subset` is unknown, a file is damaged, or an item does not fit on the canvas.

    Examples
    --------
    >>> from fmcam.datasets import fetch_canvas
    >>> canvas = fetch_canvas(subset="test", size=64)  # doctest: +SKIP
    >>> canvas.images.shape, canvas.boxes.shape  # doctest: +SKIP
    ((10000, 1, 64, 64), (10000, 4))
    """
    items = fetch_fashion_mnist(data_home, subset=subset, download_if_missing=download_if_missing)
    canvas = make_canvas(items.images, items.target, canvas_size=size, random_state=_SEEDS[subset])
    canvas.target_names = items.target_names
    return canvas
