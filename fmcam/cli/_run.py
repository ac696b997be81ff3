"""The folder of a run: settings, provenance, tables and pictures, each written whole."""

import dataclasses
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt

import fmcam
from fmcam._files import replacing
from fmcam.cli._checks import check_folder
from fmcam.cli._script import command_line
from fmcam.report import write_csv

__all__ = ["Run"]

matplotlib.use("Agg")

_PACKAGES = ("fmcam", "torch", "torchvision", "skorch", "scikit-learn", "numpy", "pandas")


class Run:
    """An experiment's folder.

    Parameters
    ----------
    config : dataclass
        Has `out`, the folder, and `resume`: whether to keep finished work that is there.
    name : str
        The script's name.
    kept : sequence of str
        Folders of finished work inside `out`; emptied unless `config.resume`.
    started : float, optional
        When the work began, by `time.perf_counter`; now without it.
    """

    def __init__(self, config, name, kept=(), started=None):
        self.name = name
        self.folder = Path(config.out)
        self.started = time.perf_counter() if started is None else started
        self.commit = _commit()
        self.written = []
        check_folder(config.out)
        self.folder.mkdir(parents=True, exist_ok=True)
        for part in kept:
            if not config.resume:
                shutil.rmtree(self.folder / part, ignore_errors=True)
        self.write_json("config.json", dataclasses.asdict(config))

    def write_json(self, name, content):
        """Write a JSON file."""
        self.write_text(name, json.dumps(content, indent=2, default=str) + "\n")

    def write_text(self, name, text):
        """Write a text file."""
        with replacing(self._path(name)) as beside:
            beside.write_text(text, encoding="utf-8", errors="backslashreplace")

    def write_table(self, name, frame):
        """Write a DataFrame as CSV."""
        write_csv(frame, self._path(name))

    def write_figure(self, name, display, **options):
        """Draw a display and write the picture under `figures/`."""
        figure = display.plot(**options).figure_
        with replacing(self._path(f"figures/{name}"), parents=True) as beside:
            figure.savefig(beside, dpi=120, bbox_inches="tight")
        plt.close(figure)

    def write_picture(self, name, picture):
        """Write a PIL image as PNG."""
        with replacing(self._path(name), parents=True) as beside:
            picture.save(beside, "PNG")

    def _path(self, name):
        path = self.folder / name
        self.written.append(path)
        return path

    def finish(self):
        """Write the provenance and name all files."""
        self.write_json("provenance.json", self._provenance())
        print("\nWrote")
        for path in dict.fromkeys(self.written):
            print(f"  {path}")

    def _provenance(self):
        return {
            "command": command_line(self.name, sys.argv[1:]),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - self.started, 1),
            "commit": self.commit,
            "python": platform.python_version(),
            "versions": {name: version(name) for name in _PACKAGES},
            "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
        }


def _commit():
    """The commit of this code, whatever the folder that the command was given in."""

    def git(*arguments):
        command = ["git", "--no-optional-locks", "-C", root, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    root = Path(fmcam.__file__).parents[1]
    if shutil.which("git") is None:
        return "unknown: there is no git"
    if not git("ls-files", "fmcam/__init__.py"):
        return "unknown: fmcam is not in a git checkout"
    changed = git("status", "--porcelain", "--", "fmcam", "experiments")
    return git("rev-parse", "HEAD") + (" with changes" if changed else "")


def _processor():
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
