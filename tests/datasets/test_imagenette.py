"""Imagenette against torchvision, small trees made here, and archives from a local server."""

import functools
import hashlib
import io
import re
import shutil
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import Imagenette
from torchvision.transforms import CenterCrop, Compose, Resize

from fmcam.datasets import _archive, fetch_imagenette, get_dataset
from fmcam.datasets._archive import fetch_folder
from fmcam.datasets._base import RemoteFile
from tests.small_data import draw_imagenette

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def small(tmp_path):
    """A data home with two training pictures and one validation picture of each class."""
    home = tmp_path / "home"
    draw_imagenette(home, {"train": 2, "val": 1})
    return home


def test_small_copy(small):
    train = fetch_imagenette(small, size=16)
    assert train.images.shape == (20, 3, 16, 16)
    assert train.target.dtype == np.int64
    assert train.target.tolist() == [label for label in range(10) for _ in range(2)]
    greys = [20 * label + 5 * i for label in range(10) for i in range(2)]
    assert train.images[:, 1, 8, 8].tolist() == greys
    assert train.filenames[:2].tolist() == [
        "train/n01440764/picture_0.JPEG",
        "train/n01440764/picture_1.JPEG",
    ]
    peer = Imagenette(small, split="train", size="160px")
    assert train.target_names == [names[0] for names in peer.classes]
    assert "Imagenette" in train.DESCR


def test_the_test_photographs_are_those_in_the_folder_val(small):
    test = fetch_imagenette(small, subset="test")
    assert test.images[:, 0, 8, 8].tolist() == [20 * label + 1 for label in range(10)]
    assert all(name.startswith("val/") for name in test.filenames)
    named = get_dataset("imagenette", "test", data_home=small)
    np.testing.assert_array_equal(named.images, test.images)
    assert len(get_dataset("imagenette", "train", data_home=small).target) == 20


def test_unknown_arguments(small):
    with pytest.raises(ValueError, match="`subset` must be 'train' or 'test', got 'val'"):
        fetch_imagenette(small, subset="val")
    with pytest.raises(ValueError, match="`fit` must be 'crop' or 'stretch', got 'pad'"):
        fetch_imagenette(small, fit="pad")


def test_missing_class_is_named(small):
    shutil.rmtree(small / "imagenette2-160" / "train" / "n03445777")
    message = (
        r"train/n03445777 must hold the photographs of 'golf ball', got none\. Delete .* fetch"
    )
    with pytest.raises(ValueError, match=message):
        fetch_imagenette(small)


def test_damaged_file_is_named(small):
    path = small / "imagenette2-160" / "train" / "n03445777" / "picture_1.JPEG"
    path.write_bytes(path.read_bytes()[:-100])
    message = f"{re.escape(str(path))} cannot be decoded: .* Delete .*imagenette2-160 and fetch"
    with pytest.raises(ValueError, match=message):
        fetch_imagenette(small)


def test_missing_folder(tmp_path):
    with pytest.raises(OSError, match="Imagenette needs the folder") as caught:
        fetch_imagenette(tmp_path / "home", download_if_missing=False)
    text = str(caught.value)
    assert str(tmp_path / "home" / "imagenette2-160") in text
    assert "`download_if_missing` is False" in text
    assert "FMCAM_DATA" in text


# --------------------------------------------------------------------------------- the download


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder, and the URL under which it is served."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(_QuietHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def serve_archive(served, **files):
    """Publish an archive of files, names to contents."""
    folder, url = served
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    (folder / "flags.tgz").write_bytes(buffer.getvalue())
    return RemoteFile("flags.tgz", f"{url}flags.tgz", hashlib.md5(buffer.getvalue()).hexdigest())


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_archive_becomes_a_folder(served, tmp_path):
    remote = serve_archive(served, **{"flags/fr/1.png": b"France", "flags/it.png": b"Italy"})
    home = tmp_path / "home"
    left = home / "flags.part" / "flags"  # by an extraction that was killed
    left.mkdir(parents=True)
    (left / "half.png").touch()
    folder = fetch_folder(home / "flags", remote, "Flags", download_if_missing=True)
    assert folder == home / "flags"
    assert (folder / "fr" / "1.png").read_bytes() == b"France"
    assert files_in(home) == ["flags/fr/1.png", "flags/it.png"]
    (served[0] / "flags.tgz").unlink()  # a folder that exists is not fetched again
    fetch_folder(home / "flags", remote, "Flags", download_if_missing=True)


def test_archive_stays_in_its_folder(served, tmp_path):
    remote = serve_archive(served, **{"flags/it.png": b"Italy", "../outside.png": b"out"})
    home = tmp_path / "deep" / "home"
    with pytest.raises(OSError, match=r"the download failed: .*outside"):
        fetch_folder(home / "flags", remote, "Flags", download_if_missing=True)
    assert not (home / "flags").exists()
    assert not list(tmp_path.rglob("outside.png"))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"flags/it.png": bytes(10**6)}, "it unpacks to over 100 times its size"),
        ({"/".join(["flags", *"a" * 29, "it.png"]): b"Italy"}, "or folders 30 deep"),
        ({f"flags/{n}.png": b"Italy" for n in range(4)}, "it holds over 3 files"),
    ],
)
def test_archive_of_too_much(served, tmp_path, monkeypatch, files, said):
    monkeypatch.setattr(_archive, "_MOST_FILES", 3)
    with pytest.raises(OSError, match=f"the download failed: .*{said}"):
        fetch_folder(
            tmp_path / "home" / "flags",
            serve_archive(served, **files),
            "Flags",
            download_if_missing=True,
        )
    assert files_in(tmp_path / "home") == ["flags.tgz"]


def test_archive_of_something_else(served, tmp_path):
    remote = serve_archive(served, **{"hotels/it.png": b"Italy"})
    with pytest.raises(OSError, match=r"the download failed: .*flags"):
        fetch_folder(tmp_path / "home" / "flags", remote, "Flags", download_if_missing=True)
    damaged = b"no archive"
    (served[0] / "flags.tgz").write_bytes(damaged)
    remote = remote._replace(md5=hashlib.md5(damaged).hexdigest())
    with pytest.raises(OSError, match="the download failed: "):
        fetch_folder(tmp_path / "other" / "flags", remote, "Flags", download_if_missing=True)


# -------------------------------------------------------------------------------- the real one


@pytest.mark.real_data
def test_same_as_torchvision(data_home):
    if not (data_home / "imagenette2-160").is_dir():
        pytest.skip("FMCAM_DATA holds no imagenette2-160")
    peer = Imagenette(data_home, "val", "160px", transform=Compose([Resize(64), CenterCrop(64)]))
    ours = fetch_imagenette(data_home, subset="test", download_if_missing=False, size=64)
    assert ours.images.shape == (3925, 3, 64, 64)
    paths, target = zip(*peer._samples, strict=True)
    np.testing.assert_array_equal(ours.target, target)
    root = data_home / "imagenette2-160"
    assert [root / name for name in ours.filenames] == [Path(path) for path in paths]
    for row in range(0, 3925, 25):
        np.testing.assert_array_equal(ours.images[row], np.asarray(peer[row][0]).transpose(2, 0, 1))
