"""A page written beside its place and renamed."""

from pathlib import Path

from fmcam._files import DiskFullError, replacing
from fmcam.cli._report._folder import read_folder
from fmcam.cli._report._page import page_html

__all__ = ["write_report"]


def write_report(folder, out=None):
    """Write the page of a results folder.

    Parameters
    ----------
    folder : str or path-like
        The folder that an experiment wrote; `fmcam.cli._report._folder.read_folder` says what is
        looked for there, and what columns ``gallery.csv`` has.
    out : str or path-like, optional
        The file to write; None: ``report.html`` in `folder`.

    Returns
    -------
    out : Path
        The file, which holds the old page or the new one, never half of one.

    Raises
    ------
    OSError
        If there is nothing in the folder to show, or `out` cannot be written.
    """
    folder = Path(folder)
    out = folder / "report.html" if out is None else Path(out)
    page = page_html(_title(folder), read_folder(folder))
    try:
        with replacing(out) as beside:
            beside.write_text(page, encoding="utf-8", errors="backslashreplace")
    except DiskFullError:
        raise
    except OSError as error:
        reason = error.strerror or str(error).rstrip(".")
        raise OSError(f"Cannot write {out} ({reason}). Name a file with --out.") from error
    return out


def _title(folder):
    parts = folder.resolve().parts
    roots = [place for place, part in enumerate(parts[:-1]) if part in ("results", "runs")]
    return " / ".join(parts[roots[-1] + 1 :] if roots else parts[-1:])
