"""`explain_in_shards` against `explain`, after kills, on a memory map and on a cluster."""

import contextlib
import functools
import glob
import io
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from torch.utils.data import DataLoader, TensorDataset

from fmcam.classifiers import CNNClassifier, LeNet5Classifier
from fmcam.explain import GradCAM, GradCAMPlusPlus, SmoothedExplainer, explain_in_shards
from fmcam.explain._base import BaseExplainer
from fmcam.explain._together import min_max
from fmcam.models import CNN_CAM, LeNet5

X = np.random.default_rng(0).integers(0, 256, (22, 1, 28, 28), dtype=np.uint8)
y = np.arange(22) % 10


@functools.cache  # what is found out of a network is found out once
def lenet(seed=0):
    torch.manual_seed(seed)
    return FrozenEstimator(CNNClassifier.from_module(LeNet5()))


class Logged(BaseExplainer):
    """The images over 255, and a file in `log` for each batch, with its first pixel.

    Parameters
    ----------
    fatal : "kill", "stop" or None
        The batch with the brightest first pixel stops the work, once; or the first process that
        begins a batch of many dies in its second, while the others wait, when its first is in the
        list of finished shards. A copy of that is left.
    """

    def __init__(self, estimator, *, log, fatal=None, sleep=0.0, normalize=None, batch_size=4):
        super().__init__(estimator, normalize=normalize, batch_size=batch_size)
        self.log = log
        self.fatal = fatal
        self.sleep = sleep

    def maps_of_batch(self, batch, columns):
        Path(self.log, uuid.uuid4().hex).write_text(str(int(batch.images[0, 0, 0, 0])))
        time.sleep(self.sleep)
        if self.fatal == "stop" and batch.images[0, 0, 0, 0] == 255:
            with contextlib.suppress(FileExistsError):
                Path(f"{self.log}.fatal").touch(exist_ok=False)
                raise KeyboardInterrupt
        if self.fatal == "kill" and len(batch.images) > 1:
            self.die_in_the_second()
        return batch.images[:, 0] / 255

    def die_in_the_second(self):
        first, fatal = f"{self.log}.first", Path(f"{self.log}.fatal")
        with contextlib.suppress(FileExistsError):
            os.symlink(str(os.getpid()), first)
            return
        while not fatal.exists():
            finished = n_finished(Path(self.log).parent / "maps")
            if finished and os.readlink(first) == str(os.getpid()):
                fatal.write_text(json.dumps(finished))
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(1)  # others go on when the cluster has seen it


@pytest.fixture
def logged(tmp_path):
    """Shards of one batch of four images each in `tmp_path / "maps"`, six of them."""
    (tmp_path / "log").mkdir()

    def run(images=X, labels=y, net=0, **options):
        jobs = {name: options.pop(name) for name in ("n_jobs",) if name in options}
        explainer = Logged(lenet(net), log=str(tmp_path / "log"), **options)
        folder = tmp_path / "maps"
        return explain_in_shards(explainer, images, labels, folder=folder, rows_per_shard=4, **jobs)

    run.folder = tmp_path / "maps"
    run.n_batches = lambda: len(list((tmp_path / "log").iterdir()))
    return run


def assert_same(maps, expected):
    assert maps.dtype == np.float32
    np.testing.assert_array_equal(maps, expected)


# what comes out


@pytest.mark.parametrize("labels", [None, y, np.stack([y, y[::-1]], 1)])
@pytest.mark.parametrize("rows", [1, 8, 9, 100])
def test_bits_are_those_of_explain(tmp_path, labels, rows):
    cam = GradCAM(lenet(), batch_size=4)
    maps = explain_in_shards(cam, X, labels, folder=tmp_path, rows_per_shard=rows)
    assert isinstance(maps, np.memmap)
    assert not maps.flags.writeable
    assert_same(maps, cam.explain(X, labels))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["finished.json", "maps.npy"]


