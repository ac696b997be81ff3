"""The canvases of `make_canvas` as a torch data set, painted when they are asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length, check_random_state
from torch.utils.data import Dataset

from fmcam._docstrings import documented_like
from fmcam._typing import RandomState
from fmcam.datasets._canvas import Painter, make_canvas


@documented_like(make_canvas)
class CanvasFashionMNIST(Dataset):
    """Items, such as those of Fashion-MNIST, each on a canvas: (image, label, box).

    The same canvases as :func:`make_canvas` makes with the same arguments, but painted batch by
    batch when they are asked for, so training on large canvases needs memory for the items alone.

    Parameters
    ----------
    items : array-like of shape (n, h, w) or (n, 1, h, w), uint8
        Images of the items, bright on 0, each with a pixel over 0.
    labels : array-like of shape (n,), int
        Their classes.
    boxes : {"tight", "paste"} or list of these, default="tight"
        Which box goes with an item: the one around its pixels that are not 0, or that of its whole
        image. With a list each in turn: (image, label, box, box).
    redraw : bool, default=False
        False: item i has its canvas, whatever the order or the batch. True: the places are drawn
        anew each time an item is asked for, as augmentation; the same for the same order of calls.
    random_state : int, RandomState instance or None, default=None
        Draws the places.

    Attributes
    ----------
    targets : ndarray of shape (n,), int
        The labels.

    Notes
    -----
    Items are tuples of a tensor of shape (1, canvas_size, canvas_size), uint8, an int, and each
    box x0, y0, x1, y1 as a tensor of shape (4,), float32, in half-open pixels. With `redraw`, use
    no workers in a DataLoader: each would begin every epoch with the same draws.

    Examples
    --------
    >>> from fmcam.datasets import CanvasFashionMNIST, make_fashion_shapes
    >>> shapes = make_fashion_shapes(20, random_state=0)
    >>> canvases = CanvasFashionMNIST(shapes.images, shapes.target, random_state=0)
    >>> image, label, box = canvases[0]
    >>> x0, y0, x1, y1 = box.int().tolist()
    >>> bool(image[0, y0:y1, x0:x1].sum() == image.sum())
    True
    >>> both = CanvasFashionMNIST(
    ...     shapes.images, shapes.target, boxes=["tight", "paste"], random_state=0
    ... )
    >>> image, label, tight, paste = both[0]
    >>> (paste[2:] - paste[:2]).tolist()
    [28.0, 28.0]
    """

    def __init__(
        self,
        items: ArrayLike,
        labels: ArrayLike,
        *,
        canvas_size: int = 128,
        item_size: int | None = None,
        clutter: int = 0,
        noise: float = 0.0,
        boxes: str | Sequence[str] = "tight",
        redraw: bool = False,
        random_state: RandomState = None,
    ) -> None:
        rng = check_random_state(random_state)
        self._kinds = _kinds_of_box(boxes)
        self._painter = Painter(items, canvas_size, item_size, clutter, noise, rng)
        self.targets = np.asarray(labels)
        check_consistent_length(self._painter.items, self.targets)
        self._places = None if redraw else self._painter.place(np.arange(len(self)))

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self.__getitems__([range(len(self))[index]])[0]

    def __getitems__(self, indices):
        """The items of a whole batch, a list of tuples."""
        rows = np.asarray(indices)
        if self._places is None:
            places = self._painter.place(rows)
        else:
            places = {name: values[rows] for name, values in self._places.items()}
        images, _ = self._painter.paint(rows, places)
        boxes = [
            torch.from_numpy(self._painter.boxes(rows, places, kind)).float()
            for kind in self._kinds
        ]
        labels = self.targets[rows].tolist()
        return list(zip(torch.from_numpy(images[:, None]), labels, *boxes, strict=True))


def _kinds_of_box(boxes):
    kinds = list(boxes) if isinstance(boxes, list | tuple) else [boxes]
    if not kinds or not {*kinds} <= {"tight", "paste"}:
        raise ValueError(f"`boxes` must be 'tight', 'paste' or a list of these, got {boxes!r}.")
    return kinds
