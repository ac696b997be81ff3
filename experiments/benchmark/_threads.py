"""Calls of several threads to the same classifiers, held against those of a single thread."""

import copy
import pickle
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models import VisionTransformer

from experiments.benchmark._state import changes, global_state, members, state_of
from fmcam.classifiers import CNNClassifier, load_classifier, save_classifier
from fmcam.explain import (
    GradCAM,
    GuidedBackprop,
    LayerCAM,
    SmoothedExplainer,
    explain_together,
    get_explainer,
    list_explainers,
)
from fmcam.metrics import deletion_auc_error, insertion_auc_score
from fmcam.model_selection import SeedEnsembleClassifier

__all__ = ["SETTINGS", "calls_of", "difference", "failures", "images_of"]

N_CLASSES, SIDE, N_IMAGES = 3, 16, 4
Y = np.arange(N_IMAGES) % N_CLASSES
TOLERANCE = 1e-5
OF_ATTENTION = {"attention-rollout", "legrad"}


class Convolutions(nn.Sequential):
    """Batch normalization, dropout and a linear layer of averages; for images of any size."""

    def __init__(self, n_classes=N_CLASSES, in_channels=1):
        super().__init__(
            *(nn.Conv2d(in_channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Dropout(0.5), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, n_classes)),
        )


class Transformer(VisionTransformer):
    """Two layers of attention, with dropout."""

    def __init__(self, n_classes=N_CLASSES, in_channels=1):
        super().__init__(SIDE, 4, 2, 2, 16, 32, dropout=0.5, num_classes=n_classes)
        self.conv_proj = nn.Conv2d(in_channels, 16, 4, 4)
        nn.init.normal_(self.heads[0].weight)


KINDS = (Convolutions, Transformer)


def images_of(side=SIDE, n=N_IMAGES):
    """Images (n, 1, side, side) of noise, float32."""
    return np.random.default_rng(side).normal(size=(n, 1, side, side)).astype(np.float32)


# What the threads share ---------------------------------------------------------------------------


def given(change, **options):
    """A classifier around a network of each kind, which `change` has brought into some mode."""
    return [CNNClassifier.from_module(change(_network(kind)), **options) for kind in KINDS]


def fitted():
    """Classifiers that were trained."""
    return [_classifier(kind).fit(*_training_rows()) for kind in KINDS]


def loaded():
    """Classifiers that were trained and read from files."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for clf, kind in zip(fitted(), KINDS, strict=True):
            save_classifier(clf, f"{folder}/clf.safetensors")
            found.append(load_classifier(f"{folder}/clf.safetensors", module=kind))
    return found


def ensembles():
    """Ensembles of two seeds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dropout: they are trained one after another
        return [
            SeedEnsembleClassifier(_classifier(kind), seeds=(0, 1)).fit(*_training_rows())
            for kind in KINDS
        ]


def _network(kind):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = kind()
        net(torch.from_numpy(images_of(n=32)))  # for statistics that are not those of the start
    return net


def _classifier(kind):
    return CNNClassifier(kind, max_epochs=1, batch_size=16, random_state=0)


def _training_rows():
    return images_of(n=32), np.arange(32) % N_CLASSES


def _with_frozen_batch_norm(net):
    for part in net.train().modules():
        part.training = not isinstance(part, nn.BatchNorm2d)
    return net


SETTINGS = {
    "loaded": loaded,
    "fitted": fitted,
    "in training mode": partial(given, nn.Module.train),
    "frozen batch norm": partial(given, _with_frozen_batch_norm),
    "bfloat16": partial(given, nn.Module.train, precision="bfloat16"),
    "streams": partial(given, nn.Module.eval),
    "ensembles": ensembles,
    "several sizes": partial(given, nn.Module.train),
}


# What the threads do ------------------------------------------------------------------------------


def calls_of(setting, clf):
    """The calls to a classifier by name, functions without arguments that give arrays."""
    several = setting == "several sizes" and _kind_of(clf) is Convolutions
    calls = {}
    for side in (SIDE, 20, 27) if several else (SIDE,):
        X = images_of(side)
        for kind, stream in (_streams(X) if setting == "streams" else {"array": X}).items():
            for name, call in _calls(clf, X, stream).items():
                calls[f"{name}, {kind} of {side}"] = call
    return calls


def _streams(X):
    data = TensorDataset(torch.from_numpy(X))
    return {"Dataset": data, "DataLoader": DataLoader(data, 3, generator=torch.Generator())}


def _kind_of(clf):
    return type(members(clf)[0].module_.net)


