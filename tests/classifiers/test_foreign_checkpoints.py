"""Checkpoints of others: the same weights however they were wrapped, or the reason why not."""

import argparse
import functools
import os
import pathlib
import pickle
import threading
import warnings
import zipfile

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from sklearn.frozen import FrozenEstimator
from torch import nn

from fmcam.classifiers import CNNClassifier, load_classifier, save_classifier
from fmcam.explain import GradCAM
from fmcam.models import LeNet5, ResNet18

pytestmark = pytest.mark.filterwarnings("ignore:.* does not say by which mean")

torch.manual_seed(0)
NET = LeNet5(n_classes=4)
WEIGHTS = NET.state_dict()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.pt"


def behind(prefix, weights=WEIGHTS):
    return {prefix + name: weight for name, weight in weights.items()}


def assert_equal_to(net, expected):
    found, expected = net.state_dict(), expected.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())


# Wrappers and entries -----------------------------------------------------------------------------


def trained_weights():
    optimizer = torch.optim.Adam(NET.parameters())
    NET(torch.zeros(1, 1, 28, 28)).sum().backward()
    return optimizer.state_dict()


@pytest.mark.parametrize(
    "content",
    [
        behind("module."),
        behind("_orig_mod."),
        behind("module._orig_mod."),
        behind("_orig_mod.module."),
        {name.replace("features.", "features.module."): w for name, w in WEIGHTS.items()},
        {"state_dict": WEIGHTS},
        {"state_dict": {**behind("model."), "loss.weight": torch.ones(4)}, "epoch": 3},
        {"state_dict": behind("net.backbone.")},
        {"model": WEIGHTS, "optimizer": trained_weights()},
        {"weights": behind("module.")},
        {"ema": {"decay": 0.9, "shadow": WEIGHTS}},
        {"model": WEIGHTS, "metrics": {"accuracy": torch.tensor(0.5)}},
        {**behind("module."), "n_averaged": torch.tensor(3)},
    ],
    ids=lambda content: str(list(content))[:40],
)
def test_wrapped_weights(path, content):
    torch.save(content, path)
    assert_equal_to(load_classifier(path, module=LeNet5).module_.net, NET)


def test_what_stands_beside_the_weights(path):
    content = {
        "model": WEIGHTS,
        "epoch": 3,
        "mean": torch.tensor([9.0]),
        "std": torch.tensor([2.0]),
    }
    torch.save(content, path)
    clf = load_classifier(path, module=LeNet5)
    assert clf.checkpoint_ == {name: content[name] for name in ("epoch", "mean", "std")}
    assert clf.module_.standardize.mean.item() == 9
    assert clf.module_.standardize.std.item() == 2


def test_arguments_of_a_script_beside_the_weights(path):
    more = [argparse.Namespace(seed=np.int64(3))]
    args = argparse.Namespace(lr=0.1, output=pathlib.Path("runs", "a"), more=more)
    torch.save({"model": WEIGHTS, "args": args}, path)
    clf = load_classifier(path, module=LeNet5)
    assert clf.checkpoint_ == {"args": {"lr": 0.1, "output": "runs/a", "more": [{"seed": 3}]}}


