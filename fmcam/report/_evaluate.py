"""The whole procedure: fit what turns maps into boxes on some images, score others."""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fmcam._overlap import mask_iou
from fmcam._per_image import average_images
from fmcam._regions import THRESHOLDS
from fmcam.localize import HeatmapToBox
from fmcam.report._evaluated import (
    check_apart,
    check_choices,
    check_explainers,
    one_classifier,
    read_images,
)
from fmcam.report._localization import check_maps, frame_of_checked
from fmcam.report._pooled import PooledScores

_ORACLE = "resolution oracle"
_CHANCE = ("centre box", "constant box", "full frame")
_REFERENCES = (*_CHANCE, _ORACLE)
_BYTES_AT_ONCE = 2**29  # of heatmaps in memory


def evaluate_localization(
    explainers: Mapping[str, Any],
    *,
    fit: tuple[Any, ...],
    test: tuple[Any, ...],
    classifier: Any = None,
    explained: str = "true",
    threshold: float | str = "fit",
    region: str = "fit",
    align: bool | str = "fit",
    pooled: PooledScores | None = None,
    full_output: bool = False,
) -> Any:
    r"""Return how well explainers localize a class, fitted on some images, scored on others.

    What turns the heatmaps of a method into boxes, the threshold :math:`\tau`, the kind of region
    :math:`r` and whether cells are drawn at their geometric centres :math:`a`, is what fits
    the true boxes :math:`T_i` of the `fit` images best:

    .. math:: \hat\tau, \hat r, \hat a = \operatorname{argmax}_{\tau, r, a} \frac{1}{n} \sum_{i=1}^n
              \mathrm{IoU}\bigl(T_i, \mathrm{box}_{\tau, r}(M_i^a)\bigr)

    Nothing is chosen on the `test` images. Beside the explainers four references are scored in the
    same way: the box in the centre that fits the `fit` images best, the best that a search finds
    anywhere, the whole image, and the best that the resolution of a layer allows. The class that is
    explained is the true one, whatever the classifier predicts, as in GT-known localization, or the
    predicted one; whether the prediction is right stands in the row, so Top-1 localization can be
    read off the same rows.

    Parameters
    ----------
    explainers : mapping of str to explainer of `fmcam.explain`
        By the name of the method. Those of one classifier share its forward passes.
    fit, test : tuple (X, y, boxes) or (X, y, boxes, masks)
        X : array-like of shape (n, c, h, w), (n, h, w) or (n, c * h * w)
            Images. They are explained part by part, so their heatmaps need not fit in memory.
        y : array-like of shape (n,)
            True labels.
        boxes : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes of shape (k, 4)
            True boxes x0, y0, x1, y1 in half-open pixels; NaN where an image has none. Images of
            `fit` without a box are left out.
        masks : array-like of shape (n, h, w), with both or with neither
            0 is background, 1 the object, 255 ignored.
    classifier : classifier with `predict_proba` and `classes_`, optional
        Whose predictions stand in the rows. Needed where the explainers are not all of one
        classifier, such as those of `fmcam.explain.randomized` beside those of the trained one.
    explained : {"true", "predicted"}, default="true"
        The class whose heatmaps are made: that of `y`, or the one that `classifier` predicts.
    threshold : "fit" or float in [0, 1], default="fit"
        Where maps are cut for boxes and masks, "fit": at the one of 49 that fits best.
    region : {"fit", "largest", "all"}, default="fit"
        What boxes go around, as in `fmcam.localize.HeatmapToBox`.
    align : "fit" or None, default="fit"
        "fit": draw the cells of each explainer that has an `align` in both ways on the `fit`
        images, and keep the better one, its own of equals. None: each as it is, as it must be where
        neither `threshold` nor `region` is fitted.
    pooled : PooledScores, optional
        Takes the heatmaps of the test images, all methods, for the scores of all together:
        MaxBoxAccV2, and with masks PxAP and peak IoU.
    full_output : bool, default=False
        Return the fitted transformers and the heatmaps of the test images, too.

    Returns
    -------
    rows : DataFrame of n rows a method
        As `localization_frame` returns them for the test images, and

        region, align
            What a box goes around, and whether cells are drawn at their geometric centres; None for
            a method without cells.
        mask_threshold, mask_iou
            Only with masks: `threshold`, or the one whose masks have the highest mean IoU on the
            `fit` images, and the IoU there is with it, see `fmcam.metrics.mask_iou_score`.

        The methods are the explainers and four references: "centre box", "constant box" and "full
        frame", see `fmcam.explain.chance_heatmaps`, fitted to the boxes of `fit`, and "resolution
        oracle", see `fmcam.explain.oracle_heatmaps`, for the layer of the first explainer that has
        cells, if there is one. It knows the masks, or where there are none the boxes.
    to_boxes : dict of str to HeatmapToBox
        Only with `full_output`: those that were fitted, by the name of the method.
    heatmaps : dict of str to ndarray of shape (n, h, w), float32
        Only with `full_output`: of the test images.

    Raises
    ------
    ValueError
        If images are among `fit` and `test` both, no image of `fit` has a box, explainers are of
        several classifiers and `classifier` is not given, a method is called like a reference, an
        option or a label is unknown, masks are given for one part only, or images, labels, boxes
        and masks do not fit together.
    TypeError
        If an explainer or `pooled` is none.

    See Also
    --------
    summarize : One row a method from these rows, with intervals.
    localization_frame : The rows for heatmaps made elsewhere.

    Notes
    -----
    Images of `test` that are in `fit`, pixel by pixel, are refused, as their scores would not be
    those of new images. Neither should they be among those that the classifier was trained on.

    Examples
    --------
    >>> from fmcam.classifiers import CNNClassifier
    >>> from fmcam.datasets import make_fashion_shapes
    >>> from fmcam.explain import CAM, LayerCAM
    >>> from fmcam.models import CNN_CAM
    >>> from fmcam.report import evaluate_localization, summarize
    >>> shapes, others = (make_fashion_shapes(20, random_state=seed) for seed in (0, 1))
    >>> net = CNN_CAM()
    >>> rows = evaluate_localization(
    ...     {"CAM": CAM(net), "LayerCAM": LayerCAM(net)},
    ...     fit=(shapes.images, shapes.target, shapes.boxes),
    ...     test=(others.images, others.target, others.boxes),
    ... )
    >>> summary = summarize(rows, reference="centre box")
    >>> summary.index.tolist()
    ['CAM', 'LayerCAM', 'centre box', 'constant box', 'full frame', 'resolution oracle']
    >>> bool(summary.loc["resolution oracle", "mean_iou"] > summary.loc["full frame", "mean_iou"])
    True
    """
    check_explainers(explainers, _REFERENCES)
    choices = {"explained": explained, "threshold": threshold, "region": region, "align": align}
    check_choices(**choices, pooled=pooled)
    clf = one_classifier(explainers) if classifier is None else classifier
    known, unseen = read_images("fit", fit, clf).with_boxes(), read_images("test", test, clf)
    check_apart(known, unseen)
    if explained == "predicted":
        known, unseen = (part._replace(explained=clf.predict(part.X)) for part in (known, unseen))
    candidates = _Candidates(explainers, align, known.truth["boxes"])
    methods = _fit(candidates, known, threshold, region)
    y_proba, frames, maps = clf.predict_proba(unseen.X), [], []
    candidates.keep(methods)
    for rows, part in unseen.parts(candidates.images_at_once(unseen.size)):
        found = {name: of_method for (name, _), of_method in candidates.maps_of(part).items()}
        frame = _score(methods, found, part, y_proba[rows], clf.classes_)
        frames.append(frame.assign(id=frame["id"] + rows.start))
        if pooled is not None:
            pooled.update(found, **part.truth)
        if full_output:
            maps.append(found)
    scored = pd.concat(frames, ignore_index=True)
    if not full_output:
        return scored
    to_boxes = {name: method.to_box for name, method in methods.items()}
    return (
        scored,
        to_boxes,
        {name: np.concatenate([part[name] for part in maps]) for name in methods},
    )


