"""Work that is killed at any time, and done again: what it gives in the end, and what is left."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from unittest import mock

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from fmcam._hashing import hash_of

__all__ = ["TARGETS", "WORKS", "trouble_after_kills"]

_SECONDS = 10  # in which all processes of a killed work must have ended
_WORKERS = ("LokyProcess", "spawn_main")  # words of the commands of joblib's and dask's
_PAUSE = 0.02  # of each part of a work, so that there is time to kill it


class Noting(ClassifierMixin, BaseEstimator):
    """Notes in the folder `notes` that it is fitted; its score depends on its parameter."""

    def __init__(self, share=0.0):
        self.share = share

    def fit(self, X, y):
        """Note it, and take some time."""
        Path(f"notes/{time.monotonic_ns()}-{os.getpid()}").touch()
        time.sleep(_PAUSE)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        """As many ones as the parameter says."""
        return (np.arange(len(X)) < self.share * len(X)).astype(int)


# Each does its work in a folder, as far as it is not done, and gives what came of it -------------


def search(folder, n_jobs):
    """24 fits, each kept."""
    from fmcam.model_selection import GridSearchCV

    grid = {"share": [number / 8 for number in range(8)]}
    found = GridSearchCV(Noting(), grid, cv=3, n_jobs=n_jobs, memory=folder / "kept", refit=False)
    y = np.arange(48) % 2
    return found.fit(np.zeros((48, 2)), y).cv_results_["mean_test_score"]


def halving(folder, n_jobs):
    """24 fits in three rungs, whose survivors go on from their states."""
    from fmcam.classifiers import LeNet5Classifier, OneCycle
    from fmcam.model_selection import HalvingGridSearchCV

    clf = LeNet5Classifier(
        max_epochs=9, batch_size=4, callbacks=[OneCycle()], random_state=0, verbose=0
    )
    grid = {"lr": [0.001, 0.003, 0.01, 0.03], "optimizer__weight_decay": [0.0, 0.001]}
    found = HalvingGridSearchCV(clf, grid, cv=3, n_jobs=n_jobs, memory=folder / "kept", refit=False)
    found.fit(_images(24), np.arange(24) % 2)
    return [found.cv_results_[part] for part in ("iter", "n_resources", "mean_test_score")]


def dask(folder, n_jobs):
    """The same fits by workers of a dask cluster, which starts dead ones again."""
    import joblib
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=n_jobs, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster),
        joblib.parallel_config("dask"),
    ):
        return search(folder, n_jobs)


def shards(folder, n_jobs):
    """24 shards of maps in one file."""
    from sklearn.frozen import FrozenEstimator

    from fmcam.classifiers import CNNClassifier
    from fmcam.explain import Occlusion, explain_in_shards
    from fmcam.models import LeNet5

    net = _fixed(LeNet5())
    clf = FrozenEstimator(CNNClassifier.from_module(net))
    cam = Occlusion(clf, size=4, stride=2, batch_size=2)
    return explain_in_shards(
        cam, _images(48), folder=folder / "kept", rows_per_shard=2, n_jobs=n_jobs
    )


def training(folder, n_jobs):
    """Eight epochs with dropout, the state kept after each."""
    from fmcam.classifiers import LeNet5Classifier, Resumable

    clf = LeNet5Classifier(
        max_epochs=8,
        batch_size=4,
        callbacks=[Resumable(folder / "kept" / "state.pt")],
        random_state=0,
    )
    clf.fit(_images(24), np.arange(24) % 2)
    return [weight.detach().numpy() for weight in clf.module_.parameters()]


def decoding(folder, n_jobs):
    """Pictures, kept in chunks."""
    from PIL import Image

    from fmcam.datasets import _decode, load_image_folder

    pictures = folder / "pictures"
    if not pictures.exists():
        half = Path(tempfile.mkdtemp(dir=folder))
        for number, image in enumerate(_images(128)[:, 0]):
            (half / "ab"[number % 2]).mkdir(exist_ok=True)
            Image.fromarray(image).save(half / "ab"[number % 2] / f"{number}.png")
        half.rename(pictures)
    with (
        mock.patch.dict(os.environ, {"XDG_CACHE_HOME": str(folder / "kept")}),
        mock.patch.object(_decode, "_CHUNK", 8),
    ):
        return load_image_folder(pictures, size=16).images


WORKS = {"search": search, "halving": halving, "dask": dask, "shards": shards}
WORKS |= {"training": training, "decoding": decoding}
TARGETS = {
    "search": ("group", "parent", "worker"),
    "halving": ("group", "parent", "worker"),
    "dask": ("group", "parent", "worker"),
    "shards": ("group", "parent", "worker"),
    "training": ("parent",),
    "decoding": ("parent",),
}


def _images(n):
    return np.random.default_rng(0).integers(0, 256, (n, 1, 28, 28), dtype=np.uint8)


def _fixed(net):
    import torch

    for number, weight in enumerate(net.parameters()):
        generator = torch.Generator().manual_seed(number)
        weight.data = torch.randn(weight.shape, generator=generator) / 10
    return net


# Killing ------------------------------------------------------------------------------------------


def trouble_after_kills(name, folder, n_kills, seed):
    """What went wrong in works that were killed and done again, a text for each kill that did.

    Each is killed at a random time of its way: all its processes, the one that was called, or a
    worker. Its processes must have ended ten seconds after; the same call must then give what
    undisturbed work gives, with the same files, and do no fit twice that was kept.

    Parameters
    ----------
    name : str
        One of WORKS.
    folder : pathlib.Path
        Empty.
    n_kills : int
    seed : int
    """
    rng, start = np.random.default_rng(seed), time.monotonic()
    _wait(_start(name, folder / "whole"))
    length = time.monotonic() - start
    whole, found = _outcome(folder / "whole"), []
    for number in range(n_kills):
        target = TARGETS[name][number % len(TARGETS[name])]
        place = folder / str(number)
        trouble = _kill_on_the_way(name, place, target, rng.uniform(0, length))
        n_kept = len([*(place / "kept").glob("[!.]*.json")])
        done = len([*(place / "notes").iterdir()])
        _wait(_start(name, place, n_jobs=1))
        outcome = _outcome(place)
        trouble += [f"other {part}" for part in whole if outcome[part] != whole[part]]
        again = len([*(place / "notes").iterdir()]) - done
        if name in ("search", "dask") and again != len(whole["files"]) - n_kept:
            trouble.append("kept fits were done again")
        found += [f"{target}: {', '.join(trouble)}"] if trouble else []
    return found


def _start(name, folder, n_jobs=2):
    """The number of a process, which leads a session of its own, that does a work."""
    for part in ("kept", "notes", "tmp"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if pid == 0:
        _work(name, folder, n_jobs)
    while os.getsid(pid) != pid:
        time.sleep(0.001)
    return pid


def _work(name, folder, n_jobs):
    os.setsid()
    os.chdir(folder)
    os.environ["JOBLIB_TEMP_FOLDER"] = str(folder / "tmp")
    with open(folder / "said", "a") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    try:
        answer = WORKS[name](folder, n_jobs)
        (folder / "answer").write_text(hash_of([np.asarray(part) for part in answer]))
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _kill_on_the_way(name, folder, target, delay):
    """Kill a work before it has ended, and say what then must not be.

    It is started again and killed sooner where it was too fast.
    """
    pid = _start(name, folder)
    time.sleep(delay)
    workers = [pid]
    while target == "worker" and not (workers := _workers(pid)) and _lives(pid):
        time.sleep(0.01)
    if (folder / "answer").exists() or not workers:
        _wait(pid)
        shutil.rmtree(folder)
        return _kill_on_the_way(name, folder, target, delay / 2)
    kill = os.killpg if target == "group" else os.kill
    kill(pid if target != "worker" else workers[0], signal.SIGKILL)
    goes_on = target == "worker" and name == "dask"
    if goes_on:
        _wait(pid)
    deadline = time.monotonic() + _SECONDS
    while (alive := _processes(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    _wait(pid)
    for semaphore in Path("/dev/shm").glob(f"sem.loky-{pid}-*"):
        semaphore.unlink()  # of killed groups: nobody is left who could
    told = (
        target != "worker"
        or goes_on
        or "A worker process was killed" in (folder / "said").read_text()
    )
    return [*alive.values()] + ([] if told else ["nothing was said of the worker"])


def _wait(pid):
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _processes(session):
    """Processes of a session that live, by number: the words of their commands."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, of = stat.read_text().rpartition(")")[2].split()[:4]
            if int(of) == session and state != "Z":
                found[int(stat.parent.name)] = stat.with_name("cmdline").read_text()
    return found


def _workers(session):
    processes = _processes(session).items()
    return [pid for pid, command in processes if any(word in command for word in _WORKERS)]


def _lives(pid):
    return pid in _processes(pid)


def _outcome(folder):
    """The answer of a work, if it has ended, and the files that it keeps."""
    answer = folder / "answer"
    kept = [path for path in (folder / "kept").rglob("*") if path.is_file()]
    # names of decoded pictures depend on the time when these were written
    names = [path.suffix if "pictures" in path.parts else path.name for path in kept]
    return {"answer": answer.read_text() if answer.exists() else None, "files": sorted(names)}
