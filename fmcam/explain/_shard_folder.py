"""The folder of `explain_in_shards`: maps, and which of them are finished."""

import json
import math
import os
import zlib
from pathlib import Path
from tokenize import TokenError

import numpy as np

from fmcam._files import full_disk_told, replacing, reserve

__all__ = ["KEPT", "ShardFolder"]

KEPT = "Finished shards are kept, and the same call goes on."
_DAMAGE = (  # of JSON, its values, and numpy's header, which is Python
    *(AttributeError, EOFError, FileNotFoundError, KeyError),
    *(SyntaxError, TokenError, TypeError, ValueError),
)


class ShardFolder:
    """The maps of all shards in one file, and the checksum of each shard that is finished.

    What is not as it was written, list or maps, counts as not there. `finished.json` is written
    beside and renamed after each shard, `maps.npy.part` renamed to `maps.npy` after the last.
    """

    def __init__(self, folder, key, shape, shards):
        folder = Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "maps.npy"
        self._part = folder / "maps.npy.part"
        self._list = folder / "finished.json"
        self._key = key
        self._shape = shape
        self.shards = shards
        self.finished = self.read(range(len(shards)))

    def read(self, numbers):
        """The checksums of those of the shards that are finished, as the disk says."""
        try:
            kept = json.loads(self._list.read_text())
            checksums = kept["finished"] if kept["key"] == self._key else {}
            maps = np.load(self.file if self.file.exists() else self._part, mmap_mode="r")
            if maps.shape != self._shape or maps.dtype != np.float32:
                return {}
            return {
                number: checksum
                for number in numbers
                if (checksum := checksums.get(str(number))) is not None
                and zlib.crc32(maps[self.shards[number]].data) == checksum
            }
        except _DAMAGE:
            return {}

    def whole(self):
        """Whether the maps of these inputs are all there."""
        return len(self.finished) == len(self.shards) and self.file.exists()

    def begin(self):
        """Make the file, unless there is one with some of these maps."""
        if self.finished:
            if self.file.exists():
                os.replace(self.file, self._part)
            return
        # lists before the files: none may speak of maps that are not there
        if self._part.exists():
            self._write()
            self._part.unlink()
        self._make_room()
        self._write()
        self.file.unlink(missing_ok=True)

    def _make_room(self):
        """Reserve all of the file: a map in a file that outgrows the disk ends the process."""
        try:
            with full_disk_told(self._part), open(self._part, "wb") as stream:
                header = {"descr": "<f4", "fortran_order": False, "shape": self._shape}
                np.lib.format.write_array_header_1_0(stream, header)
                n_bytes = stream.tell() + 4 * math.prod(self._shape)
                stream.truncate(n_bytes)
                reserve(stream, n_bytes)
        except BaseException:
            self._part.unlink(missing_ok=True)
            raise

    @property
    def place(self):
        """The file to write to, and where its first map begins."""
        return self._part, np.load(self._part, mmap_mode="r").offset

    def add(self, number, checksum):
        """Note that a shard is finished."""
        # another dictionary: threads of joblib may be pickling this one
        self.finished = {**self.finished, number: checksum}
        self._write()

    def _write(self):
        with replacing(self._list, kept=KEPT) as beside:
            beside.write_text(json.dumps({"key": self._key, "finished": self.finished}))

    def finish(self):
        """Give the file its name."""
        os.replace(self._part, self.file)
