"""What a classifier makes of images, asked through `predict_proba`."""

import numpy as np
from sklearn.utils.validation import column_or_1d

from fmcam._arrays import as_array, plain_array
from fmcam._validation import check_heatmaps, check_images, check_same_rows

_ROUNDING = 1e-3  # lets the rounding of float16 through and stops what is no probability


def check_faithfulness(X, y, heatmaps, baseline):
    """Return images (n, c, h, w), labels (n,), heatmaps (n, h, w) and what replaces the images."""
    X, heatmaps = check_images(X), check_heatmaps(heatmaps)
    y = column_or_1d(plain_array(y, name="y"))
    check_same_rows("y", y, "X", X)
    if (len(X), *X.shape[2:]) != heatmaps.shape:
        raise ValueError(
            "`heatmaps` must have shape (n, h, w) for images (n, c, h, w), got "
            f"{heatmaps.shape} for {X.shape}. Pass the maps of the same images, at their size."
        )
    baseline = np.zeros_like(X) if baseline is None else check_images(baseline, name="baseline")
    if baseline.shape != X.shape or baseline.dtype != X.dtype:
        raise ValueError(
            f"`baseline` must have the shape and dtype of `X`, {X.shape} {X.dtype}, got "
            f"{baseline.shape} {baseline.dtype}. Pass one image in place of each image."
        )
    return X, y, heatmaps, baseline


def probability_of_label(predict_proba, images, y, classes):
    """Return the probability of the label of each image, of shape (n,)."""
    probabilities = as_array(predict_proba(images), name="predict_proba(X)").astype(float)
    if probabilities.ndim != 2 or len(probabilities) != len(images):
        raise ValueError(
            f"`predict_proba` must return shape ({len(images)}, k) for {len(images)} images, "
            f"got {probabilities.shape}. Pass `clf.predict_proba`."
        )
    if not ((probabilities > -_ROUNDING) & (probabilities < 1 + _ROUNDING)).all():
        raise ValueError(
            "`predict_proba` must return probabilities in [0, 1], got values from "
            f"{probabilities.min():.4g} to {probabilities.max():.4g}. Apply a softmax to logits."
        )
    columns = np.arange(probabilities.shape[1]) if classes is None else np.asarray(classes)
    if columns.shape != probabilities.shape[1:]:
        raise ValueError(
            f"`classes` must name the {probabilities.shape[1]} columns of `predict_proba`, "
            f"got shape {columns.shape}. Pass `clf.classes_`."
        )
    is_column = y[:, None] == columns
    if not is_column.any(axis=1).all():
        unknown = y[~is_column.any(axis=1)]
        raise ValueError(
            f"`y` must hold labels of `classes` {columns.tolist()} only, got also "
            f"{np.unique(unknown).tolist()}. Pass `classes=clf.classes_`."
        )
    return probabilities[is_column]
