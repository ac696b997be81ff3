"""Small items at random places of a large canvas, blank or cluttered, with their exact boxes."""

from numbers import Integral, Real

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from PIL import Image
from sklearn.utils import Bunch, check_consistent_length, check_random_state, check_scalar

from fmcam._typing import RandomState
from fmcam._validation import check_images

_NOISE_WINDOWS = 256  # in x and in y

_DESCR = """\
Canvas

One item to a canvas at a random place, bright on black, with its exact box and mask. A cluttered
canvas has pieces of other items behind the item, and noise over everything.
"""


def make_canvas(
    items: ArrayLike,
    labels: ArrayLike,
    *,
    canvas_size: int = 128,
    item_size: int | None = None,
    clutter: int = 0,
    noise: float = 0.0,
    random_state: RandomState = None,
) -> Bunch:
    """Return each item at a random place of a canvas of its own, with exact boxes and masks.

    Pixels of an item that are 0 are transparent. All places at which the item lies inside the
    canvas are equally likely. With `clutter` and `noise` the scene is like Cluttered MNIST [1]_.

    Parameters
    ----------
    items : array-like of shape (n, h, w) or (n, 1, h, w), uint8
        Images of the items, bright on 0, each with a pixel over 0.
    labels : array-like of shape (n,)
        Their classes, of any kind.
    canvas_size : int, default=128
        Height and width of the canvases in pixels.
    item_size : int, default=None
        Height and width that the items are resized to, bilinear; None: they keep their size.
    clutter : int, default=0
        Number of pieces behind each item: squares cut out of other items, from half the shorter
        side of an item down to two sevenths of it (14 to 8 pixels of 28), at random places.
    noise : float, default=0.0
        Standard deviation of normal noise, in units of 0..255, that is added to item and background
        alike and clipped. Each canvas shows one of 65,536 windows of one large field of noise.
    random_state : int, RandomState instance or None, default=None
        An int gives the same canvases at every call.

    Returns
    -------
    sklearn.utils.Bunch
        images : ndarray of shape (n, 1, canvas_size, canvas_size), uint8, 0..255
            The canvases.
        target : ndarray of shape (n,)
            The labels.
        boxes : ndarray of shape (n, 4), float64
            Tight box x0, y0, x1, y1 around the pixels of the item that are not 0, in half-open
            pixels, x to the right, y down.
        paste_boxes : ndarray of shape (n, 4), float64
            Box of the whole image of the item, w wide and h high.
        masks : ndarray of shape (n, canvas_size, canvas_size), uint8
            1 where the item is, 0 elsewhere.
        backgrounds : ndarray of shape (n, 1, canvas_size, canvas_size), uint8, 0..255
            The canvases as they are without their item.
        DESCR : str
            Description of the data set.

    Raises
    ------
    TypeError, ValueError
        If `items` is not such an array, one of them is blank or does not fit on the canvas, the
        labels are fewer or more, there is no other item to cut clutter from, or an argument is out
        of its range.

    References
    ----------
    .. [1] Mnih, Heess, Graves & Kavukcuoglu, "Recurrent Models of Visual Attention", NeurIPS 2014,
       section 4.1. https://arxiv.org/abs/1406.6247

    Examples
    --------
    >>> from fmcam.datasets import make_canvas, make_fashion_shapes
    >>> shapes = make_fashion_shapes(20, random_state=0)
    >>> canvas = make_canvas(shapes.images, shapes.target, clutter=8, noise=20, random_state=0)
    >>> canvas.images.shape
    (20, 1, 128, 128)
    >>> bool((canvas.images != canvas.backgrounds)[:, 0][canvas.masks == 0].any())
    False
    """
    rng = check_random_state(random_state)
    painter = Painter(items, canvas_size, item_size, clutter, noise, rng)
    target = np.asarray(labels)
    check_consistent_length(painter.items, target)
    rows = np.arange(len(target))
    places = painter.place(rows)
    images, backgrounds = painter.paint(rows, places)
    masks = np.zeros(images.shape, dtype=np.uint8)
    _paste(masks, painter.items > 0, places["item"])
    return Bunch(
        images=images[:, None],
        target=target,
        boxes=painter.boxes(rows, places, "tight"),
        paste_boxes=painter.boxes(rows, places, "paste"),
        masks=masks,
        backgrounds=backgrounds[:, None],
        DESCR=_DESCR,
    )


