"""Honest numbers about classifiers and their heatmaps, with intervals, as tidy DataFrames.

Probabilities `y_proba` are of shape (n, k), n images by k classes, and their columns follow
`classes`, the k labels in sorted order, as in `clf.classes_`.
"""

from fmcam.report._box_error_types import localization_error_types
from fmcam.report._classification import calibration_error, classification_frame, overall_frame
from fmcam.report._compare import compare_classifiers, compare_per_class
from fmcam.report._csv import write_csv
from fmcam.report._evaluate import evaluate_localization
from fmcam.report._layers import layer_frame
from fmcam.report._localization import localization_frame
from fmcam.report._paired import (
    BootstrapDifference,
    McNemarTest,
    bootstrap_difference,
    mcnemar_test,
)
from fmcam.report._pooled import PooledScores
from fmcam.report._summary import summarize
from fmcam.report._wilson import wilson_interval

__all__ = [
    "BootstrapDifference",
    "McNemarTest",
    "PooledScores",
    "bootstrap_difference",
    "calibration_error",
    "classification_frame",
    "compare_classifiers",
    "compare_per_class",
    "evaluate_localization",
    "layer_frame",
    "localization_error_types",
    "localization_frame",
    "mcnemar_test",
    "overall_frame",
    "summarize",
    "wilson_interval",
    "write_csv",
]
