"""
Guided maps
===========

Guided backpropagation finds the pixels, Grad-CAM the place. Guided Grad-CAM multiplies both. Their
attributions have a sign, and are read best under the edges of the image.
"""

# %%
# Guided backpropagation changes ReLUs, so it needs a network that has some.

from sklearn.frozen import FrozenEstimator

from fmcam.classifiers import LeNet5Classifier
from fmcam.datasets import make_fashion_shapes
from fmcam.explain import GuidedBackprop, GuidedGradCAM
from fmcam.plot import AttributionDisplay, canny_edges

shapes, others = make_fashion_shapes(1000, random_state=0), make_fashion_shapes(50, random_state=1)
clf = LeNet5Classifier(max_epochs=5, batch_size=32, random_state=0, verbose=0)
net = FrozenEstimator(clf.fit(shapes.images, shapes.target))
images = others.images[:3]
edges = canny_edges(images)

# %%
attributions = GuidedBackprop(net).attribute(images)
AttributionDisplay.from_attributions(
    images, attributions, edges=edges, title="guided backpropagation"
).plot()

# %%
# With signs: what speaks for the class is orange, what speaks against it is violet.

attributions = GuidedGradCAM(net).attribute(images)
AttributionDisplay.from_attributions(
    images, attributions, sign="all", edges=edges, title="Guided Grad-CAM"
).plot()
