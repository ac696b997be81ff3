"""
Fit a threshold
===============

Where a heatmap is cut decides how large its box is. The threshold is fitted on some images and kept
for others, whose scores are then honest.
"""

# %%
# Garments at random places of canvases, with true boxes.

from sklearn.frozen import FrozenEstimator

from fmcam.classifiers import CNNCAMClassifier
from fmcam.datasets import make_canvas, make_fashion_shapes
from fmcam.explain import GradCAMPlusPlus
from fmcam.localize import HeatmapToBox
from fmcam.metrics import box_accuracy_score, mean_iou_score
from fmcam.plot import HeatmapDisplay, LocalizationCurveDisplay

items = make_fashion_shapes(1200, random_state=0)
train, known, test = (
    make_canvas(items.images[rows], items.target[rows], canvas_size=40, random_state=0)
    for rows in (slice(1000), slice(1000, 1100), slice(1100, 1200))
)
clf = CNNCAMClassifier(max_epochs=4, lr=0.01, batch_size=32, random_state=0, verbose=0)
clf.fit(train.images, train.target)
blocks = [f"features.{block}" for block in range(5)]
cam = GradCAMPlusPlus(FrozenEstimator(clf), layer=blocks)

# %%
# Mean IoU at each threshold of the images that it is fitted on.

to_box = HeatmapToBox().fit(cam.explain(known.images, known.target), known.boxes)
LocalizationCurveDisplay.from_estimator(to_box).plot()

# %%
# Other images, at that threshold.

boxes = to_box.transform(cam.explain(test.images, test.target))
print(f"mean IoU {mean_iou_score(test.boxes, boxes):.2f}")
print(f"IoU of at least 0.5: {box_accuracy_score(test.boxes, boxes):.0%}")
HeatmapDisplay.from_estimator(
    cam,
    test.images[:4],
    test.target[:4],
    explained="true",
    boxes=test.boxes[:4],
    thresholds=to_box.threshold_,
    class_names=items.target_names,
).plot()
