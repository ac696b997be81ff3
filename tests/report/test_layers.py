"""The table of layers, by hand."""

import numpy as np
import pytest

from fmcam.metrics import rank_correlation
from fmcam.report import bootstrap_difference, layer_frame

RNG = np.random.default_rng(0)
MAPS = {"features.2": RNG.random((5, 4, 6)), "features.4": RNG.random((5, 4, 6))}
MAPS["features.4"][1] = 0


def test_a_row_a_layer():
    boxes = np.array([[0, 0, 3, 4], [0, 0, 3, 4], [np.nan] * 4, [0, 0, 6, 4], [1, 1, 2, 2]])
    frame = layer_frame(MAPS, sizes={"features.2": (8, 12), "features.4": (2, 3)}, boxes=boxes)
    assert frame.index.tolist() == list(MAPS)
    assert frame[["map_height", "map_width"]].to_numpy().tolist() == [[8, 12], [2, 3]]
    assert frame["n"].tolist() == [5, 5]
    assert frame["empty_maps"].tolist() == [0, 0.2]
    assert frame["n_energy"].tolist() == [4, 3]
    first = MAPS["features.2"]
    inside = first[:2, :, :3].sum(axis=(1, 2)) / first[:2].sum(axis=(1, 2))
    alone = first[4, 1, 1] / first[4].sum()
    assert frame["energy"].iloc[0] == pytest.approx(np.mean([*inside, 1, alone]))
    assert frame["n_rank_correlation"].tolist() == [4, 4]
    found = rank_correlation(first, MAPS["features.4"])[[0, 2, 3, 4]]
    assert frame["rank_correlation"].tolist() == pytest.approx([found.mean(), 1])
    rng = np.random.default_rng(0)
    alone = layer_frame(MAPS)
    _, low, high = bootstrap_difference(found, np.zeros(4), random_state=rng)
    assert alone.iloc[0][["rank_correlation_low", "rank_correlation_high"]].tolist() == [low, high]
    assert not {"energy", "map_width"} & set(alone)


def test_one_image_has_no_interval_and_empty_maps_no_mean():
    frame = layer_frame({"a": np.zeros((1, 4, 6)), "b": MAPS["features.2"][:1]})
    assert frame["n_rank_correlation"].tolist() == [0, 1]
    assert np.isnan(frame["rank_correlation"].iloc[0])
    assert np.isnan(frame["rank_correlation_low"]).all()


@pytest.mark.parametrize(
    ("maps", "options", "message"),
    [
        ({}, {}, "`heatmaps` must hold the maps of one layer or more, got none"),
        (
            MAPS,
            {"sizes": {"features.2": (2, 3)}},
            r"`sizes` must be those of .* got \['features.2'",
        ),
        ({"a": MAPS["features.2"], "b": MAPS["features.2"][:2]}, {}, "must have the shape"),
        (MAPS, {"boxes": [[0, 0, 1, 1]]}, "boxes"),
    ],
)
def test_what_does_not_fit(maps, options, message):
    with pytest.raises(ValueError, match=message):
        layer_frame(maps, **options)
