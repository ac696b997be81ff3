"""Types of what users pass, in annotations: for which nothing heavy is imported."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Axes", "FilePath", "Images", "RandomState", "Seed", "Target"]

FilePath: TypeAlias = str | os.PathLike[str]
RandomState: TypeAlias = int | np.random.RandomState | None  # scikit-learn's
Seed: TypeAlias = int | np.random.Generator | None  # NumPy's

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor
    from torch.utils.data import DataLoader, Dataset

    Images: TypeAlias = ArrayLike | Tensor | Dataset[Any] | DataLoader[Any]
    Target: TypeAlias = str | Callable[[Tensor, Any], Tensor]
else:
    Axes = Images = Target = Any