class TestMeanAndStdOfUnitRange:
    """A file that names 0.485 is of images in 0..1; those in 0..255 are refused."""

    X = np.random.default_rng(0).integers(0, 256, (4, 1, 28, 28), dtype=np.uint8)

    @pytest.fixture
    def clf(self, path):
        torch.save({"model": WEIGHTS, "mean": [0.485], "std": [0.229]}, path)
        return load_classifier(path, module=LeNet5)

    def test_images_in_it(self, clf):
        X = self.X / 255
        expected = NET.eval()((torch.as_tensor(X).float() - 0.485) / 0.229).softmax(dim=1)
        np.testing.assert_allclose(clf.predict_proba(X), expected.detach(), atol=1e-5)
        assert GradCAM(FrozenEstimator(clf)).explain(X, [0, 1, 2, 3]).max() == 1

    @pytest.mark.parametrize("dtype", [np.uint8, np.float32])
    def test_others_are_refused(self, clf, dtype, tmp_path):
        again = tmp_path / "again.safetensors"
        save_classifier(clf, again)
        for one in (clf, load_classifier(again)):
            message = r"in 0\.\.1, of mean \[0.48.* got values up to 255. Divide them by 255"
            with pytest.raises(ValueError, match=message):
                one.predict(self.X.astype(dtype))
            with pytest.raises(ValueError, match=message):
                GradCAM(FrozenEstimator(one)).transform(self.X.astype(dtype))

    @pytest.mark.parametrize(("mean", "std"), [([0.0], [1.0]), ([40.0], [1.0]), ([0.5], [30.0])])
    def test_of_other_numbers_the_unit_is_not_known(self, path, mean, std):
        torch.save({"model": WEIGHTS, "mean": mean, "std": std}, path)
        assert np.isfinite(load_classifier(path, module=LeNet5).predict_proba(self.X)).all()


@pytest.mark.parametrize(
    ("content", "places", "key"),
    [
        ({"model": WEIGHTS, "ema": LeNet5(4).state_dict()}, "'model', 'ema'", "model"),
        ({"m": behind("net.") | behind("ema_net.", LeNet5(4).state_dict())}, "'m.net'", "m.net"),
        ({"m": behind("net.") | behind("ema_net.", LeNet5(4).state_dict())}, "'m.ema_net'", "net"),
    ],
)
def test_several_weights_of_the_network(path, content, places, key):
    torch.save(content, path)
    with pytest.raises(ValueError, match=rf"of LeNet5 under .*{places}.* Say which .*key="):
        load_classifier(path, module=LeNet5)
    assert_equal_to(load_classifier(path, module=LeNet5, key=key).module_.net, NET)
    with pytest.raises(ValueError, match=r"no weights under 'other'\. There are: "):
        load_classifier(path, module=LeNet5, key="other")


def test_safetensors_of_others(path):
    save_file(behind("model."), path, metadata={"format": "pt"})
    assert_equal_to(load_classifier(path, module=LeNet5).module_.net, NET)


def test_older_versions_of_modules(path):
    """MNASNet refuses a state dict that has lost the versions of its modules."""
    net = torchvision.models.mnasnet0_5(num_classes=3)
    torch.save({"state_dict": nn.DataParallel(net).state_dict()}, path)
    found = load_classifier(path, module=torchvision.models.mnasnet0_5).module_.net
    assert_equal_to(found, net)


# What makes the network ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    net = torchvision.models.resnet18(num_classes=7)
    path = tmp_path_factory.mktemp("resnet") / "net.pt"
    torch.save(net.state_dict(), path)
    return net, path


@pytest.mark.parametrize(
    "module",
    [
        torchvision.models.resnet18,
        functools.partial(torchvision.models.resnet18, norm_layer=nn.BatchNorm2d),
        lambda: torchvision.models.resnet18(num_classes=7),
        torchvision.models.resnet18(num_classes=7),
        "torchvision/resnet18",
        "timm/resnet18",
    ],
    ids=["function", "partial", "lambda", "network", "name", "timm"],
)
def test_all_that_makes_a_network(resnet, module):
    if module == "timm/resnet18":
        pytest.importorskip("timm")
    clf = load_classifier(resnet[1], module=module)
    assert_equal_to(clf.module_.net, resnet[0])
    assert clf.classes_.tolist() == list(range(7))
    assert clf.module_.net is not module


def test_a_name_of_ours_and_the_class_take_torchvision_s_keys(resnet):
    for module in ("resnet18", ResNet18):
        net = load_classifier(resnet[1], module=module).module_.net
        assert torch.equal(net.head.fc.weight, resnet[0].fc.weight)


