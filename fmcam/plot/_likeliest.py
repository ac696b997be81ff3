"""The likeliest classes of single images."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fmcam._arrays import as_array
from fmcam._predictions import check_class_names, check_probabilities
from fmcam._text import printable
from fmcam._typing import Axes, Images
from fmcam.plot._style import BLUE, get_axes


class LikeliestClassesDisplay:
    """The likeliest classes of each image and their probabilities, as bars.

    Make one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    table : DataFrame
        What `frame` returns.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes, of shape (n,)
        The panels, one an image.
    figure_ : matplotlib Figure
        What they are on.

    Examples
    --------
    >>> y_proba = [[0.1, 0.7, 0.2]]
    >>> names = ["tench", "great white shark", "tiger shark"]
    >>> LikeliestClassesDisplay.from_predictions(y_proba, names, top=2).frame()
       image  rank              class  probability
    0      0     1  great white shark          0.7
    1      0     2        tiger shark          0.2
    """

    def __init__(self, *, table: pd.DataFrame) -> None:
        self.table = table

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Images, *, class_names: Sequence[str] | None = None, top: int = 5
    ) -> Self:
        """Return the likeliest classes of some images.

        Parameters
        ----------
        estimator : classifier with `predict_proba` and `classes_`
            Fitted.
        X : array-like of shape (n, c, h, w)
            Images, of the kind that `estimator` takes.
        class_names : sequence of k str, optional
            Names to show in place of `estimator.classes_`.
        top : int, default=5
            How many classes, at least 1.

        Returns
        -------
        display : LikeliestClassesDisplay
        """
        names = check_class_names(class_names, estimator.classes_)
        return cls.from_predictions(estimator.predict_proba(X), names, top=top)

    @classmethod
    def from_predictions(
        cls, y_proba: ArrayLike, class_names: Sequence[str], *, top: int = 5
    ) -> Self:
        """Return the likeliest classes by probabilities that are already computed.

        Parameters
        ----------
        y_proba : array-like of float, of shape (n, k)
            Probabilities; each row sums to one.
        class_names : sequence of k str
            Names of the columns.
        top : int, default=5
            How many classes, at least 1; all where there are fewer.

        Returns
        -------
        display : LikeliestClassesDisplay

        Raises
        ------
        ValueError
            If names and probabilities do not fit together, or an argument is out of its range.
        """
        if top < 1:
            raise ValueError(f"`top` must be 1 or more classes, got {top}.")
        y_proba = as_array(y_proba, name="y_proba")
        names = check_class_names(class_names, range(y_proba.shape[-1]))
        _, y_proba = check_probabilities(np.zeros(len(y_proba)), y_proba, range(len(names)))
        columns = np.argsort(-y_proba, axis=1, kind="stable")[:, :top]
        shape = columns.shape
        table = {
            "image": np.repeat(np.arange(shape[0]), shape[1]),
            "rank": np.tile(np.arange(1, shape[1] + 1), shape[0]),
            "class": names.to_numpy()[columns].ravel(),
            "probability": np.take_along_axis(y_proba, columns, axis=1).ravel(),
        }
        return cls(table=pd.DataFrame(table))

    def frame(self) -> pd.DataFrame:
        """Return the classes as a tidy table.

        Returns
        -------
        frame : DataFrame
            One row a pair of an image and one of its likeliest classes: image (its position), rank
            from 1 on, class and probability.
        """
        return self.table.copy()

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw a panel of bars for each image, the likeliest class on top.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, of shape (n,), optional
            Where to draw; by default a new figure.

        Returns
        -------
        self : LikeliestClassesDisplay

        Raises
        ------
        ValueError
            If `ax` has another number of axes.
        """
        by_image = self.table.groupby("image")
        height = 0.6 + 0.3 * self.table["rank"].max()
        self.figure_, self.ax_ = get_axes(ax, len(by_image), (4.6, height), n_columns=2)
        for panel, (image, rows) in zip(self.ax_, by_image, strict=True):
            bars = panel.barh(rows["rank"], rows["probability"], color=BLUE)
            panel.bar_label(bars, fmt="%.3f", padding=3, fontsize="small")
            panel.set_yticks(rows["rank"], [printable(name) for name in rows["class"]])
            panel.set(xlim=(0, 1.15), xticks=[0, 0.5, 1], ylim=(rows["rank"].max() + 0.6, 0.4))
            panel.spines[["top", "right"]].set_visible(False)
            if len(by_image) > 1:
                panel.set_title(f"image {image}", fontsize="medium")
        return self
