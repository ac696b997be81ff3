import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from torch import nn

import fmcam.model_selection
from fmcam.classifiers import CNNClassifier, SimpleCNNClassifier
from fmcam.explain import CAM, GradCAM
from fmcam.localize import CAMLocalizer, HeatmapToBox, boxes_from_heatmaps
from fmcam.metrics import mean_iou_score
from fmcam.models import SimpleCNN

NAN = np.nan


@pytest.fixture(name="blobs", scope="module")
def blurred_squares():
    """Squares blurred to heatmaps, and the squares: the right threshold is about one half."""
    rng = np.random.default_rng(0)
    boxes = np.empty((30, 4))
    boxes[:, :2] = rng.integers(4, 12, (30, 2))
    boxes[:, 2:] = boxes[:, :2] + rng.integers(6, 12, (30, 2))
    maps = np.zeros((30, 28, 28))
    for heatmap, (x0, y0, x1, y1) in zip(maps, boxes.astype(int), strict=True):
        heatmap[y0:y1, x0:x1] = 1
    maps = gaussian_filter(maps, (0, 2, 2))
    return maps / maps.max(axis=(1, 2), keepdims=True), boxes


def frozen():
    """A classifier whose class k sees channel k alone, so its heatmap is that channel."""
    net = nn.Sequential()
    net.features = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False))
    net.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2, bias=False))
    net.features[0].weight.data = torch.eye(2)[..., None, None]
    net.head[2].weight.data = torch.eye(2)
    return FrozenEstimator(CNNClassifier.from_module(net.eval()))


@pytest.fixture(name="scenes", scope="module")
def channels_with_an_object_each(blobs):
    """Images whose true class is the fainter channel, but for every third; with its boxes."""
    maps, boxes = blobs
    labels = np.arange(30) % 3 // 2
    X = np.zeros((30, 2, 28, 28), dtype=np.float32)
    X[:, 0] = 2 * maps[::-1]
    X[np.arange(30), 1] = maps
    X[labels == 0, 0] = 3 * maps[labels == 0]
    return X, boxes, labels


# HeatmapToBox


def test_threshold_by_hand():
    # Boxes 3, 2 and 1 wide up to 0.5, 0.7 and 1, to be 2 wide, and an empty map.
    heatmaps = np.array([[[0.5, 0.7, 1.0, 0.0]], [[0.5, 0.7, 1.0, 0.0]], [[0.0] * 4]])
    to_box = HeatmapToBox().fit(heatmaps, [[1, 0, 3, 1], [1, 0, 3, 1], [0, 0, 2, 1]])
    assert to_box.threshold_ == 0.52
    np.testing.assert_allclose(to_box.thresholds_, np.linspace(0.02, 0.98, 49), rtol=1e-12)
    expected = np.repeat([4 / 9, 2 / 3, 1 / 3], [25, 10, 14])
    np.testing.assert_allclose(to_box.scores_, expected, rtol=1e-12)
    np.testing.assert_array_equal(
        to_box.transform(heatmaps), [[1, 0, 3, 1], [1, 0, 3, 1], [NAN] * 4]
    )


def test_fitted_threshold_is_the_best_and_beats_the_usual_one(blobs):
    maps, boxes = blobs
    to_box = HeatmapToBox().fit(maps[:15], boxes[:15])
    for threshold, score in zip(to_box.thresholds_, to_box.scores_, strict=True):
        found = boxes_from_heatmaps(maps[:15], threshold)
        assert score == mean_iou_score(boxes[:15], found)
    assert to_box.scores_.max() == to_box.score(maps[:15], boxes[:15])
    assert to_box.score(maps[15:], boxes[15:]) > 0.9
    assert HeatmapToBox(0.2).fit(maps).score(maps[15:], boxes[15:]) < 0.6


def test_images_without_a_box_do_not_move_the_threshold(blobs):
    maps, boxes = blobs
    expected = HeatmapToBox().fit(maps[:20], boxes[:20])
    boxes = boxes.copy()
    boxes[20:] = NAN
    to_box = HeatmapToBox().fit(maps, boxes)
    np.testing.assert_array_equal(to_box.scores_, expected.scores_)


def test_number_as_threshold_needs_no_boxes(blobs):
    maps, _ = blobs
    to_box = HeatmapToBox(np.float32(0.25)).fit(maps)
    assert to_box.threshold_ == 0.25
    assert not hasattr(to_box, "scores_")
    np.testing.assert_array_equal(to_box.predict(maps), boxes_from_heatmaps(maps, 0.25))