class Labelled(nn.Module):
    """Sizes under the names of Hugging Face, without defaults; a head of two layers."""

    def __init__(self, num_labels, num_channels):
        super().__init__()
        self.stem = nn.Conv2d(num_channels, 4, 3)
        self.hidden = nn.Linear(4, 2 * num_labels)
        self.classify = nn.Linear(2 * num_labels, num_labels)

    def forward(self, images):
        return self.classify(self.hidden(self.stem(images).mean((2, 3))))


def test_sizes_are_read_off_whatever_they_are_called(path):
    net = Labelled(5, 2)
    torch.save(net.state_dict(), path)
    assert_equal_to(load_classifier(path, module=Labelled).module_.net, net)


@pytest.mark.parametrize(
    ("module", "kind", "message"),
    [
        (torchvision.models.ResNet, ValueError, "ResNet must be given block, layers, which .* say"),
        ("torchvision/resnet81", ValueError, "Did you mean 'torchvision/resnet18'"),
        (5, TypeError, "`module` must be a class of nn.Module, .*, got 5"),
        (dict, TypeError, "`module` must be a class of nn.Module, .*, got <class 'dict'>"),
        (lambda: 5, TypeError, "must make an nn.Module, it made a int"),
        (None, ValueError, "holds weights alone. Pass the class of their network as `module`"),
    ],
)
def test_what_makes_no_network(resnet, module, kind, message):
    with pytest.raises(kind, match=message):
        load_classifier(resnet[1], module=module)


# Weights that do not fit --------------------------------------------------------------------------


def test_tensors_that_differ_are_named_and_counted(path):
    weights = dict(WEIGHTS) | {"features.0.weight": torch.zeros(6, 1, 3, 3), "extra": torch.ones(2)}
    del weights["head.2.weight"], weights["head.2.bias"]
    torch.save(weights, path)
    with pytest.raises(ValueError, match="do not fit LeNet5") as caught:
        load_classifier(path, module=LeNet5)
    assert str(caught.value) == (
        f"The weights in {path} do not fit LeNet5. Tensors: 2 not in the file (head.2.weight, "
        "head.2.bias); 1 unknown to the network (extra); 1 of another shape (features.0.weight "
        "(6, 1, 3, 3) in the file, (6, 1, 5, 5) in the network)."
    )


def test_few_of_many_are_named(resnet):
    with pytest.raises(ValueError, match=r"122 unknown to the network \(conv1.weight, ") as caught:
        load_classifier(resnet[1], module=LeNet5)
    assert len(str(caught.value)) < 500


def test_integers_in_the_place_of_real_numbers(path):
    torch.save({name: (100 * weight).to(torch.int8) for name, weight in WEIGHTS.items()}, path)
    with pytest.raises(ValueError, match=r"torch.int8 for real numbers in 10 tensors \(features"):
        load_classifier(path, module=LeNet5)


@pytest.mark.parametrize(("mean", "std"), [([5.0], [0.0]), ([5.0], [-1.0]), ([np.nan], [1.0])])
def test_a_recipe_that_makes_no_numbers(path, mean, std):
    torch.save({"model": WEIGHTS, "mean": mean, "std": std}, path)
    with pytest.raises(ValueError, match=r"`mean` and `std` .* must be 1 numbers each"):
        load_classifier(path, module=LeNet5)


def test_nan(path):
    torch.save({**WEIGHTS, "head.6.bias": torch.full((4,), np.nan)}, path)
    with pytest.raises(ValueError, match=r"holds NaN in 1 of 10 tensors \(head.6.bias\)"):
        load_classifier(path, module=LeNet5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([WEIGHTS], "it holds a list"),
        (torch.ones(3), "it holds a Tensor"),
        ({"model": None}, "it holds a dict with the keys 'model'"),
        (trained_weights(), "with the keys 'state', 'param_groups'"),
        (NET, "of kind fmcam.models._lenet5.LeNet5: a whole network .*state_dict"),
        ({"model": NET}, "of kind fmcam.models._lenet5.LeNet5"),
        ({"model": WEIGHTS, "args": threading.Event}, "kind threading.Event: .* settings"),
    ],
    ids=["list", "tensor", "none", "optimizer", "network", "inside", "settings"],
)
def test_torch_files_without_plain_weights(path, content, message):
    torch.save(content, path)
    with pytest.raises(ValueError, match=message):
        load_classifier(path, module=LeNet5)


