"""Checkpoints: what is saved comes back, foreign and damaged files run no code."""

import functools
import json
import os
import pickle
import re

import numpy as np
import pytest
import safetensors
import torch
import torchvision
from packaging.version import Version
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.base import clone
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import fmcam
from fmcam.classifiers import (
    CNNClassifier,
    LeNet5Classifier,
    SimpleCNNClassifier,
    load_classifier,
    measure_cost,
    save_classifier,
)
from fmcam.models import CNN_CAM, LeNet5, ResNet18

KEY = "fmcam-classifier-1"

pytestmark = pytest.mark.filterwarnings("ignore:.* does not say by which mean")


@pytest.fixture(scope="module")
def clf():
    X = np.random.default_rng(0).integers(0, 255, (30, 1, 16, 16), dtype=np.uint8)
    y = np.array(["ant", "bee", "cow"])[np.arange(30) % 3]
    settings = {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9, "batch_size": 10}
    clf = LeNet5Classifier(max_epochs=2, random_state=0, precision="bfloat16", **settings)
    return clf.fit(X, y)


@pytest.fixture
def saved(clf, tmp_path):
    path = tmp_path / "lenet.safetensors"
    save_classifier(
        clf, path, class_names=["Ant", "Bee", "Cow"], dataset="lines", metrics={"accuracy": 0.25}
    )
    return path


def images(n=7):
    return np.random.default_rng(1).integers(0, 255, (n, 1, 16, 16), dtype=np.uint8)


def test_round_trip(clf, saved):
    again = load_classifier(saved)
    assert type(again) is LeNet5Classifier
    assert np.array_equal(again.predict_proba(images()), clf.predict_proba(images()))
    assert again.classes_.tolist() == ["ant", "bee", "cow"]
    for name in ("lr", "batch_size", "optimizer", "optimizer__momentum", "precision", "device"):
        assert again.get_params()[name] == clf.get_params()[name]
    assert again.history[:, ("epoch", "train_loss")] == clf.history[:, ("epoch", "train_loss")]
    assert again.checkpoint_ == {
        "epoch": 2,
        "class_names": ["Ant", "Bee", "Cow"],
        "metrics": {"accuracy": 0.25},
        "dataset": "lines",
        "fmcam": fmcam.__version__,
    }
    with pytest.raises(ValueError, match="was fitted on"):
        again.predict(np.zeros((1, 1, 28, 28)))


def test_a_loaded_classifier_can_train_on(saved):
    again = load_classifier(saved)
    before = again.predict_proba(images())
    again.partial_fit(images(30), np.array(["ant", "bee", "cow"])[np.arange(30) % 3])
    assert not np.array_equal(again.predict_proba(images()), before)


def test_integer_labels_keep_their_kind(tmp_path):
    clf = SimpleCNNClassifier(max_epochs=1).fit(images(12), np.arange(12) % 3 * 5)
    save_classifier(clf, tmp_path / "a")
    assert load_classifier(tmp_path / "a").classes_.dtype == np.int64
    assert load_classifier(tmp_path / "a").classes_.tolist() == [0, 5, 10]


class OwnNet(nn.Module):
    """Its parts stand in an order that their names do not have, and it takes no `in_channels`."""

    def __init__(self, n_classes, hidden=7):
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 3)
        self.body = nn.Linear(392, hidden)
        self.classify = nn.Linear(hidden, n_classes)

    def forward(self, images):
        return self.classify(self.body(self.stem(images).flatten(1)))


def test_a_network_of_ones_own_needs_its_class(tmp_path):
    clf = CNNClassifier(OwnNet, module__hidden=9, max_epochs=1)
    clf.fit(images(12), np.arange(12) % 3)
    save_classifier(clf, tmp_path / "own")
    with pytest.raises(ValueError, match="holds a OwnNet, which is not one of fmcam's networks"):
        load_classifier(tmp_path / "own")
    again = load_classifier(tmp_path / "own", module=OwnNet)
    assert np.array_equal(again.predict_proba(images()), clf.predict_proba(images()))


