"""Search for the best parameters, faster and resumable."""

from fmcam.model_selection._grid_search import GridSearchCV

__all__ = ["GridSearchCV"]
