"""The settings of another project, as its users have them, in `cam_config.yaml`."""

from pathlib import Path

import pytest

from fmcam.cli import train
from fmcam.cli._config import parse

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


def test_it_is_read_as_it_stands():
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
