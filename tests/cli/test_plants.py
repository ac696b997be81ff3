"""A folder of four plants, split and numbered by file names, from finetune to the report."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from sklearn.frozen import FrozenEstimator

from fmcam.classifiers import load_classifier
from fmcam.cli import explain, finetune, report
from fmcam.datasets import load_image_folder
from fmcam.explain import GuidedGradCAM
from fmcam.metrics import energy_in_box_score
from fmcam.models import ResNet18
from tests.small_data import draw_plants

NAMES = ["Rudo", "Baya", "Greg", "Yuki"]
SIZE = 64
LAYERS = ("features.layer2", "features.layer3", "features.layer4")


def accuracy_as_theirs(checkpoint, folder):
    """How the other project tests: torchvision's network, labels from the names of the files."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    net = torchvision.models.resnet18(num_classes=len(content["class_names"]))
    net.load_state_dict(content["model_state_dict"])
    transform = torchvision.transforms.Compose(
        [
            torchvision.transforms.Resize(content["image_size"]),
            torchvision.transforms.CenterCrop(content["image_size"]),
            torchvision.transforms.PILToTensor(),
            torchvision.transforms.ConvertImageDtype(torch.float32),
            torchvision.transforms.Normalize(
                *[[value / 255 for value in content[name]] for name in ("mean", "std")]
            ),
        ]
    )
    files = torchvision.datasets.folder.make_dataset(
        str(folder.parent), {folder.name: 0}, extensions=(".jpg",)
    )
    images = [transform(torchvision.datasets.folder.default_loader(file)) for file, _ in files]
    labels = [int(Path(file).name.split("_")[0]) for file, _ in files]
    with torch.no_grad():
        predicted = net.eval()(torch.stack(images)).argmax(dim=1).tolist()
    assert content["class_names"] == NAMES
    return content, np.mean(np.equal(predicted, labels))


@pytest.mark.slow
def test_from_photographs_to_the_report(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    boxes = draw_plants(tmp_path / "plants")
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "imagenet.pth")
    photographs = {"folder": str(tmp_path / "plants"), "labels": "name"}
    out, shown = tmp_path / "finetune", tmp_path / "explain"
    finetune.main(
        finetune.Config(
            **photographs,
            class_names=tuple(NAMES),
            weights=str(tmp_path / "imagenet.pth"),
            optimizer="adam",
            lr=1e-3,
            image_size=SIZE,
            epochs=6,
            gallery=4,
            out=str(out),
        )
    )
    rows = pd.read_csv(out / "predictions.csv")
    assert (rows["part"].replace("validation", "val") == rows["file"].str.split("/").str[0]).all()
    by_name = rows["file"].str.extract(r"/(\d)_")[0].astype(int).map(dict(enumerate(NAMES)))
    assert (rows["y_true"] == by_name).all()

    for name in ("best", "final"):
        content, accuracy = accuracy_as_theirs(
            out / f"classifier_{name}.pth", tmp_path / "plants" / "test"
        )
        assert content["test_acc"] == pytest.approx(accuracy)
        assert 1 <= content["epoch"] <= 6
    assert content["epoch"] == 6

    clf = load_classifier(out / "classifier_best.pth", module=ResNet18)
    test = load_image_folder(
        tmp_path / "plants", labels="name", size=SIZE, subset="test", class_names=NAMES
    )
    summary = pd.read_csv(out / "summary.csv", index_col="part")
    assert clf.score(test.images, test.target) == summary.loc["test", "accuracy"] > 0.5
    guided = GuidedGradCAM(FrozenEstimator(clf)).explain(test.images, test.target)
    found = np.array([boxes[file] for file in test.filenames]) * SIZE / 96
    assert energy_in_box_score(found, guided) > 2 * (40 / 96) ** 2  # that of a flat map

    settings = {"model": str(out / "classifier_best.pth"), "arch": "resnet18", "random": 6}
    explain.main(
        explain.Config(
            **photographs,
            **settings,
            dataset="folder",
            subset="test",
            method=("grad-cam", "guided-grad-cam"),
            layer=LAYERS,
            out=str(shown),
        )
    )
    gallery = pd.read_csv(shown / "gallery.csv", keep_default_na=False)
    assert set(gallery["y_true"]) | set(gallery["y_pred"]) <= set(NAMES)
    known = rows.set_index("file")
    for row in gallery.to_dict("records"):
        file = Path(row["image"]).relative_to(tmp_path / "plants").as_posix()
        assert (row["y_true"], row["y_pred"]) == tuple(known.loc[file, ["y_true", "y_pred"]])
        assert (row["error_type"] == "wrong class") == (row["y_true"] != row["y_pred"])
    layers = pd.read_csv(shown / "layers.csv", index_col=["method", "layer"])
    assert layers.loc["grad-cam", "map_height"].to_dict() == dict(
        zip(LAYERS, [8, 4, 2], strict=True)
    )

    for folder in (out, shown):
        report.main(report.Config(folder=str(folder)))
        page = (folder / "report.html").read_text()
        assert all(name in page for name in NAMES)