@pytest.mark.parametrize("backend", [pytest.param("loky", marks=pytest.mark.slow), "threading"])
def test_bits_do_not_depend_on_who_explains(tmp_path, backend):
    torch.manual_seed(0)
    clf = FrozenEstimator(CNNClassifier.from_module(CNN_CAM()))
    cam = SmoothedExplainer(
        GradCAMPlusPlus(clf), n_samples=2, flip=True, batch_size=4, random_state=0
    )
    with joblib.parallel_config(backend, n_jobs=2):
        maps = explain_in_shards(cam, X, y, folder=tmp_path, rows_per_shard=4)
    assert_same(maps, cam.explain(X, y))


def test_shapes_of_images(tmp_path):
    cam = GradCAM(LeNet5Classifier(max_epochs=1, random_state=0), batch_size=4, upsample=False)
    cam.fit(X.reshape(22, -1), y)
    expected = cam.explain(X.reshape(22, -1))
    assert_same(explain_in_shards(cam, X.reshape(22, -1), folder=tmp_path / "rows"), expected)
    assert_same(explain_in_shards(cam, X[:, 0], folder=tmp_path / "grey"), expected)
    assert_same(explain_in_shards(cam, X[:, 0].tolist(), folder=tmp_path / "list"), expected)


# maps of files


@pytest.mark.parametrize(
    "part",
    [
        lambda file: file,
        lambda file: file[3:15],
        lambda file: np.asarray(file[3:])[2:],
        lambda file: file[::-2],
        lambda file: file[:, :, ::2, ::2],
        lambda file: file[2:9].astype(np.float32),
    ],
)
def test_parts_of_a_memory_map(tmp_path, part):
    np.save(tmp_path / "X.npy", X)
    file = part(np.load(tmp_path / "X.npy", mmap_mode="r"))
    expected = GradCAM(lenet_of(file)).explain(np.array(file))
    folder = tmp_path / "maps"
    assert_same(explain_in_shards(GradCAM(lenet_of(file)), file, folder=folder), expected)


def lenet_of(images):
    """LeNet-5 takes 28x28 pixels, CNN_CAM those of any size."""
    if images.shape[-1] == 28:
        return lenet()
    torch.manual_seed(0)
    return FrozenEstimator(CNNClassifier.from_module(CNN_CAM()))


def test_a_changed_copy_of_a_file_is_not_read_from_the_file(tmp_path, logged):
    np.save(tmp_path / "X.npy", X)
    copied = np.load(tmp_path / "X.npy", mmap_mode="c")
    copied[:] = 51
    assert_same(logged(copied), np.full((22, 28, 28), np.float32(0.2)))


