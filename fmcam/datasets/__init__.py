"""Data sets as scikit-learn Bunches, and as torch loaders."""

from fmcam.datasets._base import get_data_home
from fmcam.datasets._fashion_mnist import fetch_fashion_mnist
from fmcam.datasets._loaders import get_data_loaders, load_dataset
from fmcam.datasets._shapes import make_fashion_shapes

__all__ = [
    "fetch_fashion_mnist",
    "get_data_home",
    "get_data_loaders",
    "load_dataset",
    "make_fashion_shapes",
]
