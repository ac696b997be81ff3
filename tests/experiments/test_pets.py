"""The script pets on a few drawn animals in torchvision's folder, and its parts by hand."""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch
from torch import nn

from experiments import pets, refit_references
from experiments._pets import load
from experiments._pets_methods import compare_alignment, make_explainers, score_methods
from experiments._receptive_fields import effective_centres
from experiments._species import with_species_classes
from fmcam._boxes import masks_of_boxes
from fmcam.classifiers import CNNClassifier, load_classifier, save_classifier
from fmcam.cli import _transfer, train
from fmcam.cli._gallery import brightened, overlay, spread
from fmcam.cli._localization_pictures import CORNERS
from fmcam.cli._networks import load_network
from fmcam.cli._report._folder import read_folder
from fmcam.explain import CAM, GradCAMPlusPlus
from fmcam.localize import HeatmapToBox
from fmcam.metrics import mask_iou_score, paired_box_iou
from fmcam.report import localization_error_types
from tests.small_data import draw_pets

SIZE = 64
TEXT = "metrics_summary.txt"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """The user's cache, empty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    draw_pets(home, {"trainval": 6, "test": 2})
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18(num_classes=10).state_dict(), home / "other.pt")
    return pets.Config(
        weights=str(home / "other.pt"),
        image_size=SIZE,
        validation=1 / 3,
        head_epochs=1,
        epochs=1,
        batch_size=6,
        gallery=3,
        data_dir=str(home),
        out=str(home / "run"),
    )


@pytest.fixture(scope="module")
def run(config):
    pets.main(config)
    return config


def read(config, name, **options):
    return pd.read_csv(f"{config.out}/{name}", **options)


def classifier(config):
    return load_classifier(f"{config.out}/classifier.safetensors")


def test_fmcam_train_takes_a_folder_of_some_breeds(config, tmp_path):
    settings = {"lr": 0.001, "epochs": 1, "batch_size": 6, "jobs": 1, "image_size": SIZE}
    settings |= {"data_dir": config.data_dir, "out": str(tmp_path / "run")}
    train.main(train.Config("cnn-cam", "pets", val_size=3, num_classes=3, **settings))
    (checkpoint,) = (tmp_path / "run" / "checkpoints").iterdir()
    names = ["Abyssinian", "American Bulldog", "Bengal"]
    told = load_classifier(checkpoint).checkpoint_
    assert (told["class_names"], told["dataset"]) == (names, "pets")
    assert pd.read_csv(tmp_path / "run" / "per_class.csv")["class"].tolist() == names
    for wrong, message in (
        ({"num_classes": 37}, "num_classes is 37, but pets has 3"),
        ({"val_size": 16}, "on both sides: 3 to 15 of the 18 of pets, got 16"),
        ({"model": "resnet18", "weights": "none.pth"}, "there is no file none.pth"),
    ):
        with pytest.raises(SystemExit, match=message):
            train.main(train.Config(dataset="pets", **{**settings, "out": "nowhere", **wrong}))
    assert not Path("nowhere").exists()


# The data -----------------------------------------------------------------------------------------


def test_each_part_has_photographs_of_its_own_and_all_breeds(config):
    data, held_out, test = load(config)
    assert np.bincount(data.target[held_out]).tolist() == [2, 2, 0, 0, 0, 2]
    assert np.bincount(data.target[~held_out]).tolist() == [4, 4, 0, 0, 0, 4]
    assert all("_test" in name for name in test.filenames)
    assert all("_trainval" in name for name in data.filenames)
    few, held_out, _ = load(dataclasses.replace(config, images=9))
    assert np.bincount(few.target).tolist() == [3, 3, 0, 0, 0, 3]
    assert held_out.sum() == 3


def test_heads_are_tested_on_photographs_of_the_trainval_list(config):
    data, held_out, test = load(dataclasses.replace(config, truth="head"))
    assert len(set(data.filenames) | set(test.filenames)) == 18
    assert len(test.target) == 5  # a quarter, rounded up
    assert held_out.sum() == 5  # a third of 13
    for part in (data, test):
        np.testing.assert_array_equal(part.boxes, part.head_boxes)
        heights = (part.boxes[:, 3] - part.boxes[:, 1]) * 72 / SIZE
        assert (heights < 20).all()  # the upper half; all of the smallest animal is 20 high
        assert not np.isnan(part.boxes).any()
        np.testing.assert_array_equal(part.masks, masks_of_boxes(part.boxes[:, None], (SIZE, SIZE)))


# The tables ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_rows_name_breeds_and_what_is_wrong(run):
    rows = read(run, "rows.csv.gz", keep_default_na=False)
    _, _, test = load(run)
    assert (rows.groupby("method").size() == 6).all()
    assert rows.groupby("file")["y"].agg("first").to_dict() == {
        f"images/{stem}_test{number}.jpg": name
        for number in (0, 1)
        for stem, name in [
            ("Abyssinian", "Abyssinian"),
            ("american_bulldog", "American Bulldog"),
            ("Bengal", "Bengal"),
        ]
    }
    boxes = rows[CORNERS].replace("", np.nan).astype(float)
    truth = test.boxes[rows["id"]]
    np.testing.assert_allclose(rows["iou"], paired_box_iou(truth, boxes), atol=6e-5)
    types = localization_error_types(rows["y"], rows["predicted"], truth, boxes)
    split = rows["error_type"] == "several"
    assert rows["error_type"][~split].tolist() == types[~split].tolist()
    counts = read(run, "errors.csv", index_col="method")
    assert (counts.sum(axis=1) == 6).all()
    assert counts["wrong class"].to_dict() == {
        method: (of_method["error_type"] == "wrong class").sum()
        for method, of_method in rows.groupby("method")
    }


@pytest.mark.slow
def test_summary(run):
    rows, summary = read(run, "rows.csv.gz"), read(run, "summary.csv", index_col="method")
    means = rows.groupby("method")[["iou", "mask_iou"]].mean().loc[summary.index]
    np.testing.assert_allclose(summary["mean_iou"], means["iou"], atol=1e-4)
    np.testing.assert_allclose(summary["mask_iou"], means["mask_iou"], atol=1e-4)
    np.testing.assert_allclose(
        summary["iou_difference"], means["iou"] - means.loc["centre box", "iou"], atol=2e-4
    )
    honest = [(rows["iou"] >= least).groupby(rows["method"]).mean() for least in (0.3, 0.5, 0.7)]
    np.testing.assert_allclose(summary["box_accuracy_v2"], sum(honest)[summary.index] / 3)
    assert (summary["oracle_max_box_accuracy_v2"] >= summary["box_accuracy_v2"] - 1e-12).all()
    # Of the full frame the object is what it is of the image.
    _, _, test = load(run)
    share = (test.masks == 1).sum() / (test.masks != 255).sum()
    assert summary.loc["full frame", "pixel_average_precision"] == pytest.approx(share)
    assert summary.loc["full frame", "no_boxes"] == 0


@pytest.mark.slow
def test_references_fitted_anew_are_the_same(run, tmp_path):
    """Those of the run itself, from its boxes alone, whatever stood in their rows before."""
    folder = tmp_path / "run"
    shutil.copytree(run.out, folder)
    rows = read(run, "rows.csv.gz")
    of_old = rows[~rows["method"].isin(["constant box", "full frame"])].copy()
    of_old.loc[of_old["method"] == "centre box", "iou"] = 0
    of_old.to_csv(folder / "rows.csv.gz", index=False)
    refit_references.main(refit_references.Config(data_dir=run.data_dir, out=str(folder)))
    pd.testing.assert_frame_equal(pd.read_csv(folder / "rows.csv.gz"), rows)
    tables = (pd.read_csv(f"{one}/summary.csv", index_col="method") for one in (run.out, folder))
    pd.testing.assert_frame_equal(*tables, atol=1e-3, rtol=1e-3)
    assert (folder / "errors.csv").read_text() == Path(run.out, "errors.csv").read_text()
    told = [(Path(one) / TEXT).read_text().splitlines()[:3] for one in (run.out, folder)]
    assert told[0] == told[1]
    of_methods, of_run = folder / "provenance_methods.json", Path(run.out, "provenance.json")
    assert of_methods.read_text() == of_run.read_text()
    with pytest.raises(SystemExit, match=r"experiments\.pets wrote, but .* holds no rows"):
        refit_references.main(refit_references.Config(out=str(tmp_path)))


@pytest.mark.parametrize("method", ["CAM", "LayerCAM, layers 2 to 4", "edges", "Guided Grad-CAM"])
@pytest.mark.slow
def test_thresholds_are_those_of_the_validation_photographs(run, method):
    data, held_out, test = load(run)
    explainer = make_explainers(classifier(run), pets.LAYERS, 6)[method]
    maps = explainer.explain(data.images[held_out], data.target[held_out])
    found = read(run, "summary.csv", index_col="method").loc[method]
    boxers = {
        region: HeatmapToBox(region=region).fit(maps, data.boxes[held_out])
        for region in ("largest", "all")
    }
    boxer = boxers[found["region"]]
    assert boxer.scores_.max() == max(one.scores_.max() for one in boxers.values())
    assert found["threshold"] == boxer.threshold_
    assert found["validation_mean_iou"] == pytest.approx(boxer.scores_.max(), rel=1e-12)
    scores = {
        threshold: mask_iou_score(data.masks[held_out], maps >= threshold)
        for threshold in boxer.thresholds_
    }
    assert scores[found["mask_threshold"]] == max(scores.values())
    maps = explainer.explain(test.images, test.target)
    rows = read(run, "rows.csv.gz").query("method == @method")
    np.testing.assert_allclose(
        rows["iou"], paired_box_iou(test.boxes, boxer.transform(maps)), atol=6e-5
    )
    values = mask_iou_score(test.masks, maps >= found["mask_threshold"], average=None)
    np.testing.assert_allclose(rows["mask_iou"], values, atol=6e-5)


def scored_by_hand(known, maps):
    """Scores of three maps of 8 x 8 pixels, which are the images; the object is the first 4 x 4."""
    masks = np.zeros((3, 8, 8), dtype=np.uint8)
    masks[:, :4, :4] = 1
    boxes, target = np.array([[0, 0, 4, 4]] * 3), np.array([0, 0, 1])
    validation, test = (
        Bunch(images=found[:, None], target=target, masks=masks, boxes=boxes)
        for found in (known, maps)
    )
    net = nn.Sequential(
        nn.Conv2d(1, 1, 1, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(1, 2, bias=False),
    )
    net[0].weight.data.fill_(1)
    net[3].weight.data = torch.tensor([[2.0], [1.0]])  # so what it predicts is class 0
    cam = CAM(net)
    rows, numbers = score_methods(cam.classifier_, {"bars": cam}, validation, test)
    return rows[rows["method"] == "bars"], numbers.loc["bars"].to_dict()


def test_scores_by_hand():
    known, maps = np.zeros((2, 3, 8, 8))
    known[:, :4, :4] = 1
    known[:, 7, 7] = 0.5  # where the largest region fits and all regions do not
    maps[:, :4, [0, 3]] = 1
    rows, numbers = scored_by_hand(known, maps)
    assert rows["error_type"].tolist() == ["several", "several", "wrong class"]
    assert rows["iou"].tolist() == [1 / 4] * 3
    assert rows["mask_iou"].tolist() == [1 / 2] * 3
    assert numbers == {
        "region": "largest",
        "threshold": 0.02,
        "mask_threshold": pytest.approx(0.52),  # without the speck
        "validation_mean_iou": 1,
        "oracle_max_box_accuracy_v2": 1,
        "oracle_pixel_iou": 1 / 2,
        # Half of the object at a precision of 1, the rest at that of the whole image.
        "pixel_average_precision": (1 + 16 / 64) / 2,
    }


def test_boxes_around_all_regions_where_those_fit_held_out_photographs_better():
    maps = np.zeros((3, 8, 8))
    maps[:, :4, [0, 3]] = 1
    rows, numbers = scored_by_hand(maps, maps / 2)
    assert (numbers["region"], numbers["validation_mean_iou"]) == ("all", 1)
    assert rows["iou"].tolist() == [1] * 3
    assert rows["error_type"].tolist() == ["correct", "correct", "wrong class"]


def test_alignment_by_hand():
    rows = pd.DataFrame(
        [
            *({"id": number, "method": "A", "iou": iou} for number, iou in enumerate((0.5, 0.7))),
            *(
                {"id": number, "method": "A, not aligned", "iou": iou}
                for number, iou in enumerate((0.4, 0.5))
            ),
            *({"id": number, "method": "edges", "iou": 0.3} for number in range(2)),
        ]
    )
    (row,) = compare_alignment(rows).to_dict("records")
    assert row == pytest.approx(
        {
            "mean_iou": 0.6,
            "mean_iou_not_aligned": 0.45,
            "n_difference": 2,
            "difference": 0.15,
            "difference_low": 0.1,
            "difference_high": 0.2,
        }
    )


# The training -------------------------------------------------------------------------------------


def features(clf):
    net = clf.module_.net.features
    return {name: value.cpu() for name, value in net.state_dict().items()}


def same(some, others):
    return all(torch.equal(some[name], others[name]) for name in some)


@pytest.mark.slow
def test_first_the_head_learns_alone(run):
    folder = Path(run.out, "checkpoints")
    (head,) = folder.glob("head-*.safetensors")
    other = torch.load(run.weights, weights_only=True)
    before = {name: value for name, value in other.items() if not name.startswith("fc.")}
    assert same(before, features(load_classifier(head)))
    assert not same(before, features(classifier(run)))
    assert not list(folder.glob("*.unfinished"))
    history = read(run, "history.csv")
    assert history["epoch"].max() == 2  # one of each stage


@pytest.mark.slow
def test_stopped_before_the_end_it_goes_on_to_the_same_weights(run, tmp_path, monkeypatch):
    config = dataclasses.replace(run, out=str(tmp_path))

    def stop(clf, path):
        if path.name.startswith("all"):
            raise KeyboardInterrupt
        save_classifier(clf, path)

    with monkeypatch.context() as patch:
        patch.setattr(_transfer, "save_classifier", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(config)
    (unfinished,) = (tmp_path / "checkpoints").glob("all-*.unfinished")
    groups = torch.load(unfinished, weights_only=True)["optimizer"]["param_groups"]
    assert [group["lr"] for group in groups] == pytest.approx([1e-3, 1e-4])
    (head,) = (tmp_path / "checkpoints").glob("head-*.safetensors")
    written = head.stat().st_mtime_ns
    assert same(features(fit(config)), features(classifier(run)))
    assert head.stat().st_mtime_ns == written
    assert not unfinished.exists()


def fit(config):
    folder = Path(config.out, "checkpoints")
    training = _transfer.Transfer.of(config, _transfer.starting_weights(config.weights, folder))
    data, held_out, _ = load(config)
    return training.fit(data.images, data.target, held_out, folder)[0]


@pytest.mark.slow
def test_weights_of_a_checkpoint_of_ours(run, tmp_path):
    path = f"{run.out}/classifier.safetensors"
    file = _transfer.starting_weights(path, tmp_path)
    weights = torch.load(file, weights_only=True)
    expected = classifier(run).module_.net.state_dict()
    assert weights.keys() == expected.keys()
    assert same(weights, {name: value.cpu() for name, value in expected.items()})
    assert _transfer.starting_weights(None, tmp_path) is None
    assert _transfer.starting_weights("DEFAULT", tmp_path) == "DEFAULT"


def test_weights_that_are_none(tmp_path):
    (tmp_path / "text.pt").write_text("weights")
    with pytest.raises(SystemExit, match=r"--weights: .*text.pt is no file of weights"):
        _transfer.starting_weights(str(tmp_path / "text.pt"), tmp_path)


@pytest.mark.slow
def test_a_finished_training_is_read(run):
    files = sorted(Path(run.out, "checkpoints").glob("*.safetensors"))
    times = [file.stat().st_mtime_ns for file in files]
    assert same(features(fit(run)), features(classifier(run)))
    assert [file.stat().st_mtime_ns for file in files] == times
    assert sorted(Path(run.out, "checkpoints").glob("*.safetensors")) == files


def test_centres_by_hand():
    # Cells of stride 2 that look at the pixel in their middle and at the one below to the right.
    conv = nn.Conv2d(1, 1, 3, stride=2, padding=1, bias=False)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0, 1, 1] = conv.weight[0, 0, 2, 2] = 1
    net = nn.Sequential(conv, nn.Flatten(), nn.Linear(16, 2))
    clf = CNNClassifier.from_module(net)
    (row,) = effective_centres(clf, np.ones((3, 1, 8, 8)), ["0"]).to_dict("records")
    expected = {"layer": "0", "n": 3, "stride": 2, "half_pixel_offset": 0.5}
    expected |= {"offset_y": 0.5, "offset_y_std": 0, "offset_x": 0.5, "offset_x_std": 0}
    assert row == expected
    assert not conv._forward_hooks
    # Padded below and to the right alone, the middle of each cell lies one pixel further.
    conv.padding = 0
    padded = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), *net)
    clf = CNNClassifier.from_module(padded)
    (row,) = effective_centres(clf, np.ones((3, 1, 8, 8)), ["1"]).to_dict("records")
    assert row == {**expected, "layer": "1", "half_pixel_offset": -0.5}


# A network of ImageNet ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def imagenet(config, tmp_path_factory):
    """A run of a network that takes whatever it sees for a kind of dog."""
    folder = tmp_path_factory.mktemp("imagenet")
    torch.manual_seed(0)
    net = torchvision.models.resnet18()
    net.fc.bias.data[200] = 20
    torch.save(net.state_dict(), folder / "weights.pt")
    config = dataclasses.replace(
        config,
        arch="torchvision/resnet18",
        weights=str(folder / "weights.pt"),
        layers=("layer2", "layer3", "layer4"),
        out=str(folder / "run"),
    )
    pets.main(config)
    return config


@pytest.mark.slow
def test_the_true_class_is_the_likeliest_of_the_species(imagenet):
    _, _, test = load(imagenet)
    proba = load_network(imagenet.weights, imagenet.arch, SIZE).predict_proba(test.images)
    names = torchvision.models.ResNet18_Weights.DEFAULT.meta["categories"]
    rows = read(imagenet, "rows.csv.gz")
    for _, row in rows.iterrows():
        dog, of_image = "bulldog" in row["file"], proba[row["id"]]
        kinds = [*range(151, 269)] if dog else [*range(281, 286)]  # as ImageNet numbers them
        assert row["y"] == names[max(kinds, key=of_image.__getitem__)]
        assert row["predicted"] == names[200]
        assert row["correct"] == dog
    predictions = read(imagenet, "predictions.csv").set_index("breed")
    assert (predictions["n"] == 2).all()
    assert predictions["right_species"].to_dict() == {
        "Abyssinian": False,
        "American Bulldog": True,
        "Bengal": False,
    }
    assert read(imagenet, "classification.csv")["accuracy"].item() == pytest.approx(1 / 3)


@pytest.mark.slow
def test_nothing_is_trained_and_all_of_the_trainval_list_is_for_thresholds(imagenet):
    data, held_out, test = load(imagenet)
    assert held_out.all()
    assert len(held_out) == 18
    assert not list(Path(imagenet.out).rglob("*.safetensors"))
    clf = load_network(imagenet.weights, imagenet.arch, SIZE)
    data, test = (with_species_classes(clf, part) for part in (data, test))
    maps = GradCAMPlusPlus(FrozenEstimator(clf)).explain(data.images, data.target)
    found = read(imagenet, "summary.csv", index_col="method").loc["Grad-CAM++"]
    boxer = HeatmapToBox(region=found["region"]).fit(maps, data.boxes)
    assert found["threshold"] == boxer.threshold_
    assert found["validation_mean_iou"] == pytest.approx(boxer.scores_.max(), rel=1e-12)


@pytest.mark.slow
def test_the_report_reads_the_folder_of_an_imagenet_run(imagenet):
    contents = read_folder(Path(imagenet.out))
    assert contents.notes == []
    text = contents.texts[TEXT]
    assert "torchvision/resnet18, weights from" in text
    assert "0 training, 18 validation and 6 test photographs" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": None}, "needs --weights"),
        ({"weights": "DEFAULTS"}, "--weights: there is no file DEFAULTS. Did you mean 'DEFAULT'"),
        ({"layers": ("layer4",)}, "--layers must name 3 layers, got 1"),
        ({"weights": "other"}, "ImageNet's 1,000 classes, but torchvision/resnet18 has 10"),
        ({"arch": "torchvision/resnet81"}, "There is no network"),
    ],
)
@pytest.mark.slow
def test_what_is_no_network_of_imagenet(imagenet, config, tmp_path, change, message):
    if change.get("weights") == "other":
        change = {"weights": config.weights}
    with pytest.raises(SystemExit, match=message):
        pets.main(dataclasses.replace(imagenet, out=str(tmp_path / "out"), **change))
    assert not (tmp_path / "out").exists()  # results of an earlier run would be left as they are


# The pictures -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_report_reads_the_folder(run):
    contents = read_folder(Path(run.out))
    assert contents.notes == []
    names = {"best", "worst", "box_accuracy", "history"}
    assert contents.figures.keys() == {f"figures/{name}.png" for name in names}
    rows = read(run, "rows.csv.gz").set_index(["method", "file"])
    (chosen,) = re.findall("best on the validation photographs: (.*)", contents.texts[TEXT])
    shown = {chosen, "CAM", "CAM, not aligned", "LayerCAM, layers 3 and 4", "Guided Grad-CAM"}
    assert len(contents.gallery) == 3 * len(shown)
    for row, picture in contents.gallery:
        known = rows.loc[row["method"], f"images/{row['photograph']}"]
        assert (row["y_true"], row["y_pred"]) == (known["y"], known["predicted"])
        assert row["error_type"] == known["error_type"]
        assert float(row["iou"]) == known["iou"]
        assert (picture.width, picture.height) == (2 * SIZE, SIZE)
    ious = [float(row["iou"]) for row, _ in contents.gallery if row["method"] == chosen]
    assert ious == sorted(ious)
    of_chosen = rows.loc[chosen, "iou"]
    assert (ious[0], ious[-1]) == (of_chosen.min(), of_chosen.max())
    scores = read(run, "summary.csv", index_col="method")["validation_mean_iou"]
    of_network = scores[scores.index.str.contains("CAM") & ~scores.index.str.contains("random")]
    assert scores[chosen] == of_network.max()


def test_spread_by_hand():
    values = [0.5, np.nan, 0.1, 0.9, 0.3, 0.7]
    assert spread(values, 3).tolist() == [2, 0, 3]
    assert spread(values, 9).tolist() == [2, 4, 0, 5, 3]
    assert spread([np.nan], 3).tolist() == []


def test_lines_are_brightened():
    maps = np.linspace(0, 0.5, 101, dtype=np.float32).reshape(1, 1, 101)
    shown = brightened({"Guided Grad-CAM": maps, "CAM": maps, "Guided backprop": 0 * maps})
    np.testing.assert_array_equal(shown["CAM"], maps)
    np.testing.assert_allclose(shown["Guided Grad-CAM"], (maps / 0.495).clip(0, 1), rtol=1e-6)
    assert not shown["Guided backprop"].any()


def test_overlay_by_hand():
    image = np.zeros((3, 20, 30), dtype=np.uint8)
    image[0, :10] = 200  # the upper half is red
    heatmap = np.zeros((20, 30))
    heatmap[:, 15:] = 1  # the right half is hot: inferno ends in 252, 254, 164
    picture = np.asarray(overlay(image, heatmap, [[2, 3, 10, 12], [np.nan] * 4]))
    assert picture.shape == (20, 60, 3)
    np.testing.assert_array_equal(picture[:, :30], image.transpose(1, 2, 0))
    assert picture[1, 58].tolist() == [226, 127, 82]
    assert picture[18, 58].tolist() == [126, 127, 82]
    white = (picture[:, 30:] == 255).all(axis=2)
    expected = np.zeros((20, 30), dtype=bool)
    expected[3:12, 2:10] = True
    expected[5:10, 4:8] = False
    np.testing.assert_array_equal(white, expected)


@pytest.mark.slow
@pytest.mark.real_data
def test_a_few_real_photographs(data_home, tmp_path):
    if not (data_home / "oxford-iiit-pet").is_dir():
        pytest.skip("FMCAM_DATA holds no oxford-iiit-pet")
    config = pets.Config(
        data_dir=str(data_home),
        image_size=SIZE,
        images=12,
        validation=0.5,
        epochs=1,
        batch_size=6,
        gallery=2,
        out=str(tmp_path),
    )
    pets.main(config)
    summary = read(config, "summary.csv", index_col="method")
    assert read(config, "breeds.csv", index_col="class")["support"].to_dict() == {
        "Abyssinian": 4,
        "American Bulldog": 4,
        "Bengal": 4,
    }
    # Pets fill their photographs: the mean box in the centre is hard to beat.
    assert 0.3 < summary.loc["centre box", "mean_iou"] < 0.8
    assert summary.loc["resolution oracle", "mask_iou"] > summary.loc["centre box", "mask_iou"]


@pytest.mark.slow
@pytest.mark.real_data
def test_a_few_real_photographs_with_real_weights(data_home, tmp_path):
    pytest.importorskip("timm")
    weights = data_home / "weights" / "tf_efficientnet_lite0.safetensors"
    if not (data_home / "oxford-iiit-pet").is_dir() or not weights.is_file():
        pytest.skip("FMCAM_DATA holds no oxford-iiit-pet or no weights of EfficientNet-Lite0")
    config = pets.Config(
        arch="timm/tf_efficientnet_lite0",
        weights=str(weights),
        layers=("blocks.2", "blocks.4", "bn2"),
        data_dir=str(data_home),
        images=12,
        gallery=2,
        out=str(tmp_path),
    )
    pets.main(config)
    assert read(config, "classification.csv")["accuracy"].item() > 0.6
    summary = read(config, "summary.csv", index_col="method")
    trained, chance = summary.loc["CAM"], summary.loc["random weights, CAM"]
    assert trained["pixel_average_precision"] > chance["pixel_average_precision"] + 0.2
    assert summary.loc["LayerCAM, layers blocks.4 and bn2", "mean_iou"] > 0.55
