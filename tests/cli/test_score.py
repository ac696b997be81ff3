"""Photographs and boxes of one's own, scored on the command line."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.frozen import FrozenEstimator

from fmcam.classifiers import CNNClassifier, load_classifier, save_classifier
from fmcam.cli import score as command
from fmcam.cli._report._folder import read_folder
from fmcam.cli._score import complete, summary_of
from fmcam.cli._score_data import draw_alike
from fmcam.cli._score_heatmaps import _images_of_maps, score_heatmaps
from fmcam.cli._score_network import score_network
from fmcam.cli.score import Config
from fmcam.datasets import load_boxed_images, read_boxes
from fmcam.explain import CAM, LayerCAM, randomized
from fmcam.metrics import (
    max_box_accuracy_score,
    max_pixel_iou_score,
    pixel_average_precision_score,
    pointing_game_score,
)
from fmcam.models import CNN_CAM, Standardize, StandardizedNet
from fmcam.report import PooledScores, evaluate_localization, summarize, write_csv

SIZE = 30
WIDTH, HEIGHT = 120, 60
NAMES = ["bag", "coat", "shirt"]
CORNERS = ["x0", "y0", "x1", "y1"]
COLORS = {"bag": (230, 40, 40), "coat": (40, 90, 230)}
METHODS = ("cam", "layer-cam")


def things():
    """Image, label and box in pixels: 16 pictures, of which 3 has two bags, 5 a bag and a coat."""
    rng, rows = np.random.default_rng(0), []
    for number in range(16):
        labels = {3: ["bag", "bag"], 5: ["bag", "coat"]}.get(number, [("bag", "coat")[number % 2]])
        for place, label in enumerate(labels):
            x, y = 4 + 60 * place + rng.integers(0, 20), rng.integers(2, 20)
            box = [x, y, x + rng.integers(16, 34), y + rng.integers(16, 36)]
            rows.append([f"{number:02}.png", label, *map(int, box)])
    return pd.DataFrame(rows, columns=["image", "label", *CORNERS])


def draw(folder, table):
    """The pictures, things in the colour of their class on noise."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name, found in table.groupby("image"):
        noise = rng.integers(90, 160, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        picture = Image.fromarray(noise)
        for row in found.itertuples():
            picture.paste(COLORS[row.label], (row.x0, row.y0, row.x1, row.y1))
        picture.save(folder / name)


def draw_masks(folder, table):
    """Things are 1, the pixels of their left side are ignored."""
    folder.mkdir()
    for name, found in table.groupby("image"):
        mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        for x0, y0, x1, y1 in found[CORNERS].to_numpy():
            mask[y0:y1, x0:x1] = 1
            mask[y0:y1, x0 : x0 + 4] = 255
        Image.fromarray(mask).save(folder / name)


def runs_of(x0, y0, x1, y1):
    """COCO's run lengths of a box."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y0:y1, x0:x1] = True
    ends = np.flatnonzero(np.diff(mask.T.ravel(), prepend=False, append=False))
    counts = np.diff([0, *ends, mask.size]).tolist()
    return {"size": [HEIGHT, WIDTH], "counts": counts}


def write_coco(path, table, *, outlines=False, **changes):
    images = [
        {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT, **changes}
        for number, name in enumerate(table["image"].unique())
    ]
    numbers = {one["file_name"]: one["id"] for one in images}
    labels = sorted(table["label"].unique())
    annotations = [
        {
            "id": number,
            "image_id": numbers[row.image],
            "category_id": labels.index(row.label),
            "bbox": [row.x0, row.y0, row.x1 - row.x0, row.y1 - row.y0],
            **({"segmentation": runs_of(row.x0, row.y0, row.x1, row.y1)} if outlines else {}),
        }
        for number, row in enumerate(table.itertuples())
    ]
    categories = [{"id": number, "name": label} for number, label in enumerate(labels)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))


def write_voc(folder, table):
    """One XML file an image; pixels count from 1, and the last one is in the box."""
    folder.mkdir()
    for name, found in table.groupby("image"):
        objects = "".join(
            f"<object><name>{row.label}</name><bndbox><xmin>{row.x0 + 1}</xmin><ymin>{row.y0 + 1}"
            f"</ymin><xmax>{row.x1}</xmax><ymax>{row.y1}</ymax></bndbox></object>"
            for row in found.itertuples()
        )
        (folder / name).with_suffix(".xml").write_text(
            f"<annotation><filename>{name}</filename>{objects}</annotation>"
        )


def network(n_channels=3, names=NAMES):
    torch.manual_seed(0)
    standardize = Standardize(n_channels, [100.0] * n_channels, [60.0] * n_channels)
    net = StandardizedNet(CNN_CAM(len(names), n_channels), standardize)
    return CNNClassifier(CNN_CAM).adopt(net, np.arange(len(names)), (n_channels, SIZE, SIZE))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures, their boxes in three formats, a checkpoint."""
    folder = tmp_path_factory.mktemp("score")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        draw(folder / "images", things())
        write_coco(folder / "coco.json", things())
        write_voc(folder / "voc", things())
        things().to_csv(folder / "boxes.csv", index=False)
        save_classifier(network(), folder / "net.safetensors", class_names=NAMES)
        yield folder


@pytest.fixture(scope="module")
def config(folder):
    return Config(
        images=str(folder / "images"),
        boxes=str(folder / "coco.json"),
        model=str(folder / "net.safetensors"),
        method=METHODS,
        fit_on="0.4",
        seed=4,  # which scores image 5, of two labels
        gallery=5,
        out=str(folder / "run"),
    )


@pytest.fixture(scope="module")
def run(config, folder):
    command.main(config)
    return folder / "run"


def read(run, name, **options):
    return pd.read_csv(run / name, **options)


def scored(config, folder, name, **changes):
    """The folder of another run."""
    command.main(dataclasses.replace(config, out=str(folder / name), **changes))
    return folder / name


def parts_of(folder, rows, **options):
    """(X, y, boxes) of the images that are not in the rows, and of those that are."""
    table = read_boxes(folder / "coco.json")
    data = load_boxed_images(folder / "images", table, size=SIZE, class_names=NAMES, **options)
    test = np.isin(data.filenames, rows["file"])
    return [(data.images[part], data.target[part], data.boxes[part]) for part in (~test, test)]


# The tables ---------------------------------------------------------------------------------------


def test_the_rows_are_those_of_the_library(run, folder):
    rows = read(run, "rows.csv")
    clf = load_classifier(folder / "net.safetensors")
    fit, test = parts_of(folder, rows)
    cams = {}
    for prefix, one in (("", clf), ("random weights, ", randomized(clf, random_state=0))):
        cams[f"{prefix}cam"] = CAM(FrozenEstimator(one))
        cams[f"{prefix}layer-cam"] = LayerCAM(FrozenEstimator(one))
    pooled = PooledScores()
    expected = evaluate_localization(cams, fit=fit, test=test, classifier=clf, pooled=pooled)
    same = ["method", "threshold", "region", "align", *CORNERS, "iou", "energy", "error_type"]
    same += ["probability", "correct", "rank", "empty_map", "no_box", "regions"]
    expected["align"] = expected["align"].astype(float)
    rows["align"] = rows["align"].astype(float)
    pd.testing.assert_frame_equal(rows[same], expected[same], check_dtype=False, atol=6e-5, rtol=0)
    names = np.array(NAMES)
    for column, theirs in (("y", "y"), ("label", "y"), ("predicted", "predicted")):
        assert rows[column].tolist() == names[expected[theirs]].tolist()
    summary = read(run, "summary.csv", index_col="method")
    expected["file"] = rows["file"]
    known = summarize(expected, reference="centre box", image="file").dropna(axis=1, how="all")
    assert known["n"].eq(11).all()  # one photograph has two labels
    known = known.join(pooled.frame())
    pd.testing.assert_frame_equal(summary[known.columns], known, check_dtype=False, rtol=1e-6)
    for method, fitted in rows.groupby("method"):
        for name in ("threshold", "region"):
            assert fitted[name].unique().tolist() == [summary.loc[method, name]]


def test_pooled_scores_are_of_all_images(config, folder):
    """Of every method, those with random weights and the references, from maps of all images."""
    masks = folder / "masks"
    draw_masks(masks, things())
    one_label = things().drop_duplicates("image")
    one_label.to_csv(folder / "one_label.csv", index=False)
    config = dataclasses.replace(
        config, boxes=str(folder / "one_label.csv"), inclusive=False, masks=str(masks)
    )
    found = score_network(config, config.model, None)
    summary = summary_of(found)
    assert summary.index.tolist() == [
        *(*METHODS, *(f"random weights, {method}" for method in METHODS)),
        *("centre box", "constant box", "full frame", "resolution oracle"),
    ]
    maps = found.maps_of(METHODS, np.arange(len(found.test.y)))
    maps["full frame"] = np.ones_like(maps["cam"])
    true, boxes = found.test.masks, found.test.boxes
    assert set(np.unique(true)) == {0, 1, 255}
    for method, of_method in maps.items():
        row = summary.loc[method]
        rounded = np.floor(of_method.astype(float) * 1000 + 1e-9) / 1000
        for name, expected in {
            "pointing_game": pointing_game_score(true, of_method),
            "pixel_average_precision": pixel_average_precision_score(true, rounded),
            "oracle_pixel_iou": max_pixel_iou_score(true, rounded),
            "oracle_max_box_accuracy_v2": max_box_accuracy_score(boxes, of_method, region="fit"),
        }.items():
            assert row[name] == pytest.approx(expected, abs=1e-4), (method, name)
        assert row["box_accuracy_v2"] <= row["oracle_max_box_accuracy_v2"]
        assert row["n_mask_iou"] == row["n_hit"] == row["n"] == 10
    share = (true == 1).sum() / np.isin(true, [0, 1]).sum()
    assert summary.loc["full frame", "pixel_average_precision"] == pytest.approx(share)
    trained, chance = (summary.loc[name, "mean_iou"] for name in ("cam", "random weights, cam"))
    assert trained != chance


def test_a_method_that_knows_no_network_has_no_row_of_random_weights(config, folder):
    found = score_network(dataclasses.replace(config, method=("edge-map",)), config.model, None)
    assert found.methods == ["edge-map"]
    assert not found.rows["method"].str.startswith("random weights").any()


@pytest.mark.parametrize(("by_label", "n_files"), [(True, 1), (False, 1), (True, 2)])
def test_outlines_of_the_boxes_own_file(config, folder, by_label, n_files):
    """With a class for each box of its label, without one of all that is in the image."""
    table, file = things(), folder / "outlines.json"
    settings = {"boxes": str(file), "masks": str(file)}
    if n_files == 2:
        settings["fit_on"] = str(folder / "outlines_fit.json")
        write_coco(folder / "outlines_fit.json", table[:9], outlines=True)
        table = table[9:]
    write_coco(file, table, outlines=True)
    if not by_label:
        settings |= {"class_names": ("a", "b", "c"), "explained": "predicted"}
    found = score_network(dataclasses.replace(config, **settings), config.model, None)
    data = [
        (*one,)
        for part in (found.fit, found.test)
        for one in zip(part.filenames, part.target, part.masks, strict=True)
    ]
    of_file = [mask for name, _, mask in data if name == "05.png"]
    assert len(of_file) == 1 + by_label
    for name, label, mask in data:
        table = things()
        of_row = table[(table["image"] == name) & table["label"].isin(label.split(", "))]
        place = np.zeros((HEIGHT, WIDTH), np.uint8)
        for x0, y0, x1, y1 in of_row[CORNERS].to_numpy():
            place[y0:y1, x0:x1] = 1
        expected = Image.fromarray(place).resize((SIZE, SIZE), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(mask, expected)


def test_masks_of_another_file_are_refused(config, folder):
    with pytest.raises(SystemExit, match=r"--masks must be a folder, or the COCO file of --boxes;"):
        command.main(dataclasses.replace(config, masks=str(folder / "boxes.csv")))


@pytest.mark.parametrize("n_drawn", [1, 7, 20, 39])
def test_of_each_label_its_share_is_drawn(n_drawn):
    """Labels that stand alone, and more labels than images drawn, are no reason to forget this."""
    labels = np.repeat([*"abc", *range(10)], [18, 8, 4, *[1] * 10])
    alone = np.zeros(40)
    for seed in range(200):
        drawn = draw_alike(labels, n_drawn, np.random.default_rng(seed))
        assert drawn.sum() == n_drawn
        for label, size in {"a": 18, "b": 8, "c": 4}.items():
            assert abs(drawn[labels == label].sum() - size * n_drawn / 40) < 1
        alone += drawn
    np.testing.assert_allclose(alone[-10:] / 200, n_drawn / 40, atol=0.12)  # each as often
    again = draw_alike(labels, n_drawn, np.random.default_rng(199))
    np.testing.assert_array_equal(again, drawn)


def test_boxes_are_also_in_pixels_of_the_photographs(run):
    rows = read(run, "rows.csv").dropna(subset="x0")
    assert len(rows) > 0
    scale = [WIDTH / SIZE, HEIGHT / SIZE] * 2
    original = rows[[f"original_{corner}" for corner in CORNERS]]
    np.testing.assert_allclose(original, rows[CORNERS] * scale)


def test_an_image_is_in_one_part_and_its_labels_are_alike_in_both(run):
    rows = read(run, "rows.csv").query("method == 'cam'")
    table = things().drop_duplicates(["image", "label"])
    left = table[~table["image"].isin(rows["file"])]
    assert left["image"].nunique() == 6  # 0.4 of 16
    assert set(zip(rows["file"], rows["label"], strict=True)) == set(
        table[table["image"].isin(rows["file"])][["image", "label"]].itertuples(
            index=False, name=None
        )
    )
    assert left["label"].value_counts().to_dict() == {"bag": 4, "coat": 2}  # of 10 and 6


def test_the_first_of_several_boxes_of_an_image_is_not_the_only_one(folder, run):
    rows = read(run, "rows.csv").query("method == 'full frame' and file == '05.png'")
    boxes = things().query("image == '05.png'")
    shares = (boxes["x1"] - boxes["x0"]) * (boxes["y1"] - boxes["y0"]) / (WIDTH * HEIGHT)
    np.testing.assert_allclose(rows["iou"], shares, atol=6e-5)  # one row a label


def test_differences_from_each_reference(run):
    rows, table = read(run, "rows.csv"), read(run, "differences.csv")
    references = [name for name in rows["method"].unique() if name not in METHODS]
    assert {"centre box", "full frame", "resolution oracle"} <= set(references)
    pairs = [(method, reference) for method in METHODS for reference in references]
    assert list(zip(table["method"], table["reference"], strict=True)) == pairs
    means = read(run, "summary.csv", index_col="method")["mean_iou"]  # of rows not yet rounded
    expected = [means[method] - means[reference] for method, reference in pairs]
    np.testing.assert_allclose(table["difference"], expected, rtol=0, atol=1e-12)
    assert (table["low"] <= table["difference"]).all()
    assert (table["high"] >= table["difference"]).all()
    assert (table["n"] == len(rows) / rows["method"].nunique()).all()


def test_error_types_are_counted(run):
    rows, counts = read(run, "rows.csv"), read(run, "errors.csv", index_col="method")
    assert set(counts.columns) == set(rows["error_type"])
    for method, of_method in rows.groupby("method"):
        assert counts.loc[method].to_dict() == {
            name: (of_method["error_type"] == name).sum() for name in counts
        }
    wrong = rows["y"] != rows["predicted"]
    assert wrong.any()
    assert ((rows["error_type"] == "wrong class") == wrong).all()


@pytest.mark.parametrize(
    "changes", [{"boxes": "voc"}, {"boxes": "boxes.csv", "inclusive": False}], ids=str
)
def test_every_format_gives_the_same_table(config, run, folder, changes):
    other = dataclasses.replace(config, **changes | {"boxes": str(folder / changes["boxes"])})
    rows = complete(score_network(other, config.model, None)).round(4)
    write_csv(rows, folder / "rows.csv")
    assert (folder / "rows.csv").read_text() == (run / "rows.csv").read_text()


def test_every_format_that_is_read_can_be_named(folder):
    choices = Config.__dataclass_fields__["format"].metadata["choices"]
    with pytest.raises(ValueError, match=re.escape(f"must be one of {list(choices)}, got")):
        read_boxes(folder / "coco.json", format="none")


@pytest.mark.real_data
@pytest.mark.slow
def test_pets_in_three_formats_give_one_table(data_home, tmp_path):
    """All photographs of Oxford's test list that are there, small, and boxes around the animals."""
    pets = data_home / "oxford-iiit-pet"
    lines = (pets / "annotations" / "test.txt").read_text().splitlines()
    listed = [line.split()[0] for line in lines]
    rows = []
    for name in (name for name in listed if not name.startswith("#")):
        trimap = np.asarray(Image.open(pets / "annotations" / "trimaps" / f"{name}.png"))
        (y0, x0), (y1, x1) = (ends(np.argwhere(trimap != 2), axis=0) for ends in (np.min, np.max))
        rows.append([f"{name}.jpg", name.rpartition("_")[0], *map(int, (x0, y0, x1 + 1, y1 + 1))])
    table = pd.DataFrame(rows, columns=["image", "label", *CORNERS])
    assert len(table) == 298
    write_coco(tmp_path / "coco.json", table, width=None, height=None)
    write_voc(tmp_path / "voc", table)
    table.to_csv(tmp_path / "boxes.csv", index=False)
    weights = str(data_home / "weights" / "tf_efficientnet_lite0.safetensors")
    settings = {"images": str(pets / "images"), "method": ("cam",), "explained": "predicted"}
    settings["image_size"] = 96
    tables = []
    for file in ("coco.json", "voc", "boxes.csv"):
        inclusive = False if file == "boxes.csv" else None
        config = Config(**settings, boxes=str(tmp_path / file), inclusive=inclusive)
        tables.append(complete(score_network(config, weights, "timm/tf_efficientnet_lite0")))
    for other in tables[1:]:
        pd.testing.assert_frame_equal(other, tables[0])
    counts = tables[0].groupby("method")["iou"].count()
    assert counts.unique().tolist() == [239]  # of 298, a fifth is fitted on


def test_a_file_of_boxes_to_fit_on(config, run, folder):
    """The same parts as those that were drawn, each in a file."""
    table, rows = things(), read(run, "rows.csv")
    test = table["image"].isin(rows["file"])
    table[test].to_csv(folder / "test.csv", index=False)
    table[~test].to_csv(folder / "fit.csv", index=False)
    files = {"boxes": str(folder / "test.csv"), "fit_on": str(folder / "fit.csv")}
    other = scored(config, folder, "files", **files, inclusive=False)
    assert (other / "rows.csv").read_text() == (run / "rows.csv").read_text()
    assert len(read(other, "left_out.csv")) == 0
    table.to_csv(folder / "all.csv", index=False)
    n = rows["file"].nunique()
    with pytest.raises(SystemExit, match=rf"{n} of {n} images of --boxes are also in --fit-on"):
        scored(
            config, folder, "all", **files | {"fit_on": str(folder / "all.csv")}, inclusive=False
        )


def test_the_page_and_its_pictures(run):
    contents = read_folder(run)
    assert contents.notes == []
    names = {"best", "worst", "box_accuracy"}
    assert contents.figures.keys() == {f"figures/{name}.png" for name in names}
    rows = read(run, "rows.csv").set_index(["method", "file"])
    assert len(contents.gallery) == 5 * len(METHODS)
    for row, picture in contents.gallery:
        known = rows.loc[[(row["method"], row["photograph"])]]
        assert float(row["iou"]) in known["iou"].tolist()
        assert row["label"] in known["label"].tolist()
        assert (picture.width, picture.height) == (2 * SIZE, SIZE)
    page = (run / "report.html").read_text()
    assert "Differences" in page
    assert "wrong class" in page
    text = contents.texts["metrics_summary.txt"]
    assert "6 images to fit on, 10 to score" in text


# Labels and classes -------------------------------------------------------------------------------


def test_no_gallery(config, folder):
    scored(config, folder, "quiet", gallery=1)
    contents = read_folder(scored(config, folder, "quiet", gallery=0))
    assert contents.notes == [] == contents.gallery
    assert (folder / "quiet" / "report.html").exists()


def renamed(folder, names):
    """A file of the boxes with other labels."""
    path = folder / "renamed.csv"
    things().replace({"label": names}).to_csv(path, index=False)
    return {"boxes": str(path), "inclusive": False}


@pytest.mark.parametrize(
    "names", [{"bag": "BAG"}, {"bag": "0", "coat": "1"}, {"coat": "coat, overcoat"}], ids=str
)
def test_labels_are_found_among_the_classes(config, run, folder, names):
    found = score_network(dataclasses.replace(config, **renamed(folder, names)), config.model, None)
    rows = read(run, "rows.csv")
    assert found.rows["y"].tolist() == rows["y"].tolist()
    assert found.rows["label"].tolist() == rows["label"].replace(names).tolist()
    note = "Labels are numbers of classes, counted from 0: 0 is bag."
    assert found.note == note * ("0" in names.values())


def test_labels_that_are_no_classes_are_refused(config, folder):
    changes = renamed(folder, {"bag": "bags", "coat": "7"})
    message = (
        r"2 of 2 labels are none of the 3 classes .*: 'bags' \(perhaps 'bag'\), '7'\. Label boxes"
    )
    with pytest.raises(SystemExit, match=message):
        scored(config, folder, "refused", **changes)
    assert not (folder / "refused").exists()


def test_the_predicted_class_needs_no_labels(config, run, folder):
    """Of labels that are no classes nothing is called wrong; one image has one row."""
    config = dataclasses.replace(config, explained="predicted")
    of_known, of_others = (
        score_network(one, config.model, None)
        for one in (config, dataclasses.replace(config, **renamed(folder, {"bag": "sack"})))
    )
    assert of_known.note == ""
    true, of_predicted = read(run, "rows.csv"), of_known.rows
    for name in ("y", "predicted", "correct", "rank"):
        assert of_predicted[name].tolist() == true[name].tolist()
    right = true["correct"]
    assert (true["iou"] - of_predicted["iou"]).abs()[~right].max() > 0.1  # maps of another class
    assert ((of_predicted["error_type"] == "wrong class") == ~right).all()
    assert "1 of 2 labels are none of the 3 classes of the network: 'sack'" in of_others.note
    others = of_others.rows
    assert (others["y"] == "").all()
    assert others[["correct", "rank"]].isna().all(axis=None)
    assert "top5_localization" not in summary_of(of_others)
    assert "wrong class" not in set(others["error_type"])
    files = [*of_others.fit.filenames, *of_others.test.filenames]
    assert sorted(files) == sorted(things()["image"].unique())
    labels = dict(zip(of_others.test.filenames, of_others.test.target, strict=True))
    labels |= dict(zip(of_others.fit.filenames, of_others.fit.target, strict=True))
    assert labels["05.png"] == "coat, sack"
    things().drop(columns="label").to_csv(folder / "bare.csv", index=False)
    bare = dataclasses.replace(config, boxes=str(folder / "bare.csv"), inclusive=False)
    assert len(score_network(bare, config.model, None).rows) == len(others)
    with pytest.raises(ValueError, match=r"The boxes have no labels\. Label boxes as"):
        score_network(dataclasses.replace(bare, explained="true"), config.model, None)


def test_a_network_of_grey_images(config, folder):
    save_classifier(network(1), folder / "grey.safetensors", class_names=NAMES)
    found = score_network(config, str(folder / "grey.safetensors"), None)
    assert found.test.images.shape[1:] == (1, SIZE, SIZE)
    red, blue = (
        np.array(Image.new("RGB", (1, 1), COLORS[name]).convert("L")).item() for name in COLORS
    )
    for image, boxes, label in zip(
        found.test.images, found.test.boxes, found.test.target, strict=True
    ):
        x0, y0, x1, y1 = boxes[0].round().astype(int)
        inside = image[0, y0 + 1 : y1 - 1, x0 + 1 : x1 - 1]
        np.testing.assert_array_equal(inside, {"bag": red, "coat": blue}[label])


# Mistakes -----------------------------------------------------------------------------------------

FIRST = "00.png"


def first_as(*corners, name=FIRST):
    """The table of boxes, the first one with other corners or another name."""
    table = things().astype(dict.fromkeys(CORNERS, float))
    table.loc[0, CORNERS] = corners or table.loc[0, CORNERS].to_numpy()
    table.loc[0, "image"] = name
    return table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (first_as(0.1, 0.2, 0.4, 0.5), r"in pixels, got .* \(1 of 18 boxes\)\. Multiply fractions"),
        (first_as(50, 10, 20, 30), r"x0 < x1 and y0 < y1, got .*'00\.png' \(1 of 18 boxes\)"),
        (first_as(100, 10, 140, 30), r"lie in its picture, got .* \(1 of 18 boxes\)"),
        (first_as(name="none.png"), r"must hold the 16 .*; 1 are not there, such as 'none\.png'"),
        (first_as(name=FIRST).assign(width=240, height=60), r"16 of 16 have not, such as '00"),
    ],
)
def test_boxes_that_cannot_be(config, folder, table, message):
    table.to_csv(folder / "wrong.csv", index=False)
    with pytest.raises(SystemExit, match=message):
        scored(config, folder, "refused", boxes=str(folder / "wrong.csv"), inclusive=False)
    assert not (folder / "refused").exists()


