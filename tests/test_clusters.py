"""Searches on a dask cluster: workers that are killed, data sent once, the flag of the script."""

import contextlib
import os
import signal
import socket
import sys
import time
import uuid
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.neighbors import KNeighborsClassifier

from experiments import grid_search
from fmcam.model_selection import GridSearchCV

distributed = pytest.importorskip("distributed")

X, y = make_classification(
    120, n_features=5, n_classes=3, n_informative=4, n_redundant=0, random_state=0
)


@contextlib.contextmanager
def cluster_of(n_workers):
    """Worker processes of one thread each, started again when they die, and a client."""
    options = {"threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(n_workers=n_workers, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


class LoggedKNN(KNeighborsClassifier):
    """Nearest neighbours that write into `log` which arrays their dask worker holds.

    The first fit of `fatal` neighbours kills its worker before it hands anything over.
    """

    def __init__(self, n_neighbors=5, *, log=None, fatal=None):
        super().__init__(n_neighbors)
        self.log = log
        self.fatal = fatal

    def fit(self, X, y):
        Path(self.log, uuid.uuid4().hex).write_text(",".join(arrays_of_worker((120, 5))))
        super().fit(X, y)
        if self.n_neighbors == self.fatal:
            with contextlib.suppress(FileExistsError):
                Path(f"{self.log}.killed").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def arrays_of_worker(shape):
    """Names of the arrays of that shape in the memory of this dask worker, if it is one."""
    try:
        held = distributed.get_worker().data
    except ValueError:
        return []
    return [str(name) for name, value in held.items() if getattr(value, "shape", None) == shape]


def logged(folder, **options):
    (folder / "log").mkdir(exist_ok=True)
    clf = LoggedKNN(log=str(folder / "log"), **options)
    return GridSearchCV(clf, {"n_neighbors": [1, 3, 5, 7]}, cv=3, refit=False)


def read_log(folder):
    return [file.read_text() for file in (folder / "log").iterdir()]


def scores(search):
    return {k: v for k, v in search.cv_results_.items() if "score" in k and "time" not in k}


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_killed_worker_costs_only_its_fit_under_way(tmp_path, n_workers):
    search = logged(tmp_path, fatal=5).set_params(memory=tmp_path / "kept")
    with cluster_of(n_workers), joblib.parallel_config("dask"):
        search.fit(X, y)
    assert (tmp_path / "log.killed").exists()
    assert len(read_log(tmp_path)) == 12 + 1
    np.testing.assert_equal(scores(search), scores(logged(tmp_path).fit(X, y)))


@pytest.mark.slow
def test_data_are_sent_once_and_let_go(tmp_path):
    with cluster_of(2) as client, joblib.parallel_config("dask"):
        logged(tmp_path).fit(X, y)
        assert len(set(read_log(tmp_path))) == 1
        assert read_log(tmp_path)[0].count("_itself") == 1
        let_go_until = time.monotonic() + 5
        while any("_itself" in key for key in client.futures):
            assert time.monotonic() < let_go_until
            time.sleep(0.01)


# the flag of the script

TINY = {
    "models": ("simplecnn",),
    "dataset": "shapes",
    "lr": (0.001, 0.03),
    "batch_size": (64,),
    "weight_decay": (1e-4,),
    "rows": 300,
    "epochs": 1,
    "final_epochs": 1,
    "jobs": 1,
}


@pytest.mark.slow
def test_a_script_searches_on_a_cluster(tmp_path):
    with cluster_of(2) as client:
        address = client.cluster.scheduler_address
        config = grid_search.Config(**TINY, scheduler=address, out=str(tmp_path / "cluster"))
        grid_search.main(config)
        workers = client.run(lambda: "experiments._pipeline" in sys.modules)
    grid_search.main(grid_search.Config(**TINY, out=str(tmp_path / "alone")))
    assert any(workers.values())
    found, expected = (
        pd.read_csv(tmp_path / name / "simplecnn_cv_results.csv") for name in ("cluster", "alone")
    )
    times = [name for name in found if "time" in name]
    pd.testing.assert_frame_equal(found.drop(columns=times), expected.drop(columns=times))


@pytest.fixture
def finished(tmp_path):
    """A folder with the fit of an earlier run."""
    (tmp_path / "fits").mkdir()
    (tmp_path / "fits" / "a.json").write_text("{}")
    yield tmp_path
    assert (tmp_path / "fits" / "a.json").exists()  # nothing was begun


def run_on(scheduler, folder):
    grid_search.main(grid_search.Config(**TINY, scheduler=scheduler, out=str(folder)))


def test_no_dask(finished, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SystemExit, match=r"--scheduler needs dask. Install it with .*cluster"):
        run_on("tcp://127.0.0.1:8786", finished)


@pytest.mark.slow
def test_nobody_answers(finished):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(SystemExit, match=f"No dask scheduler answers at {address}. Start one"):
        run_on(address, finished)


def test_an_address_of_another_kind(finished):
    with pytest.raises(SystemExit, match=r"No dask scheduler answers at smtp://here. Start one"):
        run_on("smtp://here", finished)


@pytest.mark.slow
def test_a_scheduler_without_workers(finished):
    with (
        cluster_of(0) as client,
        pytest.raises(SystemExit, match=r"The scheduler has no workers. Start some with `dask wor"),
    ):
        run_on(client.cluster.scheduler_address, finished)


def forbid_writing():
    os.access = lambda path, mode: False


@pytest.mark.slow
def test_workers_must_see_the_folder(finished):
    with cluster_of(1) as client:
        client.run(forbid_writing)
        with pytest.raises(SystemExit, match=r"cannot write to .*Name a folder that all machines"):
            run_on(client.cluster.scheduler_address, finished)
