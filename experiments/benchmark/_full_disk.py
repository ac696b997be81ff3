"""All that writes files, where they have no room: what is said, what is left, what is kept."""

import contextlib
import functools
import gzip
import os
import resource
import shutil
import tarfile
import threading
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.svm import SVC

from fmcam._weight_files import write_torch_file
from fmcam.classifiers import CNNClassifier, Resumable, SimpleCNNClassifier, save_classifier
from fmcam.cli._run import Run
from fmcam.datasets import load_image_folder
from fmcam.datasets._archive import fetch_folder
from fmcam.datasets._base import RemoteFile, download, file_md5
from fmcam.datasets._fashion_mnist import unpack
from fmcam.explain import CenterMap, explain_in_shards
from fmcam.model_selection import GridSearchCV
from fmcam.models import SimpleCNN
from fmcam.plot import HeatmapDisplay
from fmcam.report import write_csv

__all__ = ["CASES", "files_limited", "prepare", "tried"]


@contextlib.contextmanager
def files_limited(n_bytes):
    """No file of this process may grow beyond some bytes; what would is as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def tried(name, source, folder):
    """Run a case without room, then with it, then other work without room.

    Parameters
    ----------
    name : str
        One of CASES.
    source : pathlib.Path
        As :func:`prepare` has filled it.
    folder : pathlib.Path
        Empty.

    Returns
    -------
    dict
        said : what the first and the last run said, None where they raised no OSError.
        left : names of files that the first run has left.
        changed : names of files of the second run that the last one has changed.
        new : names of files that the last run has left.
    """
    limit, work = CASES[name]
    first = _said(functools.partial(work, source, folder, 0), limit)
    left = _digests(folder)
    work(source, folder, 0)
    before = _digests(folder)
    last = _said(functools.partial(work, source, folder, 1), limit)
    after = _digests(folder)
    return {
        "said": (first, last),
        "left": sorted(left),
        "changed": sorted(file for file in before if after.get(file) != before[file]),
        "new": sorted(after.keys() - before.keys()),
    }


def _said(work, limit):
    try:
        with files_limited(limit):
            work()
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return None


def _digests(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): file_md5(path) for path in files}


# The cases: what lies ready in one folder, what is written to the other, in two versions ----------


def case(limit):
    """A case, whose files may not grow beyond some bytes."""

    def add(work):
        CASES[work.__name__] = limit, work
        return work

    return add


CASES: dict = {}


def _noise(version, *shape):
    return np.random.default_rng(version).integers(0, 256, shape, dtype=np.uint8)


def _explainer():
    return CenterMap(FrozenEstimator(CNNClassifier.from_module(SimpleCNN())), batch_size=4)


@case(30_000)
def explain_to_file(source, target, version):
    _explainer().explain(_noise(version, 30 - version, 1, 32, 32), out=target / "maps.npy")


@case(30_000)
def shards(source, target, version):
    explain_in_shards(_explainer(), _noise(version, 30, 1, 32, 32), folder=target, rows_per_shard=8)


@case(30_000)
def resumable_training(source, target, version):
    resumable = Resumable(target / f"state{version}.pt")
    clf = SimpleCNNClassifier(max_epochs=2, callbacks=[resumable], random_state=0)
    clf.fit(_noise(0, 20, 28, 28), np.arange(20) % 2)


@case(100)
def grid_search(source, target, version):
    X, y = _noise(0, 30, 4) / 255.0, np.arange(30) % 2
    GridSearchCV(SVC(), {"C": [1 + version, 3]}, cv=2, memory=target).fit(X, y)


@case(1_000)
def table(source, target, version):
    frame = pd.DataFrame(_noise(version, 300, 4))
    write_csv(frame, target / "rows.csv")


@case(1_000)
def compressed_table(source, target, version):
    frame = pd.DataFrame(_noise(version, 900, 4))
    write_csv(frame, target / "rows.csv.gz")


@case(5_000)
def figure(source, target, version):
    X = _noise(version, 2, 1, 32, 32)
    display = HeatmapDisplay.from_heatmaps(X, {"one": X[:, 0] / 255.0})
    _run(target).write_figure("maps.png", display)


@case(5_000)
def picture(source, target, version):
    _run(target).write_picture("noise.png", Image.fromarray(_noise(version, 100, 100)))


@dataclass(frozen=True)
class _Config:
    out: str


def _run(folder):
    return Run(_Config(str(folder)), "full disk")


@case(5_000)
def checkpoint(source, target, version):
    clf = SimpleCNNClassifier(max_epochs=1, random_state=version)
    clf.fit(_noise(0, 20, 28, 28), np.arange(20) % 2)
    save_classifier(clf, target / "clf.safetensors")


@case(5_000)
def torch_file(source, target, version):
    write_torch_file({"noise": _noise(version, 9_000).tolist()}, target / "net.pth")


@case(30_000)
def downloads(source, target, version):
    handler = functools.partial(_Silent, directory=source)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        name = f"noise{version}.bin"
        url = f"http://127.0.0.1:{server.server_port}/{name}"
        try:
            download(RemoteFile(name, url, file_md5(source / name)), target)
        finally:
            server.shutdown()


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@case(30_000)
def archive(source, target, version):
    name = f"noise{version}.tar"
    with files_limited(-1):  # it lies there already
        shutil.copy(source / name, target / name)
    remote = RemoteFile(name, "http://127.0.0.1:1/none", file_md5(source / name))
    fetch_folder(target / f"noise{version}", remote, "Noise", download_if_missing=True)


@case(30_000)
def compressed_data(source, target, version):
    unpack(source / f"noise{version}.gz", target / "noise")


@case(200_000)
def decoded_pictures(source, target, version):
    with mock.patch.dict(os.environ, {"XDG_CACHE_HOME": str(target)}):
        load_image_folder(source / f"pictures{version}", size=32)


def prepare(folder):
    """Fill a folder with what the cases read."""
    for version in (0, 1):
        content = _noise(version, 100_000).tobytes()
        name = folder / f"noise{version}"
        name.mkdir()
        (name / "noise.bin").write_bytes(content)
        Path(f"{name}.bin").write_bytes(content)
        with tarfile.open(f"{name}.tar", "w") as file:
            file.add(name, name.name)
        with gzip.open(f"{name}.gz", "wb") as file:
            file.write(content)
        for number in range(300):
            path = folder / f"pictures{version}" / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(_noise(number, 8, 8)).save(path)
