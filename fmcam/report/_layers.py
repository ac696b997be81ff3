"""What the heatmaps of several layers have in common, and how well each finds the object."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fmcam._typing import Seed
from fmcam.metrics import energy_in_box_score, rank_correlation
from fmcam.report._summary import mean_with_interval


def layer_frame(
    heatmaps: Mapping[str, NDArray[Any]],
    *,
    sizes: Mapping[str, Any] | None = None,
    boxes: ArrayLike | None = None,
    random_state: Seed = 0,
) -> pd.DataFrame:
    """Return one row a layer of a network about its heatmaps, with 95 % intervals.

    Parameters
    ----------
    heatmaps : mapping of str to array-like of shape (n, h, w)
        The maps of each layer, from the first to the last one, as
        `fmcam.explain.explain_together` makes them.
    sizes : mapping of str to (int, int), optional
        Height and width of the maps in the layer itself: the shape of those of an explainer with
        ``upsample=False``.
    boxes : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes (k, 4), optional
        True boxes x0, y0, x1, y1 in half-open pixels; NaN where an image has none.
    random_state : int, Generator or None, default=0
        For the bootstrap.

    Returns
    -------
    frame : DataFrame of one row a layer, index "layer"
        map_height, map_width
            Only with `sizes`.
        n, empty_maps
            Number of images, and share of them whose map is all zeros.
        n_energy, energy
            Only with `boxes`: number of images with a box and a map that is not empty, and the mean
            share of the map in the box, see `fmcam.metrics.energy_in_box_score`.
        n_rank_correlation, rank_correlation
            Number of images whose map and that of the last layer have several values, and the mean
            of Spearman's correlation of their pixels, see `fmcam.metrics.rank_correlation`.

        Each mean is followed by the ends of its interval over the images, as in energy_low and
        energy_high.

    Raises
    ------
    ValueError
        If there are no layers, sizes of other layers are given, or shapes do not fit together.

    Examples
    --------
    >>> maps = {"layer1": [[[0.0, 1, 0, 0]], [[0, 0, 0, 1]]], "layer4": [[[1.0, 1, 0, 0]]] * 2}
    >>> sizes, boxes = {"layer1": (1, 4), "layer4": (1, 2)}, [[0, 0, 2, 1]] * 2
    >>> columns = ["map_width", "energy", "rank_correlation"]
    >>> layer_frame(maps, sizes=sizes, boxes=boxes)[columns]  # doctest: +NORMALIZE_WHITESPACE
            map_width  energy  rank_correlation
    layer
    layer1          4     0.5               0.0
    layer4          2     1.0               1.0
    """
    if not heatmaps:
        raise ValueError("`heatmaps` must hold the maps of one layer or more, got none.")
    if sizes is not None and sizes.keys() != heatmaps.keys():
        raise ValueError(
            f"`sizes` must be those of the layers {list(heatmaps)}, got {list(sizes)}."
        )
    last = list(heatmaps.values())[-1]
    rng = np.random.default_rng(random_state)
    table = {}
    for layer, maps in heatmaps.items():
        row: dict[str, Any] = {}
        if sizes is not None:
            row["map_height"], row["map_width"] = sizes[layer]
        row |= {"n": len(maps), "empty_maps": np.mean([not np.any(one) for one in maps])}
        found = {"rank_correlation": rank_correlation(maps, last)}
        if boxes is not None:
            found = {"energy": energy_in_box_score(boxes, maps, average=None), **found}
        for name, values in found.items():
            known = values[~np.isnan(values)]
            row |= {f"n_{name}": len(known), **mean_with_interval(name, known, rng)}
        table[layer] = row
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("layer")
