"""Pictures of results, as displays in scikit-learn's manner.

A display is made by `from_estimator`, which predicts, or by `from_predictions`, `from_results`,
`from_history`, `from_frame`, `from_rows`, `from_heatmaps` or `from_attributions`, which start from
numbers; `plot` draws it and `frame` returns the numbers of the picture. For a confusion matrix use
`sklearn.metrics.ConfusionMatrixDisplay`.
"""

from fmcam.plot._attributions import AttributionDisplay, process_attributions
from fmcam.plot._comparison import ComparisonDisplay
from fmcam.plot._edges import canny_edges
from fmcam.plot._heatmaps import HeatmapDisplay
from fmcam.plot._history import HistoryDisplay
from fmcam.plot._likeliest import LikeliestClassesDisplay
from fmcam.plot._localization import LocalizationCurveDisplay
from fmcam.plot._roc import RocCurvesDisplay
from fmcam.plot._search import SearchDisplay

__all__ = [
    "AttributionDisplay",
    "ComparisonDisplay",
    "HeatmapDisplay",
    "HistoryDisplay",
    "LikeliestClassesDisplay",
    "LocalizationCurveDisplay",
    "RocCurvesDisplay",
    "SearchDisplay",
    "canny_edges",
    "process_attributions",
]
