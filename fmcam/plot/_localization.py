"""How localization depends on thresholds."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from fmcam._typing import Axes
from fmcam.plot._style import PALETTE, get_axes
from fmcam.report import wilson_interval

_IOU_THRESHOLDS = np.arange(1, 101) / 100
_DASHES = ["-", (0, (4, 1)), (0, (1, 1))]


class LocalizationCurveDisplay:
    """Curves of localization over a threshold, one a method.

    `from_rows` shows how many boxes are right, by the IoU that is asked of a right one;
    `from_estimator` how well the boxes fit, by where the maps are cut.

    Parameters
    ----------
    points : DataFrame
        What `frame` returns.
    marked : dict of str to float
        The threshold at which the legend tells the score of each method.
    xlabel, ylabel : str
        Labels of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The panel.
    figure_ : matplotlib Figure
        What it is on.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"method": "CAM", "iou": [0.35, 0.8, 0.9, 0.0]})
    >>> frame = LocalizationCurveDisplay.from_rows(rows).frame()
    >>> frame[frame["threshold"].isin([0.3, 0.5])].round(2)
       method  threshold  score   low  high  n
    29    CAM        0.3   0.75  0.30  0.95  4
    49    CAM        0.5   0.50  0.15  0.85  4
    """

    def __init__(self, *, points: Any, marked: Any, xlabel: Any, ylabel: Any) -> None:
        self.points = points
        self.marked = marked
        self.xlabel = xlabel
        self.ylabel = ylabel

    @classmethod
    def from_rows(cls, rows: pd.DataFrame) -> Self:
        """Return box accuracy over the IoU at which a box counts as right.

        Parameters
        ----------
        rows : DataFrame
            With the columns method and iou, as `fmcam.report.evaluate_localization` returns them.

        Returns
        -------
        display : LocalizationCurveDisplay
            Of the thresholds 0.01, 0.02 to 1, with Wilson's 95 % intervals. Images without a true
            box, whose IoU is NaN, are left out.

        Raises
        ------
        ValueError
            If a method has no IoU at all.
        """
        parts, marked = [], {}
        for method, iou in rows.groupby("method", sort=False)["iou"]:
            iou = iou.dropna().to_numpy()
            if len(iou) == 0:
                raise ValueError(
                    f"`rows` must hold IoUs of each method, got none of {method!r}. Evaluate with "
                    "true boxes."
                )
            hits = (iou[:, None] >= _IOU_THRESHOLDS).sum(axis=0)
            low, high = wilson_interval(hits, len(iou))
            rates = {"score": hits / len(iou), "low": low, "high": high, "n": len(iou)}
            parts.append(_points(method, _IOU_THRESHOLDS, rates))
            marked[method] = 0.5
        return cls(
            points=pd.concat(parts, ignore_index=True),
            marked=marked,
            xlabel="IoU threshold",
            ylabel="box accuracy (95 % interval)",
        )

    @classmethod
    def from_estimator(cls, estimators: Any) -> Self:
        """Return mean IoU over the threshold of the maps, as found in fitting it.

        Parameters
        ----------
        estimators : HeatmapToBox or mapping of str to HeatmapToBox
            Fitted with `threshold="fit"`, by the name of the method.

        Returns
        -------
        display : LocalizationCurveDisplay
            Of the images that the thresholds were fitted on.
        """
        if not isinstance(estimators, Mapping):
            estimators = {type(estimators).__name__: estimators}
        for name, estimator in estimators.items():
            check_is_fitted(
                estimator,
                "scores_",
                msg=f"{name!r} must have fitted its threshold. Call `fit` with threshold='fit'.",
            )
        return cls(
            points=pd.concat(
                [
                    _points(name, fitted.thresholds_, {"score": fitted.scores_})
                    for name, fitted in estimators.items()
                ],
                ignore_index=True,
            ),
            marked={name: fitted.threshold_ for name, fitted in estimators.items()},
            xlabel="map threshold",
            ylabel="mean IoU",
        )

    def frame(self) -> pd.DataFrame:
        """Return the curves as a tidy table.

        Returns
        -------
        frame : DataFrame
            One row a point: method, threshold and score; for box accuracy also low and high, the
            ends of its interval, and n, the number of images.
        """
        return self.points

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the curves, with a dot at the score in the legend.

        The score is that at the IoU of 0.5, or at the fitted threshold of the maps.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. By default a new figure.

        Returns
        -------
        self : LocalizationCurveDisplay
        """
        self.figure_, (self.ax_,) = get_axes(ax, 1, (7.4, 4))
        curves = self.points.groupby("method", sort=False)
        for number, (method, points) in enumerate(curves):
            repeat, position = divmod(number, len(PALETTE))
            color, dashes = PALETTE[position], _DASHES[repeat % len(_DASHES)]
            marked = points[points["threshold"] == self.marked[method]].iloc[0]
            label = f"{method} ({marked['score']:.3f} at {marked['threshold']:.2f})"
            x, y = points["threshold"], points["score"]
            self.ax_.plot(x, y, color=color, linestyle=dashes, label=label)
            self.ax_.plot(marked["threshold"], marked["score"], "o", color=color)
            if "low" in points:
                self.ax_.fill_between(
                    x, points["low"], points["high"], color=color, alpha=0.15, linewidth=0
                )
        self.ax_.set(xlim=(0, 1), ylim=(0, 1.01), xlabel=self.xlabel, ylabel=self.ylabel)
        self.ax_.grid(alpha=0.3)
        self.ax_.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
        return self


def _points(method, thresholds, scores):
    return pd.DataFrame({"method": method, "threshold": thresholds, **scores})
