"""Pictures of results, as displays in scikit-learn's manner.

A display is made by `from_estimator`, which predicts, or by `from_predictions`, `from_results`,
`from_history`, `from_frame`, `from_rows` or `from_heatmaps`, which start from numbers; `plot` draws
it and `frame` returns the numbers of the picture. For a confusion matrix use
`sklearn.metrics.ConfusionMatrixDisplay`.
"""

from ._comparison import ComparisonDisplay
from ._heatmaps import HeatmapDisplay
from ._history import HistoryDisplay
from ._localization import LocalizationCurveDisplay
from ._roc import RocCurvesDisplay
from ._search import SearchDisplay

__all__ = [
    "ComparisonDisplay",
    "HeatmapDisplay",
    "HistoryDisplay",
    "LocalizationCurveDisplay",
    "RocCurvesDisplay",
    "SearchDisplay",
]