def test_region_is_used_in_fit_and_transform(blobs):
    maps, boxes = blobs[0].copy(), blobs[1]
    maps[:, 0, 0] = 1  # a stray pixel
    largest = HeatmapToBox().fit(maps, boxes)
    of_all = HeatmapToBox(region="all").fit(maps, boxes)
    assert largest.scores_.max() > 0.9
    assert of_all.scores_.max() < 0.5
    np.testing.assert_array_equal(of_all.transform(maps)[:, :2], 0)


def test_region_is_fitted(blobs):
    maps, boxes = blobs[0].copy(), blobs[1]
    maps[::2, 0, 0] = 1  # a stray pixel in every other image: the largest region is the square
    fitted = HeatmapToBox(region="fit").fit(maps, boxes)
    expected = HeatmapToBox().fit(maps, boxes)
    assert (fitted.region_, fitted.threshold_) == ("largest", expected.threshold_)
    np.testing.assert_array_equal(fitted.scores_, expected.scores_)
    maps[:, 13:15] = 0  # squares fall to pieces
    maps[:, 0, 0] = 0
    fitted.fit(maps, boxes)
    expected = HeatmapToBox(region="all").fit(maps, boxes)
    assert (fitted.region_, fitted.threshold_) == ("all", expected.threshold_)
    np.testing.assert_array_equal(fitted.transform(maps), expected.transform(maps))
    at_half = HeatmapToBox(0.5, region="fit").fit(maps, boxes)
    assert (at_half.region_, at_half.threshold_) == ("all", 0.5)
    assert at_half.scores_ == [HeatmapToBox(0.5, region="all").fit(maps).score(maps, boxes)]


@pytest.mark.parametrize("region", ["largest", "fit"])
def test_maps_part_by_part(blobs, region):
    maps, boxes = blobs
    parts = HeatmapToBox(region=region)
    parts.fit(maps[::-1], boxes[::-1])  # which fit forgets
    parts.fit(maps[:7], boxes[:7])
    for rows in (slice(7, 8), slice(8, 30)):
        parts.partial_fit(maps[rows], boxes[rows])
    whole = HeatmapToBox(region=region).fit(maps, boxes)
    assert (parts.threshold_, parts.region_) == (whole.threshold_, whole.region_)
    np.testing.assert_array_equal(parts.scores_, whole.scores_)


def test_boxes_as_a_data_frame(blobs):
    maps, boxes = blobs
    to_box = HeatmapToBox(0.5).set_output(transform="pandas").fit(maps)
    frame = to_box.transform(maps)
    expected = pd.DataFrame(boxes_from_heatmaps(maps, 0.5), columns=["x0", "y0", "x1", "y1"])
    pd.testing.assert_frame_equal(frame, expected)
    assert to_box.score(maps, frame) == 1
    fitted = HeatmapToBox().fit(maps, pd.DataFrame(boxes))
    assert fitted.threshold_ == HeatmapToBox().fit(maps, boxes).threshold_


def test_clone_and_pickle_of_heatmap_to_box(blobs):
    maps, boxes = blobs
    to_box = HeatmapToBox(region="all").fit(maps, boxes)
    copy = pickle.loads(pickle.dumps(to_box))
    np.testing.assert_array_equal(copy.transform(maps), to_box.transform(maps))
    assert clone(to_box).get_params() == {"threshold": "fit", "region": "all"}
    with pytest.raises(NotFittedError, match="HeatmapToBox instance is not fitted yet"):
        clone(to_box).transform(maps)


@pytest.mark.parametrize("threshold", ["auto", 1.5, -0.1, NAN, None])
def test_unknown_threshold_is_an_error(threshold):
    with pytest.raises(ValueError, match=r'`threshold` must be "fit" or a number in \[0, 1\]'):
        HeatmapToBox(threshold).fit(np.ones((1, 2, 2)))


