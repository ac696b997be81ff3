"""Halving searches against scikit-learn's, against searches that never pause, and after kill -9."""

import contextlib
import glob
import io
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from scipy.stats import loguniform
from sklearn import model_selection
from sklearn.base import BaseEstimator, clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401, for scikit-learn's own
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.dataset import ValidSplit

from experiments.benchmark._full_disk import files_limited
from fmcam.classifiers import CNNClassifier, FlipAndShift, OneCycle, Resumable
from fmcam.model_selection import GridSearchCV, HalvingGridSearchCV, HalvingRandomSearchCV
from fmcam.model_selection._rungs import make_rungs
from tests.tiny_cnn import TinyCNN

X = np.random.default_rng(0).integers(0, 255, (48, 12, 12), dtype=np.uint8)
y = np.array(["cat", "dog", "owl"])[np.arange(48) % 3]
GRID = {"lr": [0.003, 0.03, 0.3], "batch_size": [8, 12, 16]}
SGD = {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9}
KINDS = {
    "one cycle": {**SGD, "callbacks": [("one_cycle", OneCycle())], "augment": FlipAndShift(1)},
    "constant": {"optimizer": torch.optim.Adam},
    "early": {
        **SGD,
        "train_split": ValidSplit(0.25, stratified=True, random_state=1),
        "callbacks": [
            LRScheduler("ReduceLROnPlateau", monitor="valid_loss", patience=0),
            EarlyStopping(patience=1, load_best=True, sink=str),
        ],
    },
}


def net(kind="one cycle", **params):
    return CNNClassifier(TinyCNN, **{"max_epochs": 9, "random_state": 0, **KINDS[kind], **params})


def weights(clf, X=None, y=None):
    """A number that depends on every bit of the weights."""
    parts = torch.cat([part.double().flatten() for part in clf.module_.state_dict().values()])
    return float(parts @ torch.linspace(1, 2, len(parts), dtype=torch.float64))


def search(kind="one cycle", grid=GRID, **options):
    options = {"cv": 2, "scoring": "neg_log_loss", "refit": False, **options}
    return HalvingGridSearchCV(net(kind), grid, **options)


def assert_same(ours, theirs, *, without=("params",), times=False):
    assert [key for key in ours if key not in without] == [
        key for key in theirs if key not in without
    ]
    for key in set(ours) - {"params", *without}:
        if times or not key.endswith("_time"):
            np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)
    if "params" not in without:
        assert ours["params"] == theirs["params"]


@pytest.fixture(scope="module")
def halved():
    return search(scoring=weights).fit(X, y)


# Going on -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_survivors_end_as_if_they_had_never_paused(kind):
    found = search(kind, scoring=weights, min_resources=1).fit(X, y)
    assert found.n_resources_ == [1, 3, 9]
    assert found.n_candidates_ == [9, 3, 1]
    results = found.cv_results_
    *_, candidate = results["params"]
    assert candidate["max_epochs"] == 9
    for split, (train, _) in enumerate(model_selection.StratifiedKFold(2).split(X, y)):
        whole = net(kind).set_params(**candidate).fit(X[train], y[train])
        assert results[f"split{split}_test_score"][-1] == weights(whole)


def test_last_rung_is_that_of_a_search_that_never_pauses(halved):
    grid = [{name: [value] for name, value in halved.best_params_.items()}]
    whole = GridSearchCV(net(), grid, cv=2, scoring=weights, refit=False).fit(X, y)
    for split in range(2):
        name = f"split{split}_test_score"
        assert halved.cv_results_[name][-1] == whole.cv_results_[name][0]


def test_schedules_run_over_the_full_length_from_the_first_rung(halved):
    assert halved.n_resources_ == [1, 3, 9]
    train, _ = next(model_selection.StratifiedKFold(2).split(X, y))
    whole = net(max_epochs=9).set_params(**halved.cv_results_["params"][0])
    short = clone(whole).set_params(max_epochs=1)
    score = halved.cv_results_["split0_test_score"][0]
    assert score == weights(whole.fit(X[train], y[train], epochs=1))
    assert score != weights(short.fit(X[train], y[train]))


