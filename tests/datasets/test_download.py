"""Downloads from a server on this machine that breaks off, ignores ranges or sends rubbish."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError

import numpy as np
import pytest

from fmcam.datasets import _base, get_data_home
from fmcam.datasets._base import RemoteFile, download

CONTENT = np.random.default_rng(0).bytes(300_000)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        content, start = self.server.content, 0
        if self.path != "/file.bin":
            return self.send_error(404)
        if "Range" in self.headers and self.server.takes_ranges:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:][: self.server.breaks_off_after]
        self.server.served.append(len(body))
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """Serves CONTENT and counts the bytes of each answer in `served`."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.content, server.takes_ranges, server.breaks_off_after = CONTENT, True, None
        server.served = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def remote(server):
    url = f"http://127.0.0.1:{server.server_port}/file.bin"
    return RemoteFile("data.bin", url, hashlib.md5(CONTENT).hexdigest())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_download_gives_the_file_its_name_and_stays_silent(server, remote, tmp_path, capsys):
    folder = tmp_path / "made" / "for it"
    path = download(remote, folder)
    assert path == folder / "data.bin"
    assert path.read_bytes() == CONTENT
    assert names(folder) == ["data.bin"]
    assert server.served == [300_000]
    assert capsys.readouterr() == ("", "")  # no terminal: no progress bar


def test_interrupted_download_goes_on_where_it_broke_off(server, remote, tmp_path):
    server.breaks_off_after = 100_000
    with pytest.raises(OSError, match="broke off after 100000 of 300000 bytes"):
        download(remote, tmp_path)
    with pytest.raises(OSError, match="broke off after 200000 of 300000 bytes"):
        download(remote, tmp_path)
    assert names(tmp_path) == ["data.bin.part"]
    server.breaks_off_after = None
    assert download(remote, tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == ["data.bin"]
    assert server.served == [100_000, 100_000, 100_000]


def test_server_that_ignores_ranges_sends_all_again(server, remote, tmp_path):
    server.takes_ranges = False
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:100_000])
    assert download(remote, tmp_path).read_bytes() == CONTENT
    assert server.served == [300_000]


def test_part_longer_than_the_file_starts_over(server, remote, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT + b"more")
    assert download(remote, tmp_path).read_bytes() == CONTENT
    assert server.served == [300_000]
    assert names(tmp_path) == ["data.bin"]


def test_finished_part_is_renamed_without_asking_the_server(server, remote, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    assert download(remote, tmp_path).read_bytes() == CONTENT
    assert server.served == []
    assert names(tmp_path) == ["data.bin"]


def test_right_file_is_kept_and_wrong_file_replaced(server, remote, tmp_path):
    (tmp_path / "data.bin").write_bytes(CONTENT)
    download(remote, tmp_path)
    assert server.served == []
    (tmp_path / "data.bin").write_bytes(b"damaged")
    assert download(remote, tmp_path).read_bytes() == CONTENT
    assert server.served == [300_000]


def test_wrong_checksum_leaves_no_file(server, remote, tmp_path):
    server.content = b"login page of the hotel"
    got = hashlib.md5(server.content).hexdigest()
    with pytest.raises(OSError, match=f"must have MD5 {remote.md5}, got {got}"):
        download(remote, tmp_path)
    assert names(tmp_path) == []


def test_more_than_a_data_set_has(server, remote, tmp_path, monkeypatch):
    monkeypatch.setattr(_base, "_MOST_BYTES", len(CONTENT))
    download(remote, tmp_path / "as much")
    monkeypatch.setattr(_base, "_MOST_BYTES", len(CONTENT) - 1)
    with pytest.raises(OSError, match=r"file\.bin sends over 299,999 bytes, more than a data set"):
        download(remote, tmp_path / "more")
    assert names(tmp_path / "more") == []
    (tmp_path / "more" / "data.bin.part").write_bytes(CONTENT[:100_000])
    with pytest.raises(OSError, match="sends over"):
        download(remote, tmp_path / "more")
    assert names(tmp_path / "more") == []


def test_http_error_keeps_the_part(remote, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:100_000])
    with pytest.raises(HTTPError, match="404"):
        download(remote._replace(url=f"{remote.url}.moved"), tmp_path)
    assert names(tmp_path) == ["data.bin.part"]


def test_data_home_is_argument_then_variable_then_user_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FMCAM_DATA", "~/from variable")
    assert get_data_home("~/from argument") == tmp_path / "from argument"
    assert get_data_home() == tmp_path / "from variable"
    monkeypatch.setenv("FMCAM_DATA", "")
    assert get_data_home() == tmp_path / "fmcam_data"
    monkeypatch.delenv("FMCAM_DATA")
    assert get_data_home() == tmp_path / "fmcam_data"
