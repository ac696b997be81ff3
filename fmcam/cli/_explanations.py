"""What explainers say about pictures, in numbers."""

import inspect

import numpy as np
import pandas as pd
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch

from fmcam.explain import EdgeMap, explain_together, get_explainer
from fmcam.localize import boxes_from_heatmaps
from fmcam.metrics import paired_box_iou
from fmcam.report import layer_frame

__all__ = [
    "OF_NO_NETWORK",
    "explain",
    "layer_table",
    "likeliest",
    "make_explainers",
    "record",
    "title",
    "top_classes",
]

BATCH = 32
TOP = 5
OF_NO_NETWORK = ("center-map", "edge-map", "foreground-map", "random-map")


def make_explainers(clf, methods, layers, target="logit"):
    """Explainers by method and layer; the layer is None where none is asked for or taken.

    Raises
    ------
    ValueError
        For another target than the logit of a class, and a method that takes none.
    """
    explainers = {}
    for method in methods:
        kind = get_explainer(method)
        taken = inspect.signature(kind).parameters
        fixed = {"random_state": 0} if "random_state" in taken else {}
        if target != "logit":
            if "target" not in taken:
                raise ValueError(f"{method} has no class that it could explain --against another.")
            fixed["target"] = target
        for layer in layers if layers and "layer" in taken else [None]:
            chosen = fixed if layer is None else {**fixed, "layer": layer}
            explainers[method, layer] = kind(FrozenEstimator(clf), batch_size=BATCH, **chosen)
    return explainers


def title(method, layer):
    """What a heatmap is called."""
    return method if layer is None else f"{method} {layer}"


def explain(clf, explainers, images, column, threshold):
    """What a network and its explainers say about some images.

    Parameters
    ----------
    clf : CNNClassifier
    explainers : dict
        As :func:`make_explainers` gives them.
    images : ndarray of shape (n, c, h, w)
    column : int or None
        The class to explain, by its position; None: the predicted one of each image.
    threshold : float in (0, 1]

    Returns
    -------
    Bunch
        proba : (n, k); columns : (n,), the classes explained; edges : (n, h, w) of the images; and
        dicts with the keys of `explainers`: maps (n, h, w), boxes (n, 4) in half-open pixels of the
        images, layers, the layouts of those looked at by name, and of guided methods attributions
        (n, c, h, w).
    """
    y = None if column is None else np.full(len(images), clf.classes_[column])
    maps, proba = explain_together(explainers, images, y, return_proba=True)
    columns = proba.argmax(axis=1) if column is None else np.full(len(images), column)
    y = clf.classes_[columns]
    first = torch.as_tensor(images[:1], device=clf.device)
    return Bunch(
        proba=proba,
        columns=columns,
        edges=EdgeMap(FrozenEstimator(clf)).explain(images, y),  # of given classes: no forward
        maps=maps,
        boxes={key: boxes_from_heatmaps(found, threshold) for key, found in maps.items()},
        layers={key: explainer.layers_for(clf, first) for key, explainer in explainers.items()},
        attributions={
            key: explainer.attribute(images, y)
            for key, explainer in explainers.items()
            if hasattr(explainer, "attribute")
        },
    )


def layer_table(found, methods, layers, boxes_true):
    """A row a method and layer: sizes, energy where boxes are known, likeness to the last layer.

    Parameters
    ----------
    found : Bunch
        Of :func:`explain`.
    methods, layers : sequence of str
        As for :func:`make_explainers`.
    boxes_true : ndarray of shape (n, 4)
        In pixels of the images; NaN where they are not known.

    Returns
    -------
    DataFrame or None
        None where no method was asked for several layers.
    """
    frames = {}
    boxes = None if np.isnan(boxes_true).all() else boxes_true
    for method in methods if layers and len(layers) > 1 else ():
        maps = {
            layer: found.maps[method, layer] for layer in layers if (method, layer) in found.maps
        }
        if maps:
            sizes = {layer: found.layers[method, layer][layer].size for layer in maps}
            frames[method] = layer_frame(maps, sizes=sizes, boxes=boxes)
    return pd.concat(frames, names=["method"]) if frames else None


def top_classes(proba, names):
    """The likeliest classes of an image and their probabilities, the likeliest first."""
    return [(names[column], float(proba[column])) for column in likeliest(proba)]


def likeliest(proba):
    """Positions of the likeliest classes of an image, list of int."""
    return np.argsort(-proba, kind="stable")[:TOP].tolist()


def record(picture, row, key, found, names, threshold):
    """The numbers about one picture and explainer, as JSON has them; what is unknown is None.

    Boxes are in half-open pixels of the upright original.
    """
    top = top_classes(found.proba[row], names)
    column, box = found.columns[row], found.boxes[key][row]
    iou = paired_box_iou([picture.box_true], [box]).item()
    return {
        "file": picture.file,
        "width": picture.placement.width,
        "height": picture.placement.height,
        "true": picture.y_true,
        "predicted": top[0][0],
        "probability": top[0][1],
        "top": [{"class": name, "probability": probability} for name, probability in top],
        "explained": names[column],
        "explained_probability": float(found.proba[row, column]),
        "method": key[0],
        "layer": ", ".join(found.layers[key]) or None,
        "threshold": threshold,
        "box": _corners(picture, box),
        "box_true": _corners(picture, picture.box_true),
        "iou": None if np.isnan(iou) else iou,
    }


def _corners(picture, box):
    return (
        None if np.isnan(box).any() else picture.placement.boxes_in_original(box[None])[0].tolist()
    )