def _calls(clf, X, stream):
    member = members(clf)[0]
    frozen = FrozenEstimator(member)
    shared, of_net = GradCAM(frozen, normalize=None), GradCAM(member.module_.net, normalize=None)
    names = set(list_explainers()) - (OF_ATTENTION if _kind_of(clf) is Convolutions else {"cam"})
    if _kind_of(clf) is Transformer:
        names -= {"full-grad", "guided-backprop", "guided-grad-cam"}  # refused
    seeds = {"random-map": {"random_state": 0}}
    # raw maps: where all is rounding, as with HiResCAM before a layer normalization, a stretched
    # map would be another each time
    kinds = {
        name: partial(get_explainer(name), normalize=None, **seeds.get(name, {})) for name in names
    }
    maps = np.random.default_rng(0).random((len(X), *X.shape[2:]))
    calls = {
        "predict": lambda: clf.predict(stream),
        "predict_proba": lambda: clf.predict_proba(stream),
        "of a network shared": lambda: CNNClassifier.from_module(member.module_.net).predict_proba(
            stream
        ),
        "of a deep copy": lambda: copy.deepcopy(clf).predict_proba(stream),
        "of a pickle": lambda: pickle.loads(pickle.dumps(clf)).predict_proba(stream),
        "of a network copied": lambda: (
            copy.deepcopy(member.module_.net).eval()(torch.from_numpy(X)).detach().numpy()
        ),
        "of an explainer cloned": lambda: clone(of_net).explain(stream, Y),
        "explainer shared": lambda: shared.explain(stream, Y),
        "explainer of the network": lambda: of_net.explain(stream, Y),
        "early layer": lambda: LayerCAM(frozen, layer=_early(member), normalize=None).explain(
            stream, Y
        ),
        "smoothed": lambda: SmoothedExplainer(
            GradCAM(frozen), n_samples=2, normalize=None, random_state=0
        ).explain(stream, Y),
        "together": lambda: explain_together(
            {name: kinds[name](frozen) for name in sorted(names)}, stream, Y
        ),
        "insertion": lambda: insertion_auc_score(
            clf.predict_proba, X, Y, maps, n_steps=5, average=None
        ),
        "deletion": lambda: deletion_auc_error(
            clf.predict_proba, X, Y, maps, n_steps=5, average=None
        ),
    }
    for name, kind in kinds.items():
        calls[name] = lambda kind=kind: kind(frozen).explain(stream, Y)
    if "guided-backprop" in names:
        calls["attribute"] = lambda: GuidedBackprop(frozen).attribute(stream, Y)
    return calls


def _early(clf):
    return "2" if _kind_of(clf) is Convolutions else "encoder.layers.encoder_layer_0"


# What must hold -----------------------------------------------------------------------------------


def failures(setting, n_calls, n_threads, seed):
    """What went wrong in some calls from threads, as texts; none where all is as it should be."""
    rng = np.random.default_rng(seed)
    shared, alone = SETTINGS[setting](), SETTINGS[setting]()
    calls, others = _numbered(setting, shared), _numbered(setting, alone)
    names = list(calls)
    chosen = [names[i] for i in rng.permutation(np.resize(rng.permutation(len(names)), n_calls))]
    expected = {name: others[name]() for name in dict.fromkeys(chosen)}
    before = [state_of(shared), global_state()]

    def work(name):
        try:
            return calls[name]()
        except Exception as error:
            return error

    with ThreadPoolExecutor(n_threads) as pool:
        found = list(pool.map(work, chosen))
    wrong = [
        f"{name}: {difference(one, expected[name])}"
        for name, one in zip(chosen, found, strict=True)
        if difference(one, expected[name])
    ]
    after = [state_of(shared), global_state()]
    return wrong + [
        f"{name} changed" for pair in zip(before, after, strict=True) for name in changes(*pair)
    ]


def _numbered(setting, clfs):
    return {
        f"{_kind_of(clf).__name__}: {name}": call
        for clf in clfs
        for name, call in calls_of(setting, clf).items()
    }


def difference(found, expected):
    """How an answer differs from that of a single thread; empty where it does not."""
    if isinstance(found, dict):
        parts = {name: difference(found[name], expected[name]) for name in expected}
        return ", ".join(f"{name} {what}" for name, what in parts.items() if what)
    if isinstance(found, Exception):
        return repr(found)
    if found.shape != expected.shape:
        return f"shape {found.shape}, not {expected.shape}"
    if found.dtype.kind != "f":
        return "" if (found == expected).all() else "other labels"
    error = np.abs(found - expected).max()
    return "" if error <= TOLERANCE * max(1, np.abs(expected).max()) else f"off by {error:.3g}"
