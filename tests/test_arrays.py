"""What people bring as numbers: tensors, lists of tensors, frames, pictures; what is refused."""

import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.sparse import csr_array

from fmcam._arrays import as_array, plain_array
from fmcam.localize import boxes_from_heatmaps
from fmcam.metrics import (
    average_drop_error,
    energy_in_box_score,
    insertion_auc_score,
    paired_box_iou,
    pointing_game_score,
    top1_localization_score,
)
from fmcam.report import classification_frame, localization_frame

HALVES = np.array([[0.5, 1.0], [0.0, 0.25]])  # exact in any floating point format


class NotOnThisMachine:
    """A tensor of another device, as far as one can be made here: NumPy may not read it."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert cuda:0 device type tensor to numpy.")

    def detach(self):
        return self.tensor

    def numpy(self, *, force):
        assert force
        return self.tensor.numpy()


def inference_tensor():
    with torch.inference_mode():
        return torch.tensor(HALVES)


@pytest.mark.parametrize(
    "values",
    [
        torch.tensor(HALVES, requires_grad=True),
        torch.tensor(HALVES, requires_grad=True) * 1,
        torch.tensor(HALVES).bfloat16(),
        torch.tensor(HALVES).half(),
        torch.tensor(HALVES).bfloat16().requires_grad_(),
        torch.tensor(HALVES.T.copy()).T,
        torch.nn.Parameter(torch.tensor(HALVES)),
        inference_tensor(),
        NotOnThisMachine(torch.tensor(HALVES)),
        [NotOnThisMachine(row) for row in torch.tensor(HALVES)],
        list(torch.tensor(HALVES, requires_grad=True)),
        tuple(torch.tensor(HALVES).bfloat16()),
        [[value for value in row] for row in torch.tensor(HALVES, requires_grad=True)],  # noqa: C416
        [torch.tensor(HALVES[0]), HALVES[1].tolist()],
        HALVES.astype(object),
        pd.DataFrame(HALVES),
        pd.DataFrame(HALVES).astype("Float64"),
        np.ma.masked_less(HALVES, -1),
    ],
)
def test_numbers_in_any_wrapping(values):
    array = as_array(values, name="scores")
    assert type(array) is np.ndarray
    assert array.dtype.kind == "f"
    np.testing.assert_array_equal(array, HALVES)


def test_an_array_is_not_copied(tmp_path):
    assert as_array(HALVES, name="X") is HALVES
    tensor = torch.zeros(2, 3)
    as_array(tensor, name="X")[0, 0] = 7
    assert tensor[0, 0] == 7
    mapped = np.memmap(tmp_path / "maps", np.float32, "w+", shape=(2, 2))
    assert np.shares_memory(as_array(mapped, name="X"), mapped)


def test_arrays_of_arrays_become_one():
    rows = np.empty(2, dtype=object)
    rows[:] = [HALVES[0], HALVES[1]]
    np.testing.assert_array_equal(as_array(rows, name="X"), HALVES)
    np.testing.assert_array_equal(as_array(pd.Series(list(HALVES)), name="X"), HALVES)


def test_missing_numbers_are_nan():
    values = pd.DataFrame({"x0": [1, None], "x1": [2, 3]}, dtype="Int64")
    np.testing.assert_array_equal(as_array(values, name="boxes"), [[1, 2], [np.nan, 3]])
    np.testing.assert_array_equal(as_array([None, True, 2], name="x"), [np.nan, 1, 2])


def test_pictures_are_arrays():
    pictures = [Image.new("L", (3, 2), grey) for grey in (0, 255)]
    array = as_array(pictures, name="masks")
    assert array.shape == (2, 2, 3)
    assert array[:, 0, 0].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("values", "got"),
    [
        (None, "a NoneType"),
        ("0.5", "a str"),
        ({"a": 1}, "a dict"),
        ({1, 2}, "a set"),
        ((x for x in [1]), "a generator"),
        (csr_array(HALVES), "a csr_array"),
        (["0", "1"], "an array of dtype <U1"),
        (pd.Series(["0", "1"]), "an array of dtype"),
        (np.array([1, "a"], dtype=object), "an array of dtype <U"),
        ([b"1"], "an array of dtype |S1"),
        ([1j, 2], "an array of dtype complex128"),
        (torch.zeros(2, dtype=torch.complex64), "an array of dtype complex64"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "an array of dtype datetime64[D]"),
        ([Decimal(1), Decimal(2)], "an array of dtype object"),
        (np.array([(1, 2.0)], dtype=[("x", int), ("y", float)]), "an array of dtype [("),
    ],
)
def test_what_holds_no_real_numbers(values, got):
    message = f"`maps` must hold real numbers, got {got}"
    with pytest.raises(TypeError, match=re.escape(message)):
        as_array(values, name="maps")


def test_tensors_that_cannot_be_read():
    with pytest.raises(
        TypeError, match=r"`maps` must be a dense tensor .* torch\.sparse_coo on cpu"
    ):
        as_array(torch.eye(2).to_sparse(), name="maps")
    with pytest.raises(TypeError, match=r"dense tensor of numbers, got one of .* on meta"):
        as_array(torch.zeros(2, device="meta"), name="maps")


def test_masked_values_are_not_shown_in_silence():
    message = "`maps` must hold a number everywhere, got 1 masked values. Choose what they are: "
    with pytest.raises(ValueError, match=message + re.escape("`maps.filled(0)`")):
        as_array(np.ma.masked_equal(HALVES, 1), name="maps")
    with pytest.raises(ValueError, match=message):
        as_array([np.ma.masked_equal(HALVES, 1)], name="maps")


@pytest.mark.parametrize("wrap", [np.asarray, torch.tensor, np.ndarray.tolist])
def test_sizes_that_differ_are_named(wrap):
    maps = [wrap(np.zeros(shape)) for shape in [(4, 4), (4, 4), (5, 3), (4, 5)]]
    message = (
        "`heatmaps` must be of one size, got (4, 4) in row 0 and (5, 3) in row 2 (2 of 4 rows "
        "differ from row 0). Resize them to one size, or pass them one by one."
    )
    if wrap is np.ndarray.tolist:
        message = "`heatmaps` must be of one size, got (4, 4) in row 0 and (5, 3) in row 2"
    with pytest.raises(ValueError, match=re.escape(message)):
        boxes_from_heatmaps(maps, 0.5)


def test_labels_are_left_as_they_are():
    assert plain_array(["cat", "dog"], name="y").tolist() == ["cat", "dog"]
    assert plain_array(torch.tensor([1, 0]), name="y").dtype == np.int64
    mixed = np.array([1, "a"], dtype=object)
    assert plain_array(mixed, name="y") is mixed


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((4, 5), "For one map pass `heatmaps[None]`."),
        ((2, 1, 4, 5), "Without the axis of one channel: `heatmaps[:, 0]`."),
        ((2, 4, 5, 1), "Without the axis of one channel: `heatmaps[..., 0]`."),
        ((2, 3, 4, 5), "Choose one of the channels, `heatmaps[:, 0]`, or join them."),
        ((2, 4, 5, 3), "Choose one of the channels, `heatmaps[..., 0]`, or join them."),
    ],
)
def test_maps_with_other_axes(shape, hint):
    message = f"`heatmaps` must have shape (n, h, w) without a 0, got {shape}. {hint}"
    with pytest.raises(ValueError, match=re.escape(message)):
        boxes_from_heatmaps(np.zeros(shape), 0.5)


def with_graph(values):
    return torch.tensor(values, dtype=torch.float32, requires_grad=True)


def test_metrics_take_tensors_with_a_graph():
    maps, box = with_graph([[[0.5, 1.0, 0.5]]]), with_graph([[0, 0, 2, 1]])
    assert boxes_from_heatmaps(maps, with_graph(0.75)).tolist() == [[1, 0, 2, 1]]
    assert energy_in_box_score(box, maps) == 0.75
    assert paired_box_iou(box, with_graph([[1, 0, 2, 1]])) == 0.5
    assert pointing_game_score(torch.tensor([[[0, 1, 0]]]), maps) == 1
    labels = torch.tensor([3])
    assert top1_localization_score(labels, labels, box, box) == 1
    rows = localization_frame(
        {"CAM": maps},
        torch.tensor([0]),
        with_graph([[0.75, 0.25]]),
        [0, 1],
        boxes=box,
        thresholds=0.75,
    )
    assert rows["iou"].tolist() == [0.5]
    frame = classification_frame(torch.tensor([0, 1]), with_graph([[1, 0], [0, 1]]), [0, 1])
    assert frame["recall"].tolist() == [1, 1]


def test_faithfulness_takes_a_function_of_tensors():
    def predict_proba(images):
        right = with_graph(images)[:, 0, 0, 1]
        return torch.stack([1 - right, right], dim=1)

    X, maps = torch.ones(1, 1, 1, 2), with_graph([[[0.1, 0.9]]])
    assert insertion_auc_score(predict_proba, X, torch.tensor([1]), maps, n_steps=2) == 0.75
    assert average_drop_error(predict_proba, X, [1], with_graph([[[1.0, 0.25]]])) == 0.75
