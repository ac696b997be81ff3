"""What holds for every accumulator; each property is also shown a broken one that it rejects."""

import copy
import itertools
import pickle
import re
from functools import partial

import numpy as np
import pytest
import torch

from fmcam import metrics
from fmcam.metrics import (
    EnergyInBox,
    MaskIoU,
    MaxBoxAccuracy,
    MaxPixelIoU,
    PixelAveragePrecision,
    PointingGame,
    RankCorrelation,
    Sparseness,
)
from fmcam.metrics import _oracle as oracle_module
from fmcam.metrics import _pixels as pixels_module

WITH_BOXES, WITH_MASKS = ("boxes_true", "heatmaps"), ("masks_true", "heatmaps")


def mean_rank_correlation(heatmaps, others):
    return np.nanmean(metrics.rank_correlation(heatmaps, others))


def of_rounded(function, masks_true, heatmaps):
    """The score of maps rounded down to a thousandth."""
    edges = np.arange(1001) * 0.001
    return function(masks_true, edges[np.searchsorted(edges, heatmaps, side="right") - 1])


ACCUMULATORS = {  # how it is made, what it takes, the function that computes the same
    "EnergyInBox": (EnergyInBox, WITH_BOXES, metrics.energy_in_box_score),
    "MaskIoU": (MaskIoU, ("masks_true", "masks_pred"), metrics.mask_iou_score),
    "MaxBoxAccuracy": (MaxBoxAccuracy, WITH_BOXES, metrics.max_box_accuracy_score),
    "MaxBoxAccuracy, fit": (
        partial(MaxBoxAccuracy, region="fit", average=None),
        WITH_BOXES,
        partial(metrics.max_box_accuracy_score, region="fit", average=None),
    ),
    "MaxBoxAccuracy, wsol": (
        partial(MaxBoxAccuracy, convention="wsol", iou_thresholds=[0.4]),
        WITH_BOXES,
        partial(metrics.max_box_accuracy_score, convention="wsol", iou_thresholds=[0.4]),
    ),
    "MaxPixelIoU": (MaxPixelIoU, WITH_MASKS, partial(of_rounded, metrics.max_pixel_iou_score)),
    "PixelAveragePrecision": (
        PixelAveragePrecision,
        WITH_MASKS,
        partial(of_rounded, metrics.pixel_average_precision_score),
    ),
    "PointingGame": (
        partial(PointingGame, tolerance=1.5),
        WITH_MASKS,
        partial(metrics.pointing_game_score, tolerance=1.5),
    ),
    "RankCorrelation": (RankCorrelation, ("heatmaps", "others"), mean_rank_correlation),
    "Sparseness": (Sparseness, ("heatmaps",), metrics.sparseness_score),
}
every_accumulator = pytest.mark.parametrize("name", ACCUMULATORS)
PIECES = np.split(np.arange(10), [1, 2, 6])


def arguments(name, data, rows=slice(None)):
    return [data[key][rows] for key in ACCUMULATORS[name][1]]


def accumulate(name, data, pieces, make=None):
    metric = ACCUMULATORS[name][0]() if make is None else make()
    for rows in pieces:
        metric.update(*arguments(name, data, rows))
    return metric


def check_pieces(name, data, make=None):
    expected = ACCUMULATORS[name][2](*arguments(name, data))
    for pieces in ([np.arange(10)], PIECES, PIECES[::-1], np.arange(10)[:, None]):
        found = accumulate(name, data, pieces, make).compute()
        np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_every_accumulator_is_tested():
    classes = {name for name in metrics.__all__ if isinstance(getattr(metrics, name), type)}
    assert {name.split(",")[0] for name in ACCUMULATORS} == classes


@every_accumulator
def test_images_in_pieces_in_any_order_score_as_at_once(name, data):
    check_pieces(name, data)


def test_the_check_rejects_a_mean_of_means(data):
    class MeanOfMeans(EnergyInBox):
        def _add_values(self, values):
            return self._add(total=np.nanmean(values), n=1, n_left_out=0)

    check_pieces("EnergyInBox", data)
    with pytest.raises(AssertionError):
        check_pieces("EnergyInBox", data, MeanOfMeans)


