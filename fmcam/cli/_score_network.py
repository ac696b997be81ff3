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
from fmcam.cli._explanations import OF_NO_NETWORK, make_explainers, title
from fmcam.cli._networks import load_network
from fmcam.cli._score_data import load_parts, read_tables
from fmcam.explain import explain_together, randomized
from fmcam.report import PooledScores, evaluate_localization

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
        rows : as of `evaluate_localization`, its classes by their names, and label. Where some
            labels are no classes, `y` is "", and `probability` that of the predicted class. Each
            method is there with random weights, too.
        pooled : DataFrame of `PooledScores`.
        methods : names of the explainers, those with random weights left out.
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
    fit, test, left_out = load_parts(config, tables, clf.image_shape_, by_label=columns is not None)
    methods = config.method or _METHODS
    explainers = _explainers(clf, methods, config.layer)
    of_network = [name for name in methods if name not in OF_NO_NETWORK]
    chance = _explainers(randomized(clf, random_state=0), of_network, config.layer)
    chance = {f"random weights, {name}": explainer for name, explainer in chance.items()}
    known, predicted = columns is not None, config.explained == "predicted"
    for part in (fit, test):
        part.y = _labels_of(clf, part, columns)
    pooled = PooledScores()
    rows = evaluate_localization(
        explainers | chance,
        fit=_truth(fit),
        test=_truth(test),
        classifier=clf,
        explained="predicted" if known and predicted else "true",
        pooled=pooled,
    )
    explainers = _as_fitted(explainers, rows)
    return Bunch(
        fit=fit,
        test=test,
        left_out=left_out,
        rows=_in_words(rows, test.target, clf, names, known),
        pooled=pooled.frame(),
        methods=list(explainers),
        maps_of=lambda methods, ids: explain_together(
            {name: explainers[name] for name in methods},
            test.images[ids],
            None if predicted else test.y[ids],
        ),
        note=note,
    )


def _explainers(clf, methods, layers):
    """Explainers by what their heatmaps are called."""
    found = make_explainers(clf, methods, layers)
    return {title(*key): explainer for key, explainer in found.items()}


def _truth(part):
    """Images, classes, boxes and, where there are some, masks, as `evaluate_localization` takes."""
    known = part.images, part.y, part.boxes
    return known if part.get("masks") is None else (*known, part.masks)


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


def _labels_of(clf, part, columns):
    """The class of each image: of its label, or where that is none the one that `clf` predicts."""
    if columns is None:
        return clf.predict(part.images)
    return clf.classes_[[columns[label] for label in part.target]]


def _as_fitted(explainers, rows):
    """The explainers, with the alignment that was fitted."""
    align = rows.drop_duplicates("method").set_index("method")["align"]
    return {
        name: one if align[name] is None else copy.copy(one).set_params(align=align[name])
        for name, one in explainers.items()
    }


def _in_words(rows, labels, clf, names, known):
    """Rows with the label of each image and the names of its classes; true ones may be unknown."""
    words, classes = np.array(names, dtype=object), pd.Index(clf.classes_)
    y, predicted = (words[classes.get_indexer(rows[name])] for name in ("y", "predicted"))
    rows = rows.assign(label=labels[rows["id"]], y=y, predicted=predicted)
    return rows if known else rows.assign(y="", correct=np.nan, rank=np.nan)
