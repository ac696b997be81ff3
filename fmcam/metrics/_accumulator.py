"""Scores of images that come a batch at a time, in memory that does not grow."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self

import numpy as np

from fmcam._arrays import as_array
from fmcam._masks import check_masks

__all__ = ["BaseAccumulator", "BaseMean"]

_EITHER = 255  # the object, as long as no mask holds a 1; beside a 1 it is ignored


class Reading(NamedTuple):
    """Masks (n, h, w) as `check_masks` returns them, and what they tell about all masks."""

    masks: np.ndarray
    object: int = 0  # its number, 0 where they hold none
    background: bool = False  # whether any pixel is


@dataclass(kw_only=True, eq=False)
class BaseAccumulator(ABC):
    """What is known of the images so far: sums, which the sums of further images are added to.

    A score writes `update`, which gives sums to `_add` by name, and `_score`, which reads them. One
    that takes masks also says by `_ignoring` what the sums of masks without an object are. What 255
    means depends on all masks, so until one of them holds a 1 both sums are kept.
    """

    _sums: dict = field(init=False, repr=False, default_factory=dict)
    _sums_ignoring: dict = field(init=False, repr=False, default_factory=dict)
    _object: int = field(init=False, repr=False, default=0)  # its number in masks, 0: none yet
    _background: bool = field(init=False, repr=False, default=False)

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
            If there was no image yet, or all pixels of all masks are 255.
        """
        if not self._sums:
            raise ValueError("`compute` needs images, got none. Call `update` with them before.")
        if self._object == _EITHER and not self._background:
            raise ValueError(
                "All pixels of all masks are 255, which is the object or ignored. Pass masks of "
                "bool, such as `masks_true == 255`."
            )
        return self._score(self._sums)

    def reset(self) -> Self:
        """Forget all images.

        Returns
        -------
        accumulator : the accumulator itself
        """
        self._sums, self._sums_ignoring, self._object, self._background = {}, {}, 0, False
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
        return self._join(other._sums, other._sums_ignoring, other._object, other._background)

    def _options(self):
        return {one.name: getattr(self, one.name) for one in fields(self) if one.init}

    def _read_masks(self, masks_true):
        """Return the Reading of the masks of a batch."""
        masks_true = as_array(masks_true, name="masks_true")
        checked = check_masks(masks_true, name="masks_true", known=self._object or _EITHER)
        number = int(masks_true.max(initial=0, where=checked == 1))
        _check_same_object(number, self._object, "masks_true")
        return Reading(checked, number, bool((checked == 0).any()))

    def _add(self, reading=None, **sums):
        if reading is None:
            return self._join(sums, {}, 0, False)
        ignoring = self._ignoring(sums) if reading.object == _EITHER else sums
        return self._join(sums, ignoring, reading.object, reading.background)

    def _ignoring(self, sums):
        """Return what the sums of masks become if their objects are to be ignored."""
        raise NotImplementedError

    def _join(self, sums, ignoring, number, background):
        # new dictionaries, as a copy of the accumulator may hold those before
        self._sums_ignoring = _added(self._sums_ignoring, ignoring)
        both = {number, self._object} == {1, _EITHER}
        self._sums = self._sums_ignoring if both else _added(self._sums, sums)
        self._object = 1 if both else self._object or number
        self._background |= background
        return self


def _added(sums, others):
    return sums | {name: sums.get(name, 0) + value for name, value in others.items()}


def _check_same_object(number, before, name):
    if number and before and number != before and {number, before} != {1, _EITHER}:
        raise ValueError(
            f"`{name}` must mark the object by the number of all other masks, {before}, got "
            f"{number}. Pass masks of bool, such as `masks_true == {number}`."
        )


@dataclass(kw_only=True, eq=False)
class BaseMean(BaseAccumulator):
    """The mean over images of a score that each one has; images without one are left out."""

    def _add_values(self, values, reading=None):
        defined = values[~np.isnan(values)]
        n = len(defined)
        return self._add(reading, total=defined.sum(), n=n, n_left_out=len(values) - n)

    def _ignoring(self, sums):
        return {"total": 0.0, "n": 0, "n_left_out": sums["n"] + sums["n_left_out"]}

    def _score(self, sums):
        return float(sums["total"] / sums["n"]) if sums["n"] else np.nan
