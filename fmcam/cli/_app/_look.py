"""Where a network looks in one photograph: heatmaps that are kept while a threshold changes."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from fmcam.cli._app._networks import Network
from fmcam.cli._drawing import n_panels, panels
from fmcam.cli._explanations import OF_NO_NETWORK, make_explainers, title
from fmcam.cli._gallery import blended
from fmcam.cli._pictures import Picture, read_files
from fmcam.explain import explain_together
from fmcam.localize import boxes_from_heatmaps
from fmcam.plot import HeatmapDisplay

__all__ = [
    "DPI",
    "Heatmap",
    "Look",
    "box_and_area",
    "display",
    "look",
    "panel",
    "table",
    "write_figure",
]

PANEL = 448  # pixels, about
DPI = 120  # of the picture to keep
PREDICTED = "#56B4E9"  # as in HeatmapDisplay


class Heatmap(NamedTuple):
    """One map of a photograph, and what made it.

    Attributes
    ----------
    title : str
    method : str
        One of `fmcam.explain.list_explainers`.
    layer : str
        Names of the layers that it looks at, with commas; empty where it looks at none.
    weights : {"trained", "random"}
    explainer : explainer
    values : ndarray of shape (h, w), in [0, 1]
    """

    title: str
    method: str
    layer: str
    weights: str
    explainer: object
    values: np.ndarray


@dataclass(frozen=True)
class Look:
    """What a network says about a photograph.

    Attributes
    ----------
    network : Network
    picture : Picture
    proba : ndarray of shape (k,)
    column : int
        The class that is explained, by its position.
    heatmaps : list of Heatmap
        In the order of the methods and layers, random weights behind the trained ones.
    refused : dict of str to str
        What the network cannot do, by the title that the heatmap would have, and why.
    """

    network: Network
    picture: Picture
    proba: np.ndarray
    column: int
    heatmaps: list[Heatmap]
    refused: dict[str, str]


def look(network, path, methods, layers=(), column=None, random=False):
    """Explain a photograph by several methods; one that fails does not stop the others.

    Parameters
    ----------
    network : Network
    path : path
        The file of the photograph.
    methods, layers : sequence of str
        As for `make_explainers`.
    column : int, optional
        The position of the class to explain; by default that of the likeliest one.
    random : bool, default=False
        Whether to explain the network with random weights, too, where the method has a network.

    Returns
    -------
    Look

    Raises
    ------
    ValueError
        If the file is no picture; the message names it without its folder.
    """
    clf = network.clf
    picture = _read(path, clf.image_shape_, network.fit)
    images = picture.image[None]
    proba = clf.predict_proba(images)[0]
    column = int(proba.argmax()) if column is None else column
    y = clf.classes_[[column]]
    trained, refused = _heatmaps(make_explainers(clf, methods, layers), images, y, "trained")
    others = {}
    if random:
        twins = {
            key: _twin(one.explainer, network.random, images)
            for key, one in trained.items()
            if one.method not in OF_NO_NETWORK
        }
        others, refused_then = _heatmaps(twins, images, y, "random")
        refused |= refused_then
    pairs = [(one, others.get(key)) for key, one in trained.items()]
    heatmaps = [one for pair in pairs for one in pair if one is not None]
    return Look(network, picture, proba, column, heatmaps, refused)


def _read(path, image_shape, fit):
    try:
        (picture,) = read_files([path], image_shape, fit)
    except ValueError as error:
        said = str(error).removeprefix(str(path))
        raise ValueError(f"{Path(path).name}{said}") from error
    return picture._replace(file=Path(path).name)


def _heatmaps(explainers, images, y, weights):
    """The heatmaps of one image by the keys of the explainers, and by their titles who failed."""
    titles = {key: title(*key) for key in explainers}
    if weights == "random":
        titles = {key: f"{name}, random weights" for key, name in titles.items()}
    maps, refused = _explain(explainers, images, y)
    found = {
        key: Heatmap(
            titles[key],
            key[0],
            ", ".join(_layers_of(explainers[key], images)),
            weights,
            explainers[key],
            values,
        )
        for key, values in maps.items()
    }
    return found, {titles[key]: message for key, message in refused.items()}


def _explain(explainers, images, y):
    """The map of each explainer, of shape (h, w), and what those said that failed."""
    if not explainers:
        return {}, {}
    try:
        maps = explain_together(explainers, images, y)
        return {key: one[0] for key, one in maps.items()}, {}
    except ValueError as error:
        if len(explainers) == 1:
            return {}, dict.fromkeys(explainers, str(error))
    found: dict = {}
    refused: dict[tuple, str] = {}
    for key, explainer in explainers.items():
        one, said = _explain({key: explainer}, images, y)
        found, refused = found | one, refused | said
    return found, refused


def _layers_of(explainer, images):
    clf = explainer.classifier_
    return [*explainer.layers_for(clf, torch.as_tensor(images, device=clf.device))]


def _twin(explainer, clf, images):
    """The same explainer of another classifier, at the layer that it found in its own."""
    layers = _layers_of(explainer, images)
    at_layer = {"layer": layers[0]} if len(layers) == 1 and hasattr(explainer, "layer") else {}
    return clone(explainer).set_params(estimator=FrozenEstimator(clf), **at_layer)


def box_and_area(heatmap, threshold):
    """The box around the hottest region, and the part of the picture that is hot.

    Parameters
    ----------
    heatmap : Heatmap
    threshold : float in [0, 1]

    Returns
    -------
    box : ndarray of shape (4,)
        x0, y0, x1, y1 in half-open pixels of the heatmap; NaN where nothing is hot.
    area : float
        In [0, 1]: of all pixels, those that are above 0 and at least `threshold`.
    """
    values = heatmap.values
    hot = (values >= threshold) & (values > 0)
    return boxes_from_heatmaps(values[None], threshold)[0], float(hot.mean())


def table(seen, threshold):
    """The numbers as a DataFrame, a row a heatmap; boxes are in pixels of the upright photograph.

    Parameters
    ----------
    seen : Look
    threshold : float in [0, 1]
    """
    rows = []
    for heatmap in seen.heatmaps:
        box, area = box_and_area(heatmap, threshold)
        corners = seen.picture.placement.boxes_in_original(box[None])[0].round(1)
        rows.append(
            {
                "photograph": seen.picture.file,
                "method": heatmap.method,
                "layer": heatmap.layer,
                "weights": heatmap.weights,
                "class": seen.network.names[seen.column],
                "probability": round(float(seen.proba[seen.column]), 6),
                "threshold": threshold,
                **dict(zip(("x0", "y0", "x1", "y1"), corners, strict=True)),
                "area": round(area, 6),
            }
        )
    return pd.DataFrame(rows)


def panel(seen, heatmap=None, threshold=0.5):
    """The photograph as the network sees it, under a heatmap and its box where one is given.

    Parameters
    ----------
    seen : Look
    heatmap : Heatmap, optional
    threshold : float in [0, 1]

    Returns
    -------
    PIL.Image.Image
        Enlarged by a whole number.
    """
    image = seen.picture.image
    times = max(1, round(PANEL / image.shape[-1]))
    size = (image.shape[-1] * times,) * 2
    channels = [Image.fromarray(one).resize(size, Image.Resampling.BICUBIC) for one in image]
    large = np.stack([np.asarray(one) for one in channels])
    if heatmap is None:
        return Image.fromarray(np.broadcast_to(large.transpose(1, 2, 0), (*size, 3)).copy())
    values = Image.fromarray(heatmap.values).resize(size, Image.Resampling.BILINEAR)
    box, _ = box_and_area(heatmap, threshold)
    return blended(large, np.asarray(values), box * times, PREDICTED)


def display(seen, threshold):
    """The picture to keep, as the library draws it.

    Parameters
    ----------
    seen : Look
    threshold : float in [0, 1]

    Returns
    -------
    HeatmapDisplay
    """
    likeliest = int(seen.proba.argmax())
    return HeatmapDisplay.from_heatmaps(
        seen.picture.image[None],
        {heatmap.title: heatmap.values[None] for heatmap in seen.heatmaps},
        y_pred=[seen.network.names[likeliest]],
        probability=[seen.proba[likeliest]],
        boxes_pred={
            heatmap.title: [box_and_area(heatmap, threshold)[0]] for heatmap in seen.heatmaps
        },
        title=f"heatmap of {seen.network.names[seen.column]}",
    )


def write_figure(seen, threshold, file):
    """Draw :func:`display` in rows of panels, and write it as PNG to a path or an open file."""
    figure, axes = panels(n_panels(seen.heatmaps))
    display(seen, threshold).plot(ax=axes)
    figure.savefig(file, dpi=DPI, bbox_inches="tight")
    plt.close(figure)
