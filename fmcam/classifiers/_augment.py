"""Random changes of whole training batches."""

import math

import torch
from sklearn.base import BaseEstimator
from torch.nn import functional

__all__ = ["FlipAndShift", "RandomResizedCrop"]


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


class RandomResizedCrop(BaseEstimator):
    """Cut a random part out of each image, resize it to a square and mirror half of them.

    The augmentation that Inception [1]_ made the usual one for photographs, for a whole batch in
    one call on the device of the images. The share of the area is uniform in `scale` and the
    logarithm of width to height uniform in that of `ratio`; each image is drawn on its own.

    Parameters
    ----------
    size : int
        Side of the crops after resizing, in pixels.
    scale : (float, float), default=(0.35, 1.0)
        Smallest and largest share of the image's area, in (0, 1].
    ratio : (float, float), default=(3 / 4, 4 / 3)
        Smallest and largest ratio of a crop's width to its height.
    flip : bool, default=True

    Notes
    -----
    Pixels are interpolated bilinearly between half-pixel centres, without smoothing, as
    ``torch.nn.functional.interpolate`` does. Crops are not rounded to whole pixels, and one that
    would be wider or higher than the image is cut to it, where torchvision draws up to ten times.

    References
    ----------
    .. [1] Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6.

    Examples
    --------
    >>> import torch
    >>> from fmcam.classifiers import RandomResizedCrop
    >>> images = torch.zeros(8, 3, 160, 160, dtype=torch.uint8)
    >>> RandomResizedCrop(128)(images, torch.Generator().manual_seed(0)).shape
    torch.Size([8, 3, 128, 128])
    """

    def __init__(self, size, scale=(0.35, 1.0), ratio=(3 / 4, 4 / 3), flip=True):
        self.size = size
        self.scale = scale
        self.ratio = ratio
        self.flip = flip

    def __call__(self, images, generator=None):
        """Images (n, c, h, w) of any type -> float32 (n, c, size, size) in the same units."""
        n, channels, height, width = images.shape
        area, ratio, x, y, mirror = torch.rand(5, n, generator=generator)
        low, high = self.scale
        area = (low + (high - low) * area) * height * width
        low, high = map(math.log, self.ratio)
        ratio = (low + (high - low) * ratio).exp()
        x_share = ((area * ratio).sqrt() / width).clamp(max=1)
        y_share = ((area / ratio).sqrt() / height).clamp(max=1)
        turned = torch.where(mirror < 0.5 * self.flip, -x_share, x_share)
        zero = torch.zeros(n)
        to_image = torch.stack(  # from [-1, 1] in the crop to [-1, 1] in the image
            [
                *(turned, zero, (1 - x_share) * (2 * x - 1)),
                *(zero, y_share, (1 - y_share) * (2 * y - 1)),
            ],
            dim=1,
        ).reshape(n, 2, 3)
        shape = [n, channels, self.size, self.size]
        grid = functional.affine_grid(to_image.to(images.device), shape, align_corners=False)
        return functional.grid_sample(
            images.float(), grid, padding_mode="border", align_corners=False
        )