def test_two_images_of_one_name(config, folder):
    for name in ("a", "b"):
        (folder / "twice" / name).mkdir(parents=True)
        (folder / "twice" / name / "00.png").write_bytes(
            (folder / "images" / "00.png").read_bytes()
        )
    things().query("image == '00.png'").to_csv(folder / "one.csv", index=False)
    changes = {
        "images": str(folder / "twice"),
        "boxes": str(folder / "one.csv"),
        "inclusive": False,
    }
    with pytest.raises(
        SystemExit, match=r"1 of 1 names could each be several pictures .*'a/00\.png' or"
    ):
        scored(config, folder, "refused", **changes)


def test_whether_the_last_pixel_is_in_the_box_must_be_said(config, folder):
    message = (
        r"last pixel of a box .*\. Pass --inclusive if it is the last one, else --no-inclusive\."
    )
    with pytest.raises(SystemExit, match=message):
        scored(config, folder, "refused", boxes=str(folder / "boxes.csv"))


def test_too_few_images(config, folder):
    things()[:2].to_csv(folder / "few.csv", index=False)
    with pytest.raises(
        SystemExit, match=r"To fit on some images and score others takes 3, got 2\."
    ):
        scored(config, folder, "refused", boxes=str(folder / "few.csv"), inclusive=False)
    with pytest.raises(SystemExit, match=r"A share of 0\.01 of 16 images is none to fit on\."):
        scored(config, folder, "refused", fit_on="0.01")
    three = things()[:3].astype(dict.fromkeys(CORNERS, float))
    three.loc[0, CORNERS] = np.nan
    three.to_csv(folder / "few.csv", index=False)
    with pytest.raises(SystemExit, match=r"an image with a box to fit on, and two to score, got "):
        scored(config, folder, "refused", boxes=str(folder / "few.csv"), inclusive=False)
    first = things()[:1]
    labels = pd.concat([first.assign(label=name) for name in NAMES[:2]])
    labels.to_csv(folder / "one.csv", index=False)
    things()[-1:].to_csv(folder / "few.csv", index=False)
    files = {"boxes": str(folder / "one.csv"), "fit_on": str(folder / "few.csv")}
    with pytest.raises(SystemExit, match=r"and two to score, got 1 and 1\."):  # of two labels
        scored(config, folder, "refused", **files, inclusive=False)


