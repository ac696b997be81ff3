"""The heatmaps of a network, scored on somebody's photographs and boxes."""

import copy

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from fmcam._text import printable
from fmcam.cli._class_names import (
    classes_of_labels,
    names_of_outputs,
    read_class_names,
    unknown_labels,
)
from fmcam.cli._explanations import make_explainers, title
from fmcam.cli._networks import load_network
from fmcam.cli._score_data import load_parts, read_tables
from fmcam.explain import explain_together
from fmcam.report import evaluate_localization

__all__ = ["score_network"]

_METHODS = ("grad-cam",)


def score_network(config, model, arch):
    """The images, and how well a network's heatmaps localize them.

    Parameters
    ----------
    config : Config
    model, arch
        As for `load_network`.

    Returns
    -------
    Bunch
        fit, test, left_out : as of `load_parts`.
        rows : as of `evaluate_localization`, its classes by their names; label; explained and
            explained_probability, the class of the heatmaps.
        methods : names of the explainers.
        maps_of : function of names of methods and of ids, gives the heatmaps by method.
        note : what is not told of the classes, or nothing.

    Raises
    ------
    ImportError, OSError, ValueError
        If files, boxes, network or labels are not what they must be.
    """
    tables = read_tables(config)
    clf = load_network(model, arch, config.image_size)
    names = names_of_outputs(clf, {}, read_class_names(config.class_names))
    columns, note = _columns_of_labels(tables, names, config.explained or "true")
    fit, test, left_out = load_parts(config, tables, clf.image_shape_, by_label=bool(columns))
    explainers = {
        title(*key): explainer
        for key, explainer in make_explainers(clf, config.method or _METHODS, config.layer).items()
    }
    for part in (fit, test):
        part.explained = _explained(clf, part, columns, config.explained)
    rows = evaluate_localization(
        explainers,
        fit=(fit.images, fit.explained, fit.boxes),
        test=(test.images, test.explained, test.boxes),
        classifier=clf,
    )
    explainers = _as_fitted(explainers, rows)
    return Bunch(
        fit=fit,
        test=test,
        left_out=left_out,
        rows=_in_words(rows, test.target, clf, names, columns),
        methods=list(explainers),
        maps_of=lambda methods, ids: explain_together(
            {name: explainers[name] for name in methods}, test.images[ids], test.explained[ids]
        ),
        note=note,
    )


def _columns_of_labels(tables, names, explained):
    """The position of the class of each label; None where some are no classes, which is told."""
    labels = pd.concat(tables)["label"].dropna().map(printable).unique()
    found = classes_of_labels(labels, names)
    unknown = unknown_labels(found, names) if found else "The boxes have no labels."
    if not unknown:
        return found, _note_of_numbers(found, names)
    if explained == "predicted":
        return None, f"{unknown} So whether the network is right is not told."
    raise ValueError(
        f"{unknown} Label boxes as the network calls its classes (--class-names says how), or "
        "score the heatmaps of the class that it predicts: --explained predicted."
    )


def _note_of_numbers(found, names):
    label, column = next(iter(found.items()))
    if label.isdecimal() and label != names[column]:
        return f"Labels are numbers of classes, counted from 0: {label} is {names[column]}."
    return ""


def _explained(clf, part, columns, explained):
    """The label of `clf` whose heatmap of each image is scored."""
    if explained == "predicted":
        return clf.predict(part.images)
    return clf.classes_[[columns[label] for label in part.target]]


def _as_fitted(explainers, rows):
    """The explainers, with the alignment that was fitted."""
    align = rows.drop_duplicates("method").set_index("method")["align"]
    return {
        name: one if align[name] is None else copy.copy(one).set_params(align=align[name])
        for name, one in explainers.items()
    }


def _in_words(rows, labels, clf, names, columns):
    """Rows that say label, true, predicted and explained class of each image."""
    words, known = np.array(names, dtype=object), columns is not None
    explained, predicted = (
        pd.Index(clf.classes_).get_indexer(rows[name]) for name in ("y", "predicted")
    )
    label = labels[rows["id"]]
    true = np.array([columns[one] for one in label]) if known else predicted
    correct = true == predicted
    wrong = ~correct & rows["iou"].notna()
    return rows.assign(
        label=label,
        y=words[true] if known else "",
        predicted=words[predicted],
        correct=correct if known else np.nan,
        explained=words[explained],
        explained_probability=rows["probability"],
        error_type=rows["error_type"].mask(wrong, "wrong class"),
    ).drop(columns="probability")
