"""Differences between two classifiers, class by class."""

from typing import Any, Self

import numpy as np
import pandas as pd

from fmcam._typing import Axes
from fmcam.plot._style import BLUE, GREY, ORANGE, get_axes


class ComparisonDisplay:
    """Difference in recall of two classifiers in each class, with its interval.

    Make one with `from_frame`.

    Parameters
    ----------
    classes : list of str, of length k
        Names of the classes.
    difference, low, high : ndarray of float, of shape (k,)
        Recall of a minus recall of b, in [-1, 1], and the ends of its interval; NaN if undefined.
    names : tuple of two str
        Names of a and b.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The panel.
    figure_ : matplotlib Figure
        What it is on.

    Examples
    --------
    >>> from fmcam.report import compare_per_class
    >>> a, b = [[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]], [[0.8, 0.2], [0.6, 0.4], [0.6, 0.4]]
    >>> frame = compare_per_class([0, 1, 1], a, b, [0, 1], class_names=["bag", "coat"])
    >>> ComparisonDisplay.from_frame(frame, names=("LeNet5", "SimpleCNN")).frame()
      class  difference  low  high
    0   bag         0.0  NaN   NaN
    1  coat         1.0  1.0   1.0
    """

    def __init__(self, *, classes: Any, difference: Any, low: Any, high: Any, names: Any) -> None:
        self.classes = classes
        self.difference = difference
        self.low = low
        self.high = high
        self.names = names

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, *, names: tuple[str, str] = ("a", "b")) -> Self:
        """Return the differences in a frame of `fmcam.report.compare_per_class`.

        Parameters
        ----------
        frame : DataFrame of k rows
            With the columns recall_difference, recall_low and recall_high; its index names the
            classes.
        names : tuple of two str, default=("a", "b")
            What to call the classifiers that were a and b.

        Returns
        -------
        display : ComparisonDisplay
            From the class where a loses most to the one where it gains most; classes without a
            difference come last.

        Raises
        ------
        ValueError
            If a column is missing.
        """
        missing = {"recall_difference", "recall_low", "recall_high"} - set(frame.columns)
        if missing:
            raise ValueError(
                "`frame` must have the columns recall_difference, recall_low and recall_high, "
                f"got none called {sorted(missing)}. Pass what `compare_per_class` returns."
            )
        frame = frame.sort_values("recall_difference", kind="stable")
        return cls(
            classes=[str(name) for name in frame.index],
            difference=frame["recall_difference"].to_numpy(),
            low=frame["recall_low"].to_numpy(),
            high=frame["recall_high"].to_numpy(),
            names=tuple(names),
        )

    def frame(self) -> pd.DataFrame:
        """Return the differences as a table.

        Returns
        -------
        frame : DataFrame
            One row a class, from top to bottom: class, difference, low and high.
        """
        return pd.DataFrame(
            {
                "class": self.classes,
                "difference": self.difference,
                "low": self.low,
                "high": self.high,
            }
        )

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw a dot and its interval for each class, filled where the interval leaves out zero.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. By default a new figure.

        Returns
        -------
        self : ComparisonDisplay
        """
        a, b = self.names
        self.figure_, (self.ax_,) = get_axes(ax, 1, (8.4, 1.4 + 0.34 * len(self.classes)))
        rows = np.arange(len(self.classes))
        groups = {
            f"{a} worse": (self.high < 0, ORANGE, ORANGE),
            f"{a} better": (self.low > 0, BLUE, BLUE),
            "undecided": (~((self.high < 0) | (self.low > 0)), GREY, "white"),
        }
        for label, (group, color, face) in groups.items():
            self.ax_.hlines(rows[group], 100 * self.low[group], 100 * self.high[group], color, lw=2)
            self.ax_.plot(
                100 * self.difference[group], rows[group], "o", color=color, mfc=face, label=label
            )
        self.ax_.axvline(0, color="black", linewidth=1)
        self.ax_.set(
            yticks=rows,
            yticklabels=self.classes,
            ylim=(len(rows) - 0.5, -0.5),
            xlabel=f"recall of {a} minus recall of {b} \n(percentage points, 95 % interval)",
        )
        self.ax_.set_title(f"{a} against {b}", loc="left")
        self.ax_.grid(axis="x", alpha=0.3)
        self.ax_.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
        return self
