"""Scores of a parameter search."""

from typing import Any, Self

import numpy as np
import pandas as pd

from fmcam.plot._style import ORANGE, get_axes


class SearchDisplay:
    """Grid of a search's scores: one cell a pair of parameter values, one panel a value of a third.

    Where several candidates share a cell, because the search varies further parameters, the cell
    shows the best of them. Make one with `from_estimator` or `from_results`.

    Parameters
    ----------
    mean, std : ndarray of float, of shape (n_panels, n_y, n_x)
        Mean and standard deviation of the score over the folds; NaN where no candidate was tried.
    x, y, by : str
        Names of the parameters along the columns, the rows and the panels; `by` may be None.
    x_values, y_values, by_values : list
        Their values, of lengths n_x, n_y and n_panels.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes, of shape (n_panels,)
        The panels.
    figure_ : matplotlib Figure
        What they are on.

    Examples
    --------
    >>> results = {
    ...     "param_lr": [0.01, 0.01, 0.1, 0.1],
    ...     "param_batch_size": [32, 64, 32, 64],
    ...     "mean_test_score": [0.88, 0.86, 0.91, 0.90],
    ...     "std_test_score": [0.01, 0.01, 0.02, 0.01],
    ... }
    >>> SearchDisplay.from_results(results, x="lr", y="batch_size").frame()
       batch_size    lr  mean_test_score  std_test_score
    0          32  0.01             0.88            0.01
    1          32  0.10             0.91            0.02
    2          64  0.01             0.86            0.01
    3          64  0.10             0.90            0.01
    """

    def __init__(
        self,
        *,
        mean: Any,
        std: Any,
        x: Any,
        y: Any,
        by: Any,
        x_values: Any,
        y_values: Any,
        by_values: Any,
    ) -> None:
        self.mean = mean
        self.std = std
        self.x = x
        self.y = y
        self.by = by
        self.x_values = x_values
        self.y_values = y_values
        self.by_values = by_values

    @classmethod
    def from_estimator(cls, estimator: Any, *, x: str, y: str, by: str | None = None) -> Self:
        """Return the scores of a fitted search.

        Parameters
        ----------
        estimator : GridSearchCV or any other search with `cv_results_`
            Fitted, with a single metric.
        x, y : str
            Searched parameters for the columns and the rows, such as "lr".
        by : str, optional
            One for the panels; without it there is one panel.

        Returns
        -------
        display : SearchDisplay

        Raises
        ------
        ValueError
            If a name is no searched parameter, or there is no score.
        """
        return cls.from_results(estimator.cv_results_, x=x, y=y, by=by)

    @classmethod
    def from_results(cls, cv_results: Any, *, x: str, y: str, by: str | None = None) -> Self:
        """Return the scores in the results of a search.

        Parameters
        ----------
        cv_results : dict or DataFrame
            With the keys `mean_test_score`, `std_test_score` and one `param_<name>` for each
            searched parameter, as in `cv_results_`.
        x, y : str
            Searched parameters for the columns and the rows, such as "lr".
        by : str, optional
            One for the panels; without it there is one panel. Numbers are sorted, other values stay
            in the order of the search.

        Returns
        -------
        display : SearchDisplay

        Raises
        ------
        ValueError
            If a name is no searched parameter, or there is no score.
        """
        results = pd.DataFrame(cv_results)
        _check_results(results, [name for name in (x, y, by) if name is not None])
        column, x_values = _levels(results[f"param_{x}"])
        row, y_values = _levels(results[f"param_{y}"])
        panel, by_values = np.zeros(len(results), dtype=int), [None]
        if by is not None:
            panel, by_values = _levels(results[f"param_{by}"])
        cell = np.column_stack([panel, row, column])
        scores = results[["mean_test_score", "std_test_score"]].to_numpy(dtype=float)
        mean, std = np.full((2, len(by_values), len(y_values), len(x_values)), np.nan)
        # From worst to best, so that the best candidate of a cell is the one that stays.
        for candidate in np.argsort(-scores[:, 0], kind="stable")[::-1]:
            mean[tuple(cell[candidate])], std[tuple(cell[candidate])] = scores[candidate]
        return cls(
            mean=mean,
            std=std,
            x=x,
            y=y,
            by=by,
            x_values=x_values,
            y_values=y_values,
            by_values=by_values,
        )

    def frame(self) -> pd.DataFrame:
        """Return the cells as a tidy table.

        Returns
        -------
        frame : DataFrame
            One row a cell: the values of the parameters `by`, `y` and `x`, each under its own name,
            then mean_test_score and std_test_score, NaN where no candidate has a score.
        """
        values = {self.by: self.by_values, self.y: self.y_values, self.x: self.x_values}
        values.pop(None, None)
        frame = pd.MultiIndex.from_product(values.values(), names=values).to_frame(index=False)
        return frame.assign(mean_test_score=self.mean.ravel(), std_test_score=self.std.ravel())

    def plot(self, ax: Any = None) -> Self:
        """Draw the grid with the best cell outlined.

        Each cell shows mean ± standard deviation, in per cent if all scores lie in [0, 1]. A cell
        without a score is blank.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, of shape (n_panels,), optional
            Where to draw. By default a new figure.

        Returns
        -------
        self : SearchDisplay

        Raises
        ------
        ValueError
            If `ax` does not have one axes a panel.
        """
        from matplotlib.patches import Rectangle

        n_panels, n_y, n_x = self.mean.shape
        self.figure_, self.ax_ = get_axes(ax, n_panels, (1.2 + 0.8 * n_x, 1.0 + 0.6 * n_y))
        in_percent = np.nanmin(self.mean) >= 0 and np.nanmax(self.mean) <= 1
        factor, number_format, unit = (100, ".1f", " (%)") if in_percent else (1, ".3g", "")
        mean, std = factor * self.mean, factor * self.std
        for number, panel in enumerate(self.ax_):
            image = panel.imshow(
                mean[number],
                origin="lower",
                aspect="auto",
                cmap="viridis",
                vmin=np.nanmin(mean),
                vmax=np.nanmax(mean),
            )
            self._label(panel, number)
            _annotate(image, mean[number], std[number], number_format)
        label = f"mean test score{unit},\nbest outlined"
        self.figure_.colorbar(image, ax=list(self.ax_), label=label)
        best, row, column = np.unravel_index(np.nanargmax(mean), mean.shape)
        corner = (column - 0.5, row - 0.5)
        self.ax_[best].add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=ORANGE, linewidth=4))
        return self

    def _label(self, panel, number):
        title = "Scores of the search"
        if self.by is not None:
            title = f"{self.by} = {_format(self.by_values)[number]}"
        panel.set_title(title, loc="left")
        panel.set(
            xlabel=self.x,
            ylabel=self.y,
            xticks=range(len(self.x_values)),
            yticks=range(len(self.y_values)),
            xticklabels=_format(self.x_values),
            yticklabels=_format(self.y_values),
        )


