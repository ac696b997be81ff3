"""The slider of the page's gallery: the boxes and IoU of each threshold are those of Python."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from sklearn.utils import Bunch

from fmcam.cli._localization_pictures import CORNERS, write_pictures
from fmcam.cli._report._folder import read_folder
from fmcam.cli._report._threshold import COLUMNS, runs
from fmcam.cli._report._write import write_report
from fmcam.cli._run import Run
from fmcam.localize import boxes_from_heatmaps
from fmcam.metrics import box_accuracy_score, mean_iou_score, paired_box_iou
from fmcam.report import localization_frame

EVIL = "<script>alert(1)</script>"
FITTED = {"LayerCAM": (0.34, "largest"), EVIL: (0.6, "all")}
SIZE = 20


@dataclass
class Config:
    """Settings of a run."""

    out: str
    resume: bool = False


def scenes():
    """Maps of two methods, the last of zeros; one to three true boxes an image, in fractions."""
    rng = np.random.default_rng(0)
    maps = {}
    for name in FITTED:
        noise = ndimage.gaussian_filter(rng.random((6, SIZE, SIZE)), (0, 2, 2))
        low, high = (edge(axis=(1, 2), keepdims=True) for edge in (noise.min, noise.max))
        maps[name] = ((noise - low) / (high - low)).astype(np.float32)
        maps[name][5] = 0
    corners = rng.uniform(0, SIZE / 2, (6, 3, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(2, SIZE / 2, (6, 3, 2))], axis=2)
    boxes[:2, 1:] = boxes[2:4, 2:] = np.nan
    found = boxes_from_heatmaps(maps["LayerCAM"][1:4], 0.5)
    boxes[1:4, 0] = found * 0.9 + 0.3  # some are right
    return maps, boxes


@pytest.fixture(scope="module")
def maps_and_boxes():
    return scenes()


@pytest.fixture(scope="module")
def folder(maps_and_boxes, tmp_path_factory):
    """A run's folder with a gallery of all images."""
    maps, boxes = maps_and_boxes
    frames = []
    for name, (threshold, region) in FITTED.items():
        settings = {"boxes": boxes, "thresholds": threshold, "region": region}
        frame = localization_frame({name: maps[name]}, np.zeros(6), **settings)
        frames.append(frame.assign(region=region, file=[f"{id_}.jpg" for id_ in range(6)]))
    rows = pd.concat(frames).assign(y="cat", predicted="cat", mask_iou=0.25)
    images = np.full((6, 3, SIZE, SIZE), 90, dtype=np.uint8)
    run = Run(Config(str(tmp_path_factory.mktemp("slider") / "run")), "test")
    write_pictures(
        *(run, rows, list(maps), Bunch(images=images, boxes=boxes)),
        lambda ids: {name: maps[name][ids] for name in maps},
        6,
        title="heatmap",
        facts=["mask_iou"],
    )
    return run.folder


@pytest.fixture
def page(browser, folder):
    page, said = browser.new_page(viewport={"width": 390, "height": 844}), []
    for event in ("console", "pageerror", "dialog"):
        page.on(event, lambda message: said.append(str(message)))
    page.goto(write_report(folder).as_uri())
    yield page
    page.close()
    assert said == []


def facts(page):
    """The facts of each picture that is shown, by name."""
    return page.locator(".gallery figure:visible").evaluate_all(
        "all => all.map(one => Object.fromEntries([...one.querySelectorAll('dl div')].filter("
        "pair => !pair.hidden).map(pair => [...pair.children].map(part => part.textContent))))"
    )


def drawn(page):
    """The box over each picture, (n, 4), in pixels of the heatmap, which is on the right."""
    sides = page.locator(".gallery rect").evaluate_all(
        "all => all.map(one => one.hasAttribute('hidden') ? [null, null, null, null] :"
        " ['x', 'y', 'width', 'height'].map(side => Number(one.getAttribute(side))))"
    )
    x, y, width, height = np.array(sides, dtype=float).T
    return np.stack([x - SIZE, y, x - SIZE + width, y + height], axis=1)


def means(page):
    rows = page.locator("#at-threshold tbody tr:visible")
    return {cells[0]: cells[1:] for cells in (row.all_inner_texts() for row in rows_of(rows))}


def rows_of(rows):
    return [rows.nth(number).locator("th, td") for number in range(rows.count())]


def slide_to(page, threshold):
    """Move the slider to one of 0.02 to 0.98, as a mouse does."""
    page.get_by_label("Threshold", exact=True).fill(str(round(threshold * 50) - 1))


def ids(page, name):
    """The images of a method's pictures, in the order of the page."""
    return [int(fact["Photograph"][0]) for fact in facts(page) if fact["Method"] == name]


