"""How well a classifier does on test images: the table of its classes, and its curves."""

import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay

from fmcam.plot import HistoryDisplay, RocCurvesDisplay
from fmcam.report import classification_frame

__all__ = ["write_classification"]


def write_classification(run, y_true, y_proba, classes, names, history):
    """Write per_class.csv, history.csv, and the curves and the confusion as pictures.

    Parameters
    ----------
    run : Run
    y_true : ndarray of shape (n,)
        True labels, all of them in `classes`.
    y_proba : ndarray of shape (n, k)
    classes : array-like of shape (k,)
        The labels of the columns, sorted.
    names : list of k str
        The name of each class.
    history : list of dict
        Of the training, a row an epoch.

    Returns
    -------
    per_class : DataFrame
        What is in per_class.csv, from `fmcam.report.classification_frame`.
    """
    per_class = classification_frame(y_true, y_proba, classes, class_names=names)
    run.write_table("per_class.csv", per_class)
    curves = HistoryDisplay.from_history(history)
    run.write_table("history.csv", curves.frame())
    run.write_figure("history.png", curves)
    roc = RocCurvesDisplay.from_predictions(y_true, y_proba, classes, class_names=names)
    run.write_figure("roc.png", roc)
    named = np.array(names)
    confusion = ConfusionMatrixDisplay.from_predictions(
        named[np.searchsorted(classes, y_true)], named[y_proba.argmax(axis=1)], labels=names
    )
    run.write_figure("confusion.png", confusion, xticks_rotation=45, cmap="Blues", colorbar=False)
    return per_class
