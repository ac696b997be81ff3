"""
Which layer?
============

The last layers know what something is, the first ones where its outline runs. Several layers may be
fused: the map is the mean of theirs.
"""

# %%
from sklearn.datasets import load_sample_images
from sklearn.frozen import FrozenEstimator

from fmcam.classifiers import CNNClassifier
from fmcam.datasets import load_image
from fmcam.explain import LayerCAM
from fmcam.models import get_model
from fmcam.plot import HeatmapDisplay

photographs = [load_image(photograph) for photograph in load_sample_images().filenames]
name = "timm/tf_efficientnet_lite0"
clf = CNNClassifier.from_module(get_model(name, weights="DEFAULT"), preprocessing=name)
net = FrozenEstimator(clf)

# %%
layers = ["blocks.1", "blocks.2", "blocks.4", "bn2"]
methods = {layer: LayerCAM(net, layer=layer) for layer in layers}
methods["blocks.2 to bn2"] = LayerCAM(net, layer=layers[1:])
HeatmapDisplay.from_estimator(methods, photographs).plot()

# %%
# Which one finds your objects best is a question for images with boxes: see
# :func:`fmcam.report.evaluate_localization`.