def in_torchscript(path):
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # by newer torch
        torch.jit.script(nn.Linear(2, 2)).save(path)


def half_of_a_torch_file(path):
    torch.save(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:1000])


def as_numpy_archive(path):
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (half_of_a_torch_file, "is cut off or damaged"),
        (in_torchscript, "is a TorchScript archive, which holds code"),
        (as_numpy_archive, "is a NumPy archive"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"0" * 99), "an HDF5 file, as Keras"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs"),
        (lambda path: path.write_text("\n<!DOCTYPE html>"), "is a web page: the download failed"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_bytes(b"\x10" + b"\0" * 7 + b'{"a": ['), "safetensors file, cut"),
    ],
    ids=["empty", "half", "script", "npz", "hdf5", "lfs", "html", "folder", "safetensors"],
)
def test_files_of_another_kind(path, write, message):
    write(path)
    with pytest.raises(ValueError, match=message):
        load_classifier(path, module=LeNet5)


# Files that lie -----------------------------------------------------------------------------------


def expanded(*shape):
    return torch.zeros(1).expand(*shape)


def within_itself(kind):
    content = kind()
    (content.append if kind is list else functools.partial(content.__setitem__, "me"))(content)
    return content


def doubled(start, join):
    """What stands two to the power of 40 times in a file of a few hundred bytes."""
    for _ in range(40):
        start = join(start)
    return start


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({**WEIGHTS, "head.6.weight": expanded(10**7, 84)}, r"head.6.weight claims shape \(100000"),
        ({"model": {**WEIGHTS, "more": expanded(10**6, 10**6)}}, "more claims shape"),
        ({**WEIGHTS, "a.": torch.empty(10**6, 10**6, device="meta")}, "not a plain tensor.* meta"),
        ({**WEIGHTS, "a": torch.eye(2).to_sparse()}, "a is not a plain tensor.*sparse_coo"),
        ({**WEIGHTS, "a" * 1001: torch.ones(1)}, r"a name of 1,001 characters \(a{40}\.\.\.\)"),
        ({**WEIGHTS, "meta": within_itself(dict)}, "holds a dictionary or list within itself"),
        ({**WEIGHTS, "meta": within_itself(list)}, "holds a dictionary or list within itself"),
        ({**WEIGHTS, "meta": doubled({}, lambda d: {"a": d, "b": d})}, "repeat each other"),
        ({**WEIGHTS, "meta": doubled([], lambda d: [d, d])}, "to over 10,000,000 values"),
        (
            {"model": WEIGHTS, "mean": [0.0] * 999, "std": [1.0] * 999},
            r"got \[0.0, .{,40} \.\.\.\]",
        ),
    ],
    ids=range(10),
)
@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
def test_files_that_claim_more_than_they_hold(path, content, said):
    torch.save(content, path)
    with pytest.raises(ValueError, match=rf"net\.pt.*{said}"):
        load_classifier(path, module=LeNet5)


