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
import pytest
from sklearn.datasets import make_classification
from sklearn.neighbors import KNeighborsClassifier

from fmcam.model_selection import GridSearchCV

distributed = pytest.importorskip("distributed")

X, y = make_classification(
    120, n_features=5, n_classes=3, n_informative=4, n_redundant=0, random_state=0
)


class LoggedKNN(KNeighborsClassifier):
    """Nearest neighbours that write into `log` which arrays their dask worker holds.

    So many `deaths` of workers are caused by fits of five neighbours, before they hand anything
    over.
    """

    def __init__(self, n_neighbors=5, *, log=None, deaths=0):
        super().__init__(n_neighbors)
        self.log = log
        self.deaths = deaths

    def fit(self, X, y):
        Path(self.log, uuid.uuid4().hex).write_text(",".join(arrays_of_worker((120, 5))))
        super().fit(X, y)
        for number in range(self.deaths if self.n_neighbors == 5 else 0):
            with contextlib.suppress(FileExistsError):
                Path(f"{self.log}.{number}").touch(exist_ok=False)
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
@pytest.mark.parametrize("deaths", [1, 2])
def test_killed_workers_cost_only_their_fits_under_way(cluster_of, tmp_path, deaths):
    search = logged(tmp_path, deaths=deaths).set_params(memory=tmp_path / "kept")
    with cluster_of(2), joblib.parallel_config("dask"):
        search.fit(X, y)
    assert len(list(tmp_path.glob("log.*"))) == deaths
    assert len(read_log(tmp_path)) == 12 + deaths
    np.testing.assert_equal(scores(search), scores(logged(tmp_path).fit(X, y)))


@pytest.mark.slow
def test_data_are_sent_once_and_let_go(cluster_of, tmp_path):
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
def test_a_script_searches_on_a_cluster_and_goes_on_without(cluster_of, tmp_path):
    with cluster_of(2) as client:
        run_on(client.cluster.scheduler_address, tmp_path)
        workers = client.run(lambda: "fmcam.classifiers" in sys.modules)
    assert any(workers.values())
    results = (tmp_path / "simplecnn_cv_results.csv").read_text()
    assert len(list((tmp_path / "fits").iterdir())) == 6
    run_on(None, tmp_path, resume=True)
    assert (tmp_path / "simplecnn_cv_results.csv").read_text() == results  # times and all


def run_on(scheduler, folder, **options):
    from fmcam.cli import grid_search  # with PyTorch, which workers do without

    grid_search.main(grid_search.Config(**TINY, scheduler=scheduler, out=str(folder), **options))


@pytest.fixture
def finished(tmp_path):
    """A folder with the fit of an earlier run."""
    (tmp_path / "fits").mkdir()
    (tmp_path / "fits" / "a.json").write_text("{}")
    yield tmp_path
    assert (tmp_path / "fits" / "a.json").exists()  # nothing was begun


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
def test_a_scheduler_with_one_worker(cluster_of, finished):
    with (
        cluster_of(1) as client,
        pytest.raises(SystemExit, match=r"has fewer than two workers.* with `dask worker"),
    ):
        run_on(client.cluster.scheduler_address, finished)


def forbid_writing():
    sys.modules[os.access.__module__].access = lambda path, mode: False


@pytest.mark.slow
def test_workers_must_see_the_folder(cluster_of, finished):
    with cluster_of(2) as client:
        client.run(forbid_writing)
        with pytest.raises(SystemExit, match=r"cannot write to .*Name a folder that all machines"):
            run_on(client.cluster.scheduler_address, finished)
