"""Learning curves."""

from typing import Any, Self

import pandas as pd

from fmcam.plot._style import BLUE, ORANGE, get_axes

_STYLES = {"train": {"color": BLUE, "marker": "o"}, "validation": {"color": ORANGE, "marker": "s"}}


class HistoryDisplay:
    """Loss and accuracy over the epochs, for training and validation images.

    Make one with `from_estimator` or `from_history`.

    Parameters
    ----------
    epoch : ndarray of int, of shape (n_epochs,)
        Numbers of the epochs.
    train_loss : ndarray of float, of shape (n_epochs,)
        Mean training loss of each epoch.
    valid_loss, train_acc, valid_acc : ndarray of float, of shape (n_epochs,), optional
        The other curves; one that was not recorded is None and is not drawn.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes, of shape (n_panels,)
        The panel of the loss and, if any accuracy was recorded, that of the accuracy.
    figure_ : matplotlib Figure
        What they are on.

    Examples
    --------
    >>> history = [
    ...     {"epoch": 1, "train_loss": 0.9, "valid_loss": 1.0, "valid_acc": 0.6},
    ...     {"epoch": 2, "train_loss": 0.5, "valid_loss": 0.7, "valid_acc": 0.8},
    ... ]
    >>> display = HistoryDisplay.from_history(history)
    >>> display.frame().tail(2)
       epoch    metric       split  value
    4      1  accuracy  validation    0.6
    5      2  accuracy  validation    0.8
    """

    def __init__(
        self,
        *,
        epoch: Any,
        train_loss: Any,
        valid_loss: Any = None,
        train_acc: Any = None,
        valid_acc: Any = None,
    ) -> None:
        self.epoch = epoch
        self.train_loss = train_loss
        self.valid_loss = valid_loss
        self.train_acc = train_acc
        self.valid_acc = valid_acc

    @classmethod
    def from_estimator(cls, estimator: Any) -> Self:
        """Return the learning curves of a fitted classifier.

        Parameters
        ----------
        estimator : CNNClassifier or any fitted skorch net
            Its `history_` is read.

        Returns
        -------
        display : HistoryDisplay

        Raises
        ------
        ValueError
            If it was not fitted, or its history has no training loss.
        """
        return cls.from_history(estimator.history_ or [])  # None before fit

    @classmethod
    def from_history(cls, history: Any) -> Self:
        """Return the learning curves of a history.

        Parameters
        ----------
        history : list of dict
            One dict an epoch, with `epoch`, `train_loss` and any of `valid_loss`, `train_acc` and
            `valid_acc`; other keys are ignored. An epoch without a training loss, as an interrupted
            fit leaves it, is left out.

        Returns
        -------
        display : HistoryDisplay

        Raises
        ------
        ValueError
            If the history has no training loss.
        """
        keys = ["epoch", "train_loss", "valid_loss", "train_acc", "valid_acc"]
        rows = [row for row in history if {"epoch", "train_loss"} <= row.keys()]
        if not rows:
            raise ValueError(
                "`history` must hold one dict an epoch with the keys 'epoch' and 'train_loss', "
                f"got {len(history)} dicts without. Fit the classifier first."
            )
        table = pd.DataFrame([{key: row[key] for key in keys if key in row} for row in rows])
        return cls(**{key: table[key].to_numpy() for key in table.columns})

    def frame(self) -> pd.DataFrame:
        """Return the curves as a tidy table.

        Returns
        -------
        frame : DataFrame
            One row a point: epoch, metric ("loss" or "accuracy"), split ("train" or "validation")
            and value.
        """
        return pd.concat(
            [
                pd.DataFrame(
                    {"epoch": self.epoch, "metric": metric, "split": split, "value": values}
                )
                for (metric, split), values in self._curves().items()
            ],
            ignore_index=True,
        )

    def plot(self, ax: Any = None) -> Self:
        """Draw the loss and the accuracy side by side.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, of shape (n_panels,), optional
            Where to draw: two axes, or one if no accuracy was recorded. By default a new figure.

        Returns
        -------
        self : HistoryDisplay

        Raises
        ------
        ValueError
            If `ax` has another number of axes.
        """
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        curves = self._curves()
        metrics = list(dict.fromkeys(metric for metric, _ in curves))
        self.figure_, self.ax_ = get_axes(ax, len(metrics), (4.8, 3.6))
        for metric, panel in zip(metrics, self.ax_, strict=True):
            for (of_metric, split), values in curves.items():
                if of_metric == metric:
                    panel.plot(self.epoch, values, label=split, markersize=4, **_STYLES[split])
            panel.set_title(metric.capitalize(), loc="left")
            panel.set(xlabel="epoch", ylabel=metric)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            panel.grid(alpha=0.3)
            # Beside the title, where it can cover no curve.
            panel.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
            if metric == "accuracy":
                panel.yaxis.set_major_formatter(PercentFormatter(1))
        return self

    def _curves(self):
        """Return the recorded values by metric and split."""
        curves = {
            ("loss", "train"): self.train_loss,
            ("loss", "validation"): self.valid_loss,
            ("accuracy", "train"): self.train_acc,
            ("accuracy", "validation"): self.valid_acc,
        }
        return {key: values for key, values in curves.items() if values is not None}