@every_accumulator
def test_two_merge_into_one(name, data):
    first, second = (accumulate(name, data, pieces) for pieces in (PIECES[:2], PIECES[2:]))
    kept = second.compute()
    assert first.merge_state(pickle.loads(pickle.dumps(second))) is first
    expected = accumulate(name, data, PIECES)
    np.testing.assert_allclose(first.compute(), expected.compute(), rtol=1e-14)
    assert (first.n, first.n_left_out) == (expected.n, expected.n_left_out)
    np.testing.assert_array_equal(second.compute(), kept)
    empty = ACCUMULATORS[name][0]()
    np.testing.assert_array_equal(second.merge_state(empty).compute(), kept)
    np.testing.assert_array_equal(empty.merge_state(second).compute(), kept)


@every_accumulator
def test_what_is_kept_does_not_grow(name, data):
    metric = accumulate(name, data, PIECES)
    size = len(pickle.dumps(metric))
    for _ in range(30):
        metric.update(*arguments(name, data))
    assert metric.n + metric.n_left_out == 310
    assert len(pickle.dumps(metric)) <= size + 60  # longer integers


@every_accumulator
def test_batches_within_a_batch_change_nothing(name, data, monkeypatch):
    expected = accumulate(name, data, PIECES).compute()
    for module in (oracle_module, pixels_module):
        monkeypatch.setattr(module, "_PIXELS_AT_ONCE", 3 * 80)
    np.testing.assert_array_equal(accumulate(name, data, PIECES).compute(), expected)


@every_accumulator
def test_reset_forgets_and_nothing_has_no_score(name, data):
    metric = accumulate(name, data, [[0, 1, 2]])
    assert metric.reset() is metric
    with pytest.raises(ValueError, match=r"`compute` needs images, got none\. Call `update`"):
        metric.compute()
    assert metric.n == metric.n_left_out == 0
    metric.update(*arguments(name, data))
    expected = accumulate(name, data, [np.arange(10)]).compute()
    np.testing.assert_array_equal(metric.compute(), expected)


@every_accumulator
def test_a_refused_batch_leaves_no_trace(name, data):
    metric = accumulate(name, data, PIECES)
    kept, counts = metric.compute(), (metric.n, metric.n_left_out)
    broken = data | {key: data[key][:, None] for key in ACCUMULATORS[name][1]}
    for wrong in (arguments(name, broken), [part[:0] for part in arguments(name, data)]):
        with pytest.raises(ValueError, match=r"must have shape"):
            metric.update(*wrong)
    np.testing.assert_array_equal(metric.compute(), kept)
    assert (metric.n, metric.n_left_out) == counts


@every_accumulator
def test_tensors_and_images_of_another_size_are_taken(name, data):
    metric = accumulate(name, data, PIECES)
    taken = [torch.tensor(np.asarray(part)) for part in arguments(name, data)]
    assert metric.update(*taken).n == 2 * accumulate(name, data, PIECES).n
    np.testing.assert_allclose(
        metric.compute(), accumulate(name, data, PIECES).compute(), rtol=1e-14
    )
    larger = {
        key: np.pad(part, ((0, 0), (0, 2), (0, 1))) if part.ndim == 3 else part
        for key, part in data.items()
    }
    metric.update(*arguments(name, larger))
    assert metric.n + metric.n_left_out == 30


