"""What all tests share."""

import contextlib
import os
from pathlib import Path

import matplotlib
import pytest
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)  # small nets run no faster with more, and results depend on the number


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
    options = {"threads_per_worker": 1, "dashboard_address": None}

    @contextlib.contextmanager
    def start(n_workers):
        with (
            distributed.LocalCluster(n_workers=n_workers, **options) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client

    return start


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """The folder of decoded pictures in a user's cache that is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fmcam" / "pictures"