BOUNDED = """
import sys
import numpy as np
from sklearn.frozen import FrozenEstimator
from fmcam.classifiers import CNNClassifier
from fmcam.explain import ForegroundMap, explain_in_shards
from fmcam.models import CNN_CAM

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

X = np.load(sys.argv[1], mmap_mode="r")
labels = np.zeros(len(X), int)
clf = FrozenEstimator(CNNClassifier.from_module(CNN_CAM(in_channels=3)))
cam = ForegroundMap(clf, batch_size=64)
explain_in_shards(cam, X[:64], labels[:64], folder=sys.argv[2], rows_per_shard=64)
before = peak()
explain_in_shards(cam, X, labels, folder=sys.argv[2], rows_per_shard=64)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_holds_shards_and_not_the_file(tmp_path):
    images = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float32, (1500, 3, 128, 128))
    assert images.nbytes > 280 * 2**20
    command = [sys.executable, "-c", BOUNDED, str(tmp_path / "X.npy"), str(tmp_path / "maps")]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert float(out) < 140  # a shard has 12 MB of pixels and 4 MB of maps


# going on


def test_the_same_call_explains_nothing_twice(logged):
    first = logged()
    done = logged.n_batches()
    assert done == 1 + 6  # one image beforehand
    kept = (logged.folder / "maps.npy").stat()
    again = logged()
    assert logged.n_batches() == done + 1
    assert (logged.folder / "maps.npy").stat() == kept
    assert_same(again, first)


def test_only_missing_shards_are_explained(logged):
    expected = np.array(logged())
    file, finished = logged.folder / "maps.npy", logged.folder / "finished.json"
    kept = json.loads(finished.read_text())
    assert [*kept["finished"]] == ["0", "1", "2", "3", "4", "5"]
    for number in "14":
        del kept["finished"][number]
    finished.write_text(json.dumps(kept))
    maps = np.load(file, mmap_mode="r+")
    maps[12, 0, 0] += 1  # in shard 3, which the list has
    maps.flush()
    file.rename(logged.folder / "maps.npy.part")
    before = logged.n_batches()
    assert_same(logged(), expected)
    assert logged.n_batches() == before + 1 + 3


def test_a_finished_file_is_repaired(logged):
    expected = np.array(logged())
    maps = np.load(logged.folder / "maps.npy", mmap_mode="r+")
    maps[4, 0, 0] += 1
    maps.flush()
    assert_same(logged(), expected)
    assert logged.n_batches() == 7 + 1 + 1
    assert sorted(path.name for path in logged.folder.iterdir()) == ["finished.json", "maps.npy"]


@pytest.mark.parametrize("damage", ["another shape", "cut off", "no array", "open", "empty"])
@pytest.mark.parametrize("name", ["maps.npy", "maps.npy.part"])
def test_files_of_maps_that_are_none_count_as_none(logged, name, damage):
    expected = np.array(logged())
    file = (logged.folder / "maps.npy").rename(logged.folder / name)
    if damage == "another shape":
        content = io.BytesIO()
        np.save(content, expected[:, 1:])
        file.write_bytes(content.getvalue())
    else:
        whole = file.read_bytes()
        start = whole[:128].replace(b"}", b" ")
        others = {"cut off": whole[:-1], "no array": b"maps", "open": start + whole[128:]}
        file.write_bytes(others.get(damage, b""))
    assert_same(logged(), expected)
    assert logged.n_batches() == 2 * 7


@pytest.mark.parametrize("lost", ["maps.npy", "finished.json"])
def test_all_is_made_anew_where_a_file_is_lost(logged, lost):
    expected = np.array(logged())
    (logged.folder / lost).unlink()
    assert_same(logged(), expected)
    assert logged.n_batches() == 2 * 7


@pytest.mark.parametrize("finished", [None, 5, [0, 1], {"a": 1}, {"0": "1"}, {"0": 1}])
def test_a_damaged_list_counts_as_none(logged, finished):
    expected = np.array(logged())
    file = logged.folder / "finished.json"
    changed = {**json.loads(file.read_text()), "finished": finished}
    file.write_text("[1, 2" if finished is None else json.dumps(changed))
    assert_same(logged(), expected)
    assert logged.n_batches() == 2 * 7


def changed(images):
    images = images.copy()
    images[-1, 0, 3, 3] ^= 1
    return images


@pytest.mark.parametrize(
    "other",
    [
        {"images": changed(X)},
        {"labels": y[::-1]},
        {"labels": None},
        {"net": 1},
        {"normalize": "minmax"},
        {"batch_size": 8},
    ],
)
def test_other_inputs_are_explained_anew(logged, other):
    logged()
    before = logged.n_batches()
    maps = logged(**other)
    assert logged.n_batches() == before + 1 + (3 if "batch_size" in other else 6)
    expected = other.get("images", X)[:, 0] / np.float32(255)
    assert_same(maps, min_max(torch.tensor(expected)).numpy() if "normalize" in other else expected)


def test_parameters_inside_an_explainer_count(tmp_path):
    maps = {}
    for size in (1, 2):
        torch.manual_seed(0)
        clf = FrozenEstimator(CNNClassifier.from_module(CNN_CAM()))
        inner = GradCAM(clf, layer=f"features.{size}")
        cam = SmoothedExplainer(inner, n_samples=1, random_state=0)
        maps[size] = explain_in_shards(cam, X, y, folder=tmp_path)
        assert_same(maps[size], cam.explain(X, y))
    assert (maps[1] != maps[2]).any()


def test_ctrl_c_keeps_finished_shards(logged):
    images = X.copy()
    images[12, 0, 0, 0] = 255
    images[[0, 4, 8, 16, 20], 0, 0, 0] = 0
    with pytest.raises(KeyboardInterrupt):
        logged(images, fatal="stop")
    assert not (logged.folder / "maps.npy").exists()
    assert logged.n_batches() == 1 + 4
    assert_same(logged(images, fatal="stop"), images[:, 0] / np.float32(255))
    assert logged.n_batches() == (1 + 4) + (1 + 3)


KILLED = f"""
import sys
from {__name__} import Logged, X, y, lenet
from fmcam.explain import explain_in_shards
cam = Logged(lenet(), log=sys.argv[1], sleep=0.3)
explain_in_shards(cam, X, y, folder=sys.argv[2], rows_per_shard=4, n_jobs=2)
"""


@pytest.mark.slow
def test_kill_9_costs_only_the_shards_under_way(tmp_path, logged):
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "log"), str(logged.folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    try:
        while len(n_finished(logged.folder)) < 2:
            assert child.poll() is None
            time.sleep(0.01)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for semaphore in glob.glob(f"/dev/shm/sem.loky-{child.pid}-*"):
            os.remove(semaphore)  # the killed process could not
    finished = n_finished(logged.folder)
    assert not (logged.folder / "maps.npy").exists()
    assert 2 <= len(finished) < 6
    before = logged.n_batches()
    assert before <= 1 + len(finished) + 2
    assert_same(logged(sleep=0.3), X[:, 0] / np.float32(255))
    assert logged.n_batches() == before + 1 + 6 - len(finished)


def n_finished(folder):
    try:
        return json.loads((folder / "finished.json").read_text())["finished"]
    except FileNotFoundError:
        return []


@pytest.mark.slow
def test_a_killed_worker_of_a_cluster_costs_no_finished_shard(cluster_of, tmp_path, logged):
    images = X.copy()
    images[::4, 0, 0, 0] = range(6)
    np.save(tmp_path / "X.npy", images)
    with cluster_of(2) as client, joblib.parallel_config("dask", client=client):
        maps = logged(np.load(tmp_path / "X.npy", mmap_mode="r"), fatal="kill")
        assert_same(maps, images[:, 0] / np.float32(255))
    times = Counter(file.read_text() for file in (tmp_path / "log").iterdir())
    times["0"] -= 1  # one image beforehand
    finished = json.loads((tmp_path / "log.fatal").read_text())
    assert finished
    assert [times[number] for number in finished] == [1] * len(finished)
    assert max(times.values()) == 2  # dask may also move and repeat what is under way elsewhere


# errors


@pytest.mark.parametrize(
    ("images", "labels", "options", "error", "message"),
    [
        (X[:, :, :20], None, {}, ValueError, r"\(1, 20, 28\), but LeNet5Classifier was fitted"),
        (X, y[:5], {}, ValueError, r"row for each of 22 images, got \(5,\)"),
        (X, y + 5, {}, ValueError, r"labels \[10, 11, 12, 13, 14\] that the classifier does not"),
        (X[:0], None, {}, ValueError, r"0 sample\(s\)"),
        (X, None, {"rows_per_shard": 0}, ValueError, "rows_per_shard == 0, must be >= 1"),
        (X, None, {"rows_per_shard": 2.5}, TypeError, "rows_per_shard must be an instance of int"),
        (DataLoader(X), None, {}, TypeError, "must be an array or a memory map.*got a DataLoader"),
        (TensorDataset(torch.zeros(3)), None, {}, TypeError, "got a TensorDataset. Use `explain"),
    ],
)
def test_errors_before_any_work(tmp_path, images, labels, options, error, message):
    clf = FrozenEstimator(LeNet5Classifier(max_epochs=1).fit(X, y))
    with pytest.raises(error, match=message):
        explain_in_shards(GradCAM(clf), images, labels, folder=tmp_path / "maps", **options)
    assert not (tmp_path / "maps").exists()


def test_errors_of_explainer_and_folder(tmp_path):
    with pytest.raises(NotFittedError, match="has no fitted classifier"):
        explain_in_shards(GradCAM(LeNet5Classifier()), X, folder=tmp_path / "maps")
    with pytest.raises(ValueError, match="`normalize` must be 'minmax' or None, got 'max'"):
        explain_in_shards(GradCAM(lenet(), normalize="max"), X, folder=tmp_path / "maps")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        explain_in_shards(GradCAM(lenet()), X, folder=tmp_path / "file" / "maps")
