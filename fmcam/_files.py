"""Files that are whole or not there."""

import contextlib
import os
import tempfile
import uuid
from pathlib import Path

__all__ = ["check_writable", "replacing", "writable_folder"]


@contextlib.contextmanager
def replacing(path, *, parents=False):
    """A path beside `path` to write to, which takes its place on leaving without an error.

    Both names end alike, so that what picks a format by the ending picks the same.

    Parameters
    ----------
    path : str or path
    parents : bool
        Whether to make the folder where it is missing.

    Raises
    ------
    OSError
        If `path` is a folder, or the folder to write to is not there or cannot be written to.
    """
    path = Path(path)
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
    check_writable(path)
    beside = path.with_name(f".{uuid.uuid4().hex}.{path.name}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def check_writable(path):
    """Raise OSError for a path that no file can be written to."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. Name a file in it to write.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} to.")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"The folder {path.parent} cannot be written to.")


def writable_folder(path, name):
    """Return the absolute path of a folder, made if need be; ValueError if it takes no file.

    `name` is what the folder is called where it was given, such as "`memory`" or "--out".
    """
    try:
        folder = Path(path).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, TypeError) as error:
        raise ValueError(
            f"{name} must be a folder that can be written to, got {path!r} ({error}). Choose "
            "another folder or change its permissions."
        ) from error
    return folder
