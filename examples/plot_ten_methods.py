"""
Ten methods side by side
========================

All methods that share a network share its forward pass, so ten of them take little longer than the
slowest.
"""

# %%
from sklearn.datasets import load_sample_images
from sklearn.frozen import FrozenEstimator

from fmcam.classifiers import CNNClassifier
from fmcam.datasets import load_image
from fmcam.explain import get_explainer
from fmcam.models import get_model
from fmcam.plot import HeatmapDisplay

flower = load_image(load_sample_images().filenames[1])[None]
name = "timm/tf_efficientnet_lite0"
clf = CNNClassifier.from_module(get_model(name, weights="DEFAULT"), preprocessing=name)
net = FrozenEstimator(clf)

# %%
# CAM, Grad-CAM, HiResCAM and XGrad-CAM would be one map at the last layer, before the global
# average: the gradient is the weight of the head there. In an earlier layer they differ, so the
# methods are compared at `blocks.4`.

layer = "blocks.4"
names = ["grad-cam", "grad-cam++", "hirescam", "xgrad-cam", "layer-cam"]
names += ["eigen-cam", "eigen-grad-cam", "shapley-cam", "finer-cam", "ablation-cam"]
methods = {name: get_explainer(name)(net, layer=layer) for name in names}

first, second = ({name: methods[name] for name in part} for part in (names[:5], names[5:]))
HeatmapDisplay.from_estimator(first, flower).plot()

# %%
HeatmapDisplay.from_estimator(second, flower).plot()
