"""Data sets as scikit-learn Bunches, and as torch loaders."""

from typing import TYPE_CHECKING

from fmcam.datasets._base import get_data_home
from fmcam.datasets._canvas import make_canvas
from fmcam.datasets._fashion_mnist import fetch_fashion_mnist
from fmcam.datasets._image_folder import load_image_folder
from fmcam.datasets._imagenette import fetch_imagenette
from fmcam.datasets._loaders import get_data_loaders, load_dataset
from fmcam.datasets._oxford_pets import fetch_oxford_pets
from fmcam.datasets._pictures import load_image
from fmcam.datasets._shapes import make_fashion_shapes

if TYPE_CHECKING:
    from fmcam.datasets._canvas_stream import CanvasFashionMNIST

__all__ = [
    "CanvasFashionMNIST",
    "fetch_fashion_mnist",
    "fetch_imagenette",
    "fetch_oxford_pets",
    "get_data_home",
    "get_data_loaders",
    "load_dataset",
    "load_image",
    "load_image_folder",
    "make_canvas",
    "make_fashion_shapes",
]


def __getattr__(name):
    # A torch Dataset by inheritance; the rest of the package does without importing torch.
    if name == "CanvasFashionMNIST":
        from fmcam.datasets._canvas_stream import CanvasFashionMNIST

        return CanvasFashionMNIST
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
