"""`fmcam.model_selection` against scikit-learn's own search, and after kill -9."""

import contextlib
import gc
import glob
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import uuid
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from joblib.externals.loky import get_reusable_executor
from sklearn import model_selection
from sklearn.base import BaseEstimator, clone
from sklearn.cluster import KMeans
from sklearn.datasets import make_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from fmcam.datasets import make_fashion_shapes
from fmcam.model_selection import GridSearchCV
from tests.thread_counts import thread_counts

X, y = make_classification(
    120, n_features=5, n_classes=3, n_informative=4, n_redundant=0, random_state=0
)
GROUPS = np.arange(120) % 6


class CountedKNN(KNeighborsClassifier):
    """Nearest neighbours that leave a file in `log` for each fit; "stop" acts as Ctrl-C."""

    def __init__(self, n_neighbors=5, *, log=None, sleep=0.0):
        super().__init__(n_neighbors)
        self.log = log
        self.sleep = sleep

    def fit(self, X, y):
        if self.n_neighbors == "stop":
            raise KeyboardInterrupt
        Path(self.log, uuid.uuid4().hex).touch()
        time.sleep(self.sleep)
        return super().fit(X, y)


class MapSpy(BaseEstimator):
    """Writes into `log` which memory maps its process holds while it fits."""

    def __init__(self, log=None, alpha=0):
        self.log = log
        self.alpha = alpha

    def fit(self, X, y):
        maps = [array for array in gc.get_objects() if type(array) is np.memmap]
        seen = {
            "pid": os.getpid(),
            "rows": str(X.dtype),
            "maps": [[m.filename, m.mode, str(m.dtype), m.shape] for m in maps],
        }
        Path(self.log, uuid.uuid4().hex).write_text(json.dumps(seen))
        return self

    def score(self, X, y):
        return 0.0


class ClustersOnly(KMeans):
    def fit(self, X):
        return super().fit(X)


def make_net(**params):
    """A linear skorch net that trains the same way each time.

    PyTorch is imported in functions alone, to keep it out of the workers that do without.
    """
    import torch
    from skorch import NeuralNetClassifier
    from skorch.callbacks import Initializer

    return NeuralNetClassifier(
        torch.nn.Linear,
        module__in_features=5,
        module__out_features=3,
        criterion=torch.nn.CrossEntropyLoss,
        callbacks=[("init", Initializer("*", fn=torch.nn.init.zeros_))],
        train_split=None,
        verbose=0,
        **params,
    )


def several_scores(estimator, X, y):
    return {"accuracy": estimator.score(X, y), "third": 1 / 3}


def odd_scores(estimator, X, y):
    return {"nan": float("nan"), "third": 1 / 3, "tiny": 5e-324, "float32": np.float32(0.1)}


def threads_used(estimator, X, y):
    return max(thread_counts())


def most_accurate(results):
    return int(np.argmax(results["mean_test_accuracy"]))


def assert_same_results(ours, theirs, *, times=False):
    assert list(ours) == list(theirs)
    assert ours["params"] == theirs["params"]
    for key in set(ours) - {"params"}:
        assert type(ours[key]) is type(theirs[key]), key
        assert (ours[key].dtype, ours[key].shape) == (theirs[key].dtype, theirs[key].shape), key
        if times or not key.endswith("_time"):
            masks = np.ma.getmaskarray(ours[key]), np.ma.getmaskarray(theirs[key])
            np.testing.assert_array_equal(*masks, err_msg=key)
            np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)


