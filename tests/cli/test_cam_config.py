"""The settings of another project, as its users have them, in `cam_config.yaml`."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torchvision.transforms import Normalize

from fmcam.classifiers import CNNClassifier, save_classifier
from fmcam.cli import explain, train
from fmcam.cli._config import parse
from fmcam.datasets import load_image
from fmcam.models import CNN_CAM, ResNet18, Standardize, StandardizedNet

FILE = Path(__file__).with_name("cam_config.yaml")
MEANT = train.Config(
    **{"model": "resnet18", "input_shape": (3, 160, 160), "num_classes": 10, "residual": True},
    **{"lr": 0.001, "batch_size": 64, "epochs": 50, "weight_decay": 0.0001},
    **{"checkpoint_dir": "checkpoints/", "log_every": 10, "save_every": 2, "patience": 5},
    **{"optimizer": "adam", "scheduler": "reduce-on-plateau"},
    **{"dataset": "imagenette", "data_dir": "data/", "image_size": 160, "val_size": 1000},
)


def settings_of(*arguments, config_class=train.Config):
    return parse(config_class, list(arguments), prog="x", description="d")


def test_it_is_read_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert settings_of("--config", str(FILE)) == MEANT
    train.check(MEANT)


@pytest.mark.parametrize(
    ("theirs", "others"),
    [
        ("resnet_cam", ["ResNetCAM", "ResNet_CAM", "resnet-cam", "resnet18", "ResNet-18"]),
        ("adam #", ["Adam #", "ADAM #"]),
        (
            "reduce_lr # [reduce_lr, cosine]",
            ["ReduceLROnPlateau", "reduce_lr_on_plateau", "reduce-on-plateau", "plateau"],
        ),
        ("imagenette\n", ["Imagenette\n", "imagenette2-160\n"]),
        ("[3, 160, 160] #", ["\n    - 3\n    - 160\n    - 160 #"]),
        ("0.0001", ["1e-4", "1.0E-4"]),
        ("residual:", ["Residual:"]),
        ("learning_rate", ["lr", "learning-rate", "Learning_Rate"]),
        ("num_epochs", ["epochs", "Num-Epochs"]),
        ("early_stopping_patience", ["patience"]),
        ("img_size", ["image_size"]),
    ],
)
def test_near_spellings_mean_the_same(tmp_path, theirs, others):
    for other in others:
        file = tmp_path / "other.yaml"
        file.write_text(FILE.read_text().replace(theirs, other))
        assert file.read_text() != FILE.read_text()
        assert settings_of("--config", str(file)) == MEANT, other


def test_the_order_does_not_matter(tmp_path):
    sections = FILE.read_text().split("\n\n")
    turned = ["\n".join([head, *lines[::-1]]) for head, *lines in map(str.splitlines, sections)]
    file = tmp_path / "turned.yaml"
    file.write_text("\n".join(turned[::-1]))
    assert settings_of("--config", str(file)) == MEANT


@pytest.mark.parametrize(
    ("theirs", "other", "message"),
    [
        ("residual: true", "residual: false", "residual is false, but resnet18 has residual"),
        ("resnet_cam", "cnn_cam", "residual is true, but cnn-cam has no residual connections"),
        ("val_size: 1000", "val_size: 0", "--patience watches held-out images"),
        ("num_epochs: 50", "num_epochs: 0", "--epochs must be 1 or more, got 0"),
        ("batch_size: 64", "batch_size: 0", "--batch-size must be 1 or more, got 0"),
        ("learning_rate: 0.001", "learning_rate: 0", "--lr must be positive, got 0"),
        ("patience: 5", "patience: 0", "--patience must be 1 or more, got 0"),
        ("val_size: 1000", "val_size: -1", "--val-size must be 0 or more, got -1"),
    ],
)
def test_what_is_not_so_is_refused(tmp_path, theirs, other, message):
    file = tmp_path / "other.yaml"
    file.write_text(FILE.read_text().replace(theirs, other))
    with pytest.raises(SystemExit, match=message):
        train.main(settings_of("--config", str(file)))


def test_all_unknown_names_are_told_at_once(tmp_path, capsys):
    file = tmp_path / "other.yaml"
    text = FILE.read_text().replace("learning_rate", "learn_rate").replace("dataset:", "data:")
    file.write_text(text.replace("residual", "pretrained"))
    with pytest.raises(SystemExit):
        settings_of("--config", str(file))
    assert capsys.readouterr().err == (
        f"x: error: --config: {file} has 3 unknown settings: model: 'pretrained', training: "
        "'learn_rate' (Did you mean 'learning_rate'?), 'data' (Did you mean 'dataset'?)\n"
    )


def test_it_is_found_in_the_folder_unless_another_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert settings_of() == train.Config()
    (tmp_path / "cam_config.yaml").write_text(FILE.read_text())
    (tmp_path / "other.yaml").write_text("epochs: 3")
    assert settings_of() == MEANT
    assert capsys.readouterr().err == "Settings from cam_config.yaml.\n"
    assert settings_of("--config", "other.yaml") == train.Config(epochs=3)
    assert capsys.readouterr().err == ""


# The same file for explain -----------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What a training by that file leaves, and a few photographs of each class."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FMCAM_DATA", str(tmp_path / "elsewhere"))
    (tmp_path / "cam_config.yaml").write_text(FILE.read_text())
    for label, wnid in enumerate(IMAGENETTE):
        path = tmp_path / "data" / "imagenette2-160" / "val" / wnid / f"{wnid}_0.JPEG"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (180, 170), (20 * label, 90, 90)).save(path)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


IMAGENETTE = (
    *("n01440764", "n02102040", "n02979186", "n03000684", "n03028079"),
    *("n03394916", "n03417042", "n03425413", "n03445777", "n03888257"),
)


def resnet18():
    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=10)


def explained(*arguments):
    explain.main(settings_of(*arguments, config_class=explain.Config))
    return json.loads(Path("runs/explain/records.json").read_text())["records"]


@pytest.mark.parametrize("arguments", [["--index", "3", "7"], ["--random", "2"]])
def test_explain_finds_checkpoint_and_data_by_it(folder, arguments):
    net = StandardizedNet(ResNet18(10), Standardize(3, [100.0] * 3, [100.0] * 3))
    clf = CNNClassifier(ResNet18).adopt(net, np.arange(10), (3, 160, 160))
    save_classifier(clf, "checkpoints/resnet18-seed0.safetensors", dataset="imagenette")
    (folder / "checkpoints" / "resnet18-seed0.unfinished").write_text("")
    found = explained(*arguments)
    labels = [IMAGENETTE.index(Path(one["file"]).parent.name) for one in found]
    assert labels == [3, 7] if "3" in arguments else len(set(labels)) == 2
    assert all(one["file"].startswith("data/imagenette2-160/val") for one in found)


def test_explain_reads_weights_alone_as_of_the_network_and_size_in_it(folder):
    torch.save(resnet18().state_dict(), "checkpoints/resnet_cam.pth")
    photo = "data/imagenette2-160/val/n03000684/n03000684_0.JPEG"
    (one,) = explained(
        "--image", photo, "--class_idx", "3", "--model", "checkpoints/resnet_cam.pth"
    )
    recipe = torchvision.models.ResNet18_Weights.DEFAULT.transforms()
    image = torch.tensor(load_image(photo, size=160))[None]
    with torch.no_grad():
        logits = resnet18().eval()(Normalize(recipe.mean, recipe.std)(image / 255))
    assert one["explained_probability"] == pytest.approx(logits.softmax(1)[0, 3].item(), rel=1e-4)
    assert one == explained("--image", photo, "--class-idx=3")[0]


def test_what_is_named_wins_over_the_file(folder):
    torch.save(resnet18().state_dict(), "checkpoints/resnet_cam.pth")
    torch.save(CNN_CAM(10, 1).state_dict(), "other.pth")
    save_classifier(network_of_shapes(), "shapes.safetensors", dataset="shapes")
    with pytest.raises(SystemExit, match=r"need --dataset: .* say imagenette and shapes"):
        explained("--index", "1", "--model", "shapes.safetensors")
    (one,) = explained("--index", "1", "--model", "shapes.safetensors", "--dataset", "shapes")
    assert one["file"] == "shapes-test-1"
    with pytest.raises(SystemExit, match="imagenette has no part called validation"):
        explained("--index", "1", "--model", "checkpoints", "--split", "val")
    with pytest.raises(SystemExit, match=r"other.pth do not fit"):
        explained("--index", "1", "--model", "other.pth")


def network_of_shapes():
    net = StandardizedNet(CNN_CAM(10, 1), Standardize(1, [100.0], [100.0]))
    return CNNClassifier(CNN_CAM).adopt(net, np.arange(10), (1, 28, 28))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--dataset", "val"],
            "--dataset: cannot be 'val'. It names a data set; its part is --sub",
        ),
        (["--dataset", "train"], "its part is --subset train, or test for all others"),
        (["--split", "valid"], "--subset: cannot be 'valid'. Did you mean 'validation'?"),
        (["--outputs", "x"], "there is no option --outputs. Did you mean --output-dir?"),
    ],
)
def test_words_of_the_other_project_that_mean_something_else_here(
    folder, capsys, arguments, message
):
    with pytest.raises(SystemExit):
        settings_of("--random", "5", *arguments, config_class=explain.Config)
    assert message in capsys.readouterr().err


def test_explain_without_a_checkpoint(folder):
    for what in ("--random", "--image"):
        with pytest.raises(SystemExit, match=r"There is no checkpoint in checkpoints\. Train with"):
            explained(what, "5" if what == "--random" else str(next(folder.rglob("*.JPEG"))))


def test_a_mistake_in_it_is_told_by_explain_as_by_train(folder, capsys):
    text = FILE.read_text().replace("learning_rate", "lerning_rate")
    Path("cam_config.yaml").write_text(text)
    with pytest.raises(SystemExit):
        settings_of("--random", "5", config_class=explain.Config)
    assert "training has an unknown setting 'lerning_rate'. Did you" in capsys.readouterr().err


def test_explain_has_files_of_its_own(folder):
    Path("mine.yaml").write_text("method: [CAM, grad_cam]\noutput_dir: out\nindex: [1, 2]\n")
    given = settings_of("--config", "mine.yaml", config_class=explain.Config)
    assert given == explain.Config(method=("cam", "grad-cam"), out="out", index=(1, 2))
