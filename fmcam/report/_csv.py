"""Tables on disk."""

from pathlib import Path

import pandas as pd

from fmcam._files import DiskFullError, replacing
from fmcam._typing import FilePath


def write_csv(frame: pd.DataFrame, path: FilePath) -> None:
    r"""Write a frame as CSV so that `path` holds the old table or the new one, never half of one.

    The table is written beside `path` and renamed. Missing folders are created. The file is UTF-8;
    a byte of a file's name that is not UTF-8, as in old archives, is written ``\udc`` and its two
    hex digits, so that ``b"Andr\xe9.png"`` reads back as the text ``Andr\udce9.png``.

    Parameters
    ----------
    frame : DataFrame
        Its index is written too if it has a name.
    path : str or path-like
        The file to write; compressed if its name ends in .gz.

    Raises
    ------
    OSError
        If the folder cannot be created or written to; the message names it.

    Examples
    --------
    >>> import pandas as pd, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_csv(pd.DataFrame({"n": [3]}), f"{folder}/new/table.csv")
    ...     pd.read_csv(f"{folder}/new/table.csv")
       n
    0  3
    """
    path = Path(path)
    named = any(name is not None for name in frame.index.names)
    try:
        with replacing(path, parents=True) as beside:
            frame.to_csv(beside, index=named, errors="backslashreplace")
    except DiskFullError:
        raise
    except OSError as error:
        reason = error.strerror or str(error).rstrip(".")
        raise OSError(
            f"`path` must lie in a folder that can be written to, got {path.parent} "
            f"({reason}). Choose another folder or change its permissions."
        ) from error
