"""Maps collected batch by batch."""

import os
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["MapWriter"]


class MapWriter:
    """Collects maps, in memory or in a .npy file that appears when it is whole.

    Parameters
    ----------
    n_images : int or None
        None: not known beforehand.
    path : path or None
        None: in memory.
    """

    def __init__(self, n_images, path):
        if path is not None and n_images is None:
            raise ValueError("`out` needs a data set with a length.")
        self._n_images = n_images
        self._path = path
        self._parts: list[np.ndarray] = []
        self._maps: Any = None
        self._done = 0

    @property
    def _part_file(self):
        return Path(f"{self._path}.part")

    def add(self, maps):
        """Take the maps of the next images, a tensor of shape (n, ...)."""
        maps = maps.cpu().numpy()
        if self._n_images is None:
            self._parts.append(maps)
            return
        if self._maps is None:
            shape = (self._n_images, *maps.shape[1:])
            if self._path is None:
                self._maps = np.empty(shape, np.float32)
            else:
                self._maps = np.lib.format.open_memmap(
                    self._part_file, mode="w+", dtype=np.float32, shape=shape
                )
        self._maps[self._done : self._done + len(maps)] = maps
        self._done += len(maps)

    def finish(self):
        """All maps: an ndarray, or a read-only memory map of the file."""
        if self._n_images is None:
            return np.concatenate(self._parts)
        if self._path is None:
            return self._maps
        self._maps.flush()
        os.replace(self._part_file, self._path)
        return np.load(self._path, mmap_mode="r")