class _Candidates:
    """Ways to make heatmaps, by the name of the method and by whether its cells are aligned."""

    def __init__(self, explainers, align, boxes):
        self._boxes = boxes  # that those of chance are fitted to
        self._chance: dict[tuple, dict] = {}  # their maps by the size of the image
        self._explainers = {
            (name, way): one for name in explainers for way, one in _ways(explainers[name], align)
        }
        with_cells = (name for name, way in self._explainers if way is not None)
        name = next(with_cells, None)
        self._oracles = {
            (_ORACLE, way): one for (of, way), one in self._explainers.items() if of == name
        }
        self._batch_size = max(one.batch_size for one in explainers.values())

    def images_at_once(self, size):
        """How many images of that size (h, w) have their maps in memory, in whole batches."""
        n_maps = len(self._explainers) + len(self._oracles) + len(_CHANCE)
        n_images = _BYTES_AT_ONCE // (4 * n_maps * size[0] * size[1])
        return max(1, n_images // self._batch_size) * self._batch_size

    def keep(self, methods):
        """Keep of each method the way that was chosen."""
        for found in (self._explainers, self._oracles):
            for name, way in list(found):
                if way != methods[name].align:
                    del found[name, way]

    def maps_of(self, images):
        """The checked maps of each, in [0, 1], of the size of the images."""
        # here, so that reports of numbers need no torch
        from fmcam.explain import explain_together, oracle_heatmaps

        found = {
            **explain_together(self._explainers, images.X, images.explained),
            **{(name, None): maps for name, maps in self._chance_of(images).items()},
            **{
                key: oracle_heatmaps(explainer, images.X, images.objects)
                for key, explainer in self._oracles.items()
            },
        }
        for (name, _), maps in found.items():
            check_maps({name: maps}, images.y, images.size)
        return found

    def _chance_of(self, images):
        """The maps of chance, whose boxes are fitted once."""
        from fmcam.explain import chance_heatmaps

        if images.size not in self._chance:
            self._chance[images.size] = chance_heatmaps((1, *images.size), self._boxes)
        shape = (len(images.y), *images.size)
        return {n: np.broadcast_to(one, shape) for n, one in self._chance[images.size].items()}


def _ways(explainer, align):
    """Whether the cells of an explainer may be aligned, its own choice first; None: it has none."""
    own = explainer.get_params(deep=False).get("align")
    if own is None or align is None:
        return [(own, explainer)]
    # Not a clone, which would copy a bare network.
    return [(way, copy.copy(explainer).set_params(align=way)) for way in (own, not own)]


class _Method(NamedTuple):
    """What was chosen on the `fit` images."""

    align: bool | None
    to_box: HeatmapToBox
    mask_threshold: float


def _fit(candidates, images, threshold, region):
    """The best way of each method, {str: _Method}."""
    to_boxes: dict[tuple, HeatmapToBox] = {}
    mask_ious: dict[tuple, list] = {}
    for _, part in images.parts(candidates.images_at_once(images.size)):
        for key, maps in candidates.maps_of(part).items():
            to_box = to_boxes.setdefault(key, HeatmapToBox(threshold, region=region))
            to_box.partial_fit(maps, part.truth["boxes"])
            if "masks" in part.truth and threshold == "fit":
                mask_ious.setdefault(key, []).append(_mask_ious(part.truth["masks"], maps))
    methods: dict[str, _Method] = {}
    for (name, way), to_box in to_boxes.items():
        if name not in methods or to_box.scores_.max() > methods[name].to_box.scores_.max():
            of_masks = _best_threshold(mask_ious[name, way]) if mask_ious else to_box.threshold_
            methods[name] = _Method(way, to_box, of_masks)
    return methods


def _mask_ious(masks, maps):
    """The IoU of each mask at each threshold, of shape (t, n)."""
    return np.stack([mask_iou(masks, maps >= one) for one in THRESHOLDS])


def _best_threshold(mask_ious):
    means = [average_images(at_threshold, "mean") for at_threshold in np.hstack(mask_ious)]
    return float(THRESHOLDS[np.argmax(means)])


def _score(methods, maps, images, y_proba, classes):
    """Rows of some test images, by image and then by method."""
    frame = frame_of_checked(
        *(maps, images.y, y_proba, classes, images.truth),
        thresholds={name: method.to_box.threshold_ for name, method in methods.items()},
        regions={name: method.to_box.region_ for name, method in methods.items()},
    )
    of_row = [methods[name] for name in frame["method"]]
    frame["region"] = [method.to_box.region_ for method in of_row]
    frame["align"] = pd.Series([method.align for method in of_row], dtype=object)
    if "masks" in images.truth:
        frame["mask_threshold"] = [method.mask_threshold for method in of_row]
        ious = [
            mask_iou(images.truth["masks"], found >= methods[name].mask_threshold)
            for name, found in maps.items()
        ]
        frame["mask_iou"] = np.stack(ious, axis=1).ravel()
    return frame