@pytest.mark.parametrize(
    ("maps", "boxes", "message"),
    [
        (np.ones((2, 4, 4)), None, r'"fit"` needs true boxes of shape \(n, 4\), got None'),
        (np.ones((2, 4, 4)), [[0, 0, 1, 1]], "`X` and `y` must have one row .* got 2 and 1"),
        (np.ones((1, 4, 4)), [[0, 0, 5, 4]], "`y` must be inside the image of 4 rows and 4 col"),
        (np.ones((1, 4, 4)), [[2, 0, 1, 4]], "`y` must be x0, y0, x1, y1 with x0 <= x1"),
        (np.ones((1, 4, 4)), [[0, 0, 4]], r"`y` must have shape \(n, 4\)"),
        (np.ones((1, 4, 4)), [[NAN] * 4], "`y` must hold a box, got 1 rows of NaN"),
        (np.full((1, 4, 4), NAN), [[0, 0, 1, 1]], "contains NaN or infinity in 1 of 1 maps"),
        (np.full((1, 4, 4), 3.5), [[0, 0, 1, 1]], r"must lie in \[0, 1\], got values from 3.5"),
        (np.ones((4, 4)), [[0, 0, 1, 1]], r"\(n, h, w\) without a 0, got \(4, 4\)"),
    ],
)
def test_maps_and_boxes_that_do_not_fit_are_an_error(maps, boxes, message):
    with pytest.raises(ValueError, match=message):
        HeatmapToBox().fit(maps, boxes)


# CAMLocalizer


def test_boxes_are_of_the_predicted_class(scenes):
    X, boxes, labels = scenes
    localizer = CAMLocalizer(CAM(frozen()), HeatmapToBox(0.5)).fit(X)
    expected = boxes_from_heatmaps(X[:, 0] / X[:, 0].max(axis=(1, 2), keepdims=True), 0.5)
    np.testing.assert_array_equal(localizer.predict(X), expected)
    right = labels == 0
    assert localizer.score(X[right], boxes[right]) > 0.9
    assert localizer.score(X[~right], boxes[~right]) < 0.6
    assert localizer.score(X, boxes) == mean_iou_score(boxes, expected)


def test_labels_fit_the_threshold_on_the_true_class(scenes):
    X, boxes, labels = scenes
    localizer = CAMLocalizer(CAM(frozen()), HeatmapToBox())
    with_labels = localizer.fit(X, boxes, labels=labels).to_box_
    of_true_class = X[np.arange(30), labels]
    of_true_class = of_true_class / of_true_class.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(
        with_labels.scores_, HeatmapToBox().fit(of_true_class, boxes).scores_, rtol=1e-6
    )
    assert with_labels.scores_.max() > localizer.fit(X, boxes).to_box_.scores_.max() + 0.1


def test_fit_leaves_the_parts_as_they_were(scenes):
    X, boxes, _ = scenes
    localizer = CAMLocalizer(CAM(frozen()), HeatmapToBox())
    localizer.fit(X, boxes)
    assert not hasattr(localizer.to_box, "threshold_")
    assert not hasattr(localizer.explainer, "estimator_")


def test_clone_and_pickle_of_the_localizer(scenes):
    X, boxes, labels = scenes
    localizer = CAMLocalizer(GradCAM(frozen()), HeatmapToBox()).fit(X, boxes, labels=labels)
    copy = pickle.loads(pickle.dumps(localizer))
    np.testing.assert_array_equal(copy.predict(X), localizer.predict(X))
    unfitted = clone(localizer).set_params(explainer__layer="features", to_box__threshold=0.3)
    with pytest.raises(NotFittedError, match="CAMLocalizer instance is not fitted yet"):
        unfitted.predict(X)
    assert unfitted.fit(X).to_box_.threshold_ == 0.3
    assert localizer.to_box.threshold == "fit"


