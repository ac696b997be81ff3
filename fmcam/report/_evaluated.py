"""What is evaluated: explainers, the classifier, and images with their truth, checked."""

from collections.abc import Mapping
from hashlib import blake2b
from numbers import Real
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import gen_batches

from fmcam._arrays import as_array, plain_array
from fmcam._boxes import masks_of_boxes
from fmcam._validation import check_same_rows
from fmcam.report._localization import check_truth
from fmcam.report._pooled import PooledScores

_PARTS = ("X", "y", "boxes", "masks")
_REGIONS = ("fit", "largest", "all")


def check_explainers(explainers, references):
    """Raise an error for what no explainer and no name can be."""
    if not isinstance(explainers, Mapping) or not explainers:
        raise ValueError(
            "`explainers` must name at least one explainer, as in {'CAM': CAM(net)}, got "
            f"{explainers!r}."
        )
    for name, explainer in explainers.items():
        if not hasattr(explainer, "explain") or not hasattr(explainer, "get_params"):
            raise TypeError(f"`explainers[{name!r}]` must be an explainer, got {explainer!r}.")
        if getattr(explainer, "signed", False):
            raise ValueError(
                f"`explainers[{name!r}]` gives maps with a sign, which have no threshold. Set "
                "`rectify=True`."
            )
    if taken := [name for name in explainers if name in references]:
        raise ValueError(
            f"{taken[0]!r} is the name of a reference, which is scored as well. Call the explainer "
            "otherwise."
        )


def check_choices(*, explained, threshold, region, align, pooled):
    """Raise an error for what cannot be chosen."""
    if not isinstance(pooled, PooledScores | None):
        raise TypeError(f"`pooled` must be a `PooledScores` or None, got {pooled!r}.")
    if explained not in ("true", "predicted"):
        raise ValueError(f"`explained` must be 'true' or 'predicted', got {explained!r}.")
    if threshold != "fit" and not (isinstance(threshold, Real) and 0 <= float(threshold) <= 1):
        raise ValueError(f"`threshold` must be 'fit' or a number in [0, 1], got {threshold!r}.")
    if region not in _REGIONS:
        raise ValueError(f"`region` must be one of {list(_REGIONS)}, got {region!r}.")
    if align not in ("fit", None):
        raise ValueError(
            f"`align` must be 'fit' or None, got {align!r}. To choose it yourself set it at the "
            "explainers and pass None."
        )
    if "fit" not in (threshold, region) and align == "fit":
        raise ValueError(
            "`align` is fitted along with `threshold` or `region`, but both are given. Pass "
            "align=None, or leave one of them to be fitted."
        )


def one_classifier(explainers):
    """The classifier of all explainers."""
    (first, explainer), *others = explainers.items()
    clf = explainer.classifier_
    for name, other in others:
        if other.classifier_.module_.net is not clf.module_.net:
            raise ValueError(
                f"Explainers must be of one classifier, but {first!r} and {name!r} are of two. "
                "Pass as `classifier` the one whose predictions stand in the rows."
            )
    return clf


class Images(NamedTuple):
    """Checked images of size (h, w), labels, and the truth: boxes (n, k, 4) and perhaps masks.

    `explained` are the labels whose heatmaps are made.
    """

    X: np.ndarray
    y: np.ndarray
    explained: np.ndarray
    truth: dict
    size: tuple

    def take(self, rows):
        """Some of the images."""
        truth = {name: of_images[rows] for name, of_images in self.truth.items()}
        return Images(self.X[rows], self.y[rows], self.explained[rows], truth, self.size)

    def parts(self, n):
        """Yield the rows of at most `n` images, a slice, and those images."""
        for rows in gen_batches(len(self.y), n):
            yield rows, self.take(rows)

    def with_boxes(self):
        """The images that have a box."""
        has_box = ~np.isnan(self.truth["boxes"][..., 0]).all(axis=1)
        if not has_box.any():
            raise ValueError(
                f"`fit` must hold true boxes to fit thresholds on, but none of its {len(has_box)} "
                "images has one."
            )
        return self if has_box.all() else self.take(np.flatnonzero(has_box))

    @property
    def objects(self):
        """Masks of the objects, or of their boxes."""
        if "masks" in self.truth:
            return self.truth["masks"] == 1
        return masks_of_boxes(self.truth["boxes"], self.size)


def read_images(name, given, clf):
    """The Images of an argument of that name, (X, y, boxes) or (X, y, boxes, masks)."""
    if not isinstance(given, tuple | list) or len(given) not in (3, 4):
        got = f"{len(given)} parts" if isinstance(given, tuple | list) else type(given).__name__
        raise ValueError(f"`{name}` must be (X, y, boxes) or (X, y, boxes, masks), got {got}.")
    if missing := [part for part, value in zip(_PARTS, given, strict=False) if value is None]:
        raise ValueError(f"`{name}` must hold {missing[0]}, got None.")
    try:
        return _checked(*given, clf=clf)
    except (TypeError, ValueError) as error:
        raise type(error)(f"Of `{name}`: {error}") from error


def _checked(X, y, boxes, masks=None, *, clf):
    X, y = as_array(X, name="X"), plain_array(y, name="y")
    size = tuple(X.shape[-2:] if X.ndim > 2 else clf.image_shape_[-2:])
    truth = check_truth(boxes, masks, size)
    for name, of_images in {"y": y, **truth}.items():
        check_same_rows(name, of_images, "X", X)
    unknown = pd.Index(clf.classes_).get_indexer(pd.Index(y)) < 0
    if unknown.any():
        raise ValueError(
            f"`y` must hold classes of the classifier only, got {pd.unique(y[unknown]).tolist()}. "
            "Pass labels of the kind it was trained on, see `classes_`."
        )
    return Images(X, y, y, truth, size)


def check_apart(known, unseen):
    """Raise a ValueError if images are among both, or one alone has masks."""
    if ("masks" in known.truth) != ("masks" in unseen.truth):
        raise ValueError("Masks must be given with both `fit` and `test`, or with neither.")
    digests = set(map(_digest, known.X))
    shared = [row for row, image in enumerate(unseen.X) if _digest(image) in digests]
    if shared:
        raise ValueError(
            f"`fit` and `test` must be different images, but {len(shared)} of the {len(unseen.X)} "
            f"of `test` are in `fit`, pixel by pixel, the first in row {shared[0]}. Leave them out "
            "of one of both."
        )


def _digest(image):
    return blake2b(image.tobytes(), digest_size=16).digest()