# Heatmaps of another tool -------------------------------------------------------------------------


def heatmaps_of(names, side=SIZE):
    """Heatmaps of the images of those names: 1 in their first box, 0 elsewhere."""
    table = things().drop_duplicates("image").set_index("image")
    maps = np.zeros((len(names), side, side), dtype=np.float32)
    for found, name in zip(maps, names, strict=True):
        corners = table.loc[name, CORNERS].to_numpy(float) * ([side / WIDTH, side / HEIGHT] * 2)
        x0, y0, x1, y1 = corners.round().astype(int)
        found[y0:y1, x0:x1] = 1
    return maps


@pytest.fixture(scope="module")
def of_maps(folder):
    """Settings of heatmaps in the order of the images' names, right ones and others."""
    names = sorted(things()["image"].unique())
    right = heatmaps_of(names)
    np.save(folder / "right.npy", right)
    np.save(folder / "wrong.npy", right[::-1])
    return Config(
        images=str(folder / "images"),
        boxes=str(folder / "coco.json"),
        fit_on="0.4",
        heatmaps=(str(folder / "right.npy"), str(folder / "wrong.npy")),
        heatmap_images="sorted",
        gallery=3,
        out=str(folder / "maps"),
    )


def test_heatmaps_of_another_tool(of_maps, folder):
    command.main(of_maps)
    rows = read(folder / "maps", "rows.csv")
    assert rows["method"].unique().tolist() == [
        *("right", "wrong", "centre box", "constant box", "full frame")
    ]
    table = things().astype(dict.fromkeys(CORNERS, float))
    iou = rows[rows["method"] == "right"].set_index("file")["iou"]
    assert len(iou) == 10
    assert (iou > 0.8).all()  # corners are whole pixels of maps of a quarter of the width
    assert rows[rows["method"] == "wrong"]["iou"].mean() < 0.5
    assert not {"y", "predicted", "probability", "correct", "rank", "align"} & set(rows)
    assert set(rows["error_type"]) <= {"correct", "several", "part only", "too large", "elsewhere"}
    summary = read(folder / "maps", "summary.csv", index_col="method")
    assert summary.loc["right", "mean_iou"] == pytest.approx(iou.mean(), abs=1e-4)
    assert "top1_localization" not in summary
    labels = table.groupby("image")["label"].agg(lambda one: ", ".join(sorted(set(one))))
    assert (rows["label"] == rows["file"].map(labels)).all()
    contents = read_folder(folder / "maps")
    assert contents.notes == []
    assert len(contents.gallery) == 6


