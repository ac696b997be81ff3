"""Scores of images that come a batch at a time, in memory that does not grow."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np

from fmcam._arrays import as_array
from fmcam._masks import check_masks

__all__ = ["BaseAccumulator", "BaseMean"]


@dataclass(kw_only=True, eq=False)
class BaseAccumulator(ABC):
    """What is known of the images so far: sums, which the sums of further images are added to.

    A score writes `update`, which gives sums to `_add` by name, and `_score`, which reads them.
    """

    _sums: dict = field(init=False, repr=False, default_factory=dict)
    _object: int = field(init=False, repr=False, default=0)  # its number in masks, 0: none yet

    @abstractmethod
    def update(self, *batch: Any, **named: Any) -> Self:
        """Take a batch of images."""

    @abstractmethod
    def _score(self, sums): ...

    @property
    def n(self) -> int:
        """Number of images that count."""
        return self._sums.get("n", 0)

    @property
    def n_left_out(self) -> int:
        """Number of images without a true box or mask, or whose score is undefined otherwise."""
        return self._sums.get("n_left_out", 0)

    def compute(self) -> Any:
        """Return the score of all images since the start or the last `reset`.

        Returns
        -------
        score : float, or ndarray where the function of the same name gives one
            NaN where it is undefined.

        Raises
        ------
        ValueError
            If there was no image yet.
        """
        if not self._sums:
            raise ValueError("`compute` needs images, got none. Call `update` with them before.")
        return self._score(self._sums)

    def reset(self) -> Self:
        """Forget all images.

        Returns
        -------
        accumulator : the accumulator itself
        """
        self._sums, self._object = {}, 0
        return self

    def merge_state(self, other: Self) -> Self:
        """Take the images of another accumulator, too, such as that of another process.

        Parameters
        ----------
        other : accumulator of the same kind with the same options
            It is left as it is.

        Returns
        -------
        accumulator : the accumulator itself

        Raises
        ------
        ValueError
            If `other` is of another kind, has other options, or its masks mark the object by
            another number.
        """
        if type(other) is not type(self) or self._options() != other._options():
            raise ValueError(f"`other` must be a {self!r}, got {other!r}. Make both alike.")
        _check_same_object(other._object, self._object, "other")
        self._object = self._object or other._object
        return self._add(**other._sums)

    def _options(self):
        return {one.name: getattr(self, one.name) for one in fields(self) if one.init}

    def _add(self, **sums):
        # a new dictionary, as a copy of the accumulator may hold the one before
        added = {name: self._sums.get(name, 0) + value for name, value in sums.items()}
        self._sums = self._sums | added
        return self

    def _read_masks(self, masks_true):
        """Return checked masks (n, h, w) and the number of the object; see `check_masks`.

        What 255 means depends on all masks, so on those of earlier batches, too.
        """
        masks_true = as_array(masks_true, name="masks_true")
        checked = check_masks(masks_true, name="masks_true", known=self._object)
        number = int(masks_true.max(initial=0, where=checked == 1))
        _check_same_object(number, self._object, "masks_true")
        return checked, number or self._object


def _check_same_object(number, before, name):
    if number and before and number != before:
        raise ValueError(
            f"`{name}` must mark the object by the number of all other masks, {before}, got "
            f"{number}. Pass masks of bool, such as `masks_true == {number}`."
        )


@dataclass(kw_only=True, eq=False)
class BaseMean(BaseAccumulator):
    """The mean over images of a score that each one has; images without one are left out."""

    def _add_values(self, values):
        defined = values[~np.isnan(values)]
        return self._add(total=defined.sum(), n=len(defined), n_left_out=len(values) - len(defined))

    def _score(self, sums):
        return float(sums["total"] / sums["n"]) if sums["n"] else np.nan
