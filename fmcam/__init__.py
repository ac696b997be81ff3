"""Train CNN image classifiers as scikit-learn estimators and show where they look."""

__version__ = "0.1.0"

__all__ = ["__version__"]
