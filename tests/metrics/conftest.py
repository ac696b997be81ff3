"""Images whose scores are undefined in every way there is."""

import numpy as np
import pytest

from fmcam.localize import boxes_from_heatmaps


@pytest.fixture(name="data")
def some_images():
    """Images with an empty map, a constant one, no true box, no predicted one, no object."""
    rng = np.random.default_rng(0)
    n, h, w = 10, 8, 10
    heatmaps = rng.random((n, h, w))
    heatmaps[3], heatmaps[4] = 0, 1
    masks = rng.choice([0, 1, 255], p=[0.6, 0.3, 0.1], size=(n, h, w))
    masks[5] = 0
    boxes_true = np.sort(rng.integers(0, h + 1, (n, 2, 2)), axis=1).reshape(n, 4).astype(float)
    boxes_true[6] = np.nan
    boxes_pred = boxes_from_heatmaps(heatmaps, 0.7)
    boxes_pred[:3] = boxes_true[:3]
    return {
        "boxes_true": boxes_true,
        "boxes_pred": boxes_pred,
        "heatmaps": heatmaps,
        "masks_true": masks,
        "masks_pred": heatmaps >= 0.6,
        "others": rng.random((n, h, w)),
        "X": rng.integers(0, 256, (n, 1, h, w), dtype=np.uint8),
        "y": rng.integers(0, 2, n),
        "y_true": np.arange(n) % 2,
        "y_pred": np.arange(n) % 3 % 2,
        "y_score": rng.integers(0, 9, (n, 8)),
    }
