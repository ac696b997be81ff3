"""The photographs and boxes that thresholds are fitted on, and those that are scored."""

from hashlib import blake2b
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.utils import Bunch

from fmcam._listing import Listing
from fmcam._matching import match_pictures
from fmcam.datasets import load_boxed_images, read_boxes

__all__ = ["load_parts", "pictures_of", "read_tables"]

_ARRAYS = ("images", "target", "boxes", "masks", "filenames")


def read_tables(config):
    """The boxes of the images to score, and those to fit on where a file of their own has them.

    Returns
    -------
    list of one DataFrame or two
        As `read_boxes` returns them.
    """
    options = {"format": config.format, "inclusive": config.inclusive}
    return [read_boxes(file, **options) for file in _files(config)]


def _files(config):
    return [config.boxes] if config.share else [config.boxes, config.fit_on]


def pictures_of(config, names, *, all_there=True):
    """The picture of the folder that each name means, as `match_pictures` returns them."""
    pictures = Listing(Path(config.images)).pictures
    return match_pictures(names, pictures, config.images, all_there=all_there)


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
        has one, with all boxes and masks, and as its label all of them with commas between.

    Returns
    -------
    fit, test : Bunch
        images, boxes, filenames, placements and perhaps masks as of `load_boxed_images`; target
        (n,), the labels, "" where there are none.
    left_out : DataFrame
        `file` and `reason` of each picture that is in neither.

    Raises
    ------
    OSError, TypeError, ValueError
        As of `load_boxed_images`; where images are in both, or a part has too few boxes.
    """
    load = _load_labels if by_label else _load_images
    files = _files(config)
    loaded = [load(config, *part, image_shape) for part in zip(tables, files, strict=True)]
    test, left_out = loaded[0], pd.concat([data.unreadable for data in loaded], ignore_index=True)
    if config.share:
        fit, test = (_take(test, rows) for rows in _split(test, config.share, config.seed))
    else:
        fit = loaded[1]
        named = {*fit.filenames, *test.filenames}
        left_out = left_out[~left_out["file"].isin(named)].drop_duplicates("file")
        _check_apart(fit, test)
    boxed, to_score = _with_box(fit), _with_box(test)
    n_fit, n_test = len({*fit.filenames[boxed]}), len({*test.filenames[to_score]})
    if n_fit < 1 or n_test < 2:
        raise ValueError(
            "There must be an image with a box to fit on, and two to score, got "
            f"{n_fit} and {n_test}. Choose others with --fit-on."
        )
    return _take(fit, boxed), test, left_out


def _with_box(data):
    """The rows that have one."""
    return np.flatnonzero((~np.isnan(data.boxes[..., 0])).any(axis=1))


def _load_labels(config, table, file, image_shape):
    outlines = config.masks == config.boxes  # each file has its own
    masks = file if outlines else config.masks
    size = image_shape[-1]
    data = load_boxed_images(config.images, table, size=size, fit=config.fit, masks=masks)
    if data.target is None:
        data.target = np.full(len(data.filenames), "")
    if image_shape[0] == 1:
        pictures = (Image.fromarray(image.transpose(1, 2, 0)) for image in data.images)
        data.images = np.stack([np.asarray(one.convert("L"))[None] for one in pictures])
    return data


def _load_images(config, table, file, image_shape):
    data = _load_labels(config, table.assign(label=None), file, image_shape)
    labels = table["label"].groupby(table["image"].map(pictures_of(config, table["image"])))
    joined = labels.agg(lambda found: ", ".join(sorted({*found.dropna()})))
    data.target = joined.loc[data.filenames].to_numpy(str)
    return data


def _split(data, share, seed):
    """Sorted rows of two parts, the first of that share, of the images of each label, too.

    Rows of the same pixels, an image with several labels or a copy of it, stay together.
    """
    _, first, image_of_row = np.unique(_digests(data), return_index=True, return_inverse=True)
    n = len(first)
    if n < 3:
        raise ValueError(f"To fit on some images and score others takes 3, got {n}.")
    if int(share * n) == 0:
        raise ValueError(
            f"A share of {share} of {n} images is none to fit on. Choose a larger one with "
            "--fit-on."
        )
    in_first = draw_alike(data.target[first], int(share * n), np.random.default_rng(seed))
    return [np.flatnonzero(part[image_of_row]) for part in (in_first, ~in_first)]


def draw_alike(labels, n_drawn, rng):
    """Whether each of n images is drawn: at even distances from a line sorted by labels.

    So of each label as many are drawn as its share is, but for one, also where labels stand alone
    or are more than the images that are drawn. The labels, and the images of each, are lined up by
    chance.
    """
    n = len(labels)
    names, codes = np.unique(labels, return_inverse=True)
    line = np.lexsort((rng.permutation(n), rng.permutation(len(names))[codes]))
    drawn = np.zeros(n, dtype=bool)
    drawn[line] = np.diff(np.arange(n + 1) * n_drawn // n) > 0
    return drawn


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
        **{name: data[name][rows] for name in _ARRAYS if data.get(name) is not None},
        placements=[data.placements[row] for row in rows],
    )
