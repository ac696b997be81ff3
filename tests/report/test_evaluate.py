"""The whole procedure: fitted on some images, scored on others."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn

from fmcam._boxes import masks_of_boxes
from fmcam.classifiers import CNNClassifier
from fmcam.datasets import make_fashion_shapes
from fmcam.explain import CAM, EdgeMap, GradCAM, LayerCAM, explain_together, randomized
from fmcam.localize import HeatmapToBox, boxes_from_heatmaps
from fmcam.metrics import mask_iou_score, paired_box_iou
from fmcam.models import SimpleCNN
from fmcam.report import (
    PooledScores,
    _evaluate,
    evaluate_localization,
    localization_frame,
    summarize,
)

NAN = np.nan
CORNERS = ["x0", "y0", "x1", "y1"]
REFERENCES = ["centre box", "constant box", "full frame", "resolution oracle"]


def channels(shown=((1.0,),), **conv):
    """A network whose map of class k is channel k, and which predicts the brighter channel.

    `shown` are the pixels that a cell takes.
    """
    shown = torch.tensor(shown)
    layer = nn.Conv2d(2, 2, shown.shape, groups=2, bias=False, **conv)
    layer.weight.data[:] = shown
    head = nn.Linear(2, 2, bias=False)
    head.weight.data = torch.eye(2)
    return nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def lines(*channel):
    """Images of one line each in channel 0, of shape (n, 2, 1, w)."""
    X = np.zeros((len(channel), 2, 1, len(channel[0])), dtype=np.float32)
    X[:, 0, 0] = channel
    return X


def masks_of_lines(boxes, width):
    return np.array([[[x0 <= x < x1 for x in range(width)]] for x0, _, x1, _ in boxes])


# By hand ------------------------------------------------------------------------------------------

KNOWN = lines([0, 0.4, 1, 0.8, 0.2], [1, 0.6, 0.5, 0.2, 0])
KNOWN_BOXES = [[2, 0, 4, 1], [0, 0, 2, 1]]  # those of thresholds in (0.5, 0.6]
UNSEEN = lines([0, 0.52, 0.5, 1, 0.55], [0, 0, 0, 0, 1])
UNSEEN_BOXES = [[3, 0, 4, 1], [3, 0, 5, 1]]


def by_hand(**options):
    cam = CAM(channels())
    fit = KNOWN, [0, 0], KNOWN_BOXES, masks_of_lines(KNOWN_BOXES, 5)
    test = UNSEEN, [0, 0], UNSEEN_BOXES, masks_of_lines(UNSEEN_BOXES, 5)
    return evaluate_localization({"cam": cam}, fit=fit, test=test, **options)


def test_rows_by_hand():
    rows = by_hand(region="largest")
    assert rows["method"].tolist() == 2 * ["cam", *REFERENCES]
    assert rows["id"].tolist() == 5 * [0] + 5 * [1]
    assert rows["correct"].all()
    cam, centre, constant, frame, oracle = (
        rows[rows["method"] == name] for name in rows["method"][:5]
    )
    # At 0.52 the pixel of 0.52 is hot, but alone.
    assert cam["threshold"].tolist() == pytest.approx([0.52] * 2)
    assert cam["x0"].tolist() == [3, 4]
    assert cam["iou"].tolist() == [1 / 2, 1 / 2]
    assert cam["hit"].tolist() == [1, 1]
    assert cam["mask_threshold"].tolist() == pytest.approx([0.52] * 2)
    assert cam["mask_iou"].tolist() == [1 / 3, 1 / 2]
    # Of the boxes that are known the first is in the middle, and no box is better on both.
    assert centre["iou"].tolist() == constant["iou"].tolist() == [1 / 2, 1 / 3]
    assert frame["iou"].tolist() == [1 / 5, 2 / 5]
    assert oracle["iou"].tolist() == [1, 1]
    assert rows["region"].tolist() == ["largest"] * 10


def test_region_by_hand():
    pieces = lines([0.9, 0, 1, 0])  # the box around all is from 0 to 3
    rows = evaluate_localization(
        {"cam": CAM(channels())},
        fit=(pieces, [0], [[0, 0, 3, 1]]),
        test=(pieces / 2, [0], [[0, 0, 3, 1]]),
    ).set_index("method")
    assert rows.loc["cam", ["region", "iou"]].tolist() == ["all", 1]
    assert "mask_iou" not in rows
    assert rows["hit"].to_dict() == {
        **{"cam": 1, "resolution oracle": 1, "centre box": 1, "constant box": 1},
        "full frame": 0,  # nowhere is it hottest
    }
    assert rows.loc["resolution oracle", "iou"] == 1  # which knows the box


def test_a_threshold_of_ones_own_by_hand():
    rows = by_hand(region="largest", threshold=0.5, align=None)
    cam = rows[rows["method"] == "cam"]
    assert (rows["threshold"] == 0.5).all()
    assert (rows["mask_threshold"] == 0.5).all()
    assert cam["x0"].tolist() == [1, 4]
    assert cam["iou"].tolist() == cam["mask_iou"].tolist() == [1 / 4, 1 / 2]


def test_maps_of_the_predicted_class():
    """Class 0 is true, but the brighter channel 1, which is reversed, is predicted."""

    def rows_of(label, **options):
        parts = {
            name: (X + 2 * X[:, ::-1, :, ::-1], [label, label], boxes)
            for name, X, boxes in (("fit", KNOWN, KNOWN_BOXES), ("test", UNSEEN, UNSEEN_BOXES))
        }
        return evaluate_localization({"cam": CAM(channels())}, **parts, **options)

    of_true, of_predicted, as_if_true = rows_of(0), rows_of(0, explained="predicted"), rows_of(1)
    about_class = ["y", "probability", "correct", "rank", "error_type"]
    pd.testing.assert_frame_equal(
        of_predicted.drop(columns=about_class), as_if_true.drop(columns=about_class)
    )
    assert (of_predicted["y"] == 0).all()
    assert not of_predicted["correct"].any()
    assert of_true["x0"].tolist() != of_predicted["x0"].tolist()


@pytest.mark.parametrize("own", [False, True])
def test_an_alignment_that_changes_nothing_stays(own):
    """Cells of one pixel each are drawn where they are, either way."""
    fit, test = (KNOWN, [0, 0], KNOWN_BOXES), (UNSEEN, [0, 0], UNSEEN_BOXES)
    rows = evaluate_localization({"cam": CAM(channels(), align=own)}, fit=fit, test=test)
    assert rows.loc[rows["method"] == "cam", "align"].tolist() == [own, own]


@pytest.mark.parametrize(("pixel", "better"), [(2, True), (4, False)])
def test_alignment_by_hand(pixel, better):
    """Cells behind a convolution of stride 4 that look at their middle, or at their last pixel.

    Aligned, cell i is drawn at pixel 4i, where its middle is; evenly divided, at 4i + 1.5, which
    is nearer to its last one, 4i + 2.
    """
    shown = np.zeros((5, 5), dtype=np.float32)
    shown[pixel, pixel] = 1
    net = channels(shown, stride=4, padding=2)
    corners = np.random.default_rng(0).integers(4, 16, (80, 2))
    boxes = np.hstack([corners, corners + 12])
    X = np.zeros((80, 2, 32, 32), dtype=np.float32)
    X[:, 0] = masks_of_boxes(boxes[:, None], (32, 32))
    X *= np.linspace(0.5, 1, 80, dtype=np.float32)[:, None, None, None]  # no two alike
    fit, test = ((X[rows], [0] * 40, boxes[rows]) for rows in (slice(40), slice(40, 80)))
    explainers = {"cam": CAM(net, align=not better), "edges": EdgeMap(net)}
    rows = evaluate_localization(explainers, fit=fit, test=test)
    chosen = rows.groupby("method", sort=False)["align"].unique().map(list).to_dict()
    assert chosen["cam"] == [better]
    assert chosen["edges"] == chosen["centre box"] == [None]
    assert explainers["cam"].align is not better  # the user's own is left as it was
    kept = evaluate_localization(
        {**explainers, "cam": CAM(net, align=better)}, fit=fit, test=test, align=None
    )
    for name in ("cam", "edges"):
        found, expected = (one[one["method"] == name] for one in (rows, kept))
        pd.testing.assert_frame_equal(found, expected)
    as_given = evaluate_localization(explainers, fit=fit, test=test, align=None)
    iou = {
        way: one.groupby("method")["iou"].mean()["cam"]
        for way, one in {"fitted": rows, "as given": as_given}.items()
    }
    assert iou["fitted"] > iou["as given"]


# Images -------------------------------------------------------------------------------------------


def small_classifier(names=tuple("abcdefghij")):
    torch.manual_seed(0)
    return CNNClassifier.from_module(SimpleCNN(), classes=names)


@pytest.fixture(scope="module")
def shapes():
    shapes = make_fashion_shapes(60, image_size=16, random_state=0)
    shapes.labels = np.array(list("abcdefghij"))[shapes.target]
    return shapes


def part(shapes, *rows, masks=True):
    rows = slice(*rows)
    truth = (shapes.boxes, shapes.masks) if masks else (shapes.boxes,)
    return tuple(of_images[rows] for of_images in (shapes.images, shapes.labels, *truth))


def two_cams(clf):
    return {"layer": LayerCAM(FrozenEstimator(clf)), "grad": GradCAM(FrozenEstimator(clf))}


@pytest.mark.parametrize("bytes_at_once", [1, 2**29])
def test_the_parts_of_the_procedure_give_the_same(shapes, monkeypatch, bytes_at_once):
    """Also where the images are taken in parts, of a batch each."""
    monkeypatch.setattr(_evaluate, "_BYTES_AT_ONCE", bytes_at_once)
    clf = small_classifier()
    cams = {name: cam.set_params(batch_size=8) for name, cam in two_cams(clf).items()}
    fit, test = part(shapes, 40), part(shapes, 40, 60)
    pooled = PooledScores()
    rows, to_boxes, maps = evaluate_localization(
        cams, fit=fit, test=test, pooled=pooled, full_output=True
    )
    of_all = PooledScores().update(maps, boxes=test[2], masks=test[3]).frame()
    pd.testing.assert_frame_equal(pooled.frame(), of_all)
    assert of_all.index.tolist() == [*cams, *REFERENCES]
    assert of_all.loc["layer"].ne(of_all.loc["full frame"]).any()
    known = explain_together(cams, *fit[:2])
    for name, cam in cams.items():
        alternatives = [
            HeatmapToBox(region="fit").fit(one.explain(*fit[:2]), fit[2])
            for one in (cam, GradCAM(FrozenEstimator(clf), align=False, batch_size=8))
        ]
        assert to_boxes[name].scores_.max() >= alternatives[0].scores_.max()
    kept = evaluate_localization(cams, fit=fit, test=test, align=None)
    for name, found in explain_together(cams, *test[:2]).items():
        to_box = HeatmapToBox(region="fit").fit(known[name], fit[2])
        of_method = kept[kept["method"] == name].reset_index(drop=True)
        expected = localization_frame(
            *({name: found}, test[1], clf.predict_proba(test[0]), clf.classes_),
            boxes=test[2],
            masks=test[3],
            thresholds=to_box.threshold_,
            region=to_box.region_,
        )
        pd.testing.assert_frame_equal(of_method[expected.columns], expected, rtol=1e-5)
        scores = [mask_iou_score(fit[3], known[name] >= one) for one in to_box.thresholds_]
        threshold = of_method["mask_threshold"].iloc[0]
        assert threshold == to_box.thresholds_[np.argmax(scores)]
        expected = mask_iou_score(test[3], found >= threshold, average=None)
        np.testing.assert_allclose(of_method["mask_iou"], expected, rtol=1e-5)
    of_method = rows[rows["method"] == "grad"]
    np.testing.assert_array_equal(of_method[CORNERS], to_boxes["grad"].transform(maps["grad"]))
    assert list(maps) == list(to_boxes) == [*cams, *REFERENCES]
    assert summarize(rows, reference="centre box")["n"].tolist() == [20] * 6


def test_what_is_tested_moves_nothing_that_is_fitted(shapes):
    clf, fit = small_classifier(), part(shapes, 30)
    chosen = ["threshold", "region", "align", "mask_threshold"]
    results = [
        evaluate_localization(two_cams(clf), fit=fit, test=part(shapes, *rows))
        for rows in [(30, 40), (40, 60), (59, 29, -1)]
    ]
    first, other, backwards = results
    for rows in results[1:]:
        of_methods = [one.groupby("method")[chosen].first() for one in (first, rows)]
        pd.testing.assert_frame_equal(*of_methods)
    # Each image is scored by itself, wherever it stands.
    backwards = backwards.assign(id=29 - backwards["id"]).sort_values("id", kind="stable")
    both = pd.concat([first, other.assign(id=other["id"] + 10)])
    pd.testing.assert_frame_equal(
        backwards.reset_index(drop=True), both.reset_index(drop=True), rtol=1e-4
    )
    # What is known does move it.
    moved = evaluate_localization(two_cams(clf), fit=part(shapes, 30, 60), test=part(shapes, 10))
    of_methods = [one.groupby("method")[chosen].first() for one in (first, moved)]
    assert not of_methods[0].equals(of_methods[1])


def test_images_without_a_box_are_left_out_of_the_fit(shapes):
    clf, test = small_classifier(), part(shapes, 40, 60, masks=False)
    X, y, boxes = part(shapes, 30, masks=False)
    boxes = boxes.copy()
    boxes[20:] = NAN
    of_all = evaluate_localization(two_cams(clf), fit=(X, y, boxes), test=test)
    of_some = evaluate_localization(two_cams(clf), fit=part(shapes, 20, masks=False), test=test)
    pd.testing.assert_frame_equal(of_all, of_some)


def test_what_is_ignored_is_no_object_where_a_part_has_none(shapes, monkeypatch):
    monkeypatch.setattr(_evaluate, "_BYTES_AT_ONCE", 1)
    clf = small_classifier()
    cams = {name: cam.set_params(batch_size=5) for name, cam in two_cams(clf).items()}
    fit, (X, y, boxes, masks) = part(shapes, 30), part(shapes, 40, 60)
    masks, boxes = masks.astype(np.uint8), boxes.copy()
    masks[5:10], boxes[5:10] = 255 * masks[5:10], NAN
    rows = evaluate_localization(cams, fit=fit, test=(X, y, boxes, masks))
    unknown = rows["id"].between(5, 9)
    assert rows.loc[unknown, ["iou", "hit", "mask_iou"]].isna().all(axis=None)
    assert rows.loc[~unknown, ["iou", "hit", "mask_iou"]].notna().all(axis=None)
    oracle = rows[unknown & (rows["method"] == "resolution oracle")]
    assert oracle["empty_map"].all()


def test_flat_images_and_boxes_of_any_number(shapes):
    clf = small_classifier()
    clf.adopt(clf.module_, clf.classes_, (1, 16, 16))
    (X, y, boxes), test = part(shapes, 30, masks=False), part(shapes, 40, 60, masks=False)
    expected = evaluate_localization(two_cams(clf), fit=(X, y, boxes), test=test)
    fit = X.reshape(30, -1).tolist(), y.tolist(), [[box] for box in boxes.tolist()]
    found = evaluate_localization(two_cams(clf), fit=fit, test=test)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5)


def test_explainers_of_other_classifiers(shapes):
    clf = small_classifier()
    drawn = randomized(clf, random_state=1)
    cams = {**two_cams(clf), "random weights": GradCAM(FrozenEstimator(drawn))}
    fit, test = part(shapes, 30), part(shapes, 40, 60)
    with pytest.raises(ValueError, match="of one classifier, but 'layer' and 'random weights' are"):
        evaluate_localization(cams, fit=fit, test=test)
    rows = evaluate_localization(cams, fit=fit, test=test, classifier=clf, align=None)
    of_method = rows[rows["method"] == "random weights"]
    assert of_method["predicted"].tolist() == clf.predict(test[0]).tolist()
    assert clf.predict(test[0]).tolist() != drawn.predict(test[0]).tolist()
    maps = cams["random weights"].explain(*test[:2])
    predicted = boxes_from_heatmaps(
        maps, of_method["threshold"].iloc[0], region=of_method["region"].iloc[0]
    )
    np.testing.assert_array_equal(of_method[CORNERS], predicted)
    np.testing.assert_allclose(of_method["iou"], paired_box_iou(test[2], predicted))


def test_a_bare_network_is_not_copied(shapes):
    """All its explainers share one network, so that its forwards are shared, too."""
    net = SimpleCNN()
    forwards = []
    net.register_forward_hook(lambda *_: forwards.append(1))
    fit, test = (
        (X, np.arange(len(X)) % 10, boxes)
        for X, _, boxes in (part(shapes, 30, masks=False), part(shapes, 40, 60, masks=False))
    )
    counts = []
    for names in (["grad"], ["grad", "layer"]):
        explainers = {name: {"grad": GradCAM, "layer": LayerCAM}[name](net) for name in names}
        evaluate_localization(explainers, fit=fit, test=test)
        counts.append(len(forwards))
        forwards.clear()
    assert counts[1] <= counts[0]


# Refusals -----------------------------------------------------------------------------------------


class Unready(nn.Module):
    """A network that must not be run."""

    def __init__(self):
        super().__init__()
        self.net = SimpleCNN()

    def forward(self, images):
        raise AssertionError("this was to be refused before anything is explained")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fit": lambda X, y, boxes: (X, y, np.full_like(boxes, NAN))}, "none of its 30 images"),
        ({"fit": lambda X, y, boxes: (X, y, None)}, "`fit` must hold boxes, got None"),
        ({"fit": lambda X, y, boxes: (X, y)}, r"`fit` must be \(X, y, boxes\) or .*, got 2 parts"),
        ({"test": lambda X, y, boxes: X}, "`test` must be .*, got ndarray"),
        ({"fit": lambda X, y, boxes: (X, y, boxes[1:])}, "Of `fit`: `boxes` and `X` must have one"),
        ({"test": lambda X, y, boxes: (X, y[1:], boxes)}, "Of `test`: `y` and `X` must have one"),
        ({"test": lambda X, y, boxes: (X, y, boxes / 16)}, "Of `test`: `boxes` must be in pixels"),
        (
            {"fit": lambda X, y, boxes: (X, y + 90, boxes)},
            r"Of `fit`: .* got \[.*9\d.*\]. Pass lab",
        ),
        (
            {"fit": lambda X, y, boxes: (X, y, boxes, np.zeros((30, 8, 8), int))},
            r"Of `fit`: `masks` must have the size .* \(16, 16\), got \(8, 8\)",
        ),
        (
            {"fit": lambda X, y, boxes: (X, y, boxes, np.zeros((30, 16, 16), int))},
            "with both `fit` and `test`, or with neither",
        ),
        ({"region": "middle"}, "`region` must be one of .*, got 'middle'"),
        ({"align": True}, "`align` must be 'fit' or None, got True"),
        (
            {"explainers": {"signed": GradCAM(Unready(), rectify=False)}},
            r"`explainers\['signed'\]` gives maps with a sign.*Set `rectify=True`",
        ),
        ({"explained": "all"}, "`explained` must be 'true' or 'predicted', got 'all'"),
        ({"threshold": 1.5}, r"`threshold` must be 'fit' or a number in \[0, 1\], got 1.5"),
        ({"threshold": "otsu"}, "`threshold` must be 'fit' or a number in .*, got 'otsu'"),
        ({"threshold": 0.4, "region": "all"}, "but both are given. Pass align=None, or leave one"),
        ({"explainers": {}}, "`explainers` must name at least one explainer"),
        ({"explainers": {"centre box": GradCAM(Unready())}}, "is the name of a reference"),
    ],
)
def test_what_is_refused_before_anything_is_explained(shapes, changes, message):
    parts = {
        name: (shapes.images[rows], shapes.target[rows], shapes.boxes[rows])
        for name, rows in (("fit", slice(30)), ("test", slice(30, 60)))
    }
    arguments = {"explainers": {"grad": GradCAM(Unready())}, **parts}
    for name, change in changes.items():
        arguments[name] = change(*parts[name]) if callable(change) else change
    clf = CNNClassifier.from_module(Unready(), classes=range(10))
    with pytest.raises(ValueError, match=message):
        evaluate_localization(**arguments, classifier=clf)


def test_what_takes_no_scores_is_refused_before_anything_is_explained(shapes):
    explainers = {"grad": GradCAM(Unready())}
    parts = {"fit": part(shapes, 30), "test": part(shapes, 30, 60)}
    with pytest.raises(TypeError, match=r"`pooled` must be a `PooledScores` or None, got \[\]"):
        evaluate_localization(explainers, **parts, pooled=[])


def test_images_that_are_in_both_are_refused(shapes):
    clf = small_classifier()
    fit, test = part(shapes, 30), part(shapes, 28, 60)
    with pytest.raises(ValueError, match=r"2 of the 32 of `test` are in `fit`, .* in row 0"):
        evaluate_localization(two_cams(clf), fit=fit, test=test)


def test_what_is_no_explainer(shapes):
    with pytest.raises(
        TypeError, match=r"`explainers\['net'\]` must be an explainer, got SimpleCNN"
    ):
        evaluate_localization({"net": SimpleCNN()}, fit=part(shapes, 9), test=part(shapes, 9, 20))


def test_maps_of_cells_have_no_boxes_of_the_images(shapes):
    cams = {"cells": GradCAM(FrozenEstimator(small_classifier()), upsample=False)}
    with pytest.raises(ValueError, match="heatmaps of 'cells' must have the size of the images"):
        evaluate_localization(cams, fit=part(shapes, 30), test=part(shapes, 30, 60))
