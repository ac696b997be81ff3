"""What the page shows of a photograph, as HTML: heatmaps side by side, boxes, colours, refusals."""

import base64
import html
import io

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from fmcam.cli._app._look import box_and_area, panel

__all__ = ["cards_html", "message_html", "photograph_html"]

_QUALITY = 90
_COLORS = 16  # of the colour bar


def photograph_html(seen):
    """The photograph as the network sees it."""
    place = seen.picture.placement
    said = f"as the network sees it; upright {place.width} by {place.height} pixels"
    return f"<div class='photograph'>{_card('photograph', said, panel(seen))}</div>"


def cards_html(seen, threshold):
    """The heatmaps, each with its box and area, what the colours mean, and what was refused."""
    refused = "".join(message_html(f"{name}: {said}") for name, said in seen.refused.items())
    if not seen.heatmaps:
        return refused or message_html("Choose a method.")
    cards = [
        _card(one.title, _numbers(seen, one, threshold), panel(seen, one, threshold))
        for one in seen.heatmaps
    ]
    paired = " paired" if any(one.weights == "random" for one in seen.heatmaps) else ""
    bar = _color_bar(seen.network.names[seen.column], threshold)
    return f"{refused}{bar}<div class='cards{paired}'>{''.join(cards)}</div>"


def message_html(text):
    """What went wrong."""
    return f"<p class='refused' role='alert'>{_text(text)}</p>"


def _text(text):
    """A text as it is written, braces too: gradio takes two of them for a template."""
    return html.escape(str(text)).replace("{", "&#123;").replace("}", "&#125;")


def _numbers(seen, heatmap, threshold):
    box, area = box_and_area(heatmap, threshold)
    if np.isnan(box).any():
        return "no box: nothing is hot"
    x0, y0, x1, y1 = seen.picture.placement.boxes_in_original(box[None])[0].round().astype(int)
    return f"box {x0}, {y0} to {x1}, {y1}<br>{100 * area:.1f} % of the picture is hot"


def _card(title, said, picture):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY)
    data = base64.b64encode(file.getvalue()).decode()
    shown = f"<img alt='{_text(title)}' src='data:image/jpeg;base64,{data}'>"
    return f"<figure>{shown}<figcaption><b>{_text(title)}</b><br>{said}</figcaption></figure>"


def _color_bar(explained, threshold):
    colors = ", ".join(to_hex(one) for one in colormaps["inferno"](np.linspace(0, 1, _COLORS)))
    return (
        f"<div class='colors'><p>Heatmap of <b>{_text(explained)}</b>: what speaks for it</p>"
        f"<div class='bar' style='background: linear-gradient(to right, {colors})'>"
        f"<i style='left: {100 * threshold:.4g}%'></i></div>"
        f"<div class='ticks'><span>0, least</span>"
        f"<span>hot from {threshold:g} on</span><span>1, most</span></div></div>"
    )