def test_an_archive_that_unpacks_to_much_more(path):
    torch.save({**WEIGHTS, "more": torch.zeros(10**6)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(
        ValueError, match=r"net\.pt is a zip archive that unpacks to 4,\d+,\d+ bytes"
    ):
        load_classifier(path, module=LeNet5)


def test_what_is_shared_or_expanded_a_little_is_read(path):
    shared = {"epoch": [1, 2]}
    content = {"model": {**WEIGHTS, "head.6.bias": expanded(4)}, "a": shared, "b": [shared, shared]}
    torch.save(content, path)
    clf = load_classifier(path, module=LeNet5)
    assert clf.module_.net.head[6].bias.tolist() == [0.0] * 4
    assert clf.checkpoint_ == {"a": shared, "b": [shared, shared]}


def test_names_that_would_write_to_the_terminal_are_escaped(path):
    torch.save({**WEIGHTS, "\x1b[31mred\n": torch.ones(1)}, path)
    with pytest.raises(ValueError, match=r"unknown to the network \('\\x1b\[31mred\\n'\)"):
        load_classifier(path, module=LeNet5)


# Values of NumPy ----------------------------------------------------------------------------------


def test_numbers_texts_and_arrays_of_numpy(path):
    values = {
        "best": np.float64(0.9),
        "epoch": np.int64(3),
        "small": np.float32(0.5),
        "done": np.bool_(True),
        "name": np.str_("run"),
        "matrix": np.arange(6.0).reshape(2, 3).T,
        "swapped": np.array([1, 2], dtype=">i4"),
        "none": np.zeros((0, 3)),
    }
    torch.save({"model_state_dict": WEIGHTS, **values, "rows": [{"loss": np.float64(0.25)}]}, path)
    found = load_classifier(path, module=LeNet5).checkpoint_
    for name, value in values.items():
        assert type(found[name]) is type(value)
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)
    assert found["rows"] == [{"loss": 0.25}]


def test_the_names_of_numpy_1(path):
    content = {"w": WEIGHTS, "best": np.float64(0.9), "a": np.ones(2)}
    torch.save(content, path, _use_new_zipfile_serialization=False)  # a zip has checksums
    written = path.read_bytes()
    assert written.count(b"numpy._core.multiarray") == 2
    path.write_bytes(written.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    found = load_classifier(path, module=LeNet5).checkpoint_
    assert found["best"] == 0.9
    assert found["a"].tolist() == [1, 1]


class Exploit:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def objects():
    return np.array([1, "a", None], dtype=object)


@pytest.mark.parametrize(
    "value",
    [
        objects(),
        {"deep": [objects()]},
        np.datetime64("2026-01-01"),
        np.zeros(2, dtype=[("a", "f8"), ("b", "O")]),
        Exploit(np.dtype, ("O",)),
        Exploit(np._core.multiarray.scalar, (np.dtype("O"), b"")),
        Exploit(np._core.multiarray._reconstruct, (np.ndarray, (2,), "O"), (1, (2,), objects(), 0)),
    ],
    ids=["objects", "deep", "date", "record", "dtype", "scalar", "reconstruct"],
)
def test_objects_of_numpy_are_refused(path, value):
    torch.save({"model": WEIGHTS, "value": value}, path)
    with pytest.raises(ValueError, match="Nothing in it was run"):
        load_classifier(path, module=LeNet5)


def test_objects_of_numpy_are_named(path):
    torch.save({"model": WEIGHTS, "value": objects()}, path)
    with pytest.raises(ValueError, match="type 'O8', which may be objects, are not read"):
        load_classifier(path, module=LeNet5)


@pytest.mark.parametrize("inside", ["scalar", "array", "dtype"])
def test_code_in_the_place_of_numpy_s_arguments_is_not_run(path, tmp_path, inside):
    code = Exploit(os.mkdir, (str(tmp_path / "ran"),))
    value = {
        "scalar": Exploit(np._core.multiarray.scalar, (np.dtype("f8"), code)),
        "array": Exploit(np._core.multiarray._reconstruct, (code, (0,), b"b")),
        "dtype": Exploit(np.dtype, (code, False, True)),
    }[inside]
    torch.save({"model": WEIGHTS, "value": value}, path)
    with pytest.raises(ValueError, match="Nothing in it was run"):
        load_classifier(path, module=LeNet5)
    assert not (tmp_path / "ran").exists()
    with path.open("rb") as file, pytest.raises(pickle.UnpicklingError):
        torch.load(file, weights_only=True)  # what is allowed here is allowed nowhere else


# Saving -------------------------------------------------------------------------------------------


class Tied(nn.Module):
    """A handle on its last convolution, as CAM code has, and a weight that two layers share."""

    def __init__(self, n_classes=2):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
        self.last_conv = self.body[0]
        self.mix = nn.Linear(4, 4)
        self.unmix = nn.Linear(4, 4)
        self.unmix.weight = self.mix.weight
        self.fc = nn.Linear(4, n_classes)

    def forward(self, images):
        return self.fc(self.unmix(self.mix(self.body(images).mean((2, 3)))))


def test_shared_tensors_are_saved_once_and_stay_shared(path):
    clf = CNNClassifier.from_module(Tied(), classes=["a", "b"])
    save_classifier(clf, path)
    with path.open("rb") as file:
        header = file.read(int.from_bytes(file.read(8), "little")).decode()
    assert "net.body.0.weight" in header
    assert '"net.last_conv.weight":{' not in header
    net = load_classifier(path, module=Tied).module_.net
    assert_equal_to(net, clf.module_.net)
    assert net.last_conv.weight is net.body[0].weight
    assert net.unmix.weight is net.mix.weight


def test_tensors_tied_after_the_network_was_made(path):
    net = Tied()
    net.unmix.bias = net.mix.bias
    save_classifier(CNNClassifier.from_module(net), path)
    assert_equal_to(load_classifier(path, module=Tied).module_.net, net)


def test_one_name_of_a_shared_tensor_is_enough(path):
    net = Tied()
    weights = {n: w.clone() for n, w in net.state_dict().items() if not n.startswith("body.0")}
    del weights["unmix.weight"]
    save_file(weights, path)
    assert_equal_to(load_classifier(path, module=Tied).module_.net, net)


def test_views_of_one_tensor(path):
    net = LeNet5(4)
    both = torch.randn(20)
    net.register_buffer("left", both[:10])
    net.register_buffer("right", both[10:])
    save_classifier(CNNClassifier.from_module(net), path)
    found = load_classifier(path, module=net).module_.net
    assert torch.equal(found.left, both[:10])
    assert torch.equal(found.right, both[10:])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_number_types_come_back(path, dtype):
    net = LeNet5(4).to(dtype)
    save_classifier(CNNClassifier.from_module(net), path)
    found = load_classifier(path).module_.net
    assert_equal_to(found, net)
    assert {weight.dtype for weight in found.parameters()} == {dtype}


def test_networks_of_others_come_back_by_all_that_makes_them(resnet, path):
    save_classifier(CNNClassifier.from_module(resnet[0], classes=list("gfedcba")), path)
    with pytest.raises(ValueError, match=r"holds a ResNet, .* Pass what makes it as `module`"):
        load_classifier(path)
    images = np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32)
    expected = CNNClassifier.from_module(resnet[0]).predict_proba(images)[:, ::-1]
    for module in (torchvision.models.resnet18, "torchvision/resnet18", resnet[0]):
        clf = load_classifier(path, module=module)
        assert clf.classes_.tolist() == list("abcdefg")
        np.testing.assert_allclose(clf.predict_proba(images), expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"damaged, or of another module: ResNet must be given"):
        load_classifier(path, module=torchvision.models.ResNet)
    with pytest.raises(ValueError, match=r"of another module: The weights .* do not fit"):
        load_classifier(path, module=LeNet5)


def test_one_logit_comes_back(path):
    net = LeNet5(n_classes=1)
    save_classifier(CNNClassifier.from_module(net, classes=["no", "yes"]), path)
    clf = load_classifier(path)
    assert_equal_to(clf.module_.net, net)
    assert clf.classes_.tolist() == ["no", "yes"]


def test_where_nothing_can_be_written(tmp_path):
    clf = CNNClassifier.from_module(NET)
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*missing to write a.st to"):
        save_classifier(clf, tmp_path / "missing" / "a.st")
    with pytest.raises(IsADirectoryError, match=r"is a folder\. Name a file in it"):
        save_classifier(clf, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*file to write a.st to"):
        save_classifier(clf, tmp_path / "file" / "a.st")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot be written to"):
        save_classifier(CNNClassifier.from_module(NET), tmp_path / "a.st")
