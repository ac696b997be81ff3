"""What the displays share: panels to draw on, and colours that do not rely on red and green."""

import numpy as np

# From Okabe and Ito, "Color universal design", 2008, without those too light for a line on white.
PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"]
BLUE, ORANGE, GREY = PALETTE[0], PALETTE[5], "#777777"


def get_axes(ax, n_panels, panel_size, n_columns=4):
    """Return a figure and its (n_panels,) axes: those given, or new ones of `panel_size` inches."""
    import matplotlib.pyplot as plt

    if ax is not None:
        axes = np.array(ax, dtype=object).ravel()
        if len(axes) != n_panels:
            raise ValueError(
                f"`ax` must hold {n_panels} axes, one a panel, got {len(axes)}. "
                f"Pass those of `plt.subplots(1, {n_panels})`."
            )
        return axes[0].figure, axes
    n_columns = min(n_columns, n_panels)
    n_rows = -(-n_panels // n_columns)
    figure, grid = plt.subplots(
        n_rows,
        n_columns,
        squeeze=False,
        figsize=(panel_size[0] * n_columns, panel_size[1] * n_rows),
        layout="constrained",
    )
    axes = grid.ravel()
    for unused in axes[n_panels:]:
        unused.remove()
    return figure, axes[:n_panels]
