"""The checks of boxes, each error worded once: their shape, corners, unit and image size."""

from collections.abc import Mapping

import numpy as np

from fmcam._arrays import as_array
from fmcam._validation import check_same_rows

__all__ = ["check_boxes", "check_pairs", "check_true_boxes"]

_ONE = 1 + 1e-3  # the right and lower edge of an image in fractions of it, rounded
_ORDERS = ("xyxy", "ltrb")  # initials of the names of a table's columns: left, top, right, bottom


def check_boxes(boxes, *, size=None, name="boxes"):
    """One box an image, x0, y0, x1, y1, as an array of shape (n, 4), float64.

    Parameters
    ----------
    boxes : array-like or tensor of shape (n, 4)
        Half-open pixels, x to the right, y down. A row of NaN says that there is no box.
        `torchvision.tv_tensors.BoundingBoxes` may be of any format without rotation.
    size : (h, w), optional
        Image that the boxes must lie in, in pixels.
    name : str
        The argument's name in error messages.

    Returns
    -------
    ndarray of shape (n, 4), float64

    Raises
    ------
    ValueError
        For another shape, no rows, rows that are partly NaN, infinite or reversed boxes, a table
        with columns in another order, and where `size` is known for boxes that leave the image, are
        fractions of it or of an image of another size.
    TypeError
        For values that are not real numbers.

    Examples
    --------
    >>> from fmcam._boxes import check_boxes
    >>> check_boxes([[0, 0, 2, 1]], size=(1, 2))
    array([[0., 0., 2., 1.]])
    """
    boxes = check_true_boxes(boxes, size=size, name=name)
    if boxes.shape[1] > 1:
        counts = (~np.isnan(boxes[:, :, 0])).sum(axis=1)
        raise ValueError(
            f"`{name}` must be one box an image, of shape (n, 4), got {counts.max()} in row "
            f"{counts.argmax()}. Choose one; several an image may be true, not predicted."
        )
    return boxes[:, 0]


def check_true_boxes(boxes, *, size=None, name="boxes"):
    """Any number of boxes an image as an array of shape (n, k, 4), float64, filled up with NaN.

    Parameters
    ----------
    boxes : array-like of shape (n, 4) or (n, k, 4), or list of n array-likes of shape (k, 4)
        x0, y0, x1, y1 as in `check_boxes`. Rows of NaN are no boxes; in a list k may differ, and an
        empty item or None is an image without a box.
    size, name
        As in `check_boxes`.

    Returns
    -------
    ndarray of shape (n, k, 4), float64
        k is 1 at least.

    Raises
    ------
    ValueError, TypeError
        As `check_boxes`.

    Examples
    --------
    >>> from fmcam._boxes import check_true_boxes
    >>> check_true_boxes([[[0, 0, 2, 1], [2, 1, 3, 2]], []])
    array([[[ 0.,  0.,  2.,  1.],
            [ 2.,  1.,  3.,  2.]],
    <BLANKLINE>
           [[nan, nan, nan, nan],
            [nan, nan, nan, nan]]])
    """
    boxes = _pad(boxes, size, name)
    missing = np.isnan(boxes)
    broken = (missing.any(axis=2) & ~missing.all(axis=2)) | np.isinf(boxes).any(axis=2)
    _refuse(broken, boxes, name, "finite, or NaN in all columns for no box", "Complete it.")
    _refuse(
        (boxes[..., 2:] < boxes[..., :2]).any(axis=2),
        boxes,
        name,
        "x0, y0, x1, y1 with x0 <= x1 and y0 <= y1",
        "Swap the corners; for x, y, width, height add the corner to the last two.",
    )
    if size is not None:
        _check_inside(boxes, size, name)
    return boxes


def masks_of_boxes(boxes, size):
    """Masks that are 1 where the centre of a pixel is in a box, else 0.

    Parameters
    ----------
    boxes : ndarray of shape (n, k, 4)
        Checked; rows of NaN are no boxes.
    size : (h, w)

    Returns
    -------
    ndarray of shape (n, h, w), uint8

    Examples
    --------
    >>> import numpy as np
    >>> from fmcam._boxes import masks_of_boxes
    >>> masks_of_boxes(np.array([[[1, 0, 2.4, 1], [0.6, 1.5, 3, 2]]]), (2, 4))
    array([[[0, 1, 0, 0],
            [0, 1, 1, 0]]], dtype=uint8)
    """
    x0, y0, x1, y1 = np.moveaxis(boxes, 2, 0)[..., None]
    y, x = (np.arange(side) + 0.5 for side in size)
    lines, columns = (y0 <= y) & (y < y1), (x0 <= x) & (x < x1)
    inside = lines[..., :, None] & columns[..., None, :]
    return inside.any(axis=1).astype(np.uint8)


def check_pairs(boxes_true, boxes_pred, name="boxes_pred"):
    """Return true boxes (n, k, 4) and predicted ones (n, 4), the latter called `name` in errors."""
    boxes_true = check_true_boxes(boxes_true, name="boxes_true")
    boxes_pred = check_boxes(boxes_pred, name=name)
    check_same_rows("boxes_true", boxes_true, name, boxes_pred)
    _check_same_unit(boxes_true, boxes_pred, name)
    return boxes_true, boxes_pred


