"""The photographs and boxes that thresholds are fitted on, and those that are scored."""

from hashlib import blake2b

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.model_selection import train_test_split
from sklearn.utils import Bunch

from fmcam._text import printable
from fmcam.datasets import load_boxed_images, read_boxes

__all__ = ["load_parts", "read_tables"]

_ARRAYS = ("images", "target", "boxes", "filenames", "names")


def read_tables(config):
    """The boxes of the images to score, and those to fit on where a file of their own has them.

    Returns
    -------
    list of one DataFrame or two
        As `read_boxes` returns them.
    """
    files = [config.boxes] if config.share else [config.boxes, config.fit_on]
    return [read_boxes(file, format=config.format, inclusive=config.inclusive) for file in files]


def load_parts(config, tables, image_shape, *, by_label):
    """The images to fit on and those to score.

    Parameters
    ----------
    config : Config
    tables : list of one DataFrame or two
        Of :func:`read_tables`. Of one the share of `config` is drawn.
    image_shape : tuple (c, size, size)
        With one channel images become grey.
    by_label : bool
        Whether an image with several labels has a row for each, with the boxes of that. If not, it
        has one, with all boxes, and as its label all of them with commas between.

    Returns
    -------
    fit, test : Bunch
        images, boxes, filenames and placements as of `load_boxed_images`; target (n,), the labels,
        "" where there are none; and unless `by_label` names (n,), what boxes call their images.
    left_out : DataFrame
        `file` and `reason` of each picture that is in neither.

    Raises
    ------
    OSError, TypeError, ValueError
        As of `load_boxed_images`; where images are in both, or a part has too few boxes.
    """
    load = _load_labels if by_label else _load_images
    loaded = [load(config, table, image_shape) for table in tables]
    test, left_out = loaded[0], pd.concat([data.unreadable for data in loaded], ignore_index=True)
    if config.share:
        fit, test = (_take(test, rows) for rows in _split(test, config.share, config.seed))
    else:
        fit = loaded[1]
        named = {*fit.filenames, *test.filenames}
        left_out = left_out[~left_out["file"].isin(named)].drop_duplicates("file")
        _check_apart(fit, test)
    boxed, to_score = _with_box(fit), _with_box(test)
    if len(boxed) < 1 or len(to_score) < 2:
        raise ValueError(
            "There must be an image with a box to fit on, and two to score, got "
            f"{len(boxed)} and {len(to_score)}. Choose others with --fit-on."
        )
    return _take(fit, boxed), test, left_out


def _with_box(data):
    """The rows that have one."""
    return np.flatnonzero((~np.isnan(data.boxes[..., 0])).any(axis=1))


def _load_labels(config, table, image_shape):
    data = load_boxed_images(config.images, table, size=image_shape[-1], fit=config.fit)
    if data.target is None:
        data.target = np.full(len(data.filenames), "")
    if image_shape[0] == 1:
        pictures = (Image.fromarray(image.transpose(1, 2, 0)) for image in data.images)
        data.images = np.stack([np.asarray(one.convert("L"))[None] for one in pictures])
    return data


def _load_images(config, table, image_shape):
    labels = table.groupby("image")["label"].agg(lambda found: ", ".join(sorted({*found.dropna()})))
    labels.index = labels.index.map(printable)  # as labels are
    data = _load_labels(config, table.assign(label=table["image"]), image_shape)
    data.names, data.target = data.target, labels.loc[data.target].to_numpy(str)
    return data


def _split(data, share, seed):
    """Sorted rows of two parts, the first of that share; labels are alike in both if they can be.

    Rows of the same pixels, an image with several labels or a copy of it, stay together.
    """
    _, first, image_of_row = np.unique(_digests(data), return_index=True, return_inverse=True)
    images, options = np.arange(len(first)), {"train_size": share, "random_state": seed}
    if len(images) < 3:
        raise ValueError(f"To fit on some images and score others takes 3, got {len(images)}.")
    if int(share * len(images)) == 0:
        raise ValueError(
            f"A share of {share} of {len(images)} images is none to fit on. Choose a larger one "
            "with --fit-on."
        )
    try:
        parts = train_test_split(images, stratify=data.target[first], **options)
    except ValueError:  # a label of one image, or more labels than images in a part
        parts = train_test_split(images, **options)
    return [np.flatnonzero(np.isin(image_of_row, part)) for part in parts]


def _check_apart(fit, test):
    shared = {*test.filenames[np.isin(_digests(test), _digests(fit))].tolist()}
    if shared:
        raise ValueError(
            f"{len(shared)} of {len({*test.filenames})} images of --boxes are also in --fit-on, "
            f"such as {min(shared)!r}. Leave them out of one of both."
        )


def _digests(data):
    return np.array([blake2b(image.tobytes(), digest_size=16).hexdigest() for image in data.images])


def _take(data, rows):
    """Some rows."""
    return Bunch(
        **{name: data[name][rows] for name in _ARRAYS if name in data},
        placements=[data.placements[row] for row in rows],
    )