class EpochCounter(Callback):
    """Notes each epoch in a file, with the rate and the batch size, which tell candidates apart."""

    def __init__(self, log):
        self.log = log

    def on_epoch_end(self, net, **kwargs):
        with open(self.log, "a") as file:
            file.write(f"{net.lr} {net.batch_size}\n")


def test_no_epoch_is_trained_twice(tmp_path):
    found = search(grid=[{**GRID, "callbacks": [[OneCycle(), EpochCounter(tmp_path / "log")]]}])
    found.fit(X, y)
    assert found.n_resources_ == [1, 3, 9]  # callbacks of the grid count, too
    done = Counter((tmp_path / "log").read_text().splitlines())
    assert sorted(done.values()) == [2] * 6 + [6] * 2 + [18]  # in two folds
    best = found.best_params_
    assert done[f"{best['lr']} {best['batch_size']}"] == 18


# scikit-learn's -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def theirs():
    return model_selection.HalvingGridSearchCV(
        net("constant"),
        GRID,
        cv=2,
        scoring="neg_log_loss",
        resource="max_epochs",
        max_resources=9,
        min_resources=1,
    ).fit(X, y)


def test_equals_scikit_learn_where_rates_are_constant(theirs):
    ours = search("constant", min_resources=1, refit=True, return_train_score=True).fit(X, y)
    assert_same(ours.cv_results_, theirs.cv_results_, without=("params", "param_max_epochs"))
    assert {n for n in vars(theirs) if n.endswith("_")} == {n for n in vars(ours) if n[-1] == "_"}
    for name in vars(theirs):
        if name.endswith("_") and name not in ("cv_results_", "refit_time_", "scorer_"):
            assert repr(getattr(ours, name)) == repr(getattr(theirs, name)), name
    np.testing.assert_array_equal(ours.predict_proba(X), theirs.predict_proba(X))
    assert ours.score(X, y) == theirs.score(X, y)


def test_random_search_equals_scikit_learn():
    space = {"lr": loguniform(1e-3, 1e-1), "batch_size": [8, 12]}
    options = {"cv": 2, "random_state": 3, "refit": False, "max_resources": 4, "factor": 2}
    options |= {"min_resources": "smallest", "return_train_score": True}
    ours = HalvingRandomSearchCV(net("constant"), space, **options).fit(X, y)
    theirs = model_selection.HalvingRandomSearchCV(
        net("constant"), space, resource="max_epochs", **options
    ).fit(X, y)
    assert ours.n_candidates_ == [4, 2, 1]
    assert_same(ours.cv_results_, theirs.cv_results_, without=("params", "param_max_epochs"))


class Settled(BaseEstimator):
    """Fits at once."""

    def __init__(self, alpha=0, length=1):
        self.alpha = alpha
        self.length = length

    def fit(self, X, y=None):
        return self

    def score(self, X, y=None):
        return self.alpha


@pytest.mark.parametrize("aggressive", [False, True])
@pytest.mark.parametrize("smallest", ["exhaust", "smallest", 2])
@pytest.mark.parametrize("factor", [2, 3, 2.5])
@pytest.mark.parametrize(("n_candidates", "longest"), [(1, 9), (5, 9), (27, 10), (30, 4)])
def test_rungs_equal_scikit_learns(n_candidates, longest, factor, smallest, aggressive):
    theirs = model_selection.HalvingGridSearchCV(
        Settled(),
        {"alpha": list(range(n_candidates))},
        resource="length",
        max_resources=longest,
        min_resources=smallest,
        factor=factor,
        aggressive_elimination=aggressive,
        cv=2,
        refit=False,
    ).fit(np.zeros((4, 1)))
    ours = make_rungs(n_candidates, factor, smallest, longest, aggressive, most=2)
    assert ours.resources == theirs.n_resources_
    assert ours.candidates == theirs.n_candidates_
    assert ours.required == theirs.n_required_iterations_
    assert ours.possible == theirs.n_possible_iterations_
    assert ours.smallest == theirs.min_resources_