@pytest.mark.parametrize("threshold", [0.02, 0.34, 0.5, 0.6, 0.76, 0.98, None])
def test_boxes_iou_and_means_are_those_of_python(page, maps_and_boxes, threshold):
    maps, true = maps_and_boxes
    if threshold is not None:
        slide_to(page, threshold)
    boxes, shown, of_methods = drawn(page), facts(page), means(page)
    for name, (fitted, region) in FITTED.items():
        order = ids(page, name)
        at = fitted if threshold is None else threshold
        expected = boxes_from_heatmaps(maps[name], at, region=region)[order]
        cards = [number for number, fact in enumerate(shown) if fact["Method"] == name]
        np.testing.assert_array_equal(boxes[cards], expected)
        iou = paired_box_iou(true[order], expected)
        assert [shown[card]["IoU"] for card in cards] == [f"{value:.3f}" for value in iou]
        assert {shown[card]["Threshold"] for card in cards} == {str(at)}
        mean, share = (
            score(true[order], expected) for score in (mean_iou_score, box_accuracy_score)
        )
        assert of_methods[name] == ["6", str(at), f"{mean:.3f}", f"{share:.3f}"]


def test_as_fitted_the_page_has_the_numbers_of_the_gallery(page, folder):
    gallery = pd.read_csv(folder / "gallery.csv")
    start = facts(page)
    assert [fact["IoU"] for fact in start] == [f"{iou:.3f}" for iou in gallery["iou"]]
    for name, frame in gallery.groupby("method"):
        assert means(page)[name][2] == f"{frame['iou'].mean():.3f}"
    slide_to(page, 0.9)
    assert facts(page) != start
    page.get_by_role("button", name="As fitted").click()
    assert facts(page) == start
    assert page.locator(".threshold output").inner_text() == "as fitted"


def test_what_holds_at_the_fitted_threshold_alone_is_hidden_elsewhere(page):
    slide_to(page, 0.6)  # which is the fitted one of the second method
    of_first, of_second = (
        [fact for fact in facts(page) if fact["Method"] == name] for name in FITTED
    )
    for name in ("Error", "Mask IoU"):
        assert not any(name in fact for fact in of_first)
        assert all(name in fact for fact in of_second)
    assert {fact["True"] for fact in of_first} == {"cat"}


def test_the_slider_works_by_keyboard_and_says_what_it_did(page):
    slider = page.get_by_role("slider", name="Threshold")
    slider.focus()
    assert slider.get_attribute("aria-valuetext") == "as fitted"
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "0.36"
    assert page.locator(".threshold output").inner_text() == "0.36"
    alt = page.locator(".gallery img").first.get_attribute("alt")
    assert f"IoU: {facts(page)[0]['IoU']}, Threshold: 0.36" in alt
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert slider.get_attribute("aria-valuetext") == "as fitted"


def test_means_are_of_the_pictures_that_fit_the_filters(page, maps_and_boxes):
    maps, true = maps_and_boxes
    slide_to(page, 0.5)
    page.get_by_label("Error type").select_option("no box (2)")
    assert means(page) == {name: ["1", "0.5", "0.000", "0.000"] for name in FITTED}
    page.get_by_label("Method").select_option(f"{EVIL} (6)")
    assert means(page) == {EVIL: ["1", "0.5", "0.000", "0.000"]}
    page.get_by_role("button", name="Show all").click()
    page.locator(".gallery figure:visible").nth(11).wait_for()
    boxes = boxes_from_heatmaps(maps["LayerCAM"], 0.5)
    assert means(page)["LayerCAM"][2] == f"{mean_iou_score(true, boxes):.3f}"


def test_a_large_picture_has_its_box(page):
    slide_to(page, 0.5)
    page.locator(".gallery .enlarge").nth(2).click()
    dialog = page.get_by_role("dialog")
    picture, box = (dialog.locator(part).bounding_box() for part in ("img", "rect"))
    x0, y0, x1, y1 = drawn(page)[2]
    scale = picture["width"] / (2 * SIZE)
    assert box["x"] == pytest.approx(picture["x"] + (x0 + SIZE) * scale, abs=3)
    assert box["y"] == pytest.approx(picture["y"] + y0 * scale, abs=3)
    assert box["width"] == pytest.approx((x1 - x0) * scale, abs=6)
    assert box["height"] == pytest.approx((y1 - y0) * scale, abs=6)


