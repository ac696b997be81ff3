"""Networks trained as one on a dask cluster: by one worker, again if it dies, the same scores."""

import contextlib
import os
import signal
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from torch import nn

from fmcam.classifiers import CNNClassifier
from fmcam.model_selection import GridSearchCV

distributed = pytest.importorskip("distributed")

GRID = {"lr": [0.01, 0.1], "batch_size": [8, 16]}


class Logged(nn.Module):
    """A network that notes the processes it runs in, and kills a worker of dask or not."""

    def __init__(self, n_classes, log, deadly=False):
        super().__init__()
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(64, n_classes))
        self.log, self.deadly = Path(log), deadly

    def forward(self, images):
        (self.log / str(os.getpid())).touch()
        if self.deadly and self.training and is_worker():
            with contextlib.suppress(FileExistsError):
                (self.log / "dead").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
        return self.head(images)


def is_worker():
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True


@pytest.fixture(scope="module", name="data")
def images_and_labels():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 255, (60, 8, 8), dtype=np.uint8)
    return X, np.arange(60) % 3


def search(folder, **options):
    folder.mkdir()
    params = {"module__log": str(folder), "max_epochs": 2, "random_state": 0, "verbose": 0}
    clf = CNNClassifier(Logged, optimizer=torch.optim.SGD, **params, **options)
    settings = {"cv": 3, "refit": False, "strategy": "vmap", "memory": folder / "fits"}
    return GridSearchCV(clf, GRID, **settings)


def processes(folder):
    return {int(file.name) for file in folder.iterdir() if file.name.isdigit()}


@pytest.mark.slow
def test_ensembles_are_trained_by_the_workers(cluster_of, data, tmp_path):
    here = search(tmp_path / "here").fit(*data)
    with cluster_of(2) as client, joblib.parallel_config("dask"):
        there = search(tmp_path / "there").fit(*data)
        workers = set(client.run(os.getpid).values())
    assert processes(tmp_path / "here") == {os.getpid()}
    assert processes(tmp_path / "there") - {os.getpid()} <= workers  # here the network is tried
    assert len(processes(tmp_path / "there")) > 1
    assert len(list((tmp_path / "there" / "fits").iterdir())) == 12
    for name in ("params", "mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(here.cv_results_[name], there.cv_results_[name])


@pytest.mark.slow
def test_a_killed_worker_costs_its_ensemble(cluster_of, data, tmp_path):
    here = search(tmp_path / "here").fit(*data)
    with cluster_of(2), joblib.parallel_config("dask"):
        there = search(tmp_path / "there", module__deadly=True).fit(*data)
    assert (tmp_path / "there" / "dead").exists()
    assert len(list((tmp_path / "there" / "fits").iterdir())) == 12
    scores = [found.cv_results_["mean_test_score"] for found in (here, there)]
    np.testing.assert_array_equal(*scores)
