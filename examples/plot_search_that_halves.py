"""
A search that halves
====================

All candidates train for a few epochs, the best third trains on, and so on: most of the time goes
into what looks good. A survivor goes on from its state, not anew.
"""

# %%
import pandas as pd

from fmcam.classifiers import LeNet5Classifier, OneCycle
from fmcam.datasets import make_fashion_shapes
from fmcam.model_selection import HalvingGridSearchCV

shapes = make_fashion_shapes(450, random_state=0)
clf = LeNet5Classifier(max_epochs=9, callbacks=[OneCycle()], random_state=0, verbose=0)
grid = {"lr": [0.001, 0.003, 0.01], "batch_size": [16, 32, 64]}
search = HalvingGridSearchCV(clf, grid, cv=3).fit(shapes.images, shapes.target)
print("epochs", search.n_resources_, "candidates", search.n_candidates_)
print(search.best_params_)

# %%
# Each candidate in each rung: how many epochs it had, and its score. Halving finds the best one if
# early ranks are like late ones, which is for you to know.

table = pd.DataFrame(search.cv_results_)
columns = ["iter", "n_resources", "param_lr", "param_batch_size", "mean_test_score"]
table[columns].round(3)
