# %% [markdown]
# # SimpleCNN against LeNet-5
#
# Does a network with a quarter of LeNet-5's parameters lose much on Fashion-MNIST, and does it look
# at the same places? Both go through the same pipeline: the same images, the same search for
# learning rate, batch size and weight decay, the same scores.
#
# `jupytext --to notebook examples/compare_simple_cnn_with_lenet5.py` makes a notebook of this file.

# %%
import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import ConfusionMatrixDisplay
from skorch.dataset import ValidSplit

from fmcam.classifiers import LeNet5Classifier, SimpleCNNClassifier
from fmcam.datasets import get_data_loaders, get_dataset
from fmcam.explain import GradCAM
from fmcam.model_selection import GridSearchCV
from fmcam.plot import HeatmapDisplay, HistoryDisplay, RocCurvesDisplay
from fmcam.report import classification_frame, compare_classifiers, overall_frame

# %% [markdown]
# The data set "shapes" is drawn here and needs no download. The search runs on some of the training
# images; the winners are trained like the baseline.

# %%
dataset = "fashion-mnist"
searched_images = 10_000
searched_epochs = 5
epochs = 15

# %% [markdown]
# ## Data

# %%
train, test = get_dataset(dataset, "train"), get_dataset(dataset, "test")
names = test.target_names
train.images.shape, test.images.shape, names

# %% [markdown]
# The same images as torch loaders of a training, a validation and a test part.

# %%
loaders = get_data_loaders(64, dataset=dataset)
[len(loader.dataset) for loader in loaders]

# %% [markdown]
# ## Networks
#
# A few steps by hand show that the small network learns.

# %%
clf = SimpleCNNClassifier(classes=range(10), image_shape=(1, 28, 28), random_state=0).initialize()
losses = [clf.train_step(batch)["loss"].item() for batch, _ in zip(loaders[0], range(50))]
print(f"loss of the first step {losses[0]:.2f}, of the last {losses[-1]:.2f}")
print(clf.module_.net)

# %% [markdown]
# ## Baseline
#
# A tenth of the training images is held out for the curves.

# %%
networks = {"SimpleCNN": SimpleCNNClassifier, "LeNet-5": LeNet5Classifier}
settings = {
    "max_epochs": epochs,
    "train_split": ValidSplit(10, stratified=True),
    "random_state": 0,
    "verbose": 0,
}
classifiers = {}
for name, network in networks.items():
    clf = network(**settings).fit(train.images, train.target)
    classifiers[f"{name} baseline"] = clf
    HistoryDisplay.from_estimator(clf).plot().figure_.suptitle(f"{name} baseline")

# %% [markdown]
# ## Search
#
# Both networks are regularized alike, by weight decay.

# %%
params = {"lr": [1e-3, 3e-3], "batch_size": [64, 128], "optimizer__weight_decay": [0, 1e-4]}
rows = slice(searched_images)
for name, network in networks.items():
    search = GridSearchCV(
        network(max_epochs=searched_epochs, random_state=0), params, cv=3, refit=False
    ).fit(train.images[rows], train.target[rows])
    print(name, search.best_params_, f"{search.best_score_:.4f}")
    clf = network(**settings, **search.best_params_).fit(train.images, train.target)
    classifiers[f"{name} tuned"] = clf

# %% [markdown]
# ## Scores

# %%
probabilities = {name: clf.predict_proba(test.images) for name, clf in classifiers.items()}
classes = np.arange(len(names))
pd.concat(
    {
        name: overall_frame(test.target, probabilities[name], classes)
        for name, clf in classifiers.items()
    }
).droplevel(1).T

# %% [markdown]
# The differences, with 95 % intervals over the same test images.

# %%
compare_classifiers(test.target, probabilities, classes)

# %%
tuned = {name: probabilities[f"{name} tuned"] for name in networks}
pd.concat(
    {
        name: classification_frame(test.target, proba, classes, class_names=names)
        for name, proba in tuned.items()
    },
    axis=1,
)

# %%
for name, proba in tuned.items():
    display = ConfusionMatrixDisplay.from_predictions(
        np.array(names)[test.target],
        np.array(names)[proba.argmax(axis=1)],
        labels=names,
        xticks_rotation=90,
        cmap="Blues",
        colorbar=False,
    )
    display.ax_.set_title(name)

# %% [markdown]
# ## ROC curves, one class against all others

# %%
for name, proba in tuned.items():
    display = RocCurvesDisplay.from_predictions(test.target, proba, classes, class_names=names)
    display.plot(panels=True).figure_.suptitle(name)
    display.plot()

# %% [markdown]
# ## Where they look
#
# Grad-CAM of the predicted class, on the first test image of each class.

# %%
labels, rows = np.unique(test.target, return_index=True)
cams = {name: GradCAM(FrozenEstimator(classifiers[f"{name} tuned"])) for name in networks}
display = HeatmapDisplay.from_estimator(cams, test.images[rows], labels, class_names=names)
_ = display.plot(cmap="jet")