STEPS = Pipeline([("scale", StandardScaler()), ("model", SVC())])
SEARCHES = {
    "plain": (SVC(), {"C": [0.1, 1, 10]}, {}),
    "list of grids": (SVC(), [{"kernel": ["linear"]}, {"C": [1, 3], "gamma": [0.1, 1.0]}], {}),
    "pipeline": (make_pipeline(StandardScaler(), SVC()), {"svc__C": [0.1, 1]}, {}),
    "steps as candidates": (
        STEPS,
        [{"model": [SVC(), SVC(gamma=2)], "model__C": [0.1, 1]}, {"model": [LogisticRegression()]}],
        {},
    ),
    "ties": (SVC(), {"cache_size": [100, 200]}, {}),
    "two scores": (
        LogisticRegression(),
        {"C": [0.1, 1]},
        {"scoring": ["accuracy", "neg_log_loss"], "refit": "neg_log_loss"},
    ),
    "no refit": (SVC(), {"C": [0.1, 1]}, {"refit": False}),
    "two scores, no refit": (
        SVC(),
        {"C": [0.1, 1]},
        {"scoring": {"a": "accuracy", "f": "f1_macro"}, "refit": False},
    ),
    "callable score": (SVC(), {"C": [0.1, 1]}, {"scoring": several_scores, "refit": "accuracy"}),
    "callable refit": (
        SVC(),
        {"C": [0.1, 1]},
        {"scoring": ["accuracy", "f1_macro"], "refit": most_accurate},
    ),
    "train scores": (SVC(), {"C": [0.1, 1]}, {"return_train_score": True}),
    "given splits": (SVC(), {"C": [0.1, 1]}, {"cv": list(KFold(4).split(X))}),
    "groups": (SVC(), {"C": [0.1, 1]}, {"cv": GroupKFold(3), "fit": {"groups": GROUPS}}),
    "weights": (SVC(), {"C": [0.1, 1]}, {"fit": {"sample_weight": 1.0 + np.arange(120)}}),
    "frame": (SVC(), {"C": [0.1, 1]}, {"fit": {"X": pd.DataFrame(X, columns=list("abcde"))}}),
    "no labels": (
        ClustersOnly(n_init=1, random_state=0),
        {"n_clusters": [2, 3]},
        {"fit": {"y": None}},
    ),
}


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("case", SEARCHES)
def test_equals_scikit_learn(case, n_jobs):
    estimator, grid, options = SEARCHES[case]
    options = {"cv": 3, **options}
    data = {"X": X, "y": y, **options.pop("fit", {})}
    grid_before = repr(grid)
    theirs = model_selection.GridSearchCV(clone(estimator), grid, **options).fit(**data)
    ours = GridSearchCV(clone(estimator), grid, **options, n_jobs=n_jobs).fit(**data)

    assert repr(grid) == grid_before
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    learnt = {name for name in vars(theirs) if name.endswith("_")}
    assert {name for name in vars(ours) if name.endswith("_")} == learnt
    for name in learnt & {"best_index_", "best_score_", "n_splits_", "multimetric_"}:
        assert getattr(ours, name) == getattr(theirs, name)
    assert repr(ours.scorer_) == repr(theirs.scorer_)
    if ours.refit:
        assert repr(ours.best_params_) == repr(theirs.best_params_)
        assert repr(ours.best_estimator_) == repr(theirs.best_estimator_)
        np.testing.assert_array_equal(ours.predict(data["X"]), theirs.predict(data["X"]))
    if ours.refit and not callable(ours.refit):
        assert ours.score(data["X"], y) == theirs.score(data["X"], y)


def test_metadata_routing_equals_scikit_learn():
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = SVC().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        fits = [
            search(estimator, {"C": [0.1, 1]}, cv=GroupKFold(3)).fit(
                X, y, sample_weight=1.0 + np.arange(120), groups=GROUPS
            )
            for search in (GridSearchCV, model_selection.GridSearchCV)
        ]
    assert_same_results(fits[0].cv_results_, fits[1].cv_results_)


@pytest.mark.parametrize("scoring", [None, ["accuracy", "f1_macro"], several_scores])
def test_failed_fits_score_error_score(scoring):
    results = []
    for search in (GridSearchCV, model_selection.GridSearchCV):
        options = {"scoring": scoring, "refit": False, "cv": 3, "error_score": -7.0}
        with pytest.warns(FitFailedWarning, match="3 fits failed out of a total of 6"):
            results.append(search(SVC(), {"C": [-1, 1]}, **options).fit(X, y).cv_results_)
    assert_same_results(*results)


def test_failed_fits_raise_on_request():
    search = GridSearchCV(SVC(), {"C": [1, -1]}, n_jobs=2, error_score="raise")
    with pytest.raises(ValueError, match="The 'C' parameter of SVC must be"):
        search.fit(X, y)


