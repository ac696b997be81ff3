"""Pictures of results, as displays in scikit-learn's manner.

A display is made by `from_estimator`, which predicts, or by `from_predictions`, `from_results`,
`from_history`, `from_frame`, `from_rows` or `from_heatmaps`, which start from numbers; `plot` draws
it and `frame` returns the numbers of the picture. For a confusion matrix use
`sklearn.metrics.ConfusionMatrixDisplay`.
"""

from fmcam.plot._comparison import ComparisonDisplay
from fmcam.plot._heatmaps import HeatmapDisplay
from fmcam.plot._history import HistoryDisplay
from fmcam.plot._localization import LocalizationCurveDisplay
from fmcam.plot._roc import RocCurvesDisplay
from fmcam.plot._search import SearchDisplay

__all__ = [
    "ComparisonDisplay",
    "HeatmapDisplay",
    "HistoryDisplay",
    "LocalizationCurveDisplay",
    "RocCurvesDisplay",
    "SearchDisplay",
]
