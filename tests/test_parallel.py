"""Worker processes that are killed, and those whose parent is."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SEARCH = """
import os, sys, time
from pathlib import Path
from sklearn.base import BaseEstimator, ClassifierMixin
from fmcam.model_selection import GridSearchCV

class Noting(ClassifierMixin, BaseEstimator):
    def __init__(self, C=0):
        self.C = C

    def fit(self, X, y):
        (folder / f"{os.getpid()}.pid").touch()
        time.sleep(0.3)
        self.classes_ = [0, 1]
        return self

    def predict(self, X):
        return [0] * len(X)

folder = Path(sys.argv[1])
X = [[number] for number in range(8)]
grid = {"C": list(range(30))}
GridSearchCV(Noting(), grid, cv=2, n_jobs=2, memory=folder / "kept").fit(X, [0, 1] * 4)
"""
SHARDS = """
import os, sys, time
from pathlib import Path
import numpy as np
from sklearn.frozen import FrozenEstimator
from fmcam.classifiers import CNNClassifier
from fmcam.explain import CenterMap, explain_in_shards
from fmcam.models import LeNet5

class Noting(CenterMap):
    def maps_of_batch(self, batch, class_indices):
        (folder / f"{os.getpid()}.pid").touch()
        time.sleep(0.3)
        return super().maps_of_batch(batch, class_indices)

folder = Path(sys.argv[1])
cam = Noting(FrozenEstimator(CNNClassifier.from_module(LeNet5())), batch_size=1)
X = np.zeros((30, 1, 28, 28), dtype=np.float32)
explain_in_shards(cam, X, folder=folder / "kept", rows_per_shard=1, n_jobs=2)
"""
WORKS = [
    pytest.param(SEARCH, id="search"),
    pytest.param(SHARDS, id="shards", marks=pytest.mark.slow),
]


@pytest.fixture
def started(tmp_path):
    """A function that starts work in a process of its own: its Popen and two workers' numbers."""
    begun = []

    def start(work):
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with open(tmp_path / "said", "w") as said:
            command = [sys.executable, "-c", work, tmp_path]
            child = subprocess.Popen(command, env=env, stderr=said)
        begun.append(child)
        workers = set()
        while len(workers) < 2:
            assert child.poll() is None, (tmp_path / "said").read_text()
            time.sleep(0.05)
            workers = {int(file.stem) for file in tmp_path.glob("*.pid")} - {child.pid}
        return child, workers

    yield start
    for child in begun:
        child.kill()
        child.wait()


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
@pytest.mark.parametrize("work", WORKS)
def test_workers_end_soon_after_their_parent_was_killed(work, started):
    """joblib's would wait for work for five minutes."""
    child, workers = started(work)
    child.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(map(lives, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(lives, workers))


@pytest.mark.parametrize("work", WORKS)
def test_a_killed_worker_ends_the_work_with_what_is_kept(work, started, tmp_path):
    child, workers = started(work)
    os.kill(min(workers), signal.SIGKILL)
    assert child.wait(timeout=60) == 1
    said = re.search("^ChildProcessError: (.*)$", (tmp_path / "said").read_text(), re.MULTILINE)
    assert said[1].startswith("A worker process was killed, most often because memory ran out.")
    assert "kept" in said[1]
    assert "the same call goes on" in said[1]
    assert work != SEARCH or f"kept in {tmp_path}/kept" in said[1]
