"""What every data set shares: where the files lie and how they get there."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from fmcam._files import full_disk_told
from fmcam._progress import ProgressBar

if TYPE_CHECKING:
    from fmcam._typing import FilePath

_TIMEOUT = 30  # seconds without a byte from the server
_MOST_BYTES = 4 * 2**30


class RemoteFile(NamedTuple):
    """A file to download.

    Attributes
    ----------
    name : str
        File name on disk.
    url : str
        Where to get it.
    md5 : str
        Its MD5 checksum in hexadecimal, as published. It tells damage, not forgery.
    """

    name: str
    url: str
    md5: str


def get_data_home(data_home: "FilePath | None" = None) -> Path:
    """Return the folder that holds the data sets, one subfolder each.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder. None takes the environment variable `FMCAM_DATA`, or `~/fmcam_data` where
        that is unset or empty. A leading `~` is the user's home.

    Returns
    -------
    pathlib.Path
        The folder, which need not exist.

    Examples
    --------
    >>> from fmcam.datasets import get_data_home
    >>> get_data_home("data").name
    'data'
    """
    if data_home is None:
        data_home = os.environ.get("FMCAM_DATA") or "~/fmcam_data"
    return Path(data_home).expanduser()


def check_subset(subset):
    """Raise a ValueError for what is no part of a published data set."""
    if subset not in ("train", "test"):
        raise ValueError(f"`subset` must be 'train' or 'test', got {subset!r}.")


def file_md5(path):
    """MD5 checksum of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def download(remote, folder):
    """Download a file, check it, and only then give it its name.

    A transfer that breaks off leaves `<name>.part`, and the next call goes on from there.

    Parameters
    ----------
    remote : RemoteFile
    folder : pathlib.Path
        Made if it does not exist.

    Returns
    -------
    pathlib.Path
        `folder / remote.name`. A file of that name with the right checksum is kept as it is.

    Raises
    ------
    OSError
        If the server cannot be reached, the transfer breaks off or the checksum is wrong.
    """
    target = folder / remote.name
    if target.exists() and file_md5(target) == remote.md5:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{remote.name}.part"
    if not (part.exists() and file_md5(part) == remote.md5):
        _transfer(remote, part)
    got = file_md5(part)
    if got != remote.md5:
        part.unlink()
        raise OSError(
            f"{remote.url} must have MD5 {remote.md5}, got {got}. The download was deleted; "
            "try again, or check whether a proxy answered in place of the server."
        )
    return part.replace(target)


def _transfer(remote, part):
    """Fetch what is missing from `part`, or all of it from a server that sends no ranges."""
    start = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        response = urlopen(Request(remote.url, headers=headers), timeout=_TIMEOUT)
    except HTTPError as error:
        if error.code != 416 or not start:
            raise
        part.unlink()  # 416: `part` reaches past the end of the file
        return _transfer(remote, part)
    resumes = response.status == 206
    done = start if resumes else 0
    total = done + response.length if response.length is not None else None
    kept = "What came is kept, and the same call gets the rest."
    with (
        full_disk_told(part, kept),
        response,
        open(part, "ab" if resumes else "wb") as file,
        ProgressBar.wrapattr(
            response, "read", total=total, initial=done, desc=remote.name
        ) as stream,
    ):
        while chunk := stream.read(2**20):
            done += len(chunk)
            if done > _MOST_BYTES:
                part.unlink()
                raise OSError(
                    f"{remote.url} sends over {_MOST_BYTES:,} bytes, more than a data set has."
                )
            file.write(chunk)
    size = part.stat().st_size
    if total is not None and size < total:
        raise OSError(
            f"{remote.url} broke off after {size} of {total} bytes. Try again to get the rest."
        )