def test_is_an_estimator(tmp_path):
    search = GridSearchCV(SVC(), {"C": [0.1, 1]}, memory=tmp_path)
    assert clone(search).get_params()["memory"] == tmp_path
    assert repr(GridSearchCV(SVC(), {}, memory="kept")) == (
        "GridSearchCV(estimator=SVC(), memory='kept', param_grid={})"
    )
    again = pickle.loads(pickle.dumps(search.fit(X, y)))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))


class Recorder:
    """A scikit-learn callback that notes what it hears."""

    def __init__(self):
        self.heard = []

    def setup(self, estimator, context):
        self.heard.append("setup")

    def teardown(self, estimator, context):
        self.heard.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self.note("begin", context, X, metadata)

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None):
        self.note("end", context, X, metadata)

    def note(self, event, context, X, metadata):
        names = sorted(metadata or [])
        self.heard.append((event, context.task_name, context.task_id, np.shape(X), names))


@pytest.mark.skipif(
    not hasattr(model_selection.GridSearchCV, "set_callbacks"), reason="needs scikit-learn 1.9"
)
def test_callbacks_hear_what_scikit_learn_tells():
    heard = []
    for search in (GridSearchCV, model_selection.GridSearchCV):
        recorder = Recorder()
        fitted = search(SVC(), {"C": [0.1, 1]}, cv=2).set_callbacks(recorder)
        fitted.fit(X, y, sample_weight=np.ones(120))
        heard.append(recorder.heard)
    assert heard[0] == heard[1]
    assert heard[0].count("setup") == 1
    assert len(heard[0]) == 16  # two of: set-up, fit, search, refit and each of four fits


# memory


def counted(folder, **options):
    """A search that logs its fits under `folder`/log and keeps them under `folder`/kept."""
    (folder / "log").mkdir(exist_ok=True)
    params = {
        "param_grid": {"n_neighbors": [1, 3, 5, 7]},
        "cv": 3,
        "refit": False,
        "memory": folder / "kept",
        **options,
    }
    return GridSearchCV(CountedKNN(log=str(folder / "log")), **params)


def n_fits(folder):
    return len(list((folder / "log").iterdir()))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_jobs": 2},
        {"return_train_score": True},
        {"scoring": several_scores, "n_jobs": 2},
        {"scoring": ["accuracy", "f1_macro"]},
    ],
)
def test_kept_fits_are_not_done_again(tmp_path, options):
    first = counted(tmp_path, **options).fit(X, y).cv_results_
    assert n_fits(tmp_path) == 12
    again = counted(tmp_path, **options).fit(X.copy(), y.copy()).cv_results_
    assert n_fits(tmp_path) == 12
    assert_same_results(again, first, times=True)


def test_kept_fits_refit_the_best(tmp_path):
    counted(tmp_path).fit(X, y)
    search = counted(tmp_path, refit=True).fit(X, y)
    assert n_fits(tmp_path) == 13
    assert search.score(X, y) > search.best_score_


@pytest.mark.parametrize(
    ("change", "n_new"),
    [
        ({"X": X + 1e-12}, 12),
        ({"X": X.astype(np.float32)}, 12),
        ({"y": (y + 1) % 3}, 12),
        ({"cv": 4}, 16),
        ({"scoring": "f1_macro"}, 12),
        ({"scoring": ["accuracy"], "refit": False}, 12),
        ({"return_train_score": True}, 12),
        ({"error_score": 0.0}, 12),
        ({"estimator__sleep": 1e-9}, 12),
        ({"estimator__n_neighbors": 9}, 0),  # the grid overrules it
        ({"param_grid": {"n_neighbors": [5, 7, 9]}}, 3),
        ({"param_grid": {"n_neighbors": [7, 5]}}, 0),
        ({"n_jobs": 2, "verbose": 0, "pre_dispatch": "all"}, 0),
    ],
)
def test_a_change_redoes_what_it_touches_and_no_more(tmp_path, change, n_new):
    counted(tmp_path).fit(X, y)
    change = {"X": X, "y": y, **change}
    data = change.pop("X"), change.pop("y")
    search = counted(tmp_path).set_params(**change).fit(*data)
    assert n_fits(tmp_path) == 12 + n_new
    assert_same_results(
        search.cv_results_, clone(search).set_params(memory=None).fit(*data).cv_results_
    )