class Painter:
    """Draws places for items and the clutter behind them, and paints what is there.

    Parameters
    ----------
    items, canvas_size, item_size, clutter, noise
        As in :func:`make_canvas`.
    rng : RandomState

    Attributes
    ----------
    items : ndarray of shape (n, h, w), uint8
        As they are on the canvas.
    """

    def __init__(self, items, canvas_size, item_size, clutter, noise, rng):
        check_scalar(canvas_size, "canvas_size", Integral, min_val=1)
        check_scalar(clutter, "clutter", Integral, min_val=0)
        check_scalar(noise, "noise", Real, min_val=0)
        if item_size is not None:
            check_scalar(item_size, "item_size", Integral, min_val=1)
        self.items = _check_items(items, canvas_size, item_size, clutter)
        self.canvas_size = canvas_size
        self.rng = rng
        self._tight_boxes = _boxes_around(self.items > 0)
        sides = min(self.items.shape[1:]) * np.linspace(1 / 2, 2 / 7, clutter)
        self._sides = np.maximum(sides.round().astype(int), 1)
        self._noise = None
        if noise:
            side = canvas_size + _NOISE_WINDOWS - 1
            field = rng.normal(0, noise, (side, side))
            self._noise = field.round().clip(-255, 255).astype(np.int16)

    def place(self, rows):
        """Draw what goes where on the canvases of some items.

        Parameters
        ----------
        rows : ndarray of shape (m,), int

        Returns
        -------
        dict of ndarray of int, each of m rows
            "item" and "piece" are corners (y, x) on the canvas, "source" the items that the pieces
            come from, "crop" corners in their images, "noise" corners in the field of noise.
        """
        n_items, *item = self.items.shape
        sides, shape = self._sides[:, None], (len(rows), len(self._sides), 2)
        others = self.rng.randint(1, max(n_items, 2), shape[:2])
        return {
            "item": self.rng.randint(self.canvas_size - np.array(item) + 1, size=(len(rows), 2)),
            "source": (rows[:, None] + others) % n_items,
            "crop": self.rng.randint(np.array(item) - sides + 1, size=shape),
            "piece": self.rng.randint(self.canvas_size - sides + 1, size=shape),
            "noise": self.rng.randint(_NOISE_WINDOWS, size=(len(rows), 2)),
        }

    def boxes(self, rows, places, kind):
        """Boxes of some items on their canvases.

        Parameters
        ----------
        rows : ndarray of shape (m,), int
        places : dict of ndarray
            From :meth:`place`.
        kind : {"tight", "paste"}
            Around the pixels that are not 0, or around the whole image of the item.

        Returns
        -------
        ndarray of shape (m, 4), float64
            x0, y0, x1, y1 in half-open pixels.
        """
        height, width = self.items.shape[1:]
        in_item = self._tight_boxes[rows] if kind == "tight" else np.array([0, 0, width, height])
        return in_item + places["item"][:, [1, 0, 1, 0]].astype(float)

    def paint(self, rows, places):
        """Canvases of some items, and the same without the items.

        Parameters
        ----------
        rows : ndarray of shape (m,), int
        places : dict of ndarray
            From :meth:`place`.

        Returns
        -------
        images, backgrounds : ndarray of shape (m, canvas_size, canvas_size), uint8
        """
        backgrounds = np.zeros((len(rows), self.canvas_size, self.canvas_size), dtype=np.uint8)
        for number, side in enumerate(self._sides):
            crops = sliding_window_view(self.items, (side, side), axis=(1, 2))
            pieces = crops[places["source"][:, number], *places["crop"][:, number].T]
            _paste(backgrounds, pieces, places["piece"][:, number])
        images = backgrounds.copy()
        _paste(images, self.items[rows], places["item"])
        if self._noise is None:
            return images, backgrounds
        fields = sliding_window_view(self._noise, backgrounds.shape[1:])
        noise = fields[*places["noise"].T]
        return _add_clipped(images, noise), _add_clipped(backgrounds, noise)


def _check_items(items, canvas_size, item_size, clutter):
    items = check_images(items, name="items")
    if items.dtype != np.uint8 or items.shape[1] != 1:
        raise ValueError(
            "`items` must be grey images of dtype uint8, 0..255, of shape (n, h, w) or "
            f"(n, 1, h, w), got {items.dtype} of shape {items.shape}."
        )
    items = _resized(items[:, 0], item_size)
    if max(items.shape[1:]) > canvas_size:
        raise ValueError(
            f"`canvas_size` must be at least {max(items.shape[1:])}, or items of shape "
            f"{items.shape[1:]} do not fit on the canvas; got {canvas_size}."
        )
    blank = np.flatnonzero(~items.any(axis=(1, 2)))
    if len(blank):
        raise ValueError(
            f"`items` must each have a pixel over 0, or they have no box; {len(blank)} have none, "
            f"at the indices {blank[:10].tolist()}. Drop them."
        )
    if clutter and len(items) == 1:
        raise ValueError("`clutter` is cut out of other items, but `items` holds one item only.")
    return items


def _resized(items, size):
    if size is None or items.shape[1:] == (size, size):
        return items
    bilinear = Image.Resampling.BILINEAR
    resized = (Image.fromarray(item).resize((size, size), bilinear) for item in items)
    return np.stack([np.asarray(item) for item in resized])


def _paste(canvases, pieces, corners):
    """Write the pixels of `pieces` (n, h, w) that are not 0 at `corners` (y, x) into `canvases`."""
    windows = sliding_window_view(canvases, pieces.shape[1:], axis=(1, 2), writeable=True)
    place = (np.arange(len(canvases)), *corners.T)
    windows[place] = np.where(pieces, pieces, windows[place])


def _add_clipped(images, noise):
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def _boxes_around(masks):
    """Tight boxes (n, 4) of masks (n, h, w), half-open pixels x0, y0, x1, y1."""
    x, y = masks.any(axis=1), masks.any(axis=2)
    starts = [x.argmax(axis=1), y.argmax(axis=1)]
    stops = [line.shape[1] - line[:, ::-1].argmax(axis=1) for line in (x, y)]
    return np.stack([*starts, *stops], axis=1).astype(float)
