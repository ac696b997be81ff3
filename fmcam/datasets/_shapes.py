"""Drawn garments: a stand-in for Fashion-MNIST that needs no download."""

from numbers import Integral

import numpy as np
from PIL import Image, ImageDraw
from sklearn.utils import Bunch, check_random_state, check_scalar

from fmcam._typing import RandomState
from fmcam.datasets._garments import GARMENTS

_OVERSAMPLING = 4  # a pixel averages 4 x 4 samples

_DESCR = """\
Fashion shapes

Silhouettes of ten kinds of garment, drawn by fmcam: bright on black, one item to an image, each
class equally often. Proportions, pose, brightness, stripes and grain vary at random. T-shirt,
pullover, coat and shirt differ in small things only, as in Fashion-MNIST, whose class names these
are. The boxes and masks are exact.
"""


def make_fashion_shapes(
    n_samples: int = 1000, *, image_size: int = 28, random_state: RandomState = None
) -> Bunch:
    """Return drawn images of ten kinds of garment with their exact boxes and masks.

    A stand-in for Fashion-MNIST that needs no download, with the same classes. The four kinds of
    top overlap on purpose, so that a small network stays well under 100 % accuracy.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of images. Class counts differ by one at most, and the rows are shuffled.
    image_size : int, default=28
        Height and width in pixels.
    random_state : int, RandomState instance or None, default=None
        An int gives the same images at every call.

    Returns
    -------
    sklearn.utils.Bunch
        images : ndarray of shape (n, 1, image_size, image_size), uint8, 0..255
            The item is bright, the background 0.
        target : ndarray of shape (n,), int64, 0..9
            Class of each image.
        target_names : list of 10 str
            Name of each class, as in :func:`fetch_fashion_mnist`.
        boxes : ndarray of shape (n, 4), float64
            Tight box x0, y0, x1, y1 around the item in half-open pixels, x to the right, y down.
        masks : ndarray of shape (n, image_size, image_size), bool
            True where the item covers any part of the pixel: where the image is not 0.
        DESCR : str
            Description of the data set.

    Raises
    ------
    TypeError, ValueError
        If `n_samples` or `image_size` is not an integer, or is under 1.

    Examples
    --------
    >>> from fmcam.datasets import make_fashion_shapes
    >>> shapes = make_fashion_shapes(20, random_state=0)
    >>> shapes.images.shape, shapes.target_names[shapes.target[0]]
    ((20, 1, 28, 28), 'Bag')
    >>> x0, y0, x1, y1 = shapes.boxes[0].astype(int)
    >>> item = shapes.images[0, 0, y0:y1, x0:x1]
    >>> bool(item.sum() == shapes.images[0].sum())
    True
    """
    check_scalar(n_samples, "n_samples", Integral, min_val=1)
    check_scalar(image_size, "image_size", Integral, min_val=1)
    rng = check_random_state(random_state)
    garments = list(GARMENTS.values())
    target = rng.permutation(np.arange(n_samples) % len(garments))
    images = np.stack([_draw(rng, garments[label], image_size) for label in target])
    return Bunch(
        images=images[:, None],
        target=target,
        target_names=list(GARMENTS),
        boxes=np.array([Image.fromarray(image).getbbox() for image in images], dtype=float),
        masks=images > 0,
        DESCR=_DESCR,
    )


def _pose(rng, parts, size):
    """Turn, shear, maybe flip the garment, then put it anywhere in an image of `size` samples."""
    angle, shear = rng.normal(0, 0.12), rng.normal(0, 0.1)
    flip = rng.choice([-1, 1])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    matrix = np.array([[flip, 0], [shear, 1]]) @ turn
    moved = [part.points @ matrix for part in parts]
    everything = np.concatenate(moved)
    start, extent = everything.min(axis=0), np.ptp(everything, axis=0)
    scale = size * rng.uniform(0.75, 0.97) / extent.max()
    corner = rng.uniform(0.1, 0.9, 2) * (size - scale * extent)
    return [
        part._replace(
            points=(points - start) * scale + corner,
            width=part.width and max(1, round(part.width * scale)),
        )
        for part, points in zip(parts, moved, strict=True)
    ]


def _render(parts, image_size):
    """Coverage times shade of each pixel, 0..255, of shape (image_size, image_size)."""
    canvas = Image.new("L", (image_size * _OVERSAMPLING,) * 2)
    draw = ImageDraw.Draw(canvas)
    for points, shade, width in parts:
        xy, value = points.ravel().tolist(), round(255 * shade)
        if width is None:
            draw.polygon(xy, fill=value)
        else:
            draw.line(xy, fill=value, width=width, joint="curve")
    return np.asarray(canvas.reduce(_OVERSAMPLING))


def _texture(rng, size):
    """Brightness, stripes, gradient and grain to multiply an image by, of shape (size, size)."""
    x = np.arange(size) / size
    y = x[:, None]
    angle = rng.uniform(0, np.pi)
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    contrast = max(0, rng.uniform(-0.4, 0.4))  # half of the garments have no stripes
    stripes = contrast * np.sin(2 * np.pi * (rng.uniform(2, 9) * along + rng.uniform()))
    gradient = rng.uniform(0, 0.6) * across
    grain = rng.uniform(0.02, 0.14) * rng.standard_normal((size, size))
    return rng.uniform(0.35, 1.1) * (1 + stripes + gradient + grain)


def _draw(rng, garment, image_size):
    """One image of shape (image_size, image_size), uint8; 0 is the background and only that."""
    shade = _render(_pose(rng, garment(rng), image_size * _OVERSAMPLING), image_size)
    image = np.clip(shade * _texture(rng, image_size), 1, 255)
    return np.where(shade > 0, image, 0).astype(np.uint8)
