"""Where cells look, by mirror images: maps made of values at known places."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from experiments._cell_places import first_cell, mirror_products
from fmcam.explain._geometry import Grid


def photographs(n, width, smooth=6.0):
    """Smooth noise of shape (n, 9, width), which is like no mirror image of itself."""
    noise = np.random.default_rng(0).normal(size=(n, 9, width))
    return gaussian_filter(noise, (0, 0, smooth))


def looking_at(images, start, stride, n_cells):
    """The value at each cell's place, read between pixels."""
    places = start + stride * np.arange(n_cells)
    pixels = np.arange(images.shape[2])
    return np.array([[np.interp(places, pixels, row) for row in image] for image in images])


@pytest.mark.parametrize(
    ("width", "stride", "start", "n_cells"),
    [
        (64, 8, 3.5, 8),  # an even division
        (64, 8, 0.0, 8),  # behind padded convolutions of stride 2
        (65, 8, 0.0, 9),  # there too, where both ends are alike
        (60, 8, 6.0, 6),
        (64, 8, 1.75, 8),  # between both
    ],
)
def test_the_place_of_the_first_cell(width, stride, start, n_cells):
    """Whatever the geometry says, the first cell is found where it looks."""
    images = photographs(80, width)
    maps, mirrored = (
        looking_at(some, start, stride, n_cells) for some in (images, images[..., ::-1])
    )
    for geometric in (start, start + 3, start - 2.5):
        found = first_cell(maps, mirrored, width, Grid((0.0, geometric), (8.0, float(stride))))
        assert found["start"] == pytest.approx(start, abs=0.26)
        assert found["start_low"] <= found["start"] <= found["start_high"]
        assert found["start_high"] - found["start_low"] < 1
        assert found["correlation"] > 0.8


def test_what_all_maps_share_tells_nothing():
    """A border that is the same in each map, or a level of each map, is no place."""
    images = photographs(80, 64)
    maps, mirrored = (looking_at(some, 0, 8, 8) for some in (images, images[..., ::-1]))
    border, levels = 20 * np.linspace(1, 0, 8), np.linspace(0, 99, 80)[:, None, None]
    grid = Grid((0.0, 0.0), (8.0, 8.0))
    told = first_cell(maps, mirrored, 64, grid)
    for same in (border, levels):
        assert first_cell(maps + same, mirrored + same, 64, grid) == pytest.approx(told)


def test_products_by_hand():
    """Cells at 0 and 2 of three pixels give 2, 3, 4, and for the mirror image 8, 6, 4."""
    maps = np.array([[[2.0, 4.0]], [[-2.0, -4.0]]])
    mirrored = np.array([[[8.0, 4.0]], [[-8.0, -4.0]]])
    products = mirror_products(maps, mirrored, 3, 2, [0.0])
    np.testing.assert_allclose(products, [[[4, 2, 8]]] * 2)  # of -1, 0, 1 and -2, 0, 2


def test_a_shifted_picture_shifts_the_place():
    """What lies further left than a mirror image has it is seen as by a cell further right."""
    wide, grid = photographs(80, 70), Grid((0.0, 3.5), (8.0, 8.0))
    starts = []
    for left in (3, 6):  # in the middle, and 3 pixels right of it
        crops = (some[..., left : left + 64] for some in (wide, wide[..., ::-1]))
        maps, mirrored = (looking_at(some, 3.5, 8, 8) for some in crops)
        starts.append(first_cell(maps, mirrored, 64, grid)["start"])
    assert starts == pytest.approx([3.5, 6.5], abs=0.5)


def test_noise_has_no_place():
    maps, mirrored = torch.randn(2, 80, 5, 8, generator=torch.Generator().manual_seed(0)).numpy()
    found = first_cell(maps, mirrored, 64, Grid((0.0, 3.5), (8.0, 8.0)))
    assert found["start_high"] - found["start_low"] > 4
    assert abs(found["correlation"]) < 0.3
