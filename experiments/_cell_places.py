"""Where a layer's cells look, found without labels: by photographs and their mirror images."""

import numpy as np
import torch

from fmcam.explain._geometry import Grid, upsample

__all__ = ["first_cell", "mirror_products"]

_PART = 64  # of a stride, between two places that are tried
_DRAWS = 1000


def mirror_products(maps, mirrored, width, stride, starts):
    r"""How well maps and those of the mirror images match if the first cell looks at each start.

    If cell i shows what lies at :math:`p_i = b + s i`, then in the mirror image of a picture of
    width w it shows what lies at :math:`w - 1 - p_i` of the picture itself. So both maps, drawn
    with their cells at :math:`p_i`, are mirror images of each other, and for no other b. They are
    compared at the pixels that lie between the outermost cells in both, where the mean of each map
    is removed: how much there is of a class is the same in any place. The mean map over the images
    is removed before: what all maps share, such as a darker border, knows no mirror.

    Parameters
    ----------
    maps, mirrored : ndarray of shape (n, h', w')
        Of the same class of images and of their mirror images, at the layer's own resolution.
    width : int
        Of the images, w, in pixels.
    stride : float
        The pixels from one cell to the next, s.
    starts : sequence of float
        Where the first cell may look, b.

    Returns
    -------
    ndarray of shape (n, len(starts), 3)
        Sums over pixels of the products of both maps and of their squares.
    """
    maps, mirrored = (torch.as_tensor(m - m.mean(axis=0)).double() for m in (maps, mirrored))
    size, last = (maps.shape[1], width), stride * (maps.shape[2] - 1)
    products = []
    for start in starts:
        grid = Grid((0.0, start), (1.0, stride))
        pixels = torch.arange(width)
        between = (start <= pixels) & (pixels <= start + last)
        both = between & between.flip(0)
        one, other = upsample(maps, size, grid), upsample(mirrored, size, grid).flip(2)
        one, other = (_centred(some[..., both]) for some in (one, other))
        pairs = ((one, other), (one, one), (other, other))
        products.append(torch.stack([(a * b).sum(dim=(1, 2)) for a, b in pairs], dim=1))
    return torch.stack(products, dim=1).numpy()


def _centred(maps):
    return maps - maps.mean(dim=(1, 2), keepdim=True)


def first_cell(maps, mirrored, width, grid, random_state=0):
    """Where the first cell looks along x, and the interval of a bootstrap over images.

    Parameters
    ----------
    maps, mirrored, width
        As for `mirror_products`.
    grid : Grid
        The geometric centres of the cells; places up to a stride away from them are tried.

    Returns
    -------
    dict
        start, start_low and start_high, in pixels, and the correlation there.
    """
    start, stride = grid.start[1], grid.stride[1]
    starts = start + stride * np.arange(-_PART, _PART + 1) / _PART
    products = mirror_products(maps, mirrored, width, stride, starts)
    correlations = _correlations(products.sum(axis=0))
    rng, n = np.random.default_rng(random_state), len(products)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=_DRAWS)
    sums = np.tensordot(drawn, products, axes=1)
    low, high = np.percentile(starts[_correlations(sums).argmax(axis=1)], [2.5, 97.5])
    return {
        "start": starts[correlations.argmax()],
        "start_low": low,
        "start_high": high,
        "correlation": correlations.max(),
    }


def _correlations(products):
    """Of summed products (..., 3); -1 where nothing could be compared."""
    squares = np.sqrt(products[..., 1] * products[..., 2])
    return np.divide(products[..., 0], squares, out=np.full(squares.shape, -1.0), where=squares > 0)
