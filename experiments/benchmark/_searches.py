"""The two searches that are timed, and how far their scores agree."""

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from sklearn import model_selection
from sklearn.model_selection import StratifiedKFold
from skorch import NeuralNetClassifier
from torch import nn

from experiments.benchmark._settings import NETS as NAMES
from fmcam.classifiers import CNNClassifier
from fmcam.model_selection import GridSearchCV
from fmcam.models import LeNet5, SimpleCNN

__all__ = [
    "GRID",
    "NETS",
    "agreement",
    "our_classifier",
    "our_search",
    "plain_classifier",
    "plain_search",
    "standardized",
]


class TwoBlocks(nn.Sequential):
    """A wider network than ours: 16 and 32 filters of 3x3, 128 units; 206,922 parameters."""

    def __init__(self):
        super().__init__(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10)),
        )


NETS = dict(zip(NAMES, (SimpleCNN, LeNet5, TwoBlocks), strict=True))
GRID = {
    "lr": [0.003, 0.01, 0.03],
    "batch_size": [32, 64, 128],
    "optimizer__weight_decay": [1e-4, 5e-4, 1e-3],
}


def plain_classifier(net, *, epochs, device="cpu", **params):
    """Plain skorch, not fitted."""
    return NeuralNetClassifier(
        net,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=None,
        device=device,
        verbose=0,
        **params,
    )


def our_classifier(net, *, epochs, device="cpu", **params):
    """The same as a classifier of fmcam, not fitted."""
    return CNNClassifier(
        net,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        max_epochs=epochs,
        device=device,
        random_state=0,
        **params,
    )


def plain_search(net, X, y, grid, *, epochs, n_jobs=None, device="cpu", seed=0):
    """Scikit-learn's search over plain skorch."""
    torch.manual_seed(seed)
    clf = plain_classifier(net, epochs=epochs, device=device)
    return model_selection.GridSearchCV(clf, grid, cv=_folds(), refit=False, n_jobs=n_jobs).fit(
        X, y
    )


def our_search(net, X, y, grid, *, epochs, cv=None, precision="float32", device="cpu", **options):
    """Our search over our classifier."""
    clf = our_classifier(net, epochs=epochs, device=device, precision=precision)
    return GridSearchCV(clf, grid, cv=cv or _folds(), refit=False, **options).fit(X, y)


def _folds():
    """The same three folds for all."""
    return StratifiedKFold(3, shuffle=True, random_state=0)


def standardized(X):
    """Images as float32 with mean 0 and standard deviation 1, as the rival gets them."""
    return ((X - X.mean()) / X.std()).astype(np.float32)


def agreement(found, another_seed):
    """How far the scores of the searches agree, beside the rival with another seed."""
    reference = found["scikit-learn + skorch"]
    rows = []
    for name, search in {**found, "rival, another seed": another_seed}.items():
        mine, theirs = (s.cv_results_["mean_test_score"] for s in (search, reference))
        rows.append(
            {
                "search": name,
                "best": search.best_params_,
                "rank_correlation": spearmanr(mine, theirs).statistic,
                "largest_difference": np.abs(mine - theirs).max(),
                "mean_difference": (mine - theirs).mean(),
            }
        )
    return pd.DataFrame(rows)
