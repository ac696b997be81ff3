"""Folders that are published as archives."""

import os
import shutil
import tarfile

from fmcam._files import DiskFullError, full_disk_told
from fmcam.datasets._base import download

_MOST_FILES = 10**6
_DEEPEST = 30
_MOST_RATIO = 100


def fetch_folder(folder, archive, title, *, download_if_missing):
    """Return a folder, downloaded and extracted if it does not exist.

    Parameters
    ----------
    folder : pathlib.Path
        A folder that exists is taken as it is.
    archive : RemoteFile
        A tar file with a folder of that name in it.
    title : str
        The data set's name in error messages.
    download_if_missing : bool
        If False, a missing folder is an error.

    Returns
    -------
    pathlib.Path
        `folder`.

    Raises
    ------
    OSError
        If the folder is missing and may not or cannot be downloaded.
    """
    if folder.is_dir():
        return folder
    if not download_if_missing:
        raise OSError(_missing(folder, title, "`download_if_missing` is False"))
    try:
        _extract(download(archive, folder.parent), folder)
    except DiskFullError:
        raise
    except (OSError, tarfile.TarError) as error:
        raise OSError(_missing(folder, title, f"the download failed: {error}")) from error
    return folder


def _missing(folder, title, reason):
    return (
        f"{title} needs the folder {folder}, which does not exist, and {reason}. Set the "
        "environment variable FMCAM_DATA to the folder that holds the data sets."
    )


def _extract(path, folder):
    """Extract `folder` out of an archive beside it, rename it and delete the archive."""
    part = folder.with_name(f"{folder.name}.part")
    if part.exists():
        shutil.rmtree(part)  # left by an extraction that was killed
    try:
        with (
            full_disk_told(folder, f"{path} is kept, and the same call goes on."),
            tarfile.open(path) as archive,
        ):
            _check_members(archive, part.resolve())
            if hasattr(tarfile, "data_filter"):  # it came with Python 3.11.4
                archive.extraction_filter = tarfile.data_filter
            archive.extractall(part)
        (part / folder.name).rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    path.unlink()


def _check_members(archive, folder):
    """Raise TarError unless all members are files and folders that stay in a folder, not too many.

    Many bytes in few are no pictures, which hardly shrink.
    """
    n_bytes = 0
    for number, member in enumerate(archive):
        inside = (folder / member.name).resolve().is_relative_to(folder)
        if not (inside and (member.isfile() or member.isdir())):
            raise tarfile.TarError(f"{member.name!r} is no file or folder that stays in {folder}")
        n_bytes += member.size
        if number >= _MOST_FILES or member.name.count("/") >= _DEEPEST:
            raise tarfile.TarError(
                f"it holds over {_MOST_FILES:,} files, or folders {_DEEPEST} deep"
            )
        if n_bytes > _MOST_RATIO * os.path.getsize(archive.name):
            raise tarfile.TarError(f"it unpacks to over {_MOST_RATIO} times its size")
