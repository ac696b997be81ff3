"""Threads that share a network get the maps and predictions that each would get alone."""

import copy
import io
import pickle
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn
from torchvision.models import VisionTransformer

from experiments.benchmark._threads import SETTINGS, failures
from fmcam._network_state import evaluating, hooked, without_hooks
from fmcam._parallel import one_thread
from fmcam._progress import ProgressBar
from fmcam._warnings import warnings_ignored
from fmcam.classifiers import CNNClassifier, load_classifier, save_classifier
from fmcam.explain import AblationCAM, FullGrad, GradCAM, GuidedGradCAM, LayerCAM, ShapleyCAM
from tests.thread_counts import thread_counts

KINDS = [GradCAM, LayerCAM, AblationCAM, GuidedGradCAM, FullGrad]
X = np.random.default_rng(0).normal(size=(6, 1, 16, 16)).astype(np.float32)
Y = [0, 1, 2, 0, 1, 2]


def make_net():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(8, 8, 3)),
        *(nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 6), nn.ReLU()),
        nn.Linear(6, 3),
    )


@pytest.mark.parametrize("training", [False, True])
def test_explaining_and_predicting_at_once(training):
    """Of a network in training mode the modes are switched, by each thread for itself."""
    net = make_net().train(training)

    def work(kind, net):
        if kind is None:
            return CNNClassifier.from_module(net).predict_proba(X)
        return kind(net, normalize=None).explain(X, Y)

    jobs = [*KINDS, None] * 6
    alone = {kind: work(kind, copy.deepcopy(net)) for kind in jobs}
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda kind: work(kind, net), jobs))
    for kind, one in zip(jobs, found, strict=True):
        np.testing.assert_allclose(one, alone[kind], rtol=1e-5, atol=1e-6)
    assert all(part.training is training for part in net.modules())
    assert not any(part._forward_hooks for part in net.modules())


def test_a_thread_waits_for_the_modes_that_another_has_switched():
    net, inside, may_leave, seen = nn.Dropout().train(), threading.Event(), threading.Event(), []

    def switch():
        with evaluating(net):
            inside.set()
            may_leave.wait(10)

    def look():
        inside.wait(10)
        with evaluating(net):
            first.join(10)  # who came first has put the modes back
            seen.append(net.training)

    first, second = threading.Thread(target=switch), threading.Thread(target=look)
    first.start()
    second.start()
    inside.wait(10)
    time.sleep(0.1)  # for the second to arrive
    may_leave.set()
    second.join(10)
    assert seen == [False]
    assert net.training


def in_threads(n_threads, works):
    """What functions give, each in a thread, begun at the same time."""
    gate = threading.Barrier(n_threads)

    def begin(work):
        gate.wait(10)
        return work()

    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(begin, works))


def test_copies_of_a_network_that_others_explain_take_no_hooks_along():
    """Neither copies nor pickles do, and in none has dropout or a mode changed."""
    net = make_net().train()
    net[0].register_forward_hook(own_hook)
    clf = CNNClassifier.from_module(net)
    alone, stop = clf.predict_proba(X), threading.Event()

    def explain():
        while not stop.is_set():
            GradCAM(net, layer="4").explain(X, Y)

    with ThreadPoolExecutor(2) as pool:
        explaining = [pool.submit(explain) for _ in range(2)]
        try:
            for copied in (copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))):
                for _ in range(20):
                    nets = copied(net), copied(clf).module_.net
                    found = CNNClassifier.from_module(nets[0]).predict_proba(X)
                    np.testing.assert_allclose(found, alone, rtol=1e-5)
                    for one in nets:
                        assert list(one[0]._forward_hooks.values()) == [own_hook]
                        assert not any(part._forward_hooks for part in one[1:])
                    assert all(part.training for part in nets[1].modules())
        finally:
            stop.set()
        for one in explaining:
            one.result()
    assert list(net[0]._forward_hooks.values()) == [own_hook]


def own_hook(module, args, output):
    return None


def test_what_the_user_hooks_runs_while_others_look_on_noise():
    """What a network's trials leave out in their own thread must change outputs in the others."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
    net[1].register_forward_hook(lambda module, args, output: output + 1)
    x, seen = torch.ones(1, 1, 2, 2), {}
    with torch.no_grad():
        expected = net(x)
        with without_hooks(net):
            seen["here"] = net(x)
            there = threading.Thread(target=lambda: seen.update(there=net(x).detach()))
            there.start()
            there.join(10)
    assert torch.equal(seen["there"], expected)
    assert torch.equal(seen["here"], expected - 1)


def test_a_hook_of_the_user_that_comes_in_the_meantime_stays():
    net = nn.Sequential(nn.Linear(2, 2))
    with hooked(net, {"0": lambda module, args, output: None}):
        net[0].register_forward_hook(own_hook)
    assert list(net[0]._forward_hooks.values()) == [own_hook]


def test_second_derivatives_of_attention_change_nothing_for_other_threads():
    """Torch's switch for its fused attention belongs to the process."""
    net = VisionTransformer(16, 8, 1, 2, 8, 16, num_classes=2).eval()
    nn.init.normal_(net.heads[0].weight)
    images, seen = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32), []

    def look(module, args, output):
        seen.append(torch.backends.cuda.flash_sdp_enabled())

    net.encoder.register_forward_hook(look)
    ShapleyCAM(net, layer="encoder.layers.encoder_layer_0.ln_1").explain(images, [0])
    assert set(seen) == {True}