@pytest.mark.parametrize("package", ["fmcam", "scikit-learn", "skorch", "torch"])
def test_another_version_of_a_package_redoes_all(tmp_path, monkeypatch, package):
    counted(tmp_path).fit(X, y)
    monkeypatch.setattr(
        "fmcam.model_selection._result_files.version",
        lambda name: "0" if name == package else version(name),
    )
    counted(tmp_path).fit(X, y)
    assert n_fits(tmp_path) == 24


def test_mapped_data_are_the_same_data(tmp_path):
    counted(tmp_path).fit(X, y)
    np.save(tmp_path / "X.npy", X)
    counted(tmp_path).fit(np.load(tmp_path / "X.npy", mmap_mode="r"), y)
    assert n_fits(tmp_path) == 12


def test_kept_scores_keep_every_bit_and_every_oddity(tmp_path):
    search = counted(tmp_path, scoring=odd_scores)
    results = []
    for _ in range(2):
        with pytest.warns(UserWarning, match="test scores are non-finite"):
            results.append(search.fit(X, y).cv_results_)
    assert n_fits(tmp_path) == 12
    assert_same_results(*results, times=True)
    assert np.isnan(results[1]["split0_test_nan"]).all()
    np.testing.assert_array_equal(results[1]["split0_test_float32"], np.float64(np.float32(0.1)))


def test_failed_fits_are_tried_again(tmp_path):
    search = counted(tmp_path, param_grid={"n_neighbors": [-1, 3]}, error_score=np.float32(-1))
    for done in (6, 9):
        with pytest.warns(FitFailedWarning, match=r"(?s)3 fits failed.*'n_neighbors'.*-1"):
            search.fit(X, y)
        assert n_fits(tmp_path) == done
    kept = list((tmp_path / "kept").iterdir())
    assert len(kept) == 3
    for file in kept:  # as an earlier version kept them
        result = json.loads(file.read_text())["result"]
        file.write_text(json.dumps({**result, "fit_error": "Traceback"}))
    with pytest.warns(FitFailedWarning):
        search.fit(X, y)
    assert n_fits(tmp_path) == 15


@pytest.mark.parametrize("garbage", ["", '{"test_scores": 0.', "[]", "{}", "\x00\xff"])
def test_damaged_files_are_done_again(tmp_path, garbage):
    first = counted(tmp_path).fit(X, y).cv_results_
    for file in sorted((tmp_path / "kept").iterdir())[:2]:
        file.write_text(garbage, encoding="latin-1")
    again = counted(tmp_path).fit(X, y).cv_results_
    assert n_fits(tmp_path) == 14
    assert_same_results(again, first)
    counted(tmp_path).fit(X, y)
    assert n_fits(tmp_path) == 14


@pytest.mark.parametrize(
    "change",
    [
        {"test_scores": 2.0},
        {"test_scores": "high"},
        {"test_scores": {"score": []}},
        {"n_test_samples": None},
        {"fit_time": float("nan")},
    ],
    ids=str,
)
def test_changed_results_are_done_again(tmp_path, change):
    first = counted(tmp_path).fit(X, y).cv_results_
    file = min((tmp_path / "kept").iterdir())
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "result": {**kept["result"], **change}}))
    assert_same_results(counted(tmp_path).fit(X, y).cv_results_, first)
    assert n_fits(tmp_path) == 13


def test_nothing_but_results_is_left_in_the_folder(tmp_path):
    counted(tmp_path).fit(X, y)
    files = list((tmp_path / "kept").iterdir())
    assert len(files) == 12
    for file in files:
        kept = json.loads(file.read_text())
        assert kept.keys() == {"result", "digest"}
        assert kept["result"].keys() == {
            "fit_error",
            "fit_time",
            "n_test_samples",
            "score_time",
            "test_scores",
        }


def test_folder_relative_to_the_caller(tmp_path, monkeypatch):
    counted(tmp_path, n_jobs=2, memory=None).fit(X, y)  # starts the workers elsewhere
    monkeypatch.chdir(tmp_path)
    counted(tmp_path, n_jobs=2, memory="kept").fit(X, y)
    assert len(list((tmp_path / "kept").iterdir())) == 12


