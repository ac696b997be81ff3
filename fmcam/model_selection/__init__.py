"""Search for the best parameters, faster and resumable, and train many networks at once."""

from fmcam.model_selection._grid_search import GridSearchCV
from fmcam.model_selection._many import StackedEnsembleClassifier, fit_many

__all__ = ["GridSearchCV", "StackedEnsembleClassifier", "fit_many"]