def test_fits_in_threads_end_as_each_would_alone():
    """Torch draws first weights and dropout from a generator that all threads share."""
    clfs = [
        CNNClassifier(Small, max_epochs=2, batch_size=3, random_state=seed) for seed in (0, 1, 0)
    ]
    alone = [clf.fit(X, Y).predict_proba(X) for clf in clfs]
    before = torch.get_rng_state()
    found = in_threads(3, [lambda clf=clf: clone(clf).fit(X, Y).predict_proba(X) for clf in clfs])
    np.testing.assert_array_equal(found, alone)
    assert torch.equal(torch.get_rng_state(), before)


class Small(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(256, 16), nn.Dropout(0.5), nn.Linear(16, 3))


def test_explaining_leaves_a_fit_in_another_thread_its_random_numbers():
    clf = CNNClassifier(Small, max_epochs=6, batch_size=3, random_state=0)
    alone, net, stop = clone(clf).fit(X, Y).predict_proba(X), make_net(), threading.Event()

    def explain():
        while not stop.is_set():
            GradCAM(net).explain(X, Y)

    thread = threading.Thread(target=explain)
    thread.start()
    try:
        found = clone(clf).fit(X, Y).predict_proba(X)
    finally:
        stop.set()
        thread.join()
    np.testing.assert_array_equal(found, alone)


def test_what_threads_ignore_is_heard_again():
    """The last of two that put warning filters back would leave those of the first."""
    before = list(warnings.filters)

    def ignore():
        for _ in range(200):
            with warnings_ignored("nothing"):
                time.sleep(0)

    in_threads(4, [ignore] * 4)
    assert warnings.filters == before


def test_the_last_of_several_threads_puts_their_number_back():
    own = torch.get_num_threads()
    torch.set_num_threads(2)  # by the user, which outranks OpenMP's own setting in MKL
    before = thread_counts()
    try:
        first, second = one_thread(), one_thread()
        first.__enter__()
        second.__enter__()
        assert {*thread_counts()} == {1}
        assert {*in_threads(1, [limited_counts])[0]} == {1}
        first.__exit__(None, None, None)
        assert {*thread_counts()} == {1}
        second.__exit__(None, None, None)
        assert thread_counts() == before
    finally:
        torch.set_num_threads(own)


def limited_counts():
    with one_thread():
        return thread_counts()


@pytest.mark.parametrize(
    "setting",
    [
        name
        if name in ("loaded", "in training mode")
        else pytest.param(name, marks=pytest.mark.slow)
        for name in SETTINGS
    ],
)
def test_mixed_calls_give_what_they_give_alone(setting):
    """All explainers, predictions, copies and scores; `benchmark reliability` makes more calls."""
    assert failures(setting, n_calls=30, n_threads=4, seed=0) == []


_TAKES_WEIGHTS_WHILE_ANOTHER_LOOKS_AT_THEM = """
import sys
import time
from concurrent.futures import ThreadPoolExecutor
import torch
from torch import nn
from fmcam.classifiers._given import check_weights

def look(nets):
    for net in nets:
        for weight in net.parameters():
            weight[:, None]

sys.setswitchinterval(1e-6)
end = time.monotonic() + 8
with ThreadPoolExecutor(2) as threads:
    while time.monotonic() < end:
        nets = [nn.Conv2d(1, 1, 1) for _ in range(200)]
        looking = threads.submit(look, nets)
        for net in nets:
            check_weights(net)
        looking.result()
"""


@pytest.mark.slow
def test_taking_a_network_does_not_lock_its_weights():
    """One thread would hold a weight and wait for Python, another wait for it holding Python."""
    program = [sys.executable, "-c", _TAKES_WEIGHTS_WHILE_ANOTHER_LOOKS_AT_THEM]
    subprocess.run(program, check=True, timeout=60)


def test_no_thread_outlives_a_progress_bar():
    before = {*threading.enumerate()}  # another library's bar may have left one
    with ProgressBar(range(3), disable=False, file=io.StringIO()) as bar:
        assert list(bar) == [0, 1, 2]
        assert {*threading.enumerate()} <= before


def test_a_classifier_is_in_evaluation_mode_from_the_start(tmp_path):
    """Nothing must be switched then, so threads do not wait for each other."""
    clf = CNNClassifier(Small, max_epochs=1, random_state=0).fit(X, Y)
    save_classifier(clf, tmp_path / "clf.safetensors")
    torch.save(Small().state_dict(), tmp_path / "net.pt")
    found = [
        clf,
        load_classifier(tmp_path / "clf.safetensors", module=Small),
        load_classifier(tmp_path / "net.pt", module=Small(), mean=0, std=1),
    ]
    for one in found:
        assert not any(part.training for part in one.module_.modules())
    net = Small().train()
    module = CNNClassifier.from_module(net).module_
    assert not module.training
    assert not module.standardize.training
    assert all(part.training for part in net.modules())
