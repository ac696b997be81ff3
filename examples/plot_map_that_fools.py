"""
A map that fools
================

A sharp heatmap need not show what a network has learned. The same method on a network whose weights
are drawn at random tells how much of it is the image alone.
"""

# %%
# A network learns garments that lie alone on blank canvases.

from sklearn.frozen import FrozenEstimator

from fmcam.classifiers import CNNCAMClassifier
from fmcam.datasets import make_canvas, make_fashion_shapes
from fmcam.explain import GradCAMPlusPlus, randomized
from fmcam.plot import HeatmapDisplay
from fmcam.report import evaluate_localization, summarize

items = make_fashion_shapes(1000, random_state=0)
train, known, test = (
    make_canvas(items.images[rows], items.target[rows], canvas_size=40, random_state=0)
    for rows in (slice(800), slice(800, 900), slice(900, 1000))
)
clf = CNNCAMClassifier(max_epochs=3, lr=0.01, batch_size=32, random_state=0, verbose=0)
clf.fit(train.images, train.target)

# %%
# Grad-CAM++ of all its blocks, and the same with random weights.

blocks = [f"features.{block}" for block in range(5)]
methods = {
    "trained": GradCAMPlusPlus(FrozenEstimator(clf), layer=blocks),
    "random weights": GradCAMPlusPlus(
        FrozenEstimator(randomized(clf, random_state=0)), layer=blocks
    ),
}
HeatmapDisplay.from_estimator(
    methods, test.images[:4], test.target[:4], explained="true", class_names=items.target_names
).plot()

# %%
# The boxes say the same: on a blank canvas whatever is not black is the item, and no network need
# have learned it. So look at random weights before you believe a map.

rows = evaluate_localization(
    methods,
    fit=(known.images, known.target, known.boxes),
    test=(test.images, test.target, test.boxes),
    classifier=clf,
)
summarize(rows)[["mean_iou", "mean_iou_low", "mean_iou_high"]].round(2)