def _annotate(image, mean, std, number_format):
    for row, column in np.argwhere(~np.isnan(mean)):
        image.axes.text(
            column,
            row,
            f"{mean[row, column]:{number_format}}\n±{std[row, column]:{number_format}}",
            ha="center",
            va="center",
            color="black" if image.norm(mean[row, column]) > 0.5 else "white",
        )


def _check_results(results, names):
    searched = [key.removeprefix("param_") for key in results.columns if key.startswith("param_")]
    unknown = [name for name in names if name not in searched]
    if unknown or len(set(names)) < len(names):
        raise ValueError(
            f"`x`, `y` and `by` must be different searched parameters, got {names}. "
            f"The search varied {searched}."
        )
    scores = [key for key in results.columns if key.startswith(("mean_test_", "std_test_"))]
    if not {"mean_test_score", "std_test_score"} <= set(scores):
        raise ValueError(
            f"`cv_results` must hold 'mean_test_score' and 'std_test_score', got {scores}. "
            "For several metrics, rename the columns of one."
        )
    if results["mean_test_score"].isna().all():
        raise ValueError(
            "`cv_results` must hold at least one score, got NaN only: every fit failed. "
            "Search with error_score='raise' to see why."
        )


def _levels(values):
    """Return the position of each value among the distinct ones, and these; numbers are sorted."""
    values = values.infer_objects()
    numbers = pd.api.types.is_numeric_dtype(values)
    codes, levels = pd.factorize(values, sort=numbers, use_na_sentinel=False)
    return codes, [None if pd.isna(level) else level for level in levels]


def _format(values):
    """Return short labels, all in the notation that is shorter, such as 1e-3 for 0.001."""

    def plain(number):
        return np.format_float_positional(number, precision=4, fractional=False, trim="-")

    def scientific(number):
        return np.format_float_scientific(number, 3, trim="-", exp_digits=1) if number else "0"

    labels = [
        [write(value) if isinstance(value, float) else str(value) for value in values]
        for write in (scientific, plain)
    ]
    return min(labels, key=lambda texts: len("".join(texts)))
