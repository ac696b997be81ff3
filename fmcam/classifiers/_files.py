"""Files that are whole or not there."""

import contextlib
import os
from pathlib import Path

__all__ = ["replacing"]


@contextlib.contextmanager
def replacing(path):
    """A path beside `path` to write to, which takes its place on leaving without an error.

    Parameters
    ----------
    path : str or path
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
