"""Train CNN image classifiers as scikit-learn estimators and show where they look."""

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

try:
    __version__ = version(__name__)
except PackageNotFoundError:  # a checkout that is on the path and was never installed
    __version__ = "0.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
