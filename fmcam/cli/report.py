"""One self-contained HTML page of a results folder: tables that sort, figures, a gallery.

The page needs no network and no server. It shows the run's command, settings and versions, the
tables (CSV), the figures (PNG, JPEG) and, where there is a gallery.csv, pictures of single images
that one can filter by class, method and error type.
"""

import argparse
from pathlib import Path

from fmcam._files import replacing
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
        If there is no such folder, nothing in it to show, or `out` cannot be written.
    """
    folder = Path(folder)
    out = folder / "report.html" if out is None else Path(out)
    page = page_html(_title(folder), read_folder(folder))
    try:
        with replacing(out) as beside:
            beside.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        reason = error.strerror or str(error).rstrip(".")
        raise OSError(f"Cannot write {out} ({reason}). Name a file with --out.") from error
    return out


def _title(folder):
    parts = folder.resolve().parts
    roots = [place for place, part in enumerate(parts[:-1]) if part in ("results", "runs")]
    return " / ".join(parts[roots[-1] + 1 :] if roots else parts[-1:])


def main(arguments=None):
    """Write the page that the command line asks for."""
    flags = argparse.ArgumentParser(prog="fmcam report", description=__doc__)
    flags.add_argument("folder", type=Path, help="folder that an experiment wrote")
    flags.add_argument("--out", type=Path, help="file to write; default: FOLDER/report.html")
    given = flags.parse_args(arguments)
    try:
        out = write_report(given.folder, given.out)
    except OSError as error:
        raise SystemExit(f"{error}") from error
    print(f"Wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
