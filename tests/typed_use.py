"""What users write, for `mypy --strict` in `test_wheel.py`; nothing runs it."""

from typing import Any, assert_type

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import fmcam
from fmcam.classifiers import (
    CNNClassifier,
    FlipAndShift,
    LeNet5Classifier,
    OneCycle,
    load_classifier,
    measure_cost,
    save_classifier,
)
from fmcam.datasets import fetch_fashion_mnist, get_data_home, list_datasets, load_image
from fmcam.explain import CAM, GradCAM, GuidedGradCAM, explain_together, get_explainer, randomized
from fmcam.localize import CAMLocalizer, HeatmapToBox, boxes_from_heatmaps
from fmcam.metrics import MaxBoxAccuracy, mean_iou_score, paired_box_iou, road_score
from fmcam.model_selection import fit_many
from fmcam.models import LeNet5, get_model, list_models
from fmcam.plot import HeatmapDisplay, RocCurvesDisplay
from fmcam.report import bootstrap_difference, classification_frame, wilson_interval

X: NDArray[np.uint8] = np.zeros((4, 1, 28, 28), np.uint8)
y = np.array(["cat", "dog", "cat", "dog"])
boxes = np.array([[0, 0, 9, 9]] * 4)

clf = LeNet5Classifier(lr=1e-3, max_epochs=1, random_state=0, callbacks=[OneCycle()])
assert_type(clf.fit(X, y), LeNet5Classifier)
assert_type(clf.predict_proba(torch.zeros(4, 1, 28, 28)), NDArray[np.float32])
assert_type(clf.score(X, y), float)
assert_type(CNNClassifier.from_module(LeNet5(), classes=list("abcdefghij")), CNNClassifier)
assert_type(load_classifier("file.safetensors", module=LeNet5), CNNClassifier)
save_classifier(clf, "file.safetensors", metrics={"accuracy": 0.5})
assert_type(measure_cost(clf, X)["flops"], float)
assert_type(FlipAndShift()(torch.zeros(1, 1, 8, 8)), torch.Tensor)
assert_type(fit_many(clf, X, y, seeds=[0, 1]), list[CNNClassifier])

cam = GradCAM(clf, layer=["features.2"], target="logit", normalize=None, align=False)
assert_type(cam.fit(X, y), GradCAM)
maps = assert_type(cam.explain(X, y, out="maps.npy"), NDArray[np.float32])
assert_type(CAM(nn.Sequential()).transform([[[0.0]]]), NDArray[np.float32])
assert_type(GuidedGradCAM(clf).attribute(X), NDArray[np.float32])
explain_together({"cam": cam}, X, y)
get_explainer("grad-cam")(clf).explain(X)
assert_type(randomized(clf, random_state=0), CNNClassifier)

assert_type(HeatmapToBox(0.5, region="all").fit(maps), HeatmapToBox)
assert_type(CAMLocalizer(cam, HeatmapToBox()).fit(X, boxes, labels=y).score(X, boxes), float)
found = assert_type(boxes_from_heatmaps(maps, 0.5), NDArray[np.float64])
assert_type(paired_box_iou(boxes, found), NDArray[np.float64])
assert_type(mean_iou_score([boxes[:1], boxes[1:]], found), float)
assert_type(MaxBoxAccuracy(average=None).update(boxes, maps), MaxBoxAccuracy)

fetch_fashion_mnist(get_data_home(), subset="test")
load_image(get_data_home() / "cat.jpg", size=64)
assert_type(list_datasets() + list_models("resnet*"), list[str])
assert_type(get_model("lenet5", n_classes=3), nn.Module)

HeatmapDisplay.from_heatmaps(X, {"a": maps}, boxes_true=boxes).plot(alpha=0.3).frame()
assert_type(RocCurvesDisplay.from_estimator(clf, X, y).plot(), RocCurvesDisplay)
classification_frame(y, clf.predict_proba(X), clf.classes_)
rng = np.random.default_rng(0)
assert_type(bootstrap_difference([1.0], [0.0], random_state=rng).low, float)
road_score(clf.predict_proba, X, y, maps, classes=clf.classes_, random_state=rng)
assert_type(fmcam.__version__, str)
bounds: Any = wilson_interval(3, 4)
