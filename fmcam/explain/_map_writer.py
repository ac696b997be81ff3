"""Maps collected batch by batch."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from fmcam._files import full_disk_told, reserve

__all__ = ["MapWriter"]


class MapWriter:
    """Collects maps, in memory or in a .npy file that appears when it is whole.

    As many maps are kept as came: how many there will be need not be known.

    Parameters
    ----------
    path : path or None
        None: in memory.
    n_expected : int or None, default=None
        For how many images there is to be room from the start.
    """

    def __init__(self, path, n_expected=None):
        self._path = path
        self._n_expected = n_expected or 0
        self._maps: Any = None
        self._file: Any = None
        self._shape = (0,)

    @property
    def _part_file(self):
        return Path(f"{self._path}.part")

    def add(self, maps):
        """Take the maps of the next images, a tensor of shape (n, ...)."""
        maps = np.ascontiguousarray(maps.cpu().numpy(), dtype=np.float32)
        self._shape = (self._shape[0] + len(maps), *maps.shape[1:])
        if self._path is None:
            self._keep(maps)
            return
        with full_disk_told(self._path):
            if self._file is None:
                self._file = self._part_file.open("wb", buffering=0)
                self._write_header()
                reserve(self._file, self._file.tell() + self._n_expected * maps[:1].nbytes)
            self._write(maps)

    def _write(self, maps):
        rest = memoryview(maps).cast("B")
        while rest:  # what a system writes at once is limited
            rest = rest[self._file.write(rest) :]

    def _keep(self, maps):
        n_maps = self._shape[0]
        if self._maps is None:
            self._maps = np.empty((max(n_maps, self._n_expected), *maps.shape[1:]), maps.dtype)
        if n_maps > len(self._maps):
            self._resize(n_maps + n_maps // 2)
        self._maps[n_maps - len(maps) : n_maps] = maps

    def _resize(self, n_maps):
        # in place: a copy would need the memory twice
        self._maps.resize((n_maps, *self._shape[1:]), refcheck=False)

    def _write_header(self):
        # numpy leaves room in it for the number of rows to grow
        header = {"descr": "<f4", "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def finish(self):
        """All maps: an ndarray, or a read-only memory map of the file."""
        if self._path is None:
            if len(self._maps) > self._shape[0]:
                self._resize(self._shape[0])
            return self._maps
        self._file.truncate()  # fewer may have come than were expected
        self._file.seek(0)
        self._write_header()
        self._file.close()
        self._file = None
        os.replace(self._part_file, self._path)
        return np.load(self._path, mmap_mode="r")

    def discard(self):
        """Remove what was written of a file that did not become whole."""
        if self._file is not None:
            self._file.close()
            self._part_file.unlink(missing_ok=True)