@pytest.mark.parametrize("kind", ["lines", "table", "stems"])
def test_the_names_of_the_images_of_heatmaps(of_maps, folder, kind):
    """In another order; two images have none, one heatmap is of no image with boxes."""
    names = np.random.default_rng(0).permutation(sorted(things()["image"].unique())[2:]).tolist()
    maps = np.concatenate([heatmaps_of(names), np.zeros((1, SIZE, SIZE), np.float32)])
    np.save(folder / "shuffled.npy", maps)
    names += ["none.png"]
    if kind == "stems":
        names = [name.removesuffix(".png") for name in names]
    file = folder / ("names.csv" if kind == "table" else "names.txt")
    frame = pd.DataFrame({"number": range(15), "image": names})
    frame.to_csv(file, index=False) if kind == "table" else file.write_text("\n".join(names) + "\n")
    changes = {"heatmaps": (str(folder / "shuffled.npy"),), "heatmap_images": str(file)}
    found = score_heatmaps(dataclasses.replace(of_maps, **changes))
    assert found.note == (
        "2 images with boxes have no heatmap; 1 heatmaps are of images without boxes: left out."
    )
    of_method = found.rows[found.rows["method"] == "shuffled"]
    assert len(found.fit.filenames) + len(of_method) == 14
    assert (of_method["iou"] > 0.8).all()