@pytest.mark.parametrize(
    ("n_candidates", "factor", "longest", "aggressive", "most", "resources"),
    [
        (27, 3, 9, False, 3, [1, 3, 9]),
        (27, 3, 9, False, 2, [3, 9]),
        (27, 3, 6, False, 3, [2, 6]),
        (27, 3, 30, False, 3, [3, 10, 30]),
        (27, 3, 30, False, 2, [10, 30]),
        (4, 3, 9, False, 3, [3, 9]),
        (2, 3, 9, False, 3, [9]),
        (27, 3, 2, False, 3, [2]),
        (27, 3, 9, True, 2, [3, 3, 3, 9]),
        (8, 2, 7, False, 3, [1, 3, 7]),
    ],
)
def test_rungs_counted_from_the_top(n_candidates, factor, longest, aggressive, most, resources):
    rungs = make_rungs(n_candidates, factor, "auto", longest, aggressive, most)
    assert rungs.resources == resources


@pytest.mark.parametrize(
    ("kind", "grid", "resources"),
    [
        ("one cycle", GRID, [1, 3, 9]),
        ("constant", GRID, [3, 9]),
        ("early", GRID, [3, 9]),
        ("one cycle", {**GRID, "callbacks__one_cycle": [None, OneCycle()]}, [3, 9]),
    ],
)
def test_safe_rungs_by_default(kind, grid, resources):
    planned, rungs = planning(search(kind, grid))
    assert rungs.resources == resources
    assert {each["max_epochs"] for each in planned} == {9}


def planning(found):
    return found._planned([(np.arange(24), np.arange(24, 48))])


def test_aggressive_elimination_repeats_the_first_rung():
    found = search("constant", aggressive_elimination=True, max_resources=3).fit(X, y)
    assert found.n_resources_ == [1, 1, 3]
    results = found.cv_results_
    assert found.n_candidates_ == [9, 3, 1]
    again = results["mean_test_score"][results["iter"] == 1]
    assert set(again) <= set(results["mean_test_score"][results["iter"] == 0])


class Recorder:
    """A scikit-learn callback that notes what it hears."""

    def __init__(self):
        self.heard = []

    def setup(self, estimator, context):
        self.heard.append("setup")

    def teardown(self, estimator, context):
        self.heard.append("teardown")

    def on_fit_task_begin(self, estimator, context, **data):
        self.heard.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, **data):
        self.heard.append(("end", context.task_name, context.task_id))


@pytest.mark.skipif(
    not hasattr(model_selection.GridSearchCV, "set_callbacks"), reason="needs scikit-learn 1.9"
)
def test_callbacks_hear_what_scikit_learn_tells():
    heard = []
    options = {"cv": 2, "resource": "max_epochs", "max_resources": 3, "min_resources": 1}
    ours, other = (
        each(net("constant"), {"lr": [1e-3, 1e-2, 1e-1]}, **options)
        for each in (HalvingGridSearchCV, model_selection.HalvingGridSearchCV)
    )
    for each in (ours, other):
        recorder = Recorder()
        each.set_callbacks(recorder).fit(X, y)
        heard.append(recorder.heard)
    assert heard[0] == heard[1]
    assert ("begin", "halving-iteration", 1) in heard[0]


# Where the fits are done --------------------------------------------------------------------------


@pytest.mark.slow  # two processes import PyTorch
def test_processes_change_nothing(halved):
    assert_same(search(scoring=weights, n_jobs=2).fit(X, y).cv_results_, halved.cv_results_)


@pytest.mark.slow
def test_a_cluster_changes_nothing(cluster_of, halved, tmp_path):
    found = search(scoring=weights, memory=tmp_path)
    with cluster_of(2), joblib.parallel_config("dask"):
        assert_same(found.fit(X, y).cv_results_, halved.cv_results_)
        with pytest.raises(ValueError, match="`memory`, which all workers must see"):
            search().fit(X, y)


