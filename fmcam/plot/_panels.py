"""What is drawn and written on one image: its map, boxes and labels.

A label is a dict with any of y_true, y_pred, probability and, for the kinds of box in `BOX_STYLES`,
the columns `corner_columns`.
"""

import numpy as np

from fmcam._text import printable
from fmcam._validation import check_images
from fmcam.plot._style import ORANGE, PALETTE

BOX_STYLES: dict[str, dict] = {
    "true": {"label": "true box", "color": "white", "linestyle": "-"},
    "pred": {"label": "predicted box", "color": PALETTE[4], "linestyle": (0, (3, 1.5))},
}


def corner_columns(kind, n_boxes=1):
    """Return the names of x0, y0, x1 and y1 of one or several boxes of a kind."""
    suffixes = ["", *(f"_{number}" for number in range(2, n_boxes + 1))]
    return [f"{corner}_{kind}{end}" for end in suffixes for corner in ("x0", "y0", "x1", "y1")]


def check_pictures(images):
    """Images as (n, c, h, w), which can be drawn: grey or in colour."""
    images = check_images(images, name="images")
    if images.shape[1] not in (1, 3):
        last = images.shape[3] in (1, 3)
        advice = "Pass `images.transpose(0, 3, 1, 2)`." if last else "Choose some to show."
        raise ValueError(f"`images` must have 1 or 3 channels, got {images.shape[1]}. {advice}")
    return images


def check_size(name, maps, images):
    """Raise a ValueError unless maps are of the images (n, c, h, w), and of their size."""
    needed = (len(images), *images.shape[2:])
    if np.shape(maps) != needed:
        raise ValueError(
            f"`{name}` must have the shape of the images, (n, h, w) = {needed}, got "
            f"{np.shape(maps)}. Pass maps of the same images at their size, as `upsample=True` "
            "makes them."
        )


def draw_image(panel, image, heatmap, opacity, cmap, low=0):
    """Draw a map in [low, 1] over its image, at opacity 0 only the image and at 1 only the map."""
    if opacity < 1:
        dark, bright = (0, 255) if image.dtype == np.uint8 else (image.min(), image.max())
        shown = (image - dark) / (bright - dark or 1)
        shown = shown[0] if len(image) == 1 else shown.transpose(1, 2, 0)
        panel.imshow(shown, "gray", vmin=0, vmax=1)
    if opacity > 0:
        panel.imshow(heatmap, cmap, vmin=low, vmax=1, alpha=opacity)
        if not heatmap.any():
            place = {"xy": (0.5, 0.04), "xycoords": "axes fraction", "ha": "center"}
            panel.annotate("empty map", **place, color="black" if low < 0 else "white")
    panel.set(xticks=[], yticks=[])


def draw_boxes(panel, label, kinds):
    """Draw the boxes of a label, each in its colour and line style on a dark rim."""
    from matplotlib.patches import Rectangle

    seen_at_the_edge = {"clip_on": False, "zorder": 3}  # over the frame of the panel
    for kind in kinds:
        n_boxes = sum(str(column).startswith(f"x0_{kind}") for column in label)
        corners = [label[column] for column in corner_columns(kind, n_boxes) if n_boxes]
        for x0, y0, x1, y1 in np.reshape(corners, (-1, 4)):
            if not np.isnan(x0):
                corner = x0 - 0.5, y0 - 0.5  # pixel p is drawn from p - 0.5 to p + 0.5
                style = _box_style(kind) | seen_at_the_edge
                panel.add_patch(Rectangle(corner, x1 - x0, y1 - y0, fill=False, **style))


def box_line(kind):
    """Return a line in the style of a kind of box, for the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **_box_style(kind))


def _box_style(kind):
    from matplotlib.patheffects import withStroke

    dark_rim = withStroke(linewidth=3, foreground="black")
    return {"linewidth": 1.5, "path_effects": [dark_rim], **BOX_STYLES[kind]}


def write_labels(panel, label, *, with_prediction):
    """Write the true class, and the predicted one if it goes with it, to the left of a panel."""
    lines = [f"true: {printable(label['y_true'])}"] if "y_true" in label else []
    color = "black"
    if with_prediction and "y_pred" in label:
        lines.append(f"predicted: {_prediction(label)}")
        color = _color(label)
    panel.set_ylabel("\n".join(lines), rotation=0, ha="right", va="center", color=color)


def write_prediction(panel, label):
    """Write the predicted class below a panel."""
    panel.set_xlabel(_prediction(label), color=_color(label), fontsize="small")


def _prediction(label):
    probability = f" ({label['probability']:.2f})" if "probability" in label else ""
    return f"{printable(label['y_pred'])}{probability}"


def _color(label):
    return "black" if label.get("y_true", label["y_pred"]) == label["y_pred"] else ORANGE
