"""What all tests share."""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import matplotlib
import pytest

from fmcam import datasets

# Small nets run no faster with more threads, those of several processes get in each other's way,
# and results depend on the number. PyTorch, imported later, and processes that tests start read it.
os.environ["OMP_NUM_THREADS"] = "1"
matplotlib.use("Agg")
collect_ignore = ["typed_use.py"]  # mypy reads it, see test_wheel.py
# A shell lets what it starts in the background ignore Ctrl-C, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Tests that use a fixture which FMCAM_MUST_RUN names fail where they skip."""
    report = yield
    must_run = {*os.environ.get("FMCAM_MUST_RUN", "").split()}
    if report.skipped and must_run & {*item.fixturenames}:
        report.outcome = "failed"
        report.longrepr = f"{report.longrepr[-1]}, and FMCAM_MUST_RUN lets it not be skipped"
    return report


@pytest.fixture(scope="session", autouse=True)
def garments_drawn_once(tmp_path_factory):
    """What `get_dataset("shapes")` draws, seconds each time, is drawn once for all processes."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    draw = datasets.make_fashion_shapes
    drawn = joblib.Memory(folder / "garments", verbose=0).cache(draw)
    with pytest.MonkeyPatch.context() as patch:
        # loaded the first time, too: images as they were drawn have another hash in memory
        shelved = drawn.call_and_shelve
        once = functools.wraps(draw)(lambda *a, **o: shelved(*a, **o).get())
        patch.setattr(datasets, "make_fashion_shapes", once)
        yield


@pytest.fixture
def data_home():
    """The folder of the real data sets."""
    folder = os.environ.get("FMCAM_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("FMCAM_DATA names no folder with the real data sets")
    return Path(folder)


@pytest.fixture(scope="session")
def cluster_of():
    """Context of dask workers of one thread each, started again when they die, and a client."""
    distributed = pytest.importorskip("distributed")
    options = {"threads_per_worker": 1, "dashboard_address": ":0"}  # any port that is free

    @contextlib.contextmanager
    def start(n_workers):
        with (
            distributed.LocalCluster(n_workers=n_workers, **options) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client

    return start


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory):
    """The command line of a Python that has imported all that commands need."""
    file, path = (
        Path(__file__).parent / "warm_python.py",
        tmp_path_factory.mktemp("warm") / "socket",
    )
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(file.parent.parent)}
    with subprocess.Popen([sys.executable, file, path], env=environment) as waiting:
        while not path.exists():
            assert waiting.poll() is None
            time.sleep(0.01)
        yield [sys.executable, "-S", str(file), str(path)]
        waiting.terminate()


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """The folder of decoded pictures in a user's cache that is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fmcam" / "pictures"
