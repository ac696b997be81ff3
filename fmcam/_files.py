"""Files that are whole or not there."""

import contextlib
import errno
import functools
import hashlib
import os
import platform
import re
import tempfile
import uuid
from pathlib import Path

__all__ = [
    "DiskFullError",
    "check_folder",
    "check_writable",
    "full_disk_told",
    "replacing",
    "reserve",
    "writable_folder",
]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskFullError(OSError):
    """A file had no room; the message names it, what is kept, and how to go on."""


@contextlib.contextmanager
def replacing(path, *, parents=False, kept=None):
    """A path beside `path` to write to, which takes its place on leaving without an error.

    Both names end alike, so that what picks a format by the ending picks the same.

    Parameters
    ----------
    path : str or path
    parents : bool
        Whether to make the folder where it is missing.
    kept : str or None
        What is said where the disk is full, as for :func:`full_disk_told`.

    Raises
    ------
    OSError
        If `path` is a folder, the folder to write to is not there or cannot be written to, or
        there is no room.
    """
    path = Path(path)
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
    check_writable(path)
    _clear_once(path.parent)
    beside = path.with_name(f".{_process()}-{uuid.uuid4().hex[:8]}.{path.name}")
    try:
        with full_disk_told(path, kept):
            yield beside
            os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _machine():
    """Tells process numbers of this machine from those of others, and of other containers."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]


def _process():
    return f"{_machine()}-{os.getpid()}"


@functools.cache
def _clear_once(folder):
    """Delete what processes that were killed have left beside the files of a folder."""
    with contextlib.suppress(OSError):  # they are in nobody's way
        for name in os.listdir(folder):
            left = re.match(rf"\.{_machine()}-(\d+)-[0-9a-f]{{8}}\.", name)
            if left and not _lives(int(left[1])):
                (folder / name).unlink(missing_ok=True)


def _lives(pid):
    if os.name == "nt":  # where this would end the process
        return True
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True


@contextlib.contextmanager
def full_disk_told(path, kept=None):
    """Raise DiskFullError where a file has no room: on the disk, in a quota or by a limit.

    Parameters
    ----------
    path : path
    kept : str or None
        A sentence on what is kept, and how to go on; None: the file that was there before.
    """
    if kept is None:
        before = os.path.exists(path)
        kept = "The file that was there is as it was." if before else "Nothing is left of it."
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL or isinstance(error, DiskFullError):
            raise
        told = DiskFullError(
            f"{path} cannot be written: {error.strerror}. {kept} Make room and try again, or "
            "write to another disk."
        )
        told.errno = error.errno
        raise told from error


def reserve(file, n_bytes):
    """Take the room that an open file will need; OSError where there is none.

    File systems that cannot do this are left to run full.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), 0, n_bytes)
    except OSError as error:
        if error.errno in _FULL:
            raise


def check_writable(path):
    """Raise OSError for a path that no file can be written to."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. Name a file in it to write.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} to.")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"The folder {path.parent} cannot be written to.")


def check_folder(path, name):
    """Return the absolute path of a folder; ValueError if it takes no file or could not be made.

    `name` is what the folder is called where it was given, such as "`memory`" or "--out".
    """
    try:
        folder = Path(path).absolute()
        nearest = next(one for one in (folder, *folder.parents) if one.exists())
        tempfile.TemporaryFile(dir=nearest).close()
    except (OSError, TypeError) as error:
        raise ValueError(
            f"{name} must be a folder that can be written to, got {path!r} ({error}). Choose "
            "another folder or change its permissions."
        ) from error
    return folder


def writable_folder(path, name):
    """The same of a folder that is made if need be."""
    folder = check_folder(path, name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