def test_nothing_is_left_behind_when_writing_fails(clf, tmp_path):
    with pytest.raises(OSError, match="missing"):
        save_classifier(clf, tmp_path / "missing" / "lenet.safetensors")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        save_classifier(clf, tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


# Torch files --------------------------------------------------------------------------------------


def test_a_plain_state_dict(tmp_path):
    net = LeNet5(n_classes=4).eval()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    clf = load_classifier(tmp_path / "net.pt", module=LeNet5)
    assert clf.classes_.tolist() == [0, 1, 2, 3]
    with torch.no_grad():
        expected = net(torch.as_tensor(images()).float()).softmax(dim=1).numpy()
    np.testing.assert_allclose(clf.predict_proba(images()), expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"holds weights alone\. Pass the class"):
        load_classifier(tmp_path / "net.pt")


def test_torchvision_keys_under_model_state_dict_with_names_and_accuracies(tmp_path):
    net = torchvision.models.resnet18(num_classes=3).eval()
    content = {
        "model_state_dict": net.state_dict(),
        "class_names": ["Baya", "Greg", "Rudo"],
        "test_acc": 0.75,
        "epoch": 12,
    }
    torch.save(content, tmp_path / "plants.pth")
    clf = load_classifier(tmp_path / "plants.pth", module=ResNet18)
    assert clf.classes_.tolist() == ["Baya", "Greg", "Rudo"]
    assert clf.checkpoint_["test_acc"] == 0.75
    assert clf.checkpoint_["epoch"] == 12
    colour = np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32)
    with torch.no_grad():
        expected = net(torch.as_tensor(colour)).softmax(dim=1).numpy()
    np.testing.assert_allclose(clf.predict_proba(colour), expected, atol=1e-6)


def test_unsorted_class_names_stay_names_of_numbered_classes(tmp_path):
    content = {"model_state_dict": LeNet5(n_classes=2).state_dict(), "class_names": ["b", "a"]}
    torch.save(content, tmp_path / "net.pt")
    clf = load_classifier(tmp_path / "net.pt", module=LeNet5)
    assert clf.classes_.tolist() == [0, 1]
    assert clf.checkpoint_["class_names"] == ["b", "a"]


def densenet(n_classes):
    return torchvision.models.DenseNet(4, (1, 2), 8, num_classes=n_classes)


def squeezenet(n_classes):
    return torchvision.models.squeezenet1_1(num_classes=n_classes)


@pytest.mark.parametrize("make", [densenet, squeezenet])
def test_networks_that_name_their_layers_or_end_otherwise(tmp_path, make):
    net = make(3).eval()
    old = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): weight
        for key, weight in net.state_dict().items()
    }
    torch.save(old, tmp_path / "net.pth")
    clf = load_classifier(tmp_path / "net.pth", module=make)
    colour = np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32)
    with torch.no_grad():
        expected = net(torch.as_tensor(colour)).softmax(dim=1).numpy()
    np.testing.assert_allclose(clf.predict_proba(colour), expected, atol=1e-6)


def test_mean_and_std_of_a_torch_file_are_applied(tmp_path):
    net = LeNet5(n_classes=4).eval()
    content = {"model_state_dict": net.state_dict(), "mean": [100.0], "std": [50.0]}
    torch.save(content, tmp_path / "net.pt")
    clf = load_classifier(tmp_path / "net.pt", module=LeNet5)
    with torch.no_grad():
        expected = net((torch.as_tensor(images()).float() - 100) / 50).softmax(dim=1).numpy()
    np.testing.assert_allclose(clf.predict_proba(images()), expected, atol=1e-6)
    torch.save({**content, "std": [1.0, 2.0]}, tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"`mean` and `std` in .* must be 1 numbers each, .* got"):
        load_classifier(tmp_path / "net.pt", module=LeNet5)


# Foreign and damaged files ------------------------------------------------------------------------


class Exploit:
    def __reduce__(self):
        return os.mkdir, (Exploit.folder,)


@pytest.mark.parametrize("inside", [False, True])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, inside):
    Exploit.folder = str(tmp_path / "ran")
    path = tmp_path / "bad.pt"
    if inside:
        torch.save({"model_state_dict": Exploit()}, path)
    else:
        path.write_bytes(pickle.dumps(Exploit()))
    with pytest.raises(ValueError, match="Nothing in it was run"):
        load_classifier(path, module=LeNet5)
    assert not (tmp_path / "ran").exists()


def test_text_and_truncated_files(saved, tmp_path):
    (tmp_path / "text").write_text("hello")
    whole = saved.read_bytes()
    (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"text is no file of weights, .* Nothing in it was run"):
        load_classifier(tmp_path / "text", module=LeNet5)
    with pytest.raises(ValueError, match=r"half is a safetensors file, cut off or damaged"):
        load_classifier(tmp_path / "half", module=LeNet5)
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere"):
        load_classifier(tmp_path / "nowhere")


def test_a_torch_file_without_weights(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="must hold a state dict"):
        load_classifier(tmp_path / "a.pt", module=LeNet5)
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "b.pt")
    with pytest.raises(ValueError, match="do not fit LeNet5"):
        load_classifier(tmp_path / "b.pt", module=LeNet5)


@pytest.mark.parametrize("header", ["5", "[]", "null", "{}", "[" * 100_000])
def test_headers_that_are_no_description(saved, header):
    save_file({"a": torch.zeros(1)}, saved, metadata={KEY: header})
    with pytest.raises(ValueError, match=r"not a checkpoint that|do not fit LeNet5"):
        load_classifier(saved, module=LeNet5)


