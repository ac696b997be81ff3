"""Random changes of whole training batches."""

import torch
from sklearn.base import BaseEstimator
from torch.nn import functional

__all__ = ["FlipAndShift"]


class FlipAndShift(BaseEstimator):
    """Mirror half of the images left to right and move each by up to `shift` pixels.

    Pixels that come in from outside are 0. Each image of a batch is drawn on its own.

    Parameters
    ----------
    shift : int, default=2
        Largest move in x and in y, in pixels.
    flip : bool, default=True

    Examples
    --------
    >>> import torch
    >>> from fmcam.classifiers import FlipAndShift
    >>> images = torch.arange(4, dtype=torch.uint8).reshape(1, 1, 2, 2)
    >>> FlipAndShift(shift=0)(images, torch.Generator().manual_seed(1)).shape
    torch.Size([1, 1, 2, 2])
    """

    def __init__(self, shift=2, flip=True):
        self.shift = shift
        self.flip = flip

    def __call__(self, images, generator=None):
        """Images of shape (n, c, h, w) -> changed copies of the same shape and dtype."""
        n, _, height, width = images.shape
        top, left = torch.randint(2 * self.shift + 1, (2, n, 1), generator=generator)
        mirrored = torch.rand(n, 1, generator=generator) < 0.5 * self.flip
        columns = torch.arange(width)
        columns = left + torch.where(mirrored, columns.flip(0), columns)
        rows = top + torch.arange(height)
        padded = functional.pad(images, 4 * [self.shift])
        flat = (rows[:, :, None] * padded.shape[-1] + columns[:, None, :]).to(images.device)
        flat = flat.reshape(n, 1, -1).expand(-1, images.shape[1], -1)
        return padded.flatten(2).gather(2, flat).reshape(images.shape)
