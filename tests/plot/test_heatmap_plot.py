"""Pictures of heatmaps and of localization curves, by the values that are drawn."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import same_color
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from fmcam.classifiers import CNNClassifier
from fmcam.explain import GradCAM, LayerCAM
from fmcam.localize import HeatmapToBox, boxes_from_heatmaps
from fmcam.models import LeNet5, SimpleCNN
from fmcam.plot import HeatmapDisplay, LocalizationCurveDisplay
from fmcam.report import wilson_interval

NAN = np.nan
NAMES = list("abcdefghij")
IMAGES = np.arange(2 * 6 * 8, dtype=np.uint8).reshape(2, 1, 6, 8)
MAPS = np.linspace(0, 1, 2 * 6 * 8).reshape(2, 6, 8)
TRUE, PREDICTED = [[1, 2, 4, 6], [0, 0, 8, 6]], [[2, 1, 3, 5], [NAN] * 4]
ORANGE = "#D55E00"


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def texts(artists):
    return [artist.get_text() for artist in artists]


def drawn_boxes(panel):
    return [(*box.get_xy(), box.get_width(), box.get_height()) for box in panel.patches]


def shown(panel):
    return [np.asarray(image.get_array()) for image in panel.images]


def titles(axes):
    return [panel.get_title() for panel in axes.flat if panel.get_title()]


# One method


def test_one_method_shows_input_map_and_overlay():
    display = HeatmapDisplay.from_heatmaps(IMAGES, {"CAM": MAPS})
    assert display.plot(alpha=0.3) is display
    assert display.ax_.shape == (2, 3)
    assert titles(display.ax_) == ["input", "CAM", "overlay"]
    for row, (first, second, third) in enumerate(display.ax_):
        grey = IMAGES[row, 0] / 255
        (image,) = shown(first)
        np.testing.assert_allclose(image, grey, rtol=1e-12)
        (heatmap,) = shown(second)
        np.testing.assert_array_equal(heatmap, MAPS[row])
        below, above = shown(third)
        np.testing.assert_allclose(below, grey, rtol=1e-12)
        np.testing.assert_array_equal(above, MAPS[row])
        assert [artist.get_alpha() for artist in third.images] == [None, 0.3]
        for panel in (first, second, third):
            assert {artist.get_clim() for artist in panel.images} == {(0, 1)}
        assert first.images[0].get_cmap().name == third.images[0].get_cmap().name == "gray"
        assert second.images[0].get_cmap().name == third.images[1].get_cmap().name == "inferno"


def test_maps_without_a_name_are_called_heatmap():
    display = HeatmapDisplay.from_heatmaps(IMAGES, MAPS).plot()
    assert titles(display.ax_) == ["input", "heatmap", "overlay"]
    assert display.frame()["method"].unique().tolist() == ["heatmap"]


def test_maps_of_zeros_are_called_empty():
    display = HeatmapDisplay.from_heatmaps(IMAGES, MAPS * [[[0]], [[1]]]).plot()
    written = [texts(panel.texts) for panel in display.ax_.flat]
    assert written == [[], ["empty map"], ["empty map"], [], [], []]


def test_color_bar_goes_from_0_to_1_and_says_what_it_means():
    display = HeatmapDisplay.from_heatmaps(IMAGES, MAPS / 2, title="Grad-CAM").plot(cmap="viridis")
    (bar,) = set(display.figure_.axes) - set(display.ax_.flat)
    assert bar.get_ylabel() == "Grad-CAM"
    assert bar.get_ylim() == (0, 1)
    assert display.ax_[0, 1].images[0].get_clim() == (0, 1)
    assert display.ax_[0, 1].images[0].get_cmap().name == "viridis"


# Boxes


def test_box_edges_are_edges_of_pixels():
    display = HeatmapDisplay.from_heatmaps(IMAGES, MAPS, boxes_true=TRUE).plot()
    first, whole = display.ax_[:, 0]
    assert drawn_boxes(first) == [(0.5, 1.5, 3, 4)]
    # The box of the whole image ends where the image ends.
    (frame,) = whole.patches
    left, right, bottom, top = whole.images[0].get_extent()
    assert frame.get_bbox().extents.tolist() == [left, top, right, bottom]
    # Half of the line would be cut off, and the rest lie under the frame of the panel.
    assert not frame.get_clip_on()
    assert frame.zorder > whole.spines["left"].zorder


def test_true_box_is_on_all_panels_and_the_predicted_one_on_the_maps():
    display = HeatmapDisplay.from_heatmaps(IMAGES, MAPS, boxes_true=TRUE, boxes_pred=PREDICTED)
    (first, *maps), no_prediction = display.plot().ax_
    assert drawn_boxes(first) == [(0.5, 1.5, 3, 4)]
    for panel in maps:
        assert drawn_boxes(panel) == [(0.5, 1.5, 3, 4), (1.5, 0.5, 1, 4)]
    for panel in no_prediction:
        assert drawn_boxes(panel) == [(-0.5, -0.5, 8, 6)]


def test_legend_shows_the_boxes_as_they_are_drawn():
    display = HeatmapDisplay.from_heatmaps(IMAGES, MAPS, boxes_true=TRUE, boxes_pred=PREDICTED)
    (legend,) = display.plot().figure_.legends
    assert texts(legend.get_texts()) == ["true box", "predicted box"]
    true, predicted = display.ax_[0, 1].patches
    assert not same_color(true.get_edgecolor(), predicted.get_edgecolor())
    assert true.get_linestyle() != predicted.get_linestyle()
    for line, box in zip(legend.get_lines(), [true, predicted], strict=True):
        assert same_color(line.get_color(), box.get_edgecolor())
        assert line.is_dashed() == (box is predicted)


def test_legend_holds_only_what_is_drawn():
    display = HeatmapDisplay.from_heatmaps(IMAGES, MAPS, boxes_pred=PREDICTED)
    assert texts(display.plot().figure_.legends[0].get_texts()) == ["predicted box"]
    assert HeatmapDisplay.from_heatmaps(IMAGES, MAPS).plot().figure_.legends == []


# Maps with their sign


def test_maps_with_their_sign_have_0_in_the_middle_of_the_colours():
    display = HeatmapDisplay.from_heatmaps(IMAGES, {"CAM": 2 * MAPS - 1, "positive": MAPS}).plot()
    for panel in display.ax_[:, 1:].flat:
        image = panel.images[-1]
        assert image.get_clim() == (-1, 1)
        assert image.get_cmap().name == "PuOr_r"
    (bar,) = [axes for axes in display.figure_.axes if axes not in display.ax_]
    assert bar.get_ylim() == (-1, 1)
    against, zero, speaks_for = image.cmap([0.0, 0.5, 1.0])[:, :3]
    assert zero.min() > 0.9  # nearly white
    assert against[2] > against[0]  # purple
    assert speaks_for[0] > speaks_for[2]  # orange
    jet = display.plot(cmap="jet").ax_[0, 1].images[-1]
    assert (jet.get_clim(), jet.get_cmap().name) == ((-1, 1), "jet")
    with pytest.raises(ValueError, match=r"must lie in \[-1, 1\], got values from -3 to 0"):
        HeatmapDisplay.from_heatmaps(IMAGES, 3 * (MAPS - 1))


# Several methods and classifiers


def test_several_methods_stand_beside_the_input():
    maps = {"CAM": MAPS, "Grad-CAM": MAPS[::-1], "edges": MAPS**2}
    boxes = {"CAM": TRUE, "Grad-CAM": PREDICTED, "edges": TRUE}
    display = HeatmapDisplay.from_heatmaps(IMAGES, maps, boxes_pred=boxes).plot(alpha=0.4)
    assert display.ax_.shape == (2, 4)
    assert titles(display.ax_) == ["input", "CAM", "Grad-CAM", "edges"]
    for row, (first, *panels) in enumerate(display.ax_):
        assert len(first.images) == 1
        for panel, name in zip(panels, maps, strict=True):
            below, above = shown(panel)
            np.testing.assert_allclose(below, IMAGES[row, 0] / 255, rtol=1e-12)
            np.testing.assert_array_equal(above, maps[name][row])
            assert panel.images[1].get_alpha() == 0.4
    assert drawn_boxes(display.ax_[0, 1]) == drawn_boxes(display.ax_[0, 3]) == [(0.5, 1.5, 3, 4)]
    assert drawn_boxes(display.ax_[0, 2]) == [(1.5, 0.5, 1, 4)]


def test_predictions_of_one_classifier_stand_beside_the_image():
    display = HeatmapDisplay.from_heatmaps(
        IMAGES,
        {"CAM": MAPS, "Grad-CAM": MAPS},
        y_true=["Bag", "Coat"],
        y_pred=["Bag", "Shirt"],
        probability=[0.987, 0.5],
    ).plot()
    first, second = display.ax_[:, 0]
    assert first.get_ylabel() == "true: Bag\npredicted: Bag (0.99)"
    assert second.get_ylabel() == "true: Coat\npredicted: Shirt (0.50)"
    assert same_color(first.yaxis.label.get_color(), "black")
    assert same_color(second.yaxis.label.get_color(), ORANGE)
    assert {panel.get_xlabel() for panel in display.ax_.flat} == {""}
    assert {panel.get_ylabel() for panel in display.ax_[:, 1:].flat} == {""}


def test_predictions_of_several_classifiers_stand_below_their_maps():
    display = HeatmapDisplay.from_heatmaps(
        IMAGES,
        {"SimpleCNN": MAPS, "LeNet-5": MAPS},
        y_true=["Bag", "Coat"],
        y_pred={"SimpleCNN": ["Bag", "Shirt"], "LeNet-5": ["Bag", "Coat"]},
        probability={"SimpleCNN": [0.6, 0.7], "LeNet-5": [0.8, 0.9]},
    ).plot()
    assert [panel.get_ylabel() for panel in display.ax_[:, 0]] == ["true: Bag", "true: Coat"]
    assert [panel.get_xlabel() for panel in display.ax_.flat] == [
        *("", "Bag (0.60)", "Bag (0.80)"),
        *("", "Shirt (0.70)", "Coat (0.90)"),
    ]
    wrong = [same_color(panel.xaxis.label.get_color(), ORANGE) for panel in display.ax_[:, 1:].flat]
    assert wrong == [False, False, True, False]
    assert same_color(display.ax_[1, 0].yaxis.label.get_color(), "black")


def test_labels_that_are_not_given_are_not_written():
    only_true = HeatmapDisplay.from_heatmaps(IMAGES, MAPS, y_true=[3, 5]).plot()
    assert only_true.ax_[0, 0].get_ylabel() == "true: 3"
    only_predicted = HeatmapDisplay.from_heatmaps(IMAGES, MAPS, y_pred=[3, 5]).plot()
    assert only_predicted.ax_[1, 0].get_ylabel() == "predicted: 5"
    assert same_color(only_predicted.ax_[1, 0].yaxis.label.get_color(), "black")


# Images


def test_color_images_are_shown_in_color():
    images = np.random.default_rng(0).integers(256, size=(2, 3, 6, 8), dtype=np.uint8)
    display = HeatmapDisplay.from_heatmaps(images, MAPS).plot()
    (image,) = shown(display.ax_[1, 0])
    np.testing.assert_allclose(image, images[1].transpose(1, 2, 0) / 255, rtol=1e-12)


def test_images_in_other_units_go_from_black_to_white():
    images = np.linspace(-1, 3, 2 * 6 * 8, dtype=np.float32).reshape(2, 6, 8)
    images[1] = 7
    display = HeatmapDisplay.from_heatmaps(images, MAPS).plot()
    (image,) = shown(display.ax_[0, 0])
    np.testing.assert_allclose(image, np.linspace(0, 1, 48).reshape(6, 8), atol=1e-6)
    (constant,) = shown(display.ax_[1, 0])
    np.testing.assert_array_equal(constant, np.zeros((6, 8)))


# Numbers of the picture


def test_heatmap_frame_by_hand():
    display = HeatmapDisplay.from_heatmaps(
        IMAGES,
        {"CAM": MAPS, "edges": MAPS},
        y_true=["Bag", "Coat"],
        y_pred={"CAM": ["Bag", "Bag"], "edges": ["Coat", "Coat"]},
        boxes_pred={"CAM": TRUE, "edges": PREDICTED},
    )
    frame = display.frame()
    assert frame.columns.tolist() == [
        *("image", "method", "y_true", "y_pred"),
        *("x0_pred", "y0_pred", "x1_pred", "y1_pred"),
    ]
    assert frame.iloc[:, :4].to_numpy().tolist() == [
        [0, "CAM", "Bag", "Bag"],
        [0, "edges", "Bag", "Coat"],
        [1, "CAM", "Coat", "Bag"],
        [1, "edges", "Coat", "Coat"],
    ]
    expected = [TRUE[0], PREDICTED[0], TRUE[1], PREDICTED[1]]
    np.testing.assert_array_equal(frame.iloc[:, 4:].to_numpy(), expected)
    frame["x0_pred"] = 0.0
    assert display.frame()["x0_pred"].tolist()[:2] == [1, 2]


# From explainers


def frozen(net_class, seed=0):
    torch.manual_seed(seed)
    return FrozenEstimator(CNNClassifier.from_module(net_class(), classes=NAMES))


def random_images(n=3):
    return np.random.default_rng(0).random((n, 1, 28, 28), dtype=np.float32)


def test_explainers_of_one_classifier():
    X, clf = random_images(), frozen(LeNet5)
    cams = {"layer": LayerCAM(clf), "grad": GradCAM(clf, layer="features.2")}
    display = HeatmapDisplay.from_estimator(cams, X, list("aba"), boxes=[[0, 0, 9, 9]] * 3)
    assert list(display.heatmaps) == ["layer", "grad"]
    for name, cam in cams.items():
        np.testing.assert_array_equal(display.heatmaps[name], cam.transform(X))
    frame = display.frame().query("method == 'grad'")
    assert frame["y_true"].tolist() == list("aba")
    assert frame["y_pred"].tolist() == clf.predict(X).tolist()
    np.testing.assert_array_equal(frame["probability"], clf.predict_proba(X).max(axis=1))
    assert frame["x1_true"].tolist() == [9, 9, 9]
    assert "x1_pred" not in frame
    assert display.title == "heatmap of the predicted class"
    assert display.plot().ax_[1, 0].get_ylabel().startswith("true: b\npredicted: ")


def test_explainers_of_two_classifiers_each_explain_their_own_prediction():
    X, first, second = random_images(), frozen(SimpleCNN), frozen(LeNet5)
    cams = {"simple": GradCAM(first), "lenet": GradCAM(second), "simple again": LayerCAM(first)}
    display = HeatmapDisplay.from_estimator(cams, X)
    assert list(display.heatmaps) == list(cams)
    frame = display.frame().set_index(["method", "image"])
    for name, cam in cams.items():
        np.testing.assert_array_equal(display.heatmaps[name], cam.transform(X))
        assert frame.loc[name, "y_pred"].tolist() == cam.estimator.predict(X).tolist()
    assert "(0." in display.plot().ax_[0, 2].get_xlabel()


def test_explaining_the_true_class():
    X, cam = random_images(), GradCAM(frozen(LeNet5))
    y = np.array(["c", "a", "j"])
    display = HeatmapDisplay.from_estimator(cam, X, y, explained="true")
    assert list(display.heatmaps) == ["GradCAM"]
    np.testing.assert_array_equal(display.heatmaps["GradCAM"], cam.explain(X, y))
    assert not np.array_equal(display.heatmaps["GradCAM"], cam.transform(X))
    assert display.title == "heatmap of the true class"


def test_thresholds_give_the_predicted_boxes():
    X, clf = random_images(), frozen(LeNet5)
    cams = {"layer": LayerCAM(clf), "grad": GradCAM(clf)}
    corners = ["x0_pred", "y0_pred", "x1_pred", "y1_pred"]
    by_method = {"layer": 0.3, "grad": 0.8}
    for thresholds in (by_method, 0.5):
        frame = HeatmapDisplay.from_estimator(cams, X, thresholds=thresholds).frame()
        for name, cam in cams.items():
            threshold = thresholds[name] if thresholds is by_method else 0.5
            expected = boxes_from_heatmaps(cam.transform(X), threshold)
            rows = frame[frame["method"] == name]
            np.testing.assert_array_equal(rows[corners], expected)
    with pytest.raises(
        ValueError, match=r"name each of \['layer', 'grad'\], got none for \['grad'"
    ):
        HeatmapDisplay.from_estimator(cams, X, thresholds={"layer": 0.5})


def test_class_names_stand_for_labels():
    X, clf = random_images(), frozen(LeNet5)
    names = [f"class {label}" for label in NAMES]
    frame = HeatmapDisplay.from_estimator(
        GradCAM(clf), X, ["a", "b", "unseen"], class_names=names
    ).frame()
    assert frame["y_true"].tolist() == ["class a", "class b", "unseen"]
    assert frame["y_pred"].tolist() == [f"class {label}" for label in clf.predict(X)]


@pytest.mark.parametrize(
    "arguments", [{"explained": "true"}, {"explained": "both", "y": ["a"] * 3}]
)
def test_explained_class_must_be_known(arguments):
    with pytest.raises(ValueError, match=r'`explained` must be "predicted", or "true" with the la'):
        HeatmapDisplay.from_estimator(GradCAM(frozen(LeNet5)), random_images(), **arguments)


# Axes and errors


def test_heatmaps_are_drawn_on_given_axes():
    figure, axes = plt.subplots(2, 3)
    display = HeatmapDisplay.from_heatmaps(IMAGES, MAPS).plot(ax=axes)
    assert display.figure_ is figure
    assert display.ax_.tolist() == axes.tolist()
    with pytest.raises(ValueError, match=r"`ax` must hold 6 axes, one a panel, got 3"):
        HeatmapDisplay.from_heatmaps(IMAGES, MAPS).plot(ax=axes[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((2, 2, 6, 8))}, r"`images` must have 1 or 3 channels, got 2"),
        ({"heatmaps": MAPS[:, :3]}, r"\(n, h, w\) = \(2, 6, 8\), got \(2, 3, 8\).*upsample=True"),
        ({"heatmaps": {"CAM": 2 * MAPS}}, r"`heatmaps of CAM` must lie in \[-1, 1\], got .* to 2"),
        ({"y_true": ["Bag"]}, r"`y_true` and `images` must have one row .* got 1 and 2"),
        ({"boxes_true": TRUE[:1]}, r"`boxes_true` and `images` must have one row"),
        ({"boxes_pred": [[0, 0, 9, 6]] * 2}, r"`boxes_pred` must be inside the image of 6 rows"),
        (
            {"y_pred": {"LayerCAM": [1, 2]}},
            r"`y_pred` must be one .*\['heatmap'\], got \['LayerCAM",
        ),
    ],
)
def test_what_does_not_fit_the_images(changes, message):
    with pytest.raises(ValueError, match=message):
        HeatmapDisplay.from_heatmaps(**({"images": IMAGES, "heatmaps": MAPS} | changes))


# Localization curves


def rows_of(**iou):
    return pd.concat(
        [pd.DataFrame({"method": name, "iou": values}) for name, values in iou.items()]
    )


def test_box_accuracy_over_the_iou_by_hand():
    rows = rows_of(CAM=[0.35, 0.8, 0.7, 0.0, NAN], edges=[0.1, 0.5, 0.29, 1.0, 0.5])
    frame = LocalizationCurveDisplay.from_rows(rows).frame()
    assert frame["method"].unique().tolist() == ["CAM", "edges"]
    accuracy = frame.set_index(["method", "threshold"])["score"]
    cam = accuracy["CAM"]
    assert cam.index.tolist() == [number / 100 for number in range(1, 101)]
    # A box without overlap is never right, an IoU of exactly the threshold is.
    assert cam[[0.01, 0.35, 0.36, 0.7, 0.71, 0.8, 0.81]].tolist() == [
        *(0.75, 0.75, 0.5, 0.5, 0.25, 0.25, 0)
    ]
    assert accuracy["edges"][[0.3, 0.5, 0.51, 1]].tolist() == [0.6, 0.6, 0.2, 0.2]
    half = frame.query("method == 'CAM' and threshold == 0.5").iloc[0]
    np.testing.assert_array_equal(half[["low", "high"]].astype(float), wilson_interval(2, 4))
    assert frame.groupby("method")["n"].unique().map(list).to_dict() == {"CAM": [4], "edges": [5]}


def test_accuracy_curves_are_drawn_with_bands_and_marks():
    display = LocalizationCurveDisplay.from_rows(rows_of(CAM=[0.4, 0.6], edges=[0.1, 0.2]))
    assert display.plot() is display
    curve, mark, _, second_mark = display.ax_.lines
    points = display.frame().query("method == 'CAM'")
    np.testing.assert_array_equal(curve.get_xydata(), points[["threshold", "score"]])
    assert mark.get_xydata().tolist() == [[0.5, 0.5]]
    assert second_mark.get_xydata().tolist() == [[0.5, 0]]
    band = display.ax_.collections[0].get_paths()[0].vertices
    for edge in ("low", "high"):
        corners = set(map(tuple, points[["threshold", edge]].to_numpy()))
        assert corners <= set(map(tuple, band))
    assert texts(display.ax_.get_legend().get_texts()) == [
        "CAM (0.500 at 0.50)",
        "edges (0.000 at 0.50)",
    ]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == (
        "IoU threshold",
        "box accuracy (95 % interval)",
    )
    assert not same_color(curve.get_color(), display.ax_.lines[2].get_color())


def test_many_curves_look_different():
    rows = rows_of(**{f"method {number}": [0.5] for number in range(18)})
    lines = LocalizationCurveDisplay.from_rows(rows).plot().ax_.lines[::2]
    assert len({(line.get_color(), str(line._dash_pattern)) for line in lines}) == 18


def test_accuracy_curve_needs_an_iou():
    with pytest.raises(ValueError, match=r"must hold IoUs of each method, got none of 'edges'"):
        LocalizationCurveDisplay.from_rows(rows_of(CAM=[0.5], edges=[NAN]))


def test_curve_draws_on_a_given_axes():
    figure, ax = plt.subplots()
    display = LocalizationCurveDisplay.from_rows(rows_of(CAM=[0.5])).plot(ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is figure


def fitted_box(shift):
    """Of a map that falls from left to right; the true box is where it is above `shift`."""
    heatmaps = np.tile(np.linspace(1, 0, 51), (4, 5, 1))
    return HeatmapToBox().fit(heatmaps, [[0, 0, 50 * (1 - shift), 5]] * 4)


def test_iou_over_the_threshold_of_the_maps():
    boxes = {"CAM": fitted_box(0.3), "edges": fitted_box(0.6)}
    display = LocalizationCurveDisplay.from_estimator(boxes).plot()
    frame = display.frame()
    for name, box in boxes.items():
        points = frame[frame["method"] == name]
        np.testing.assert_array_equal(points["threshold"], box.thresholds_)
        np.testing.assert_array_equal(points["score"], box.scores_)
    assert frame.columns.tolist() == ["method", "threshold", "score"]
    marks = [line.get_xydata()[0].tolist() for line in display.ax_.lines[1::2]]
    assert marks == [[box.threshold_, box.scores_.max()] for box in boxes.values()]
    assert len(display.ax_.collections) == 0
    fitted = boxes["CAM"]
    label = f"CAM ({fitted.scores_.max():.3f} at {fitted.threshold_:.2f})"
    assert display.ax_.get_legend().get_texts()[0].get_text() == label
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("map threshold", "mean IoU")
    alone = LocalizationCurveDisplay.from_estimator(fitted)
    assert alone.frame()["method"].unique().tolist() == ["HeatmapToBox"]


def test_threshold_curve_of_a_threshold_that_was_not_fitted():
    fixed = HeatmapToBox(threshold=0.5).fit(MAPS, TRUE)
    for box in (HeatmapToBox(), fixed):
        with pytest.raises(
            NotFittedError, match=r"'CAM' must have fitted its threshold. Call `fit"
        ):
            LocalizationCurveDisplay.from_estimator({"CAM": box})