def test_others_cannot_be_merged():
    metric = MaxBoxAccuracy()
    assert metric.merge_state(MaxBoxAccuracy(iou_thresholds=np.array([0.3, 0.5, 0.7]))) is metric
    message = (
        "`other` must be a MaxBoxAccuracy(iou_thresholds=(0.3, 0.5, 0.7), average='mean', "
        "convention='half-open', region='largest'), got EnergyInBox(). Make both alike."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        metric.merge_state(EnergyInBox())
    with pytest.raises(ValueError, match=r"got MaxBoxAccuracy\(.*region='fit'\)"):
        metric.merge_state(MaxBoxAccuracy(region="fit"))


@every_accumulator
def test_a_copy_goes_its_own_way(name, data):
    make, takes, _ = ACCUMULATORS[name]
    batch = [data[one] for one in takes]
    metric = make().update(*batch)
    n, score = metric.n, metric.compute()
    copy.copy(metric).update(*batch)
    assert metric.n == n
    np.testing.assert_array_equal(metric.compute(), score)


def test_undefined_images_are_counted():
    metric = EnergyInBox().update([[0, 0, 1, 1], [np.nan] * 4], np.ones((2, 2, 2)))
    assert (metric.compute(), metric.n, metric.n_left_out) == (0.25, 1, 1)
    metric = MaxBoxAccuracy(average=None).update([[np.nan] * 4], np.ones((1, 2, 2)))
    np.testing.assert_array_equal(metric.compute(), [np.nan] * 3)
    assert (metric.n, metric.n_left_out) == (0, 1)
    for kind in (PixelAveragePrecision, MaxPixelIoU):
        metric = kind().update(np.zeros((1, 2, 2)), np.ones((1, 2, 2)))
        assert np.isnan(metric.compute())
        assert metric.update(np.ones((1, 2, 2)), np.ones((1, 2, 2))).compute() == 0.5


# Masks


def masks_of(kind):
    masks = np.zeros((1, 2, 2), dtype=np.uint8)
    masks[0, 0] = {"ones": [1, 0], "picture": [255, 0], "ignored": [1, 255], "beside": [0, 255]}[
        kind
    ]
    return masks


@pytest.mark.parametrize("kind", [MaskIoU, PointingGame, PixelAveragePrecision])
def test_what_255_means_is_remembered(kind):
    heatmap = np.array([[[0.5, 0.9], [0, 0]]])
    if kind is MaskIoU:
        heatmap = heatmap > 0.4
    # A 1 was there: 255 is ignored. Else it is the object.
    known = kind().update(masks_of("ones"), heatmap)
    alone = known.compute()
    assert known.update(masks_of("beside"), heatmap).compute() <= alone
    together = kind().update(np.concatenate([masks_of("ones"), masks_of("beside")]), [*heatmap] * 2)
    assert known.compute() == together.compute()
    pictures = kind().update(masks_of("beside"), heatmap)
    assert pictures.compute() >= 0.5
    message = "must mark the object by the number of all other masks, 7, got "
    sevens = kind().update(7 * masks_of("ones"), heatmap)
    for number in (1, 255):
        wrong = kind().update(number * masks_of("ones"), heatmap)
        with pytest.raises(ValueError, match=f"`masks_true` {message}{number}. Pass masks of bo"):
            sevens.update(number * masks_of("ones"), heatmap)
        with pytest.raises(ValueError, match=f"`other` {message}{number}. Pass masks of bool"):
            sevens.merge_state(wrong)
    assert pictures.reset().update(masks_of("ignored"), heatmap).compute() > 0


OF_MASKS = [MaskIoU, MaxPixelIoU, PixelAveragePrecision, PointingGame]


@pytest.mark.parametrize("kind", OF_MASKS)
def test_masks_in_batches_mean_what_they_mean_together(kind):
    """Any of them first, alone or merged: all 255, nothing but 0, 255 beside 0, a 1 beside both."""
    maps = np.random.default_rng(0).integers(1001, size=(4, 1, 3)) / 1000
    maps = maps > 0.5 if kind is MaskIoU else maps
    masks = np.array([[255, 255, 255], [0, 0, 0], [0, 255, 0], [0, 1, 255]], np.uint8)[:, None]
    all_masks = ACCUMULATORS[kind.__name__][2]
    if kind is PointingGame:
        all_masks = metrics.pointing_game_score
    for last in (4, 3):  # with a 1, and without one
        expected = all_masks(masks[:last], maps[:last])
        for order in itertools.permutations(range(last)):
            metric, merged = kind(), kind()
            for row in order:
                metric.update(masks[row][None], maps[row][None])
                merged.merge_state(kind().update(masks[row][None], maps[row][None]))
            assert metric.compute() == merged.compute() == pytest.approx(expected, rel=1e-14)
            together = kind().update(masks[:last], maps[:last])
            assert metric.n == merged.n == together.n
            assert metric.n_left_out == merged.n_left_out == together.n_left_out


@pytest.mark.parametrize(
    ("kind", "expected"), list(zip(OF_MASKS, [3 / 4, 3 / 4, 11 / 12, 1], strict=True))
)
def test_masks_of_255_alone_have_no_score(kind, expected):
    maps = np.array([[[1, 0.5]]])
    maps = maps > 0.5 if kind is MaskIoU else maps
    metric = kind().update([[[255, 255]]], maps)
    with pytest.raises(ValueError, match=r"All pixels .* are 255, .* Pass masks of bool"):
        metric.compute()
    assert metric.update([[[255, 0]]], maps).compute() == pytest.approx(expected)
    sevens = kind().update([[[7, 0]]], maps).update([[[7, 7]]], maps)
    assert sevens.compute() == pytest.approx(expected)


# Histograms


def wsol_average_precision(masks, maps):
    """PxAP as evaluation.py of clovaai/wsolevaluation has it, in [0, 1]."""
    edges = np.append(np.arange(0, 1, 0.001), [1.0, 2.0, 3.0])
    tp, fp = (np.histogram(maps[masks == value], edges)[0][::-1].cumsum() for value in (1, 0))
    with np.errstate(invalid="ignore"):
        precision, recall = tp / (tp + fp), tp / tp[-1]
    return (precision[1:] * np.diff(recall))[(tp + fp)[1:] > 0].sum()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_at_and_around_the_thresholds_fall_where_wsolevaluation_has_them(dtype):
    edges = np.arange(0, 1, 0.001)
    values = np.concatenate([edges, np.nextafter(edges, 2), np.nextafter(edges[1:], 0), [1.0]])
    rng = np.random.default_rng(0)
    maps = rng.choice(values.astype(dtype), (20, 30, 40))
    masks = rng.choice([0, 1, 255], size=maps.shape, p=[0.6, 0.3, 0.1])
    metric = PixelAveragePrecision()
    for rows in (slice(7), slice(7, 20)):
        metric.update(masks[rows], maps[rows])
    assert metric.compute() == pytest.approx(wsol_average_precision(masks, maps), rel=1e-12)


@pytest.mark.parametrize("name", ["pixel_average_precision_score", "max_pixel_iou_score"])
def test_more_thresholds_come_nearer_to_the_exact_score(name):
    rng = np.random.default_rng(0)
    maps, masks = rng.random((4, 50, 50)) ** 3, rng.random((4, 50, 50)) < 0.2
    maps[masks] = np.sqrt(maps[masks])
    exact = getattr(metrics, name)(masks, maps)
    kind = MaxPixelIoU if name.startswith("max") else PixelAveragePrecision
    errors = [
        abs(kind(thresholds=number).update(masks, maps).compute() - exact) for number in (4, 10**6)
    ]
    assert errors[1] < 1e-5 < errors[0]


def test_options_are_checked_before_any_image():
    for make, message in [
        (partial(PixelAveragePrecision, thresholds=0), "thresholds == 0, must be >= 1"),
        (partial(PointingGame, tolerance=-1), "tolerance == -1, must be >= 0"),
        (partial(MaxBoxAccuracy, iou_thresholds=[50]), r"must lie in \(0, 1\], got \[50\]"),
        (partial(MaxBoxAccuracy, average="macro"), "must be \"mean\" or None, got 'macro'"),
        (partial(MaxBoxAccuracy, region="biggest"), "`region` must be one of .*'fit'.*'biggest'"),
        (
            partial(MaxBoxAccuracy, region="fit", convention="wsol"),
            '`region` must be "largest" with convention="wsol", got \'fit\'. It takes the best',
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            make()
