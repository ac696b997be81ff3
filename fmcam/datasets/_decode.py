"""Picture files decoded once, in parallel, into one file that later calls map into memory.

Two files in the cache folder, named after what they hold: `<key>.u8` has the pixels, row after row,
`<key>.json` what became of each picture so far. Rows are only appended, and a chunk of them is on
the disk before the JSON file, written beside and renamed, says so. A process that is killed loses
one chunk, and two at work on the same pictures write the same bytes to the same places.
"""

import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np

from fmcam._files import full_disk_told, replacing
from fmcam._hashing import digest_of
from fmcam._pictures import read_size
from fmcam._progress import ProgressBar

_FORMAT = 1  # raise it when other pixels would come out of the same files
_CHUNK = 256  # pictures


class Decoded(NamedTuple):
    """The pictures that could be read, in the order of their file names.

    Attributes
    ----------
    images : memmap of shape (m, ...), uint8
        Mapped from the cache, read-only.
    rows : ndarray of shape (m,), int
        Places of their names among all.
    sizes : ndarray of shape (m, 2), int
        Width and height of the original pictures in pixels, upright.
    facts : list of m lists
        What else was said of each when it was read.
    unreadable : list of (str, str)
        Name and reason of each other file.
    """

    images: np.memmap
    rows: np.ndarray
    sizes: np.ndarray
    facts: list
    unreadable: list


def decode_pictures(folder, filenames, read, shape, check=None):
    """Return pictures as one array, decoding only what no earlier call has decoded.

    Parameters
    ----------
    folder : pathlib.Path
    filenames : list of str
        Relative to `folder`, one at least.
    read : functools.partial
        `read(path)` gives an array of that shape, uint8, and a tuple that begins with the width and
        height of the original, or raises a ValueError with the reason. The function's name and the
        arguments it is given here are taken to say what it makes of a file.
    shape : tuple of int
        Of the array of each picture.
    check : callable, optional
        Before any picture is decoded it gets what their headers say, an array of shape (n, 2) of
        float: width and height, upright, NaN where there is no header that can be read.

    Returns
    -------
    Decoded

    Raises
    ------
    OSError
        If the cache folder cannot be written to.
    ValueError
        If no picture can be read.
    """
    paths = [folder / name for name in filenames]
    cache, key = _cache_folder(), _key(paths, filenames, read)
    pixels, journal = cache / f"{key}.u8", cache / f"{key}.json"
    outcomes = _outcomes(pixels, journal, math.prod(shape))
    if len(outcomes) < len(paths):
        if check is not None:
            check(_sizes_in_headers(paths))
        outcomes = _decode(paths, outcomes, read, pixels, journal, math.prod(shape))
    rows = [row for row, outcome in enumerate(outcomes) if isinstance(outcome, list)]
    unreadable = [
        (name, outcome)
        for name, outcome in zip(filenames, outcomes, strict=True)
        if isinstance(outcome, str)
    ]
    if not rows:
        raise ValueError(f"No picture in {folder} can be read: {' '.join(unreadable[0])}.")
    images = np.memmap(pixels, np.uint8, "r", shape=(len(rows), *shape))
    told = [outcomes[row] for row in rows]
    sizes, facts = np.array([one[:2] for one in told]), [one[2:] for one in told]
    return Decoded(images, np.array(rows), sizes, facts, unreadable)


def decode_published(folder, filenames, read, shape):
    """Return what :func:`decode_pictures` does, of files that are all expected to be readable."""
    pictures = decode_pictures(folder, filenames, read, shape)
    if pictures.unreadable:
        name, reason = pictures.unreadable[0]
        raise ValueError(f"{folder / name} {reason}. Delete {folder} and fetch it again.")
    return pictures


def _sizes_in_headers(paths):
    with ThreadPoolExecutor(joblib.cpu_count()) as pool:
        return np.array(list(pool.map(_size_in_header, paths)))


def _size_in_header(path):
    try:
        return read_size(path)
    except (OSError, ValueError):  # decoding it tells why
        return np.nan, np.nan


def _key(paths, filenames, read):
    """Digest of what decides the pixels, short of reading the files.

    The time of the last change of a file's entry, which no program can set, tells a file replaced
    by another of the same name, length and date.
    """
    files = [(name, *_stamp(path)) for name, path in zip(filenames, paths, strict=True)]
    return digest_of([_FORMAT, read.func.__name__, read.keywords, files])[:32]


def _stamp(path):
    try:
        stat = os.stat(path)
    except OSError:  # a link to nowhere; reading it gives the reason
        return ()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _cache_folder():
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    folder = cache / "fmcam" / "pictures"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"Decoded pictures are kept in {folder}, which cannot be made: {error}. Set the "
            "environment variable XDG_CACHE_HOME to a folder that can be written to."
        ) from error
    return folder


def _outcomes(pixels, journal, length):
    """Outcome of each picture so far: width, height and more, or why it could not be read."""
    try:
        outcomes = json.loads(journal.read_text())
        n_bytes = pixels.stat().st_size
    except (OSError, ValueError):
        return []
    return outcomes if _n_read(outcomes) * length <= n_bytes else []


def _n_read(outcomes):
    return sum(isinstance(outcome, list) for outcome in outcomes)


def _decode(paths, outcomes, read, pixels, journal, length):
    """Decode the pictures after those with an outcome; return the outcomes of all."""
    pixels.touch()
    kept = (
        "Pictures decoded before are kept, and the same call goes on. The environment variable "
        "XDG_CACHE_HOME names another folder."
    )
    with (
        full_disk_told(pixels, kept),
        open(pixels, "r+b") as file,
        ThreadPoolExecutor(joblib.cpu_count()) as pool,
        ProgressBar(
            total=len(paths), initial=len(outcomes), desc="Decoding", unit=" pictures"
        ) as progress,
    ):
        file.seek(_n_read(outcomes) * length)
        for start in range(len(outcomes), len(paths), _CHUNK):
            for array, outcome in pool.map(partial(_try, read), paths[start : start + _CHUNK]):
                if array is not None:
                    file.write(array)
                outcomes.append(outcome)
                progress.update()
            file.flush()
            os.fsync(file.fileno())
            with replacing(journal, kept=kept) as beside:
                beside.write_text(json.dumps(outcomes))
    return outcomes


def _try(read, path):
    """Return the array and the outcome of one picture."""
    try:
        array, told = read(path)
    except (OSError, ValueError) as error:
        return None, str(error)
    return array, list(told)
