"""Honest numbers about classifiers, with intervals, as tidy DataFrames.

Probabilities `y_proba` are of shape (n, k), n images by k classes, and their columns follow
`classes`, the k labels in sorted order, as in `clf.classes_`.
"""

from ._classification import calibration_error, classification_frame, overall_frame
from ._compare import compare_classifiers, compare_per_class
from ._csv import write_csv
from ._paired import BootstrapDifference, McNemarTest, bootstrap_difference, mcnemar_test
from ._rates import wilson_interval

__all__ = [
    "BootstrapDifference",
    "McNemarTest",
    "bootstrap_difference",
    "calibration_error",
    "classification_frame",
    "compare_classifiers",
    "compare_per_class",
    "mcnemar_test",
    "overall_frame",
    "wilson_interval",
    "write_csv",
]