def test_tensors_are_known_by_their_values(tmp_path):
    import torch

    for weights, n_files in [([1.0, 2, 3], 4), ([1.0, 2, 3], 4), ([1.0, 2, 4], 8)]:
        net = make_net(criterion__weight=torch.tensor(weights))
        search = GridSearchCV(net, {"lr": [0.1, 0.2]}, cv=2, refit=False, memory=tmp_path)
        search.fit(X.astype(np.float32), y)
        assert len(list(tmp_path.iterdir())) == n_files


def test_ctrl_c_keeps_what_is_finished(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        counted(tmp_path, param_grid={"n_neighbors": [1, 3, "stop"]}).fit(X, y)
    counted(tmp_path, param_grid={"n_neighbors": [1, 3, 5]}).fit(X, y)
    assert n_fits(tmp_path) == 9


class Swallower(SVC):
    """Ends its fit quietly on Ctrl-C, as skorch's nets do, if C is 3."""

    def fit(self, X, y):
        super().fit(X, y)
        with contextlib.suppress(KeyboardInterrupt):
            if self.C == 3:
                signal.raise_signal(signal.SIGINT)
        return self


def test_interrupted_fit_that_ends_quietly_is_not_kept(tmp_path):
    search = GridSearchCV(Swallower(), {"C": [1, 2, 3]}, cv=2, memory=tmp_path)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert len(list(tmp_path.iterdir())) == 4
    assert signal.getsignal(signal.SIGINT) is before


RESUMED = f"""
import sys
from pathlib import Path
from {__name__} import X, y, counted
counted(Path(sys.argv[1]), n_jobs=2).set_params(estimator__sleep=0.3).fit(X, y)
"""


def test_kill_9_loses_only_the_fits_under_way(tmp_path):
    search = counted(tmp_path).set_params(estimator__sleep=0.3)
    child = subprocess.Popen(
        [sys.executable, "-c", RESUMED, str(tmp_path)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "JOBLIB_TEMP_FOLDER": str(tmp_path),
        },
        start_new_session=True,
    )
    try:
        while len(glob.glob(f"{tmp_path}/kept/*.json")) < 4:
            assert child.poll() is None
            time.sleep(0.01)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for semaphore in glob.glob(f"/dev/shm/sem.loky-{child.pid}-*"):
            os.remove(semaphore)  # the killed process could not
    kept = {file: file.read_bytes() for file in (tmp_path / "kept").glob("*.json")}
    assert 4 <= len(kept) < 12
    under_way = n_fits(tmp_path) - len(kept)
    assert under_way <= 2

    resumed = search.fit(X, y).cv_results_
    assert n_fits(tmp_path) == 12 + under_way
    assert kept.items() <= {f: f.read_bytes() for f in (tmp_path / "kept").iterdir()}.items()
    assert_same_results(search.fit(X, y).cv_results_, resumed, times=True)
    assert n_fits(tmp_path) == 12 + under_way
    undisturbed = clone(search).set_params(memory=None, estimator__sleep=0).fit(X, y).cv_results_
    assert_same_results(resumed, undisturbed)


# parallel runs


@pytest.fixture(scope="module")
def new_workers():
    """Workers that start with PyTorch; loky replaces those whose memory grows by its import."""
    get_reusable_executor().shutdown()


def search_with_every_backend(search, X, y):
    results = [clone(search).set_params(n_jobs=n).fit(X, y).cv_results_ for n in (None, 2)]
    with joblib.parallel_config("dask"):
        return [*results, search.fit(X, y).cv_results_]


@pytest.mark.slow  # four processes import PyTorch
def test_skorch_scores_do_not_depend_on_the_backend(cluster, new_workers):
    import torch

    grid = {
        "max_epochs": [2, 5],
        "optimizer__momentum": [0.9],
        "callbacks__print_log": [None],
        "callbacks__init__fn": [torch.nn.init.ones_],
    }
    search = GridSearchCV(make_net(), grid, cv=2, scoring="neg_log_loss", refit=False)
    first, second, third = search_with_every_backend(search, X.astype(np.float32), y)
    assert np.isfinite(first["mean_test_score"]).all()
    assert_same_results(first, second)
    assert_same_results(first, third)


@pytest.mark.slow
def test_lenet_scores_do_not_depend_on_the_backend(cluster, new_workers, two_torch_threads):
    from fmcam.classifiers import LeNet5Classifier

    shapes = make_fashion_shapes(400, random_state=0)
    net = LeNet5Classifier(max_epochs=2, random_state=0)
    grid = {"lr": [1e-3, 3e-3], "optimizer__weight_decay": [1e-4]}
    search = GridSearchCV(net, grid, cv=2, scoring="neg_log_loss", refit=False)
    first, second, third = search_with_every_backend(search, shapes.images, shapes.target)
    assert first["mean_test_score"].max() > -np.log(10)
    assert_same_results(first, second)
    assert_same_results(first, third)


@pytest.fixture
def two_torch_threads():
    """Set by the user, which outranks OpenMP's own setting in MKL."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cluster(cluster_of):
    with cluster_of(2) as client:
        yield client


def test_dask_workers_do_the_fits_and_keep_them(tmp_path, cluster):
    (tmp_path / "log").mkdir()
    spy = MapSpy(log=str(tmp_path / "log"))
    search = GridSearchCV(spy, {"alpha": [1, 2, 3]}, cv=2, refit=False, memory=tmp_path / "kept")
    with joblib.parallel_config("dask"):
        search.fit(X, y)
    workers = {info["pid"] for info in cluster.run(worker_process).values()}
    assert {seen["pid"] for seen in read_log(tmp_path)} == workers
    search.fit(X, y)  # without the cluster
    assert n_fits(tmp_path) == 6


def worker_process():
    return {"pid": os.getpid()}


def read_log(folder):
    return [json.loads(file.read_text()) for file in (folder / "log").iterdir()]


def test_workers_share_one_read_only_map_of_the_images(tmp_path):
    (tmp_path / "log").mkdir()
    images = np.zeros((2000, 1, 28, 28), np.uint8)
    grid = {"alpha": [1, 2, 3]}
    GridSearchCV(MapSpy(log=str(tmp_path / "log")), grid, cv=2, n_jobs=2, refit=False).fit(
        images, np.zeros(2000)
    )
    seen = read_log(tmp_path)
    assert len(seen) == 6
    assert os.getpid() not in {fit["pid"] for fit in seen}
    assert {fit["rows"] for fit in seen} == {"uint8"}
    maps = [map_ for fit in seen for map_ in fit["maps"]]
    assert len({map_[0] for map_ in maps}) == 1
    assert maps == [[maps[0][0], "r", "uint8", [2000, 1, 28, 28]]] * 6


def test_backends_without_a_generator_serve_as_well(tmp_path):
    with joblib.parallel_config("multiprocessing", n_jobs=2):
        results = counted(tmp_path).fit(X, y).cv_results_
    assert_same_results(results, counted(tmp_path, memory=None).fit(X, y).cv_results_)


def test_progress_counts_kept_fits_as_done(tmp_path, monkeypatch):
    counted(tmp_path, param_grid={"n_neighbors": [1, 3]}).fit(X, y)
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    counted(tmp_path).fit(X, y)
    assert "| 6/12 [00:00<?, ?fit/s]" in terminal.getvalue()  # no speed taken from kept fits
    assert "| 12/12 [" in terminal.getvalue()


def test_silent_in_a_pipe(tmp_path, capfd):
    counted(tmp_path, n_jobs=2, verbose=1).fit(X, y)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"n_jobs": 1},
        {"n_jobs": 2, "backend": "threading"},
        {"n_jobs": 2, "backend": "loky", "inner_max_num_threads": 2},
    ],
)
def test_each_fit_has_one_thread(options, two_torch_threads):
    before = thread_counts()
    assert before[0] == 2
    with joblib.parallel_config(**options):
        search = GridSearchCV(
            make_net(), {"max_epochs": [1, 2]}, scoring=threads_used, refit=False, cv=2
        )
        results = search.fit(X.astype(np.float32), y).cv_results_
    assert set(results["mean_test_score"]) == {1}
    assert thread_counts() == before


# errors


@pytest.mark.parametrize(
    ("estimator", "grid", "message"),
    [
        (SVC(), {"gama": [1]}, "parameters of SVC, got 'gama'. Did you mean 'gamma'"),
        (make_pipeline(SVC()), {"svc__c": [1]}, "of Pipeline, got 'svc__c'. Did you mean 'svc__C'"),
        (
            SVC(),
            [{"C": [1]}, {"C": [1], "kernels": ["rbf"]}],
            "got 'kernels'. Did you mean 'kernel'",
        ),
        (
            STEPS,
            {"model": [SVC(), KMeans()], "model__n_cluster": [2]},
            "got 'model__n_cluster'. Did you mean 'model__",
        ),
        (SVC(), {"zzz": [1]}, "got 'zzz'. Known are C, break_ties"),
    ],
)
def test_mistyped_parameter(estimator, grid, message, tmp_path):
    with pytest.raises(ValueError, match="`param_grid` must name") as error:
        GridSearchCV(estimator, grid, memory=tmp_path / "kept").fit(X, y)
    assert message in str(error.value)
    assert not (tmp_path / "kept").exists()  # nothing was begun


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("batchsize", "got 'batchsize'. Did you mean 'batch_size'?"),
        ("optimizer__weigth_decay", "Did you mean 'optimizer__weight_decay'"),
        ("optimiser__weight_decay", "Did you mean 'optimizer__weight_decay'"),
    ],
)
def test_mistyped_parameter_of_a_classifier(name, hint):
    from fmcam.classifiers import LeNet5Classifier

    images = np.zeros((20, 1, 28, 28), np.uint8)
    with pytest.raises(ValueError, match="must name parameters of LeNet5Classifier") as error:
        GridSearchCV(LeNet5Classifier(), {name: [1]}).fit(images, np.arange(20) % 2)
    assert hint in str(error.value)


class Strict(SVC):
    def set_params(self, **params):
        if "C" in params:
            raise ValueError("C is fixed here")
        return super().set_params(**params)


def test_refused_value_of_a_known_parameter_is_not_called_mistyped():
    with pytest.raises(ValueError, match=r"^C is fixed here$"):
        GridSearchCV(Strict(), {"C": [1]}).fit(X, y)


@pytest.mark.parametrize("folder", ["file/kept", "/proc", 3])
def test_memory_must_be_writable(folder, tmp_path):
    (tmp_path / "file").touch()
    folder = tmp_path / folder if isinstance(folder, str) else folder
    with pytest.raises(ValueError, match="`memory` must be a folder that can be written to, got"):
        counted(tmp_path, memory=folder).fit(X, y)
    assert n_fits(tmp_path) == 0


def twice(X):
    return 2 * X


@pytest.mark.parametrize(
    "options",
    [
        {"estimator": make_pipeline(FunctionTransformer(lambda X: X), SVC())},
        {
            "estimator": make_pipeline(FunctionTransformer(twice), SVC()),
            "scoring": lambda e, X, y: 0.0,
        },
    ],
)
def test_memory_needs_names_for_functions(options, tmp_path):
    search = GridSearchCV(param_grid={"svc__C": [1]}, memory=tmp_path, **options)
    with pytest.raises(ValueError, match=r"(?s)must be picklable.*<lambda>.*In place of a lambda"):
        search.fit(X, y)


class Address:
    """Pickled by its address, like some wrappers of C objects."""

    def __reduce__(self):
        return Address, (), {"address": id(self)}


@pytest.mark.parametrize(
    ("estimator", "grid"),
    [(SVC(class_weight=Address()), {"C": [1]}), (SVC(), {"class_weight": [None, Address()]})],
)
def test_memory_needs_a_hash_that_lasts(estimator, grid, tmp_path):
    with pytest.raises(ValueError, match="must keep their hash when pickled"):
        GridSearchCV(estimator, grid, memory=tmp_path).fit(X, y)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("grid", "cv"), [([], 3), ({"C": [1]}, [])])
def test_empty_search(grid, cv):
    with pytest.raises(ValueError, match="at least one candidate and one split"):
        GridSearchCV(SVC(), grid, cv=cv).fit(X, y)
