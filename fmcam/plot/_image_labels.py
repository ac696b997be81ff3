"""What is known of each image and method, as a table: labels, predictions, boxes."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fmcam._arrays import plain_array
from fmcam._boxes import check_boxes, check_true_boxes
from fmcam._predictions import check_class_names
from fmcam._validation import check_same_rows
from fmcam.plot._panels import corner_columns


def tabulate(given, images, names):
    """Return one row an image and method, image by image, of the arguments that are given."""
    given = {
        key: _by_method(key, value, names) for key, value in given.items() if value is not None
    }
    frames = []
    for name in names:
        columns = {"image": np.arange(len(images)), "method": name}
        for key, values in given.items():
            check_same_rows(key, values[name], "images", images)
            columns |= _columns_of(key, values[name], size=images.shape[2:])
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames).sort_values("image", kind="stable", ignore_index=True)


def _columns_of(key, values, size):
    """Return the columns of an argument, those of `boxes_*` by corner."""
    if not key.startswith("boxes_"):
        return {key: plain_array(values, name=key)}
    check = check_boxes if key == "boxes_pred" else check_true_boxes
    corners = check(values, size=size, name=key).reshape(len(values), -1)
    names = corner_columns(key.removeprefix("boxes_"), corners.shape[1] // 4)
    return dict(zip(names, corners.T, strict=True))


def _by_method(key, values, names):
    if not isinstance(values, Mapping):
        return dict.fromkeys(names, values)
    if values.keys() != set(names):
        raise ValueError(
            f"`{key}` must be one for all methods or a mapping with each of {list(names)}, "
            f"got {list(values)}. Add or rename the methods."
        )
    return values


def named(labels, classes, class_names):
    """Return labels by the names of the classes, where these are given."""
    if class_names is None:
        return plain_array(labels, name="y")
    names = dict(zip(classes.tolist(), check_class_names(class_names, classes), strict=True))
    return np.array([names.get(label, label) for label in plain_array(labels, name="y").tolist()])
