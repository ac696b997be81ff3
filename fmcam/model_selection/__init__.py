"""Search for the best parameters, faster and resumable, and train many networks at once."""

from fmcam._ensemble.seeds import SeedEnsembleClassifier, fit_many
from fmcam.model_selection._grid_search import GridSearchCV
from fmcam.model_selection._halving import HalvingGridSearchCV, HalvingRandomSearchCV

__all__ = [
    "GridSearchCV",
    "HalvingGridSearchCV",
    "HalvingRandomSearchCV",
    "SeedEnsembleClassifier",
    "fit_many",
]
