"""
Compare two networks
====================

Two networks on the same test images: how far apart are they, and might it be chance? The interval
is of the paired difference, which is narrower than two intervals that are compared by eye.
"""

# %%
from fmcam.classifiers import LeNet5Classifier, SimpleCNNClassifier
from fmcam.datasets import make_fashion_shapes
from fmcam.plot import ComparisonDisplay
from fmcam.report import compare_classifiers, compare_per_class

train, test = make_fashion_shapes(1500, random_state=0), make_fashion_shapes(500, random_state=1)
networks = {"LeNet-5": LeNet5Classifier, "SimpleCNN": SimpleCNNClassifier}
probas = {}
for name, network in networks.items():
    clf = network(max_epochs=6, batch_size=32, random_state=0, verbose=0)
    probas[name] = clf.fit(train.images, train.target).predict_proba(test.images)

# %%
frame = compare_classifiers(test.target, probas, clf.classes_)
frame[["a", "b", "accuracy_a", "accuracy_b", "difference", "low", "high"]].round(3)

# %%
# Class by class: an interval that holds zero is no difference.

frame = compare_per_class(
    test.target, *probas.values(), clf.classes_, class_names=test.target_names
)
ComparisonDisplay.from_frame(frame, names=list(networks)).plot()
