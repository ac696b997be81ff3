"""What pixels contribute, edges and likeliest classes, by the values that are drawn."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fmcam.classifiers import CNNClassifier
from fmcam.models import LeNet5
from fmcam.plot import (
    AttributionDisplay,
    LikeliestClassesDisplay,
    canny_edges,
    process_attributions,
)

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 10), dtype=np.uint8)
SIGNED = np.random.default_rng(1).normal(size=(2, 3, 8, 10))
SMALL = np.array([[[4.0, -2.0], [1.0, 0.0]]])


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def shown(panel):
    return [np.asarray(image.get_array()) for image in panel.images]


# Processing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[1, 0.5], [0.25, 0]]),
        ({"sign": "positive"}, [[1, 0], [0.25, 0]]),
        ({"sign": "negative"}, [[0, 1], [0, 0]]),
        ({"sign": "all"}, [[1, -0.5], [0.25, 0]]),
        ({"sign": "all", "gamma": 0.5}, [[1, -np.sqrt(0.5)], [0.5, 0]]),
        ({"gamma": 2}, [[1, 0.25], [0.0625, 0]]),
        # |a| sorted: 0 1 2 4, so q = 1.5 at 50 % and 3 at 250/3 %
        ({"percentile": 50}, [[1, 1], [2 / 3, 0]]),
        ({"percentile": 250 / 3, "sign": "all"}, [[1, -2 / 3], [1 / 3, 0]]),
    ],
)
def test_values_by_hand(options, expected):
    found = process_attributions(SMALL, **{"percentile": 100, **options})
    np.testing.assert_allclose(found, [expected], rtol=1e-6)
    assert found.dtype == np.float32


def test_of_the_channels_the_largest_magnitude_counts():
    channels = np.array([[[[1.0, -1]], [[-3, 0.5]]]])  # (1, 2, 1, 2)
    found = process_attributions(channels, sign="all", percentile=100)
    np.testing.assert_allclose(found, [[[-1, -1 / 3]]])


def test_few_values_are_not_lost_and_none_are_nothing():
    sparse = np.zeros((2, 20, 20))
    sparse[0, 3, 4] = 5
    found = process_attributions(sparse, percentile=90)
    assert found[0, 3, 4] == 1
    assert found.sum() == 1


@given(
    arrays(
        np.float32, (2, 3, 5, 4), elements=st.floats(-100, 100, width=32, allow_subnormal=False)
    ),
    st.sampled_from(["positive", "negative", "absolute", "all"]),
    st.floats(1, 100),
    st.floats(0.1, 3),
)
def test_ranges_and_scale(attributions, sign, percentile, gamma):
    options = {"sign": sign, "percentile": percentile, "gamma": gamma}
    found = process_attributions(attributions, **options)
    assert found.shape == (2, 5, 4)
    assert -(sign == "all") <= found.min() <= found.max() <= 1
    doubled = process_attributions(2 * attributions, **options)
    np.testing.assert_allclose(doubled, found, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sign": "plus"}, r"`sign` must be one of \['positive', .* got 'plus'"),
        ({"sign": ["all"]}, r"`sign` must be one of .* got \['all'\]"),
        ({"percentile": 0}, r"`percentile` must be in \(0, 100\], got 0"),
        ({"percentile": 101}, r"`percentile` must be in \(0, 100\], got 101"),
        ({"gamma": 0}, "`gamma` must be positive, got 0"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        process_attributions(SMALL, **options)
    with pytest.raises(ValueError, match="`attributions` contains NaN"):
        process_attributions(SMALL * np.nan)


# Display ------------------------------------------------------------------------------------------


def test_three_panels_an_image():
    edges = np.zeros((2, 8, 10), dtype=bool)
    edges[:, 2] = True
    display = AttributionDisplay.from_attributions(
        IMAGES, SIGNED, edges=edges, title="Guided Grad-CAM"
    )
    assert display.plot() is display
    assert display.ax_.shape == (2, 3)
    titles = [panel.get_title() for panel in display.ax_[0]]
    assert titles == ["input", "Guided Grad-CAM", "magnitude and edges"]
    maps = process_attributions(SIGNED)
    for row, (first, second, third) in enumerate(display.ax_):
        np.testing.assert_allclose(shown(first)[0], IMAGES[row].transpose(1, 2, 0) / 255)
        middle = shown(second)[0]
        q = np.percentile(np.abs(SIGNED[row]), 99)
        expected = (0.5 + SIGNED[row].transpose(1, 2, 0) / (2 * q)).clip(0, 1)
        np.testing.assert_allclose(middle, expected, atol=1e-6)
        np.testing.assert_allclose(shown(third)[0], maps[row])
        np.testing.assert_array_equal(third.images[1].get_alpha(), edges[row])
    frame = display.frame()
    np.testing.assert_allclose(frame["lowest"], SIGNED.min(axis=(1, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(frame["share_positive"], (SIGNED > 0).mean(axis=(1, 2, 3)))


@pytest.mark.parametrize(("sign", "lowest"), [("all", -1), ("positive", 0)])
def test_heatmaps_and_signs(sign, lowest):
    display = AttributionDisplay.from_attributions(IMAGES, SIGNED[:, 0], sign=sign).plot()
    (image,) = display.ax_[0, 2].images
    assert image.get_clim() == (lowest, 1)
    assert shown(display.ax_[0, 1])[0].shape == (8, 10)


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"`attributions` must have .* \(2, 8, 10\), got \(2, 4"):
        AttributionDisplay.from_attributions(IMAGES, SIGNED[:, :, :4])
    with pytest.raises(ValueError, match=r"`images` must have 1 or 3 channels, got 4\."):
        AttributionDisplay.from_attributions(np.zeros((2, 4, 8, 10)), SIGNED)
    with pytest.raises(ValueError, match=r"`edges` must have .* got \(2, 8, 9\)"):
        AttributionDisplay.from_attributions(IMAGES, SIGNED, edges=np.zeros((2, 8, 9)))
    with pytest.raises(ValueError, match="must hold 6 axes"):
        AttributionDisplay.from_attributions(IMAGES, SIGNED).plot(plt.subplots(1, 3)[1])


# Edges --------------------------------------------------------------------------------------------


def test_edges_are_those_of_scikit_image():
    skimage = pytest.importorskip("skimage")
    picture = IMAGES[:1].repeat(4, axis=2).repeat(4, axis=3)
    grey = skimage.color.rgb2gray(picture[0].transpose(1, 2, 0))
    expected = skimage.feature.canny(grey, 1.5, 0.05, 0.3)
    assert 0 < expected.mean() < 1
    found = canny_edges(picture, sigma=1.5, low=0.05, high=0.3)
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_array_equal(
        canny_edges(picture / 255 * 7)[0], canny_edges(_stretched(picture))[0]
    )


def _stretched(picture):
    low, high = int(picture.min()), int(picture.max())
    return (picture - low) / (high - low)


def test_mistakes_with_edges(monkeypatch):
    pytest.importorskip("skimage")
    with pytest.raises(ValueError, match=r"0 <= low <= high <= 1, got 0.3 and 0.2"):
        canny_edges(IMAGES, low=0.3)
    with pytest.raises(ValueError, match="`sigma` must be 0 or more pixels, got -1"):
        canny_edges(IMAGES, sigma=-1)
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    with pytest.raises(ImportError, match=r"python -m pip install 'fmcam\[edges\]'"):
        canny_edges(IMAGES)


# Likeliest classes --------------------------------------------------------------------------------


PROBA = [[0.1, 0.7, 0.2], [0.3, 0.3, 0.4]]
NAMES = ["tench", "great white shark", "tiger shark"]


def test_bars_with_names_the_likeliest_on_top():
    display = LikeliestClassesDisplay.from_predictions(PROBA, NAMES, top=2).plot()
    first, second = display.ax_
    assert [bar.get_width() for bar in first.patches] == [0.7, 0.2]
    assert [text.get_text() for text in first.texts] == ["0.700", "0.200"]
    assert [label.get_text() for label in first.get_yticklabels()] == NAMES[1:]
    assert [label.get_text() for label in second.get_yticklabels()] == ["tiger shark", "tench"]
    heights = first.transData.transform([(0, 1), (0, 2)])[:, 1]
    assert heights[0] > heights[1]
    assert display.frame().to_dict("list") == {
        "image": [0, 0, 1, 1],
        "rank": [1, 2, 1, 2],
        "class": ["great white shark", "tiger shark", "tiger shark", "tench"],
        "probability": [0.7, 0.2, 0.4, 0.3],
    }


def test_from_an_estimator():
    clf = CNNClassifier.from_module(LeNet5(n_classes=3), classes=[4, 5, 6])
    X = np.random.default_rng(0).normal(size=(2, 1, 28, 28))
    proba = clf.predict_proba(X)
    frame = LikeliestClassesDisplay.from_estimator(clf, X, top=1).frame()
    assert frame["class"].tolist() == clf.classes_[proba.argmax(axis=1)].tolist()
    np.testing.assert_allclose(frame["probability"], proba.max(axis=1))
    frame = LikeliestClassesDisplay.from_estimator(clf, X, class_names=NAMES).frame()
    assert frame["class"].tolist() == np.array(NAMES)[(-proba).argsort(axis=1)].ravel().tolist()


@pytest.mark.parametrize(
    ("proba", "names", "options", "message"),
    [
        (PROBA, NAMES, {"top": 0}, "`top` must be 1 or more"),
        (PROBA, NAMES[:2], {}, "must be 3 distinct names"),
        ([[3.0, -1, 2]], NAMES, {}, "Pass probabilities, not logits"),
        (PROBA[0], NAMES, {}, r"must have shape \(n, 3\)"),
    ],
)
def test_wrong_predictions(proba, names, options, message):
    with pytest.raises(ValueError, match=message):
        LikeliestClassesDisplay.from_predictions(proba, names, **options)
