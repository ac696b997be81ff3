"""What holds for any boxes, maps, pictures and settings: hypothesis looks for one that fails."""

import contextlib
import io
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from sklearn.metrics import average_precision_score

from fmcam._placement import Placement
from fmcam.cli._config import parse
from fmcam.cli._config_file import as_yaml
from fmcam.cli.train import Config
from fmcam.explain._layout import Layout, possible_layouts
from fmcam.metrics import (
    boxes_from_heatmaps,
    energy_in_box_score,
    paired_box_iou,
    pixel_average_precision_score,
    pointing_game_score,
)

settings.register_profile("fmcam", max_examples=40, deadline=None, derandomize=True, database=None)
settings.load_profile("fmcam")

SIDE = 12


@st.composite
def boxes(draw, side=SIDE):
    """A box of whole pixels, not empty, in a square."""
    x0, y0 = (draw(st.integers(0, side - 1)) for _ in "xy")
    return [x0, y0, draw(st.integers(x0 + 1, side)), draw(st.integers(y0 + 1, side))]


def mask_of(box, side=SIDE):
    x0, y0, x1, y1 = box
    mask = np.zeros((side, side), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def maps_of(levels):
    """Maps of few levels, so that values are equal and regions touch."""
    shape = st.tuples(st.integers(1, SIDE), st.integers(1, SIDE))
    return arrays(np.float32, shape, elements=st.integers(0, levels).map(lambda k: k / levels))


# Boxes --------------------------------------------------------------------------------------------


@given(boxes(), boxes(), st.integers(1, 5), st.integers(0, 9))
def test_iou_counts_pixels_and_knows_neither_order_place_nor_scale(a, b, scale, shift):
    inside = [mask_of(box) for box in (a, b)]
    expected = np.logical_and(*inside).sum() / np.logical_or(*inside).sum()
    (iou,) = paired_box_iou([a], [b])
    assert iou == pytest.approx(expected)
    moved = [[[scale * x + shift for x in box]] for box in (b, a)]
    assert paired_box_iou(*moved)[0] == pytest.approx(iou)
    assert paired_box_iou([a], [a])[0] == 1


@given(maps_of(4), st.sampled_from([0.25, 0.5, 1.0]))
@example(np.zeros((2, 2), np.float32), 0.5)
def test_boxes_are_those_of_scipy_s_regions(heatmap, threshold):
    found = {
        r: boxes_from_heatmaps(heatmap[None], threshold, region=r)[0] for r in ("all", "largest")
    }
    hot = heatmap >= threshold
    if not hot.any():
        assert np.isnan([*found.values()]).all()
        return
    rows, columns = np.nonzero(hot)
    bounds = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert found["all"].tolist() == bounds
    labels, n_regions = ndimage.label(hot, np.ones((3, 3)))
    sizes = ndimage.sum_labels(hot, labels, range(1, n_regions + 1))
    boxes_of_largest = [
        [x.start, y.start, x.stop, y.stop]
        for (y, x), size in zip(ndimage.find_objects(labels), sizes, strict=True)
        if size == sizes.max()
    ]
    assert found["largest"].tolist() in boxes_of_largest


# Metrics ------------------------------------------------------------------------------------------


@given(maps_of(5), st.data())
def test_pixel_precision_is_scikit_learn_s(heatmap, data):
    mask = data.draw(arrays(bool, heatmap.shape))
    found = pixel_average_precision_score(mask[None], heatmap[None])
    if mask.any():
        assert found == pytest.approx(average_precision_score(mask.ravel(), heatmap.ravel()))
    else:
        assert np.isnan(found)


@given(boxes(), arrays(np.float32, (SIDE, SIDE), elements=st.integers(0, 9)))
def test_mirrors_change_no_score_and_a_box_and_its_outside_share_the_energy(box, heatmap):
    x0, y0, x1, y1 = box
    mask, mirrored = mask_of(box), [SIDE - x1, y0, SIDE - x0, y1]
    energy = energy_in_box_score([box], heatmap[None])
    np.testing.assert_allclose(energy_in_box_score([mirrored], heatmap[None, :, ::-1]), energy)
    if heatmap.any():
        assert energy == pytest.approx(heatmap[mask].sum() / heatmap.sum())
        if np.sum(heatmap == heatmap.max()) == 1:
            hit = pointing_game_score(mask[None], heatmap[None])
            assert hit == mask[np.unravel_index(heatmap.argmax(), heatmap.shape)]
            assert pointing_game_score(mask[None, :, ::-1], heatmap[None, :, ::-1]) == hit
    else:
        assert np.isnan(energy)


# Pictures -----------------------------------------------------------------------------------------


@given(
    st.builds(
        Placement,
        st.integers(4, 60),
        st.integers(4, 60),
        st.integers(1, 40),
        st.sampled_from(["crop", "stretch"]),
    ),
    st.data(),
)
def test_boxes_there_and_back_are_what_the_square_kept(place, data):
    x0, y0 = (data.draw(st.integers(0, side - 1)) for side in (place.width, place.height))
    x1, y1 = (
        data.draw(st.integers(x0 + 1, place.width)),
        data.draw(st.integers(y0 + 1, place.height)),
    )
    (square,) = place.boxes([[x0, y0, x1, y1]])
    (back,) = place.boxes_in_original([square])
    (kept,) = place.boxes_in_original([[0, 0, place.size, place.size]])
    expected = [max(x0, kept[0]), max(y0, kept[1]), min(x1, kept[2]), min(y1, kept[3])]
    if np.isnan(square).any():
        assert expected[0] >= expected[2] - 1e-9 or expected[1] >= expected[3] - 1e-9
    else:
        assert ((square >= 0) & (square <= place.size)).all()
        np.testing.assert_allclose(back, expected, atol=1e-9)
    if place.fit == "stretch":
        np.testing.assert_allclose(back, [x0, y0, x1, y1])


# Layouts ------------------------------------------------------------------------------------------


@given(
    st.integers(2, 6),
    st.integers(2, 6),
    st.integers(2, 5),
    st.integers(0, 4),
    st.sampled_from(["nchw", "nhwc", "ntd"]),
    st.integers(0, 99),
)
def test_maps_are_found_wherever_a_layer_keeps_them(half_h, half_w, c, start, axes, seed):
    h, w = 2 * half_h, 2 * half_w
    maps = torch.zeros(5, c, h, w)
    noise = torch.randn(4, c, h, w, generator=torch.Generator().manual_seed(seed))
    for quarter in range(4):
        rows, columns = (quarter // 2) * half_h, (quarter % 2) * half_w
        place = np.s_[:, rows : rows + half_h, columns : columns + half_w]
        maps[1 + quarter][place] = noise[quarter][place]
    output, start = maps, start if axes == "ntd" else 0
    if axes == "nhwc":
        output = maps.permute(0, 2, 3, 1)
    elif axes == "ntd":
        output = torch.cat([torch.zeros(5, start, c), maps.flatten(2).transpose(1, 2)], dim=1)
    found = possible_layouts(output, (16 * h, 16 * w))[0].layout
    assert found == Layout(axes, (h, w), start)
    assert torch.equal(found.maps(output), maps)


# Settings -----------------------------------------------------------------------------------------

VALUES = {
    float: st.floats(1e-6, 10, allow_nan=False),
    int: st.integers(1, 10**6),
    str: None,
    bool: st.booleans(),
}


@st.composite
def configurations(draw):
    """Settings of a training with other numbers and truth values."""
    changed = {}
    for field in fields(Config):
        strategy = VALUES.get(field.type)
        if strategy is not None and draw(st.booleans()):
            changed[field.name] = draw(strategy)
    return replace(Config(), **changed)


def parsed(path):
    return parse(Config, ["--config", str(path)], prog="fmcam train", description="")


@given(config=configurations())
def test_printed_settings_read_as_the_same(config, tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "settings.yaml"
    path.write_text(as_yaml(config))
    assert parsed(path) == config


@settings(max_examples=15)
@given(text=st.text(st.characters(codec="utf-8"), max_size=80))
@example(text="lr: [1")
@example(text="a: &b [*b]")
@example(text="lr: !!python/object/apply:os.system [ls]")
@example(text="epochs: 1\nepochs: 2")
@example(text="lr: .nan")
@example(text="[" * 1000)
def test_any_text_is_settings_or_one_line_that_says_why_not(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        assert isinstance(parsed(path), Config)
        return
    *_, error = said.getvalue().split("fmcam train: error: ")
    assert error.startswith(f"--config: {path}")
    assert error.count("\n") == 1
