"""Displays of one picture: heatmaps beside it, and what guided methods say about its pixels."""

from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np

__all__ = ["AttributionDisplay", "PictureDisplay"]

PANEL = 2.8  # inches
COLUMNS = 5
TITLE_WIDTH = 24  # characters
LABELS = 2.4  # inches for the labels to the left and the colour bar to the right


class PictureDisplay:
    """The heatmaps of one picture, large, and below the picture its likeliest classes.

    Parameters
    ----------
    display : HeatmapDisplay
        Of one image.
    likeliest : list of (str, float)
        Class and probability.
    """

    def __init__(self, display, likeliest):
        self.display = display
        self.likeliest = likeliest

    def plot(self):
        """Draw in rows of at most five panels."""
        n_methods = len(self.display.heatmaps)
        self.figure_, axes = _panels(3 if n_methods == 1 else 1 + n_methods)
        self.display.plot(ax=axes)
        lines = [f"{probability:.3f}  {name}" for name, probability in self.likeliest]
        axes[0].set_xlabel("\n".join(lines), loc="left", fontsize="small", linespacing=1.4)
        return self


class AttributionDisplay:
    """Signed attributions of a picture's pixels, and its edges over their magnitude.

    Parameters
    ----------
    image : ndarray of shape (c, h, w), uint8
    attributions : ndarray of shape (c, h, w)
        Signed; shown in the picture's colours, zero in grey.
    magnitude, edges : ndarray of shape (h, w), in [0, 1]
    title : str
    """

    def __init__(self, image, attributions, magnitude, edges, title):
        self.image = image
        self.attributions = attributions
        self.magnitude = magnitude
        self.edges = edges
        self.title = title

    def plot(self):
        """Draw three panels."""
        self.figure_, axes = _panels(3, labels=0)
        strongest = np.quantile(np.abs(self.attributions), 0.995) or 1  # a few would hide the rest
        signed = (0.5 + self.attributions / (2 * strongest)).clip(0, 1)
        for panel, pixels, title in zip(
            axes[:2], (self.image / 255, signed), ("input", self.title), strict=True
        ):
            panel.imshow(pixels.transpose(1, 2, 0).squeeze(), "gray", vmin=0, vmax=1)
            panel.set_title(fill(title, TITLE_WIDTH))
        axes[2].imshow(self.magnitude, "inferno", vmin=0, vmax=1)
        axes[2].imshow(np.ones_like(self.edges), "gray", vmin=0, vmax=1, alpha=self.edges)
        axes[2].set_title("magnitude and edges")
        for panel in axes:
            panel.set(xticks=[], yticks=[])
        return self


def _panels(n, labels=LABELS):
    """A figure and axes for square panels, in rows."""
    columns = min(n, COLUMNS)
    rows = -(-n // columns)
    size = (PANEL * columns + labels, (PANEL + 0.5) * rows + 0.5)
    figure, grid = plt.subplots(rows, columns, figsize=size, layout="compressed", squeeze=False)
    for unused in grid.flat[n:]:
        unused.remove()
    return figure, grid.ravel()[:n]