def test_dots_folders_and_endings_in_the_names_of_heatmaps(of_maps, folder):
    """They are compared with the pictures as those of boxes are, also with those without a box."""
    root, picture = folder / "dots", (folder / "images" / FIRST).read_bytes()
    pictures = ["im.1.png", "im.2.png", "im.png", "a.jpg", "a.png", "x/7.png", "y/7.png"]
    for name in pictures:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture)
    boxed = dict.fromkeys([*pictures[:5], "y/7.png"])
    boxed = dict(zip(boxed, boxed, strict=True))

    def images_of(*names):
        (folder / "dots.txt").write_text("\n".join(names))
        changes = {"images": str(root), "heatmap_images": str(folder / "dots.txt")}
        return _images_of_maps(dataclasses.replace(of_maps, **changes), boxed, len(names))

    names = "im.2", "im.1", "im", "a.png", "C:\\set\\y\\7.png", "b.png"
    assert images_of(*names) == ["im.2.png", "im.1.png", "im.png", "a.png", "y/7.png", "b.png"]
    for name, several in {"a": r"'a\.jpg' or 'a\.png'", "7": r"'x/7\.png' or 'y/7\.png'"}.items():
        with pytest.raises(ValueError, match=rf"such as '{name}': {several}\. Name their folders"):
            images_of("im", name)
    with pytest.raises(ValueError, match=r"none has a box, such as 'im\.jpg'\. Did you mean 'im"):
        images_of("im.jpg")


