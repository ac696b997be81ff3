"""Threads that share a network get the maps and predictions that each would get alone."""

import copy
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from fmcam._network_state import evaluating
from fmcam.classifiers import CNNClassifier
from fmcam.explain import AblationCAM, FullGrad, GradCAM, GuidedGradCAM, LayerCAM

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
