"""Folders that are published as archives."""

import shutil
import tarfile

from fmcam.datasets._base import download


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
    with tarfile.open(path) as archive:
        archive.extractall(part, filter="data")
    (part / folder.name).rename(folder)
    shutil.rmtree(part)
    path.unlink()
