"""Fashion-MNIST against torchvision, and small IDX files made here, whole and damaged."""

import functools
import gzip
import hashlib
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from torchvision.datasets import FashionMNIST

from fmcam.datasets import fetch_fashion_mnist
from fmcam.datasets._base import RemoteFile
from fmcam.datasets._fashion_mnist import _IdxFile, _load_idx

VALUES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
# By hand: uint8 (08) in 3 dimensions (03), then 2, 3 and 4 as big-endian 32-bit integers.
IDX = bytes.fromhex("00000803 00000002 00000003 00000004") + bytes(range(24))
FLIPPED = IDX[:-1] + b"\x00"


def idx_file(url=""):
    archive = gzip.compress(IDX)
    remote = RemoteFile("tiny.gz", f"{url}tiny.gz", hashlib.md5(archive).hexdigest())
    return _IdxFile("tiny", VALUES.ndim, hashlib.md5(IDX).hexdigest(), remote), archive


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def served_folder(tmp_path, monkeypatch):
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


@pytest.mark.real_data
@pytest.mark.parametrize(("subset", "n"), [("train", 60_000), ("test", 10_000)])
def test_same_as_torchvision(data_home, subset, n):
    peer = FashionMNIST(data_home, train=subset == "train", download=False)
    ours = fetch_fashion_mnist(data_home, subset=subset, download_if_missing=False)
    assert ours.images.shape == (n, 1, 28, 28)
    assert ours.images.dtype == np.uint8
    assert ours.target.dtype == np.int64
    np.testing.assert_array_equal(ours.images[:, 0], peer.data.numpy())
    np.testing.assert_array_equal(ours.target, peer.targets.numpy())
    assert ours.target_names == peer.classes
    assert "Zalando" in ours.DESCR


@pytest.mark.real_data
def test_data_home_comes_from_the_environment(data_home):
    assert len(fetch_fashion_mnist(subset="test", download_if_missing=False).target) == 10_000


def test_idx_file_is_downloaded_once_and_unpacked(tmp_path, served_folder):
    served, url = served_folder
    file, archive = idx_file(url=url)
    (served / "tiny.gz").write_bytes(archive)
    folder = tmp_path / "FashionMNIST" / "raw"
    array = _load_idx(file, folder, download_if_missing=True)
    np.testing.assert_array_equal(array, VALUES)
    assert sorted(path.name for path in folder.iterdir()) == ["tiny", "tiny.gz"]
    (served / "tiny.gz").unlink()
    np.testing.assert_array_equal(_load_idx(file, folder, download_if_missing=True), VALUES)


def test_array_may_be_written_to(tmp_path):
    (tmp_path / "tiny").write_bytes(IDX)
    array = _load_idx(idx_file()[0], tmp_path, download_if_missing=False)
    array += 1  # torch warns of arrays that are read-only
    np.testing.assert_array_equal(array, VALUES + 1)
    assert (tmp_path / "tiny").read_bytes() == IDX


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "must start with a header of 16 bytes, got 0 in all"),
        (IDX[:15], "must start with a header of 16 bytes, got 15 in all"),
        (b"\x1f\x8b\x08\x03" + IDX[4:], "must start with the bytes 00000803, got 1f8b0803"),
        (IDX[:3] + b"\x01" + IDX[4:], "must start with the bytes 00000803, got 00000801"),
        (IDX[:-1], "must hold 24 values, got 23"),
        (IDX + b"\x00", "must hold 24 values, got 25"),
        (
            FLIPPED,
            f"must have MD5 {hashlib.md5(IDX).hexdigest()}, got {hashlib.md5(FLIPPED).hexdigest()}",
        ),
    ],
)
def test_damaged_file_is_named_with_what_to_do(tmp_path, content, problem):
    (tmp_path / "tiny").write_bytes(content)
    message = re.escape(f"{tmp_path / 'tiny'} {problem}. Delete the file and fetch it again.")
    with pytest.raises(ValueError, match=message):
        _load_idx(idx_file()[0], tmp_path, download_if_missing=False)


@pytest.mark.real_data
def test_truncated_images_are_refused(data_home, tmp_path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    name = "t10k-images-idx3-ubyte"
    whole = (data_home / "FashionMNIST" / "raw" / name).read_bytes()
    (raw / name).write_bytes(whole[:1_000_000])
    with pytest.raises(ValueError, match=f"{name} must hold 7840000 values, got 999984"):
        fetch_fashion_mnist(tmp_path, subset="test")


def test_missing_files_name_folder_variable_and_stand_in(tmp_path):
    with pytest.raises(OSError, match="train-images-idx3-ubyte, which is not in") as caught:
        fetch_fashion_mnist(tmp_path, download_if_missing=False)
    text = str(caught.value)
    assert str(tmp_path / "FashionMNIST" / "raw") in text
    assert "`download_if_missing` is False" in text
    assert "FMCAM_DATA" in text
    assert "`make_fashion_shapes`" in text


def test_without_network_the_error_says_the_same_and_why(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    file, _ = idx_file(url="http://127.0.0.1:9/")  # nobody listens there
    with pytest.raises(OSError, match="tiny, which is not in") as caught:
        _load_idx(file, tmp_path, download_if_missing=True)
    text = str(caught.value)
    assert str(tmp_path) in text
    assert "the download failed" in text
    assert "refused" in text
    assert "FMCAM_DATA" in text
    assert "`make_fashion_shapes`" in text


def test_unknown_subset(tmp_path):
    with pytest.raises(ValueError, match="`subset` must be 'train' or 'test', got 'val'"):
        fetch_fashion_mnist(tmp_path, subset="val")