@pytest.mark.parametrize(
    ("array", "names", "message"),
    [
        (np.zeros((3, 4, 4)), "sorted", r"of each of the 3 heatmaps, got 16 images with boxes\."),
        (np.zeros((2, 4, 4)), ["00.png", "00.png"], r"'00\.png' is there several times"),
        (np.zeros((2, 4, 4)), ["00.png", "00"], r"named in several ways, such as '00\.png', '00'"),
        (
            np.zeros((1, 4, 4)),
            ["0.jpg"],
            r"none has a box, such as '0\.jpg'\. Did you mean '10\.png'",
        ),
        (
            np.zeros((16, 4, 5)),
            "sorted",
            r"must hold heatmaps of shape \(n, h, h\), .* \(16, 4, 5\)",
        ),
        (np.zeros((16, 4, 4), int), "sorted", r"of float, got \(16, 4, 4\) of int64"),
        (np.full((16, 4, 4), 2.0), "sorted", r"^Heatmaps of maps: .*must lie in \[0, 1\]"),
        (
            np.array([None] * 16),
            "sorted",
            r"maps\.npy is no array of numpy\.save: .*Python objects in dtype",
        ),
    ],
)
def test_heatmaps_that_cannot_be(of_maps, folder, array, names, message):
    np.save(folder / "maps.npy", array, allow_pickle=True)
    if names != "sorted":
        (folder / "names.txt").write_text("\n".join(names))
        names = str(folder / "names.txt")
    changes = {"heatmaps": (str(folder / "maps.npy"),), "heatmap_images": names}
    with pytest.raises(SystemExit, match=message):
        scored(of_maps, folder, "refused", **changes)
    assert not (folder / "refused").exists()


def test_heatmaps_in_a_file_that_is_called_npy_alone(of_maps, folder):
    torch.save(torch.zeros(16, 4, 4), folder / "torch.npy")
    changes = {"heatmaps": (str(folder / "torch.npy"),), "heatmap_images": "sorted"}
    with pytest.raises(SystemExit, match=r"torch\.npy is no array of numpy\.save: the magic"):
        scored(of_maps, folder, "refused", **changes)


def test_heatmaps_that_are_called_as_a_reference(of_maps, folder):
    np.save(folder / "full frame.npy", np.load(folder / "right.npy"))
    with pytest.raises(SystemExit, match="--heatmaps: 'full frame' is the name of a reference"):
        scored(of_maps, folder, "refused", heatmaps=(str(folder / "full frame.npy"),))