def test_a_phone_has_the_slider_within_its_width(page):
    slide_to(page, 0.5)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for part in page.locator("#at-threshold, .threshold *").all():
        box = part.bounding_box()
        assert 0 <= box["x"] < box["x"] + box["width"] <= 390
    page.locator(".gallery figure").last.scroll_into_view_if_needed()
    assert 0 <= page.locator(".threshold").bounding_box()["y"] < 100  # it stays in sight


# The files of others ------------------------------------------------------------------------------


def rewritten(folder, change):
    """What is noted of a folder whose table of boxes is changed, and its page."""
    path = folder / "gallery_boxes.csv"
    before = path.read_text()
    frame = pd.read_csv(path)
    try:
        change(frame).to_csv(path, index=False)
        return read_folder(folder), write_report(folder).read_text(encoding="utf-8")
    finally:
        path.write_text(before)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame.drop(columns="iou"), "x0, y0, x1, y1, iou, lacks iou"),
        (lambda frame: frame.iloc[1:], "one row for each picture of gallery.csv and each thr"),
        (lambda frame: pd.concat([frame, frame]), "one row for each picture of gallery.csv and"),
        (lambda frame: frame[frame["file"] != "gallery/000.jpg"], "one row for each picture"),
        (lambda frame: frame.assign(iou=EVIL), "Unable to parse string"),
        (lambda frame: frame.assign(iou=1.5), "must have thresholds and IoU in [0, 1]"),
        (lambda frame: frame.assign(threshold=frame["threshold"] * 2), "must have thresholds and"),
        (lambda frame: frame.assign(x0=frame["x1"] + 1), "with x0 <= x1 and y0 <= y1"),
        (lambda frame: frame.assign(x0=np.nan), "or empty ones"),
        (lambda frame: frame.assign(x1=np.inf), "with x0 <= x1"),
        (lambda frame: frame[frame["threshold"] != 0.34], "row of gallery.csv, lacks '0.34'"),
        (lambda frame: frame.iloc[:0], "row of gallery.csv, lacks '0.34'"),
    ],
)
def test_boxes_that_are_not_whole_are_named_and_the_page_has_no_slider(folder, change, said):
    contents, html = rewritten(folder, change)
    ((name, why),) = contents.notes
    assert name == "gallery_boxes.csv"
    assert said in why
    assert 'type="range"' not in html
    assert html.count('alt="Heatmap.') == 12
    assert "<script>alert" not in html


def test_more_than_101_thresholds_are_refused(folder):
    def finer(frame):
        return pd.concat([frame.assign(threshold=frame["threshold"] + k / 250) for k in range(3)])

    contents, _ = rewritten(folder, finer)
    assert contents.notes == [("gallery_boxes.csv", "must have at most 101 thresholds, got 147")]


def test_a_gallery_without_boxes_has_no_slider(folder):
    boxes = (folder / "gallery_boxes.csv").rename(folder / "elsewhere")
    contents, html = read_folder(folder), write_report(folder).read_text(encoding="utf-8")
    boxes.rename(folder / "gallery_boxes.csv")
    assert contents.notes == []
    assert 'type="range"' not in html
    assert "<rect" not in html


def test_images_without_a_true_box_are_not_in_the_mean_and_half_is_a_hit(browser, folder):
    given = [np.nan, 0.5, 0.49999, 0.51, 0.0, 0.2]

    def assigned(frame):
        number = frame["file"].str[-7:-4].astype(int)
        return frame.assign(iou=number.map(dict(enumerate(given))))

    page = browser.new_page()
    page.set_content(rewritten(folder, assigned)[1])
    slide_to(page, 0.5)
    assert [fact["IoU"] for fact in facts(page)[:3]] == ["", "0.500", "0.500"]
    assert means(page)["LayerCAM"] == ["6", "0.5", f"{np.nanmean(given):.3f}", "0.400"]
    page.close()


def test_a_picture_adds_a_few_kilobytes_at_most():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.integers(0, 9999, (101, 4)), axis=1)
    assert len(runs(np.column_stack([corners, rng.random(101)]))) < 101 * 50


def test_the_table_of_boxes_says_where_they_are(folder, maps_and_boxes):
    maps, _ = maps_and_boxes
    frame = pd.read_csv(folder / "gallery_boxes.csv")
    assert {*frame.columns} == {*COLUMNS}
    gallery = pd.read_csv(folder / "gallery.csv").set_index("file")
    row = frame[(frame["file"] == "gallery/003.jpg") & (frame["threshold"] == 0.5)]
    (box,) = boxes_from_heatmaps(
        maps["LayerCAM"][[int(gallery.loc["gallery/003.jpg", "photograph"][0])]], 0.5
    )
    np.testing.assert_array_equal(row[CORNERS].to_numpy()[0], box + SIZE * np.array([1, 0, 1, 0]))
