"""ROC curves of all classes."""

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import auc, roc_curve

from fmcam._predictions import check_class_names, check_probabilities
from fmcam._text import printable
from fmcam._typing import Images
from fmcam.plot._style import GREY, PALETTE, get_axes

_AVERAGES = {"micro average": ":", "macro average": "--"}
_DASHES = ["-", (0, (4, 1)), (0, (1, 1))]


class RocCurvesDisplay:
    """ROC curve of each class against all others, with their micro and macro average.

    Make one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    fpr, tpr : list of ndarray of float, each of shape (n_points,)
        False and true positive rates in [0, 1], the micro and the macro average last.
    roc_auc : list of float
        Areas under the curves, in [0, 1].
    names : list of str
        Names of the curves.

    Attributes
    ----------
    ax_ : matplotlib Axes, or ndarray of them of shape (k,)
        The panel, or those of the k classes.
    inset_ : matplotlib Axes or None
        The upper left corner enlarged; None where the macro average is below 0.9 and the corner
        empty, and with a panel for each class.
    figure_ : matplotlib Figure
        What they are on.

    Notes
    -----
    The micro average pools all pairs of an image and a class. The macro average is the mean of the
    true positive rates of the classes at each false positive rate, so its area is the mean of
    theirs. Classes that do not occur are missing from it.

    Examples
    --------
    >>> y_proba = [[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.3, 0.7]]
    >>> display = RocCurvesDisplay.from_predictions(["bag", "bag", "coat", "coat"], y_proba,
    ...                                             ["bag", "coat"])
    >>> display.frame().groupby("curve", sort=False)["auc"].first().to_dict()
    {'bag': 0.75, 'coat': 0.75, 'micro average': 0.75, 'macro average': 0.75}
    """

    def __init__(self, *, fpr: Any, tpr: Any, roc_auc: Any, names: Any) -> None:
        self.fpr = fpr
        self.tpr = tpr
        self.roc_auc = roc_auc
        self.names = names

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Images, y: ArrayLike, *, class_names: Sequence[str] | None = None
    ) -> Self:
        """Return the ROC curves of a fitted classifier.

        Parameters
        ----------
        estimator : classifier with `predict_proba` and `classes_`
            Fitted.
        X : array-like of shape (n, c, h, w)
            Images, of the kind that `estimator` takes.
        y : array-like of shape (n,)
            True labels.
        class_names : sequence of k str, optional
            Names to show in place of `estimator.classes_`.

        Returns
        -------
        display : RocCurvesDisplay
        """
        y_proba = estimator.predict_proba(X)
        return cls.from_predictions(y, y_proba, estimator.classes_, class_names=class_names)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_proba: ArrayLike,
        classes: ArrayLike,
        *,
        class_names: Sequence[str] | None = None,
    ) -> Self:
        """Return the ROC curves of predicted probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            True labels, all of them in `classes`; two classes or more must occur.
        y_proba : array-like of float, of shape (n, k)
            Probabilities; each row sums to one.
        classes : array-like of shape (k,)
            The labels of the columns of `y_proba`, sorted: `clf.classes_`.
        class_names : sequence of k str, optional
            Names to show in place of `classes`.

        Returns
        -------
        display : RocCurvesDisplay

        Raises
        ------
        ValueError
            If shapes, labels, names or probabilities do not fit together, or one class only occurs.

        Warns
        -----
        UndefinedMetricWarning
            Names the classes absent from `y_true`, which have no curve.
        """
        codes, y_proba = check_probabilities(y_true, y_proba, classes)
        names = check_class_names(class_names, classes)
        present = np.unique(codes)
        if len(present) < 2:
            raise ValueError(
                f"`y_true` must hold two or more classes, got {names[present].tolist()} only. "
                "A ROC curve needs images that are not of the class."
            )
        if absent := names.delete(present).tolist():
            warnings.warn(
                f"No ROC curve for {absent}: absent from `y_true`.",
                UndefinedMetricWarning,
                stacklevel=2,
            )
        curves = [roc_curve(codes == code, y_proba[:, code])[:2] for code in present]
        of_class = codes[:, None] == np.arange(len(names))
        micro = roc_curve(of_class.ravel(), y_proba.ravel())[:2]
        fpr, tpr = zip(*curves, micro, _macro_average(curves), strict=True)
        return cls(
            fpr=list(fpr),
            tpr=list(tpr),
            roc_auc=[float(auc(x, y)) for x, y in zip(fpr, tpr, strict=True)],
            names=[*map(str, names[present]), *_AVERAGES],
        )

    def frame(self) -> pd.DataFrame:
        """Return the curves as a tidy table.

        Returns
        -------
        frame : DataFrame
            One row a point: curve (its name), fpr, tpr and auc (that of the whole curve).
        """
        curves = zip(self.names, self.fpr, self.tpr, self.roc_auc, strict=True)
        return pd.concat(
            [
                pd.DataFrame({"curve": name, "fpr": fpr, "tpr": tpr, "auc": area})
                for name, fpr, tpr, area in curves
            ],
            ignore_index=True,
        )

    def plot(self, ax: Any = None, *, panels: bool = False) -> Self:
        """Draw the curves, with the area under each in the legend or over its panel.

        Parameters
        ----------
        ax : matplotlib Axes, or array-like of k of them, optional
            Where to draw. By default a new figure.
        panels : bool, default=False
            Whether each of the k classes that occur gets a panel of its own, without the averages.

        Returns
        -------
        self : RocCurvesDisplay

        Raises
        ------
        ValueError
            If `ax` has another number of axes.
        """
        self.inset_: Any = None
        if panels:
            return self._draw_panels(ax)
        n_columns = 1 + len(self.names) // 24
        self.figure_, (self.ax_,) = get_axes(ax, 1, (5.8 + 3 * n_columns, 6))
        self._draw_curves(self.ax_)
        self.ax_.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, label="chance (AUC 0.500)")
        self.ax_.set(
            xlim=(-0.01, 1),
            ylim=(0, 1.01),
            xlabel="false positive rate",
            ylabel="true positive rate",
            title="One class against all others",
        )
        self.ax_.grid(alpha=0.3)
        self.ax_.legend(loc="upper left", bbox_to_anchor=(1.01, 1), ncols=n_columns, frameon=False)
        if self.roc_auc[-1] >= 0.9:
            self._draw_inset()
        return self

    def _draw_panels(self, ax):
        curves = [*zip(self.names, self.fpr, self.tpr, self.roc_auc, strict=True)]
        curves = curves[: -len(_AVERAGES)]
        self.figure_, self.ax_ = get_axes(ax, len(curves), (2.6, 2.8), n_columns=5)
        for panel, (name, fpr, tpr, area) in zip(self.ax_, curves, strict=True):
            panel.plot(fpr, tpr, color=PALETTE[0], linewidth=1.5)
            panel.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
            panel.set(xlim=(-0.02, 1), ylim=(0, 1.02), aspect="equal")
            panel.set_title(f"{printable(name)}\nAUC {area:.3f}", fontsize="medium")
            panel.grid(alpha=0.3)
        self.figure_.supxlabel("false positive rate")
        self.figure_.supylabel("true positive rate")
        return self

    def _draw_inset(self):
        self.inset_ = self.ax_.inset_axes((0.38, 0.1, 0.59, 0.59), xlim=(0, 0.2), ylim=(0.8, 1))
        self._draw_curves(self.inset_)
        self.inset_.set_title("enlarged: the framed corner", fontsize="medium")
        self.inset_.locator_params(nbins=5)
        self.inset_.grid(alpha=0.3)
        self.ax_.indicate_inset((0, 0.8, 0.2, 0.2), edgecolor="black")

    def _draw_curves(self, ax):
        curves = zip(self.names, self.fpr, self.tpr, self.roc_auc, strict=True)
        for number, (name, fpr, tpr, area) in enumerate(curves):
            repeat, position = divmod(number, len(PALETTE))
            color, dashes, width = PALETTE[position], _DASHES[repeat % len(_DASHES)], 1.5
            if name in _AVERAGES:
                color, dashes, width = "black", _AVERAGES[name], 2.5
            label = f"{name} (AUC {area:.3f})"
            ax.plot(fpr, tpr, color=color, linestyle=dashes, linewidth=width, label=label)


def _macro_average(curves):
    """Return the mean curve of curves (fpr, tpr), exact also where they rise vertically."""
    grid = np.unique(np.concatenate([fpr for fpr, _ in curves]))
    # Where a curve jumps, np.interp gives the upper end; seen from the right, the lower one.
    upper = np.mean([np.interp(grid, fpr, tpr) for fpr, tpr in curves], axis=0)
    lower = np.mean([np.interp(-grid, -fpr[::-1], tpr[::-1]) for fpr, tpr in curves], axis=0)
    return np.repeat(grid, 2), np.column_stack([lower, upper]).ravel()