def _check_same_unit(boxes_true, boxes_pred, name):
    """Raise a ValueError where one of two sets of boxes (..., 4) is fractions and one is pixels.

    The overlap of fractions with fractions is that of the pixels, so both may be fractions.
    """
    in_pixels = [np.fmax.reduce(boxes, axis=None) > _ONE for boxes in (boxes_true, boxes_pred)]
    if not any(in_pixels):
        return
    _refuse_fractions(boxes_true, "boxes_true")
    if in_pixels[0] and not in_pixels[1]:
        _refuse_fractions(boxes_pred[:, None], name)


def _pad(boxes, size, name):
    """Boxes of any kind as an array of shape (n, k, 4), not yet looked at."""
    dtype = getattr(boxes, "dtype", None)
    if isinstance(boxes, list | tuple) or getattr(dtype, "kind", "") == "O":
        array = _of_list(boxes, size, name)
    else:
        array = _corners(boxes, size, name)
    if array.ndim == 2 and array.shape[1] == 4:
        array = array[:, None]
    if array.ndim != 3 or array.shape[2] != 4 or len(array) == 0:
        hint = f" For one box pass `[{name}]`." if array.shape == (4,) else ""
        raise ValueError(
            f"`{name}` must have shape (n, 4) with columns x0, y0, x1, y1 and n >= 1, or be a list "
            f"of (k, 4) where images have several, got {array.shape}.{hint}"
        )
    return array if array.shape[1] else np.full((len(array), 1, 4), np.nan)


def _of_list(boxes, size, name):
    if not any(hasattr(of_image, "canvas_size") for of_image in boxes):
        try:
            array = np.asarray(boxes)
        except (TypeError, ValueError, RuntimeError):  # ragged, or of tensors with a graph
            array = np.empty(0, dtype=object)
        if array.dtype.kind in "biuf" and array.size:
            return array.astype(float)
    parts = [_of_image(of_image, row, size, name) for row, of_image in enumerate(boxes)]
    padded = np.full((len(parts), max(map(len, parts), default=0), 4), np.nan)
    for of_image, part in zip(padded, parts, strict=True):
        of_image[: len(part)] = part
    return padded


def _of_image(boxes, row, size, name):
    """The boxes of one image as an array of shape (k, 4)."""
    if boxes is None:
        return np.empty((0, 4))
    if isinstance(boxes, Mapping):
        raise TypeError(
            f"`{name}` must hold the boxes of an image in each row, got a dictionary in row {row}. "
            """Pass `[target["boxes"] for target in targets]`."""
        )
    array = _corners(boxes, size, name)
    if array.size == 0 or array.shape == (4,):
        return array.reshape(-1, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(
            f"`{name}` must be boxes of shape (k, 4) for each image, with columns x0, y0, x1, y1, "
            f"got {array.shape} in row {row}."
        )
    return array


def _corners(boxes, size, name):
    """An array, tensor or table of boxes as x0, y0, x1, y1, float64."""
    _check_columns(boxes, name)
    array = as_array(boxes, name=name).astype(float)
    if not hasattr(boxes, "canvas_size"):
        return array
    if size is not None and tuple(boxes.canvas_size) != tuple(size):
        raise ValueError(
            f"`{name}` must be in pixels of images of (h, w) = {tuple(size)}, got a `canvas_size` "
            f"of {tuple(boxes.canvas_size)}. Resize images and boxes together."
        )
    first, last = array[..., :2], array[..., 2:]
    if boxes.format.name == "XYXY":
        return array
    if boxes.format.name == "XYWH":
        return np.concatenate([first, first + last], axis=-1)
    if boxes.format.name == "CXCYWH":
        return np.concatenate([first - last / 2, first + last / 2], axis=-1)
    raise ValueError(
        f"`{name}` must be upright boxes, of the format XYXY, XYWH or CXCYWH, got "
        f"{boxes.format.name}. Pass the boxes around them."
    )


def _check_columns(boxes, name):
    columns = list(getattr(boxes, "columns", []))
    if len(columns) != 4 or not all(isinstance(column, str) for column in columns):
        return
    if "".join(column[:1].lower() for column in columns) not in _ORDERS:
        raise ValueError(
            f"`{name}` must have the columns x0, y0, x1, y1 in this order, got {columns}. Reorder "
            f"or convert them; if only their names differ pass `{name}.to_numpy()`."
        )


def _check_inside(boxes, size, name):
    height, width = size
    _refuse_fractions(boxes, name)
    _refuse(
        (boxes < 0).any(axis=2) | (boxes[..., 2] > width) | (boxes[..., 3] > height),
        boxes,
        name,
        f"inside the image of {height} rows and {width} columns",
        "Clip it, or scale boxes and heatmaps to one size; for no box pass NaN.",
    )


def _refuse_fractions(boxes, name):
    in_first_pixel = (boxes[..., :2] >= 0).all(axis=-1) & (boxes[..., 2:] <= _ONE).all(axis=-1)
    if not in_first_pixel.any():
        return
    _refuse(
        in_first_pixel & (boxes % 1 != 0).any(axis=-1),
        boxes,
        name,
        "in pixels",
        "For fractions of the image multiply x by its width and y by its height.",
    )


def _refuse(wrong, boxes, name, needed, advice):
    """Raise a ValueError where boxes (n, k, 4) are wrong (n, k)."""
    if wrong.any():
        row, place = np.argwhere(wrong)[0]
        where = f"row {row}" if boxes.shape[1] == 1 else f"box {place} of row {row}"
        raise ValueError(
            f"`{name}` must be {needed}, got {boxes[row, place].tolist()} in {where} "
            f"({int(wrong.any(axis=1).sum())} of {len(boxes)} rows are wrong). {advice}"
        )
