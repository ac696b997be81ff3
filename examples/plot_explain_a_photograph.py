"""
Explain a photograph
====================

What does a network see in a photograph, and where? EfficientNet-Lite0 has learned the thousand
classes of ImageNet.
"""

# %%
# The photograph becomes a square of the size that the network was made for.

from sklearn.datasets import load_sample_images
from sklearn.frozen import FrozenEstimator

from fmcam.classifiers import CNNClassifier
from fmcam.datasets import load_image
from fmcam.explain import GradCAM
from fmcam.models import get_model, get_preprocessing
from fmcam.plot import HeatmapDisplay, LikeliestClassesDisplay

images = [load_image(photograph)[None] for photograph in load_sample_images().filenames]
temple, flower = images
temple.shape

# %%
# The five likeliest classes. A network of PyTorch becomes a classifier of scikit-learn, with the
# names of its classes.

name = "timm/tf_efficientnet_lite0"
clf = CNNClassifier.from_module(get_model(name, weights="DEFAULT"), preprocessing=name)
names = get_preprocessing("imagenet").class_names
LikeliestClassesDisplay.from_estimator(clf, temple, class_names=names).plot()

# %%
# Grad-CAM shows what speaks for the likeliest class.

gradcam = GradCAM(FrozenEstimator(clf))
HeatmapDisplay.from_estimator(gradcam, temple, class_names=names).plot()

# %%
# Any other class may be asked for, here the lakeside.

lakeside = list(names).index("lakeside")
maps = gradcam.explain(temple, [lakeside])
HeatmapDisplay.from_heatmaps(temple, {"Grad-CAM": maps}, y_true=["lakeside"]).plot()
