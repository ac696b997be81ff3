"""From what data sets and loaders hand out to images and labels."""

import sys
from collections import namedtuple
from collections.abc import Mapping

import numpy as np
import torch
from torch.utils.data import default_collate

from fmcam._data.labels import label_array
from fmcam._validation import channels_come_last

__all__ = [
    "IMAGES_ALONE",
    "WeightedLabel",
    "as_image",
    "check_channels_first",
    "collate",
    "is_item",
    "is_pil",
    "parts_of",
]

IMAGES_ALONE = (
    "The data set gives images alone, but labels are needed too. Let it give pairs (image, label), "
    "or pass the labels as `y`."
)
IMAGE_KEYS = ("image", "images", "img", "pixel_values", "x")
LABEL_KEYS = ("label", "labels", "target", "targets", "class", "y")

WeightedLabel = namedtuple("WeightedLabel", "label weight")


def is_item(row):
    """Whether a row looks like a data set's: an image with a label, as a tuple or a mapping."""
    if isinstance(row, Mapping):
        return any(key in row for key in IMAGE_KEYS)
    if not isinstance(row, tuple) or len(row) < 2:
        return False
    return np.ndim(row[1]) == 0 and (is_pil(row[0]) or np.ndim(row[0]) in (2, 3))


def parts_of(item, *, labelled=True):
    """Image and label of an item, or images and labels of a batch; the label may be None.

    Parameters
    ----------
    item : tensor, array, PIL image, tuple, list or mapping
        An image, (image, label, ...), or a mapping with one key for each, such as "image" and
        "label". What follows a label, such as boxes, is left out.
    labelled : bool
        Whether the label matters; if not, what follows an image is left out.

    Raises
    ------
    ValueError
        Where it is not clear which part is what.
    """
    if isinstance(item, Mapping):
        image = item[_only_key(item, IMAGE_KEYS, "image")]
        key = _only_key(item, LABEL_KEYS, "label", needed=False) if labelled else None
        return image, None if key is None else item[key]
    if not isinstance(item, tuple | list):
        return item, None
    if len(item) == 0:
        raise ValueError("A data set must give pairs (image, label), got an empty row.")
    return item[0], item[1] if labelled and len(item) > 1 else None


def _only_key(item, known, what, needed=True):
    found = [key for key in known if key in item]
    if len(found) > 1 or (needed and not found):
        raise ValueError(
            f"A data set that gives mappings needs one key for the {what}, one of {list(known)}, "
            f"got {found or list(item)}. Wrap it in a Dataset that gives pairs (image, label)."
        )
    return found[0] if found else None


def as_image(image):
    """An image as a tensor of shape (c, h, w).

    Parameters
    ----------
    image : tensor or array of shape (c, h, w) or (h, w), or PIL image of mode L or RGB

    Raises
    ------
    ValueError
        For another shape or mode, and for channels that come last.
    TypeError
        For something else.
    """
    if is_pil(image):
        return _of_pil(image)
    if isinstance(image, np.ndarray):
        image = torch.from_numpy(image if min(image.strides, default=0) >= 0 else image.copy())
    if not isinstance(image, torch.Tensor):
        raise TypeError(
            f"An image must be a tensor, an array or a PIL image, got {type(image).__name__}."
        )
    if image.ndim == 2:
        image = image[None]
    if image.ndim != 3:
        raise ValueError(f"An image must have shape (c, h, w) or (h, w), got {tuple(image.shape)}.")
    check_channels_first(image.shape)
    return image


def is_pil(image):
    """Whether this is a PIL image; PIL is not imported for it."""
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(image, pil.Image)


def _of_pil(image):
    if image.mode not in ("L", "RGB"):
        raise ValueError(
            f"A PIL image must be of mode 'L' or 'RGB', got {image.mode!r}. Convert it with "
            "`image.convert('RGB')`."
        )
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()


def check_channels_first(shape):
    """Raise ValueError for the shape of an image whose last axis can only be its channels.

    >>> from fmcam._data.items import check_channels_first
    >>> check_channels_first((3, 28, 28))
    """
    if channels_come_last(shape):
        raise ValueError(
            f"Images must have shape (c, h, w), got {tuple(shape)}, with the channels last. Move "
            "them to the front: `np.moveaxis(X, -1, 1)` for an array of images, "
            "`image.permute(2, 0, 1)` for a tensor."
        )


def collate(items, *, labelled=True):
    """A batch of a data set's items: images (n, c, h, w) and labels, an array or None.

    Parameters
    ----------
    items : list
        See :func:`parts_of`.
    labelled : bool
        Whether labels matter.

    Returns
    -------
    images : tensor
    labels : ndarray of shape (n,), WeightedLabel of such arrays, or None
    """
    pairs = [parts_of(item, labelled=labelled) for item in items]
    images = [as_image(image) for image, _ in pairs]
    _check_alike("shape", [tuple(image.shape) for image in images])
    _check_alike("type", [image.dtype for image in images])
    images = default_collate([image.as_subclass(torch.Tensor) for image in images])
    labels = [label for _, label in pairs]
    if not labelled or labels[0] is None:
        return images, None
    if isinstance(labels[0], WeightedLabel):
        of_rows, weights = zip(*labels, strict=True)
        return images, WeightedLabel(_label_batch(of_rows), np.asarray(weights))
    return images, _label_batch(labels)


def _check_alike(what, values):
    other = next((value for value in values if value != values[0]), None)
    if other is not None:
        raise ValueError(
            f"The images of a batch must be of one {what}, got {values[0]} and {other}. Resize, "
            "crop or convert them in the data set."
        )


def _label_batch(labels):
    return label_array([_scalar(label) for label in labels], name="labels")


def _scalar(label):
    if not hasattr(label, "shape"):
        return label
    if np.prod(label.shape) != 1:
        raise ValueError(
            f"A data set must give one label for each image, got one of shape "
            f"{tuple(label.shape)}. If it is a one-hot row, give its `argmax()`."
        )
    return label.item()