def test_progress_counts_epochs_and_kept_ones_as_done(tmp_path, monkeypatch):
    with dying_after(7), pytest.raises(Killed):
        short_search(memory=tmp_path).fit(X, y)
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    short_search(memory=tmp_path).fit(X, y)
    # in two folds three candidates for one epoch, and one for two more
    assert "| 6/10 [00:00<?, ?epoch/s]" in terminal.getvalue()  # no speed taken from kept fits
    assert "| 10/10 [" in terminal.getvalue()


# memory -------------------------------------------------------------------------------------------


def in_folder(folder):
    """How many results and states are in a folder."""
    files = [Path(file).suffix for file in os.listdir(folder)]
    return files.count(".json"), len(files) - files.count(".json")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The folder of a finished search, of which tests take copies."""
    folder = tmp_path_factory.mktemp("kept")
    search(scoring=weights, memory=folder).fit(X, y)
    return folder


def test_only_results_are_left(kept):
    assert in_folder(kept) == (2 * (9 + 3 + 1), 0)


def test_no_state_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    short_search().fit(X, y)
    assert not list(tmp_path.iterdir())


def test_kept_results_are_not_done_again(kept, halved):
    before = {file: file.stat().st_mtime_ns for file in kept.iterdir()}
    again = search(scoring=weights, memory=kept).fit(X, y).cv_results_
    assert_same(again, halved.cv_results_)
    assert {file: file.stat().st_mtime_ns for file in kept.iterdir()} == before


class Killed(BaseException):
    pass


@contextlib.contextmanager
def dying_after(n_states):
    """Let the search end when so many states are written, as if it had been killed."""
    written = iter(range(n_states - 1))
    write = Resumable.on_epoch_end

    def dying(self, net, **kwargs):
        write(self, net, **kwargs)
        if len(net.history) in (1, 3) and next(written, None) is None:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Resumable, "on_epoch_end", dying)
        yield


def cut(path):
    path.write_bytes(path.read_bytes()[:1000])


def taken_further(path):
    """As by a search over the same candidates with other rungs."""
    state = torch.load(path, weights_only=True)
    torch.save({**state, "history": state["history"] * 9}, path)


def short_search(**options):
    """Three candidates for one epoch, then one of them for two more."""
    return search(grid={"lr": [0.003, 0.03, 0.3]}, max_resources=3, scoring=weights, **options)


@pytest.fixture(scope="module")
def undisturbed():
    return short_search().fit(X, y).cv_results_


@pytest.mark.parametrize("damage", [None, Path.unlink, cut, taken_further])
@pytest.mark.parametrize(("n_written", "n_states"), [(4, 4), (7, 2)])
def test_goes_on_whatever_befell_the_states(tmp_path, undisturbed, n_written, n_states, damage):
    with dying_after(n_written), pytest.raises(Killed):
        short_search(memory=tmp_path).fit(X, y)
    assert in_folder(tmp_path) == (n_written - 1, n_states)  # those of the fallen are gone
    if damage is not None:
        for state in tmp_path.glob("*.pt"):
            damage(state)
    assert_same(short_search(memory=tmp_path).fit(X, y).cv_results_, undisturbed)
    assert in_folder(tmp_path) == (8, 0)


KILLED = f"""
import sys
from {__name__} import X, search, weights, y
search(scoring=weights, memory=sys.argv[1], n_jobs=int(sys.argv[2])).fit(X, y)
"""


def kill_at_random(folder, n_jobs, seconds):
    """Start a search and kill it with its workers; whether it was not done before."""
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), str(n_jobs)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "JOBLIB_TEMP_FOLDER": str(folder.parent),
            "TMPDIR": str(folder.parent),
        },
        start_new_session=True,
    )
    try:
        while not (folder.exists() and os.listdir(folder)) and child.poll() is None:
            time.sleep(0.01)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
    finally:
        finished = child.poll() is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for semaphore in glob.glob(f"/dev/shm/sem.loky-{child.pid}-*"):
            os.remove(semaphore)  # the killed process could not
    return not finished


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_kill_9_at_random_moments_changes_nothing(tmp_path, halved, n_jobs):
    folder, draw = tmp_path / "kept", random.Random(n_jobs)
    killed = sum(kill_at_random(folder, n_jobs, draw.uniform(0, 1.5)) for _ in range(4))
    assert killed > 0
    found = search(scoring=weights, memory=folder).fit(X, y)
    assert_same(found.cv_results_, halved.cv_results_)
    assert in_folder(folder) == (26, 0)


def test_a_full_disk_is_no_fault_of_a_candidate(tmp_path):
    message = r"\.pt cannot be written"
    with files_limited(3000), pytest.raises(OSError, match=message):
        search(memory=tmp_path).fit(X, y)


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (Settled(), "takes a CNNClassifier; got a Settled. scikit-learn's halving searches"),
        (make_pipeline(net()), "takes a CNNClassifier; got a Pipeline"),
        (net(callbacks="disable"), "but `callbacks` is 'disable'"),
        (net(callbacks=[Resumable("t.pt")]), "share the file of the Resumable among `callbacks`"),
        (net(random_state=None), "an integer as the classifier's `random_state`.*got None"),
        (net(train_split=ValidSplit(0.2)), "gives the same rows again"),
        (net(max_epochs=0), "max_epochs == 0, must be >= 1"),
        (net(max_epochs=9.0), "max_epochs must be an instance of int, not float"),
    ],
)
def test_estimators_that_cannot_pause(estimator, message, tmp_path):
    found = HalvingGridSearchCV(estimator, {"lr": [1]}, memory=tmp_path / "kept")
    with pytest.raises((TypeError, ValueError), match=message):
        found.fit(X, y)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": {"max_epochs": [1, 3]}}, "`max_epochs` is the resource.*Leave it out of `param_"),
        ({"grid": {"random_state": [0, None]}}, "an integer as the classifier's `random_state`"),
        ({"grid": {"learning_rate": [1]}}, "`param_grid` must name .*got 'learning_rate'"),
        ({"grid": {"lr": []}}, "lr"),
        ({"factor": 1}, "'factor' parameter of HalvingGridSearchCV must be"),
        ({"resource": "n_samples"}, "'resource' parameter of HalvingGridSearchCV must be"),
        ({"refit": "accuracy"}, "'refit' parameter of HalvingGridSearchCV must be"),
        ({"min_resources": 10}, "`min_resources` must be at most `max_resources`, got 10 and 9"),
        ({"min_resources": 0}, "'min_resources' parameter of HalvingGridSearchCV must be"),
        ({"scoring": ["accuracy"]}, "'scoring' parameter of HalvingGridSearchCV must be"),
    ],
)
def test_searches_that_cannot_be(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        search(memory=tmp_path / "kept", **options).fit(X, y)
    assert not list(tmp_path.iterdir())


def test_several_scores(tmp_path):
    with pytest.raises(ValueError, match="goes by one score, but `scoring` gives several: a, b"):
        search(grid={"lr": [1]}, scoring=two_scores, max_resources=1).fit(X, y)


def two_scores(clf, X, y):
    return {"a": 1.0, "b": 2.0}


def test_epochs_are_said_by_the_search():
    with pytest.raises(ValueError, match="Pass `max_resources` and `min_resources` in place of"):
        search().fit(X, y, epochs=3)


def test_a_random_search_that_is_kept_draws_the_same_again(tmp_path):
    space = {"lr": loguniform(1e-3, 1e-1)}
    with pytest.raises(ValueError, match=r"must draw the same candidates again.*got None"):
        HalvingRandomSearchCV(net(), space, memory=tmp_path).fit(X, y)
    with pytest.raises(ValueError, match="`param_distributions` must name"):
        HalvingRandomSearchCV(net(), {"rate": loguniform(1, 2)}, random_state=0).fit(X, y)
