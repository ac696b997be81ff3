"""Pictures of results, as displays in scikit-learn's manner.

A display is made by `from_estimator`, which predicts, or by `from_predictions`, `from_results`,
`from_history` or `from_frame`, which start from numbers; `plot` draws it and `frame` returns the
numbers of the picture. For a confusion matrix use `sklearn.metrics.ConfusionMatrixDisplay`.
"""

from ._comparison import ComparisonDisplay
from ._history import HistoryDisplay
from ._roc import RocCurvesDisplay
from ._search import SearchDisplay

__all__ = ["ComparisonDisplay", "HistoryDisplay", "RocCurvesDisplay", "SearchDisplay"]