@pytest.mark.parametrize("search", [GridSearchCV, fmcam.model_selection.GridSearchCV])
def test_search_over_method_layer_and_threshold(scenes, search):
    X, boxes, labels = (part[scenes[2] == 0] for part in scenes)
    clf = frozen()
    localizer = CAMLocalizer(CAM(clf), HeatmapToBox())
    grid = {
        "explainer": [CAM(clf), GradCAM(clf)],
        "explainer__layer": [None, "features"],
        "to_box__threshold": [0.1, 0.5, 0.9],
    }
    found = search(localizer, grid, cv=2).fit(X, boxes, labels=labels)
    scores = pd.DataFrame(found.cv_results_).groupby("param_to_box__threshold")["mean_test_score"]
    assert found.best_params_["to_box__threshold"] == 0.5
    assert scores.min()[0.5] > 0.85
    assert scores.max()[[0.1, 0.9]].max() < 0.6
    assert found.score(X, boxes) == mean_iou_score(boxes, found.predict(X))
    fold = localizer.set_params(to_box__threshold=0.5).fit(X)
    assert found.cv_results_["split0_test_score"].max() == pytest.approx(
        fold.score(X[: len(X) // 2], boxes[: len(X) // 2]), rel=1e-12
    )


def test_search_trains_a_classifier_that_is_not_frozen(blobs, tmp_path):
    maps, boxes = blobs
    X, labels = (255 * maps[:, None]).astype(np.uint8), np.array(["left", "right"] * 15)
    clf = SimpleCNNClassifier(max_epochs=1, random_state=0)
    localizer = CAMLocalizer(GradCAM(clf), HeatmapToBox())
    grid = {"explainer__estimator__lr": [1e-3, 1e-2]}
    search = fmcam.model_selection.GridSearchCV(localizer, grid, cv=2, memory=tmp_path)
    found = search.fit(X, boxes, labels=labels)
    trained = found.best_estimator_.explainer_.estimator_
    assert trained.classes_.tolist() == ["left", "right"]
    assert not hasattr(clf, "classes_")
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()
    assert len(list(tmp_path.iterdir())) == 4


def test_pipeline_and_scorer_of_boxes(scenes):
    X, boxes, _ = (part[scenes[2] == 0] for part in scenes)
    pipeline = make_pipeline(CAM(frozen()), HeatmapToBox())
    expected = cross_val_score(CAMLocalizer(CAM(frozen()), HeatmapToBox()), X, boxes, cv=4)
    for scoring in (None, make_scorer(mean_iou_score)):
        scores = cross_val_score(pipeline, X, boxes, cv=4, scoring=scoring)
        np.testing.assert_array_equal(scores, expected)
        assert scores.min() > 0.85


def test_classifier_that_is_not_frozen_needs_labels(scenes):
    X, boxes, _ = scenes
    localizer = CAMLocalizer(GradCAM(SimpleCNNClassifier()), HeatmapToBox())
    with pytest.raises(ValueError, match=r"not frozen needs `labels`, got None\. Pass `fit"):
        localizer.fit(X, boxes)


def test_boxes_of_other_images_are_an_error(scenes):
    X, boxes, labels = scenes
    localizer = CAMLocalizer(CAM(frozen()), HeatmapToBox())
    with pytest.raises(ValueError, match=r"`X` and `y` must have one row .* got 30 and 29"):
        localizer.fit(X, boxes[:29], labels=labels)
    with pytest.raises(ValueError, match="`y` must have shape"):
        localizer.fit(X, labels)


def test_a_number_forgets_the_scores_of_an_earlier_fit():
    maps = np.array([[[0.0, 0.3, 0.8, 0.7, 0.1]]])
    to_box = HeatmapToBox().fit(maps, [[2, 0, 4, 1]])
    assert hasattr(to_box, "scores_")
    to_box.set_params(threshold=0.5).fit(maps)
    assert not hasattr(to_box, "scores_")
    assert not hasattr(to_box, "thresholds_")


def test_boxes_are_checked_before_a_classifier_is_trained(scenes):
    X, boxes, labels = scenes
    localizer = CAMLocalizer(GradCAM(SimpleCNNClassifier(max_epochs=1)), HeatmapToBox())
    with pytest.raises(ValueError, match="`y` must be in pixels, got"):
        localizer.fit(X, boxes / X.shape[-1], labels=labels)
    with pytest.raises(ValueError, match="`X` and `y` must have one row for each image"):
        localizer.fit(X, boxes[:-1], labels=labels)
    assert not hasattr(localizer, "explainer_")


def test_maps_of_cells_have_no_boxes_of_the_images():
    clf = FrozenEstimator(CNNClassifier.from_module(SimpleCNN()))
    localizer = CAMLocalizer(GradCAM(clf, upsample=False), HeatmapToBox(0.5))
    message = (
        r"Heatmaps must have the size of the images, \(h, w\) = \(28, 28\), .* got \(\d+, \d+\)"
    )
    with pytest.raises(ValueError, match=message):
        localizer.fit(np.ones((1, 28, 28)), [[2, 2, 9, 9]])


def test_several_boxes_an_image_in_a_search(scenes):
    X, boxes, _ = scenes
    several = [[box, [0, 0, 1, 1]] for box in boxes]
    localizer = CAMLocalizer(GradCAM(frozen()), HeatmapToBox())
    search = GridSearchCV(localizer, {"to_box__region": ["largest", "all"]}, cv=2).fit(X, several)
    single = GridSearchCV(localizer, {"to_box__region": ["largest", "all"]}, cv=2).fit(X, boxes)
    assert search.best_score_ >= single.best_score_ > 0
