"""Random changes of whole training batches."""

import math

import torch
from sklearn.base import BaseEstimator
from torch.nn import functional

__all__ = ["FlipAndShift", "RandomResizedCrop", "check_augmented"]


class FlipAndShift(BaseEstimator):
    """Mirror half of the images left to right and move each by up to `shift` pixels.

    Pixels that come in from outside are 0. Each image of a batch is drawn on its own.

    Parameters
    ----------
    shift : int, default=2
        Largest move in x and in y, in pixels.
    flip : bool, default=True
        Whether to mirror.

    Examples
    --------
    >>> import torch
    >>> from fmcam.classifiers import FlipAndShift
    >>> images = torch.arange(4, dtype=torch.uint8).reshape(1, 1, 2, 2)
    >>> FlipAndShift(shift=0)(images, torch.Generator().manual_seed(1)).shape
    torch.Size([1, 1, 2, 2])
    """

    def __init__(self, shift: int = 2, flip: bool = True) -> None:
        self.shift = shift
        self.flip = flip

    def __call__(
        self, images: torch.Tensor, generator: torch.Generator | None = None
    ) -> torch.Tensor:
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
    r"""Cut a random part out of each image, resize it to a square and mirror half of them.

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
        Whether to mirror.
    color : float, default=0.0
        Brightness, contrast and saturation of each image are multiplied by factors that are uniform
        in [1 - color, 1 + color], in [0, 1]. 0 leaves the colours alone.

    Notes
    -----
    The brightness b, the contrast c and the saturation s of an image turn its pixel x into

    .. math:: b \, (\bar g + c \, (g + s \, (x - g) - \bar g)),

    where g is the mean of the pixel's channels and :math:`\bar g` that of all pixels; the result is
    not cut to the range of x.

    Pixels are interpolated bilinearly between half-pixel centres, and smoothed where a crop shrinks
    (``antialias=True`` in ``torch.nn.functional.interpolate``). Crops are not rounded to whole
    pixels, and one that would be wider or higher than the image is cut to it, where torchvision
    draws up to ten times.

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

    def __init__(
        self,
        size: int,
        scale: tuple[float, float] = (0.35, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: bool = True,
        color: float = 0.0,
    ) -> None:
        self.size = size
        self.scale = scale
        self.ratio = ratio
        self.flip = flip
        self.color = color

    def __call__(
        self, images: torch.Tensor, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Images (n, c, h, w) of any type -> float32 (n, c, size, size) in the same units."""
        crops = self._cropped(images, generator)
        return self._recolored(crops, generator) if self.color else crops

    def _cropped(self, images, generator):
        n, _, height, width = images.shape
        area, ratio, x, y, mirror = torch.rand(5, n, generator=generator)
        low, high = self.scale
        area = (low + (high - low) * area) * height * width
        low, high = map(math.log, self.ratio)
        ratio = (low + (high - low) * ratio).exp()
        x_size = (area * ratio).sqrt().clamp(max=width)
        y_size = (area / ratio).sqrt().clamp(max=height)
        left, top = x * (width - x_size), y * (height - y_size)
        mirrored = mirror < 0.5 * self.flip
        columns = self._weights(
            left + mirrored * x_size, torch.where(mirrored, -x_size, x_size), width
        )
        rows = self._weights(top, y_size, height)
        columns, rows = columns.to(images.device), rows.to(images.device)
        return rows @ (images.float() @ columns.mT)

    def _weights(self, start, length, n_pixels):
        """Share of each pixel in each of the crop's, (n, 1, size, n_pixels), along one side."""
        step = (length / self.size)[:, None]
        centres = start[:, None] + step * (torch.arange(self.size) + 0.5)
        distance = (centres[:, :, None] - (torch.arange(n_pixels) + 0.5)).abs()
        weights = (1 - distance / step.abs().clamp(min=1)[:, :, None]).clamp(min=0)
        return (weights / weights.sum(dim=2, keepdim=True))[:, None]

    def _recolored(self, images, generator):
        factors = torch.rand(3, len(images), 1, 1, 1, generator=generator).to(images.device)
        brightness, contrast, saturation = 1 + self.color * (2 * factors - 1)
        grey = images.mean(dim=1, keepdim=True)
        mean = grey.mean(dim=(2, 3), keepdim=True)
        grey = grey * (contrast * (1 - saturation)) + (1 - contrast) * mean
        return images.mul_(brightness * contrast * saturation).add_(grey.mul_(brightness))


def check_augmented(augmented, images):
    """Raise ValueError unless a function gave a tensor of as many images as it got."""
    if not isinstance(augmented, torch.Tensor) or len(augmented) != len(images):
        is_tensor = isinstance(augmented, torch.Tensor)
        came = tuple(augmented.shape) if is_tensor else type(augmented).__name__
        raise ValueError(
            f"`augment` must give a tensor of as many images as came, {len(images)}, got {came}."
        )
