"""Pictures of single photographs under their heatmaps, for the report's gallery."""

import shutil

import numpy as np
import pandas as pd
from matplotlib import colormaps
from PIL import Image, ImageDraw

from fmcam._files import replacing

__all__ = ["blended", "brightened", "overlay", "spread", "transparent", "write_gallery"]

_OPACITY = 0.5


def spread(values, n):
    """Positions of at most `n` values, evenly from the lowest to the highest; NaN are left out.

    Parameters
    ----------
    values : array-like of shape (m,), float
    n : int

    Returns
    -------
    ndarray of int
    """
    values = np.asarray(values)
    order = values.argsort(kind="stable")[: np.isfinite(values).sum()]
    places = np.linspace(0, len(order) - 1, min(n, len(order))).round().astype(int)
    return order[places]


def brightened(maps):
    """Maps to look at, by name; those of guided methods are thin lines, of which 1 % is put at 1.

    Parameters
    ----------
    maps : dict of str to ndarray of shape (n, h, w), in [0, 1]

    Returns
    -------
    dict of str to ndarray of shape (n, h, w), in [0, 1]
    """
    return {
        name: _stretched(found) if name.startswith("Guided") else found
        for name, found in maps.items()
    }


def _stretched(maps):
    top = np.quantile(maps, 0.99, axis=(1, 2), keepdims=True)
    return (maps / np.maximum(top, np.finfo(np.float32).tiny)).clip(0, 1)


def overlay(image, heatmap, boxes_true=None):
    """A photograph, and beside it its heatmap over it with the true boxes.

    The page draws the method's box over it, as that follows the threshold.

    Parameters
    ----------
    image : ndarray of shape (3, h, w) or (1, h, w), uint8
    heatmap : ndarray of shape (h, w), in [0, 1]
    boxes_true : array-like of shape (4,) or (k, 4), optional
        x0, y0, x1, y1 in half-open pixels; NaN is no box.

    Returns
    -------
    PIL.Image.Image
        2 * w pixels wide, h high.
    """
    blend = blended(image, heatmap, boxes_true)
    photograph = np.broadcast_to(image.transpose(1, 2, 0), (*heatmap.shape, 3))
    return Image.fromarray(np.hstack([photograph, np.asarray(blend)]))


def blended(image, heatmap, boxes=None, color="white"):
    """A heatmap over its photograph, with boxes.

    Parameters
    ----------
    image : ndarray of shape (3, h, w) or (1, h, w), uint8
    heatmap : ndarray of shape (h, w), in [0, 1]
    boxes : array-like of shape (4,) or (k, 4), optional
        x0, y0, x1, y1 in half-open pixels; NaN is no box.
    color : str
        Of the boxes; as in HeatmapDisplay, true ones are white.

    Returns
    -------
    PIL.Image.Image
        w pixels wide, h high.
    """
    photograph = np.broadcast_to(image.transpose(1, 2, 0), (*heatmap.shape, 3))
    heat = colormaps["inferno"](heatmap, bytes=True)[..., :3]
    blend = Image.fromarray(np.rint((1 - _OPACITY) * photograph + _OPACITY * heat).astype(np.uint8))
    for box in np.reshape([] if boxes is None else boxes, (-1, 4)):
        if np.isfinite(box).all():
            _draw_box(ImageDraw.Draw(blend), box, color)
    return blend


def transparent(heatmap, cmap=None):
    """A heatmap to lay over its photograph: the hotter a pixel, the less lets it through.

    Parameters
    ----------
    heatmap : ndarray of shape (h, w), in [0, 1]
    cmap : str, optional
        Name of matplotlib's colours, by default "inferno".

    Returns
    -------
    PIL.Image.Image
        In RGBA, w pixels wide, h high; opaque at 1.
    """
    pixels = colormaps[cmap or "inferno"](heatmap, bytes=True)
    pixels[..., 3] = np.rint(255 * heatmap)
    return Image.fromarray(pixels)


def _draw_box(draw, box, color):
    x0, y0, x1, y1 = np.rint(box).astype(int).tolist()
    corners = x0, y0, max(x1 - 1, x0), max(y1 - 1, y0)
    draw.rectangle(corners, outline="black", width=3)
    draw.rectangle(corners, outline=color, width=2)


def write_gallery(run, pictures):
    """Write `gallery.csv`, the pictures that it lists, and `gallery_boxes.csv`; of none, nothing.

    Parameters
    ----------
    run : Run
    pictures : iterable of (dict, PIL.Image.Image, DataFrame or None)
        What is known about a picture, by column: method, y_true, y_pred, error_type, iou and any
        others; the picture; and its boxes, as of `read_gallery` without `file`, where it has any.
    """
    folder = run.folder / "gallery"
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("gallery.csv", "gallery_boxes.csv"):
        (run.folder / name).unlink(missing_ok=True)
    folder.mkdir()
    rows, boxes = [], []
    for number, (row, picture, of_picture) in enumerate(pictures):
        path = folder / f"{number:03}.jpg"
        with replacing(path) as beside:
            picture.save(beside, "JPEG", quality=80)
        file = path.relative_to(run.folder).as_posix()
        rows.append({"file": file, **row})
        if of_picture is not None:
            boxes.append(of_picture.assign(file=file))
    if boxes:
        run.write_table("gallery_boxes.csv", pd.concat(boxes))
    if rows:
        run.write_table("gallery.csv", pd.DataFrame(rows))