def tamper(path, weights=None, **changes):
    """Change parts of the header, and tensors by `weights`, a function of them all."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, value in changes.items():
        header[name] = {**header[name], **value} if isinstance(value, dict) else value
    tensors |= {} if weights is None else weights(tensors)
    save_file(tensors, path, metadata={KEY: json.dumps(header)})


def header_cases():
    """Changes of a header, and what is said of them after the file's name."""
    yield {"module": "SimpleCNN"}, "The weights in .* do not fit"
    yield {"module": ["LeNet5"]}, "`module` must be a name"
    yield {"classes": ["ant", "ant", "cow"]}, "`classes` must be without repeats"
    yield (
        {"classes": ["ant", "bee"]},
        r"`class_names` must name 2 classes, got 3: \['Ant', 'Bee', 'C",
    )
    yield {"classes": ["ant", "bee"], "class_names": None}, "LeNet5 must give logits"
    yield {"parameters": {"evil": 1}}, "Invalid parameter 'evil'"
    yield {"shared": {"net.a": "net.b"}}, "there is no 'net.b'"
    yield {"image_shape": [3, 16, 16]}, r"its LeNet5 takes no images of shape \(3, 16, 16\)"
    for name, values in {
        "history": (5, [1], [{"a": {}}], [{"epoch": "1"}]),
        "image_shape": (
            5,
            "abc",
            [16, 16],
            [1, 16.0, 16],
            [1, 0, 16],
            [1, 10**5, 10**5],
            [1, -1, 9],
        ),
        "classes": ("ant", [["ant"], ["bee"], ["cow"]], ["ant", "bee", None]),
        "dtype": (5, ["U3"]),
        "class_names": ("Ant", [1, 2, 3], ["Ant", "Bee"], list("abcd")),
        "epoch": ("2", -1, 10**30, True),
        "metrics": ([1], {"accuracy": "high"}),
        "dataset": (5,),
        "of_unit_range": ("yes",),
        "shared": ("net",),
        "parameters": ([], {"lr": {}}, {"optimizer": {"class": 5}}, {"callbacks__x": 1}),
    }.items():
        for value in values:
            yield {name: value}, f"`{name}` must "
    for dtype, labels in (
        ("|i1", [1, 2, 300]),
        ("<i8", [1, 2, 10**30]),
        ("<i8", [1.5, 2, 3]),
        ("<f8", ["1", "2", "3"]),
        ("<f8", [1, 2, float("nan")]),
        ("<U3", [1, 2, 3]),
        *(
            ("<M8[s]", [1, 2, 3]),
            ("|V8", ["a", "b", "c"]),
            ("i4,i4", [1, 2, 3]),
            ("evil", [1, 2, 3]),
        ),
    ):
        yield (
            {"dtype": dtype, "classes": labels},
            f"`classes` .* are not of type '{re.escape(dtype)}'",
        )
    for name, value in {
        "criterion": {"class": "torch.nn.NLLLoss"},  # takes no logits
        "optimizer": None,
        "batch_size": "10",
        "precision": "float128",
        "outputs": "both",
        "predict_nonlinearity": "os.system",
        "dataset": "rows",
    }.items():
        yield {"parameters": {name: value}}, f"`{name}` must "
    for value in ("os.system", "torch.nn.init", "torch.optim.lr_scheduler.LambdaLR"):
        yield {"parameters": {"optimizer": {"class": value}}}, ""


@pytest.mark.parametrize(("changes", "said"), list(header_cases()), ids=str)
def test_tampered_headers(saved, changes, said):
    tamper(saved, **changes)
    with pytest.raises(ValueError, match=f"lenet.safetensors is damaged or was changed: {said}"):
        load_classifier(saved)


@pytest.mark.parametrize("classifier", ["os.system", [], None])
def test_a_kind_of_classifier_that_there_is_not(saved, classifier):
    tamper(saved, classifier=classifier)
    with pytest.raises(ValueError, match="not a checkpoint that this version can read"):
        load_classifier(saved)


writes_complex_numbers = pytest.mark.skipif(
    Version(safetensors.__version__) < Version("0.7"), reason="needs safetensors 0.7"
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: {"standardize.std": 0 * w["standardize.std"]}, "`std` finite and positive"),
        (lambda w: {"standardize.std": -w["standardize.std"]}, "`std` finite and positive"),
        (lambda w: {"standardize.mean": w["standardize.mean"] / 0}, "`mean` must be finite"),
        (lambda w: {"standardize.mean": torch.zeros(3)}, "do not fit"),
        (lambda w: {"standardize.mean": w["standardize.mean"].long()}, "torch.int64 for real num"),
        pytest.param(
            lambda w: {"net.features.0.bias": w["net.features.0.bias"].cfloat()},
            "torch.complex64 for",
            marks=writes_complex_numbers,
        ),
        pytest.param(
            lambda w: {n: t.cfloat() for n, t in w.items()},
            "No network here computes with them",
            marks=writes_complex_numbers,
        ),
        (lambda w: {"net.features.0.bias": w["net.features.0.bias"].double()}, "takes no images"),
    ],
)
def test_tampered_tensors(saved, change, said):
    tamper(saved, change)
    with pytest.raises(ValueError, match=f"is damaged or was changed: .*{said}"):
        load_classifier(saved)


