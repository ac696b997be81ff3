"""The display of one picture: heatmaps beside it, and its likeliest classes."""

import matplotlib.pyplot as plt

__all__ = ["PictureDisplay", "grid_of", "n_panels", "panels"]

PANEL = 2.8  # inches
COLUMNS = 5
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

    def plot(self, cmap=None):
        """Draw in rows of at most five panels, in colours as `HeatmapDisplay` takes them."""
        self.figure_, axes = panels(n_panels(self.display.heatmaps))
        self.display.plot(ax=axes, cmap=cmap)
        lines = [f"{probability:.3f}  {name}" for name, probability in self.likeliest]
        axes[0].set_xlabel("\n".join(lines), loc="left", fontsize="small", linespacing=1.4)
        return self


def grid_of(n):
    """Rows, columns and size in inches of a figure with `n` square panels, five a row at most."""
    columns = min(n, COLUMNS)
    rows = -(-n // columns)
    size = round(PANEL * columns + LABELS, 1), round((PANEL + 0.5) * rows + 0.5, 1)
    return rows, columns, size


def panels(n):
    """A figure and axes for square panels, in rows."""
    rows, columns, size = grid_of(n)
    figure, grid = plt.subplots(rows, columns, figsize=size, layout="compressed", squeeze=False)
    for unused in grid.flat[n:]:
        unused.remove()
    return figure, grid.ravel()[:n]


def n_panels(heatmaps):
    """How many panels a `HeatmapDisplay` of one image has."""
    return 3 if len(heatmaps) == 1 else 1 + len(heatmaps)
