"""All data sets by the names that people type."""

import inspect
from typing import TYPE_CHECKING

from fmcam import datasets
from fmcam._suggest import suggest
from fmcam.datasets._base import check_subset

if TYPE_CHECKING:
    from sklearn.utils import Bunch

    from fmcam._typing import FilePath

__all__ = ["get_dataset", "list_datasets"]

_USUAL = {"fetch_oxford_pets": "pets"}
_SHAPES = {  # subset: number of images and seed
    "train": (6_000, 0),
    "test": (2_000, 1),
}


def _fetchers():
    """The name of the function of each data set that is published, by the name people type.

    Every public function of `fmcam.datasets` that fetches is one; none is imported.
    """
    functions = [name for name in dir(datasets) if name.startswith("fetch_")]
    return {
        _USUAL.get(name, name.removeprefix("fetch_").replace("_", "-")): name for name in functions
    }


def list_datasets() -> list[str]:
    """Names of all data sets, sorted.

    Returns
    -------
    list of str
        What :func:`get_dataset` takes.

    Examples
    --------
    >>> from fmcam.datasets import list_datasets
    >>> list_datasets()
    ['canvas', 'cub200', 'fashion-mnist', 'imagenette', 'pets', 'shapes']
    """
    return sorted([*_fetchers(), "shapes"])


def get_dataset(
    name: str,
    subset: str = "train",
    *,
    data_home: "FilePath | None" = None,
    size: int | None = None,
    fit: str | None = None,
) -> "Bunch":
    """Return a data set by its name.

    Parameters
    ----------
    name : str
        One of :func:`list_datasets`: "fashion-mnist" is :func:`fetch_fashion_mnist`, "canvas"
        :func:`fetch_canvas`, "cub200" :func:`fetch_cub200`, "imagenette"
        :func:`fetch_imagenette`, "pets" :func:`fetch_oxford_pets`, and "shapes" 6,000 training and
        2,000 test images of :func:`make_fashion_shapes`, always the same.
    subset : {"train", "test"}, default="train"
        Which part.
    data_home : str or path-like, default=None
        Folder of the data sets, see :func:`get_data_home`. "shapes" needs none.
    size, fit : int and str, default=None
        Of photographs, and `size` of canvases, as their functions take them; None: as they have
        them by default. Other images keep their size.

    Returns
    -------
    sklearn.utils.Bunch
        images, target, target_names and DESCR, and what else the function named there returns.

    Raises
    ------
    OSError
        If the files are missing and cannot be downloaded.
    ValueError
        If `name` or `subset` is unknown, or a file is damaged.

    Examples
    --------
    >>> from fmcam.datasets import get_dataset
    >>> get_dataset("shapes", "test").images.shape
    (2000, 1, 28, 28)
    """
    check_subset(subset)
    if name == "shapes":
        n_samples, seed = _SHAPES[subset]
        return datasets.make_fashion_shapes(n_samples, random_state=seed)
    fetchers = _fetchers()
    if not isinstance(name, str) or name not in fetchers:
        raise ValueError(f"There is no data set {name!r}. {suggest(str(name), list_datasets())}")
    fetch = getattr(datasets, fetchers[name])
    asked = {"size": size, "fit": fit}
    taken = inspect.signature(fetch).parameters
    options = {what: value for what, value in asked.items() if value is not None and what in taken}
    return fetch(data_home, subset=subset, **options)
