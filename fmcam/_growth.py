"""Connected regions of pixels above a level that goes down: they appear, grow and join.

Each pixel points to its highest neighbour, so it joins the region of the peak that it leads to as
soon as it is above the level. What is left to join are the regions of peaks, where their slopes
meet. Each pixel and each meeting is looked at once, at its own level, for all maps together; the
work does not grow with the levels below.
"""

import numpy as np
from sklearn.utils import gen_batches

__all__ = ["Growth", "blocks"]

_PIXELS_AT_ONCE = 2**19  # larger blocks leave the cache
# In the order of the pixels: of neighbours that are equally high, the first one is preferred.
_STEPS = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0), (0, 1), (1, -1), (1, 0), (1, 1)]


def blocks(shape):
    """Yield slices of maps (n, h, w) that together are all, of bounded memory."""
    n, h, w = shape
    yield from gen_batches(n, max(1, _PIXELS_AT_ONCE // (h * w)))


class Growth:
    """Regions of pixels above a level, for each level from the highest one down.

    Parameters
    ----------
    levels : ndarray of shape (n, h, w), of unsigned integers
        A pixel of 3 is above the levels 0, 1 and 2.
    values : ndarray of shape (n, h, w), float
        Their mean over the pixels of a region is computed, in single precision.
    n_levels : int
        No pixel is higher.
    diagonal : bool
        Whether pixels that share a corner touch (8-connected) or not (4-connected).

    Attributes
    ----------
    image : ndarray of shape (p,), int
        The image of each peak. One peak stands for each region, see `alive`.
    size : ndarray of shape (p,), int
        Number of pixels of its region at the level that iteration has come to.
    first : ndarray of shape (p,), int
        The pixel of that region that comes first, counted in rows.
    """

    def __init__(self, levels, values, n_levels, *, diagonal=True):
        self._shape = levels.shape
        _, h, w = levels.shape
        # Single precision adds up without rounding in double precision: equal regions stay equal.
        self._values = values.astype(np.float32).ravel()
        self._n_levels = n_levels
        self._pixels, self._ends = _by_level(levels.ravel(), n_levels)
        self._peak, peaks = _lead_to_peaks(levels, diagonal)
        a, b, lower = _meetings(levels, self._peak.reshape(levels.shape), diagonal)
        order, self._ends_of_meetings = _by_level(lower, n_levels)
        self._meetings = a[order], b[order]
        self._number = np.arange(len(peaks))
        self._root = self._number.copy()
        self.image = peaks // (h * w)
        self.size = np.zeros(len(peaks), dtype=np.intp)
        self._total = np.zeros(len(peaks))
        self.first = np.full(len(peaks), levels.size)
        self._last = np.full(len(peaks), -1)
        self._left = np.full(len(peaks), w)
        self._right = np.full(len(peaks), -1)

    def __iter__(self):
        """Yield each level from n_levels - 1 to 0, and the peaks whose regions have grown."""
        for level in range(self._n_levels - 1, -1, -1):
            here = slice(*self._ends_of_meetings[level : level + 2])
            self._join(*(peaks[here] for peaks in self._meetings))
            yield level, self._grow(self._pixels[slice(*self._ends[level : level + 2])])

    def alive(self):
        """Return the peaks that stand for a region, in the order of their images."""
        return np.flatnonzero(self._stands() & (self.size > 0))

    def root_of(self, peaks):
        """Return the peaks that stand for the regions of peaks."""
        return self._root[peaks]

    def largest(self, peaks):
        """Return those of some peaks that stand for the largest regions, one an image.

        Of regions of as many pixels it is that of the higher mean, then that which comes first.
        """
        for key_of in (self.size.__getitem__, self._mean, self._before):
            key, image = key_of(peaks), self.image[peaks]
            highest = np.full(self._shape[0], -np.inf)
            np.maximum.at(highest, image, key)
            peaks = peaks[key == highest[image]]
        of_image = np.full(self._shape[0], -1)
        of_image[self.image[peaks]] = peaks
        return of_image[of_image >= 0]

    def _mean(self, peaks):
        return self._total[peaks] / self.size[peaks]

    def _before(self, peaks):
        return -self.first[peaks]

    def boxes(self, peaks):
        """Return the boxes x0, y0, x1, y1, half-open, around the regions, (len(peaks), 4)."""
        _, h, w = self._shape
        rows = [pixel[peaks] // w % h for pixel in (self.first, self._last)]
        return np.column_stack([self._left[peaks], rows[0], self._right[peaks] + 1, rows[1] + 1])

    def _join(self, a, b):
        """Join the regions of two arrays of peaks, pair by pair."""
        stood = self._stands()
        while True:
            a, b = self._find(a), self._find(b)
            apart = a != b
            if not apart.any():
                break
            a, b = a[apart], b[apart]
            self._root[np.maximum(a, b)] = np.minimum(a, b)
        self._root = self._find(self._root)
        gone = np.flatnonzero(stood & ~self._stands())
        into = self._root[gone]
        np.add.at(self.size, into, self.size[gone])
        np.add.at(self._total, into, self._total[gone])
        for lowest in (self.first, self._left):
            np.minimum.at(lowest, into, lowest[gone])
        for highest in (self._last, self._right):
            np.maximum.at(highest, into, highest[gone])

    def _stands(self):
        return self._root == self._number

    def _find(self, peaks):
        while True:
            up = self._root[peaks]
            if np.array_equal(up, peaks):
                return up
            peaks = up

    def _grow(self, pixels):
        """Add pixels to the regions of their peaks, and return the peaks of those regions."""
        into = self._root[self._peak[pixels]]
        x = pixels % self._shape[2]
        np.add.at(self.size, into, 1)
        np.add.at(self._total, into, self._values[pixels].astype(np.float64))
        np.minimum.at(self.first, into, pixels)
        np.maximum.at(self._last, into, pixels)
        np.minimum.at(self._left, into, x)
        np.maximum.at(self._right, into, x)
        grown = np.zeros(len(self._root), dtype=bool)
        grown[into] = True
        return np.flatnonzero(grown)


def _by_level(levels, n_levels):
    """Return positions in the order of levels, and where in it those of level + 1 begin and end."""
    order = np.argsort(levels, kind="stable")  # a radix sort for uint8 and uint16
    return order, np.cumsum(np.bincount(levels, minlength=n_levels + 1))


def _lead_to_peaks(levels, diagonal):
    """Return the number of the peak that each pixel leads to, and the pixels that are peaks."""
    _, h, w = levels.shape
    padded = np.pad(levels, ((0, 0), (1, 1), (1, 1)))
    highest = np.zeros_like(levels)
    step_to = np.full(levels.shape, _STEPS.index((0, 0)), dtype=np.uint8)
    for number, (dy, dx) in enumerate(_STEPS):
        if diagonal or 0 in (dy, dx):
            neighbour = padded[:, 1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w]
            higher = neighbour > highest
            step_to[higher] = number
            highest = np.maximum(highest, neighbour)
    steps = np.array([dy * w + dx for dy, dx in _STEPS])
    pixels = np.arange(levels.size)
    end = pixels + steps[step_to.ravel()]
    peaks = np.flatnonzero((end == pixels) & (levels.ravel() > 0))
    while True:
        further = end[end]
        if np.array_equal(further, end):
            break
        end = further
    numbers = np.zeros(levels.size, dtype=np.intp)
    numbers[peaks] = np.arange(len(peaks))
    return numbers[end], peaks


def _meetings(levels, peak, diagonal):
    """Return peaks whose pixels touch, (m,) each, and the lower of the two pixels' levels, (m,)."""
    found = [
        _meet(levels, peak, *sides)
        for sides in [(np.s_[..., :-1], np.s_[..., 1:]), (np.s_[:, :-1], np.s_[:, 1:])]
    ]
    if diagonal:
        falling = np.s_[:, :-1, :-1], np.s_[:, 1:, 1:]
        rising = np.s_[:, :-1, 1:], np.s_[:, 1:, :-1]
        for corners, others in [(falling, rising), (rising, falling)]:
            lower, other = (
                join(levels[a], levels[b])
                for join, (a, b) in [(np.minimum, corners), (np.maximum, others)]
            )
            # Otherwise they touch through another corner of the square, which is as high.
            found.append(_meet(levels, peak, *corners, where=other < lower))
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def _meet(levels, peak, one, other, where=True):
    lower = np.minimum(levels[one], levels[other])
    meet = (peak[one] != peak[other]) & (lower > 0) & where
    return peak[one][meet], peak[other][meet], lower[meet]
