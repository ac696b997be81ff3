"""Checkpoints: what is saved comes back, foreign and damaged files run no code."""

import json
import os
import pickle

import numpy as np
import pytest
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from fmcam.classifiers import (
    CNNClassifier,
    LeNet5Classifier,
    SimpleCNNClassifier,
    load_classifier,
    measure_cost,
    save_classifier,
)
from fmcam.models import LeNet5, ResNet18

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
        "fmcam": "0.1.0",
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


def tamper(path, **changes):
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[KEY])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, value in changes.items():
        header[name] = {**header[name], **value} if isinstance(value, dict) else value
    save_file(weights, path, metadata={KEY: json.dumps(header)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classifier": "os.system"}, "not a checkpoint that this version can read"),
        ({"classifier": []}, "not a checkpoint that this version can read"),
        ({"module": "SimpleCNN"}, "damaged or was changed"),
        ({"history": 5}, "damaged or was changed"),
        ({"image_shape": 5}, "damaged or was changed"),
        ({"classes": ["ant", "ant", "cow"]}, "damaged or was changed.*without repeats"),
        ({"parameters": {"criterion": {"class": "torch.nn.Linear"}}}, "damaged or was changed"),
        ({"classes": ["ant", "bee"]}, "damaged or was changed"),
        ({"parameters": {"optimizer": {"class": "os.system"}}}, "damaged or was changed"),
        ({"parameters": {"optimizer": {"class": "torch.nn.init"}}}, "damaged or was changed"),
        ({"parameters": {"evil": 1}}, "damaged or was changed.*Invalid parameter 'evil'"),
    ],
    ids=str,
)
def test_tampered_headers(saved, changes, message):
    tamper(saved, **changes)
    with pytest.raises(ValueError, match=message):
        load_classifier(saved)


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