def test_what_is_missing_is_named(saved):
    metadata = metadata_of(saved)
    for tensors, said in (
        ({"net.a": torch.zeros(1)}, r"do not fit LeNet5\. Tensors: 10 not in the file"),
        ({}, r"do not fit LeNet5\. Tensors: 10 not in the file"),
    ):
        save_file(tensors, saved, metadata=metadata)
        with pytest.raises(ValueError, match=said):
            load_classifier(saved)


def metadata_of(path):
    with safe_open(path, framework="pt") as file:
        return file.metadata()


class Largest(TorchDispatchMode):
    """Notes the most bytes that any tensor takes that is made meanwhile."""

    n_bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if torch.is_tensor(tensor) and not tensor.is_meta:
                self.n_bytes = max(self.n_bytes, tensor.untyped_storage().nbytes())
        return result


def test_sizes_that_a_file_claims_take_no_memory(tmp_path):
    """An image of 8192 x 8192 pixels; a wide network; a text type of 400 MB a label."""
    path = tmp_path / "net.safetensors"
    clf = CNNClassifier.from_module(CNN_CAM(3), classes=["ant", "bee", "cow"])
    save_classifier(clf, path)
    n_bytes = path.stat().st_size
    tamper(path, image_shape=[1, 8192, 8192], dtype="<U100000000")
    with Largest() as largest:
        clf = load_classifier(path)
    assert clf.image_shape_ == (1, 8192, 8192)
    assert clf.classes_.dtype == "<U3"
    assert largest.n_bytes < n_bytes
    tamper(path, module="ResNet", parameters={"module__width_per_group": 10**4})
    make = functools.partial(
        torchvision.models.ResNet, torchvision.models.resnet.Bottleneck, [1] * 4
    )
    with Largest() as largest, pytest.raises(ValueError, match="do not fit ResNet"):
        load_classifier(path, module=make)
    assert largest.n_bytes < n_bytes


@pytest.mark.parametrize("names", [[], ["Ant", "Bee"], list("abcd")])
def test_names_that_could_not_be_read_again_are_not_written(clf, tmp_path, names):
    with pytest.raises(ValueError, match="`class_names` must name the 3 classes of the classifier"):
        save_classifier(clf, tmp_path / "net.safetensors", class_names=names)
    assert list(tmp_path.iterdir()) == []


def test_the_machine_is_not_in_the_file(clf, saved):
    other = clone(clf).set_params(device="cpu", iterator_train__num_workers=1)
    other.adopt(clf.module_, clf.classes_, clf.image_shape_)
    save_classifier(other, saved)
    parameters = json.loads(metadata_of(saved)[KEY])["parameters"]
    assert {"device", "iterator_train__num_workers"}.isdisjoint(parameters)
    tamper(saved, parameters={"device": "cuda:9", "iterator_valid__num_workers": 10**6})
    again = load_classifier(saved)
    assert again.device == LeNet5Classifier().device
    np.testing.assert_array_equal(again.predict(images()), clf.predict(images()))


def test_the_order_of_the_outputs_is_kept(tmp_path):
    clf = CNNClassifier.from_module(LeNet5(3), classes=["shirt", "trouser", "dress"])
    save_classifier(clf, tmp_path / "net.safetensors")
    again = load_classifier(tmp_path / "net.safetensors")
    X = np.random.default_rng(0).normal(size=(3, 28, 28))
    assert again.classes_.tolist() == ["dress", "shirt", "trouser"]
    np.testing.assert_allclose(again.predict_proba(X), clf.predict_proba(X), atol=1e-6)


# Cost ---------------------------------------------------------------------------------------------


def test_cost_by_hand():
    cost = measure_cost(CNNClassifier.from_module(LeNet5()), np.zeros((5, 1, 28, 28)), n_repeats=2)
    # multiply-adds: conv 28*28*6*25, conv 10*10*16*150, linear 400*120 + 120*84 + 84*10
    assert cost["flops"] == 2 * (117600 + 240000 + 48000 + 10080 + 840)
    assert cost["parameters"] == 61706
    assert cost["latency_ms"] > 0
    assert cost["images_per_second"] > 0
