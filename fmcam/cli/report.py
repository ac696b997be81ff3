"""Write one HTML page about a folder of results: tables that sort, figures, a gallery.

The page is one file and needs no server. It shows the run's command, settings and versions, the
tables (CSV), the figures (PNG, JPEG) and, where there is a gallery.csv, pictures of single images
that one can filter by class, method and error type.
"""

from dataclasses import dataclass
from pathlib import Path

from fmcam._files import check_writable
from fmcam.cli._config import option


@dataclass(frozen=True)
class Config:
    """Settings of a report."""

    folder: str | None = option(None, "folder of the results", positional=True)
    out: str | None = option(None, "file to write; by default report.html in FOLDER")


def check(config):
    """End with a message if there is no folder to read, or none to write to."""
    if config.folder is None:
        raise SystemExit("Name the folder of the results: `fmcam report FOLDER`.")
    if not Path(config.folder).is_dir():
        raise SystemExit(
            f"There is no folder {config.folder}. Name the folder that an experiment wrote."
        )
    if config.out is not None:
        check_writable(config.out)


def main(config):
    """Check the settings before pandas is imported, then write the page, and say where it is."""
    check(config)
    from fmcam.cli._report._write import write_report

    out = write_report(config.folder, config.out)
    print(f"Wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")
