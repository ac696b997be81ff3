"""Maps collected batch by batch: all that came, once in memory."""

import tracemalloc

import numpy as np
import pytest
import torch

from fmcam.explain._map_writer import MapWriter


def batches(*sizes, shape=(3, 2)):
    rng = np.random.default_rng(0)
    return [torch.as_tensor(rng.normal(size=(n, *shape)), dtype=torch.float32) for n in sizes]


@pytest.mark.parametrize("n_expected", [None, 0, 3, 9, 20])
@pytest.mark.parametrize("sizes", [(4, 4, 1), (9,), (1,) * 9])
def test_what_came_is_kept_whatever_was_expected(n_expected, sizes):
    writer, parts = MapWriter(None, n_expected), batches(*sizes)
    for part in parts:
        writer.add(part)
    np.testing.assert_array_equal(writer.finish(), torch.cat(parts))


@pytest.mark.parametrize(("n_expected", "most"), [(100, 1.1), (None, 1.6)])
def test_maps_stand_in_memory_once(n_expected, most):
    """With room to grow where their number is not known."""
    (part,) = batches(1, shape=(200, 200))
    writer = MapWriter(None, n_expected)
    tracemalloc.start()
    try:
        for _ in range(100):
            writer.add(part)
        maps = writer.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert maps.shape == (100, 200, 200)
    assert peak < most * maps.nbytes
