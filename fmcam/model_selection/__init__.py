"""Search for the best parameters, faster and resumable, and train many networks at once."""

from fmcam._ensemble.seeds import StackedEnsembleClassifier, fit_many
from fmcam.model_selection._grid_search import GridSearchCV

__all__ = ["GridSearchCV", "StackedEnsembleClassifier", "fit_many"]
