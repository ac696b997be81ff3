"""The HTML page of a results folder: what it holds, and how it behaves in a browser."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fmcam.cli._report._folder import GALLERY_COLUMNS, read_folder
from fmcam.cli._report._tables import table_html
from fmcam.cli._report._text import format_numbers
from fmcam.cli._report._write import write_report
from fmcam.cli.report import Config, check, main

ROOT = Path(__file__).parents[2]
EVIL = "<script>alert(1)</script>"
PROVENANCE = {
    "command": "python -m experiments.pets --seeds 7 8",
    "finished": "2026-03-04T05:06:07+00:00",
    "commit": "0123456789abcdef",
    "versions": {"torch": "2.15.0", "pandas": "3.1.1"},
    "machine": "a machine, 2 cores",
}
SUMMARY = {
    "method": ["CAM", "Grad-CAM", "LayerCAM", "edges"],
    "score": [0.50004, 0.50001, np.nan, 0.49996],  # the same once rounded
    "size": [-20, 100, 30, -4],
    "layer": ["block 10", "block 9", "block 1", None],
}
GALLERY = [  # file, method, y_true, y_pred, error_type, iou, and a column of one's own
    ("gallery/0.jpg", "CAM", "pug", "pug", "correct", "0.81234", "a.jpg"),
    ("gallery/1.png", "Grad-CAM", "pug", "beagle", "wrong class", "0.5", "a.jpg"),
    ("gallery/0.jpg", "CAM", EVIL, EVIL, "part only", "0.125", "b.jpg"),
    ("gallery/0.jpg", "CAM", "All", "All", "", "", "c.jpg"),
]


def write_picture(path, size=(40, 30)):
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, "orange").save(path)


def write_gallery(folder, rows=GALLERY):
    pd.DataFrame(rows, columns=[*GALLERY_COLUMNS, "photo"]).to_csv(
        folder / "gallery.csv", index=False
    )


def write_results(root):
    """Write a folder with one of everything; return it."""
    folder = root / "results" / "pets" / "three"
    folder.mkdir(parents=True)
    (folder / "provenance.json").write_text(json.dumps(PROVENANCE))
    (folder / "config.json").write_text('{"seeds": [7, 8], "lr": 0.1, "clutter": 0, "flip": true}')
    (folder / "best.json").write_text(json.dumps({"note": EVIL}))
    (folder / "metrics_summary.txt").write_text(f"found {EVIL}\n")
    pd.DataFrame(SUMMARY).to_csv(folder / "summary.csv", index=False)
    rows = pd.DataFrame({f"a_rather_long_column_{k}": np.arange(600) for k in range(12)})
    rows.to_csv(folder / "rows.csv.gz", index=False)
    write_picture(folder / "figures" / "box_accuracy.png", (1500, 300))
    write_picture(folder / "figures" / "net_confusion.png")
    write_picture(folder / "gallery" / "0.jpg")
    write_picture(folder / "gallery" / "1.png")
    write_gallery(folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_results(tmp_path)


class Reader(HTMLParser):
    """All texts, tags and addresses of a page."""

    def __init__(self, html):
        super().__init__()
        self.text, self.tags, self.addresses, self.inside = [], [], [], None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.inside = tag
        self.tags.append((tag, dict(attrs)))
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action")]

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.text.append(data)


def read(folder):
    html = write_report(folder).read_text(encoding="utf-8")
    reader = Reader(html)
    return html, " ".join(" ".join(reader.text).split()), reader


# What is on the page ------------------------------------------------------------------------------


def test_what_was_run_is_said(folder):
    _, text, _ = read(folder)
    for said in [
        "pets / three",
        "python -m experiments.pets --seeds 7 8",
        "2026-03-04 05:06:07 UTC",
        "0123456789abcdef",
        "torch 2.15.0, pandas 3.1.1",
        "a machine, 2 cores",
        "Seeds 7, 8",
        "Learning rate 0.1",
        "Clutter 0",
        "Flip yes",
    ]:
        assert said in text


def test_sections_in_their_order_and_only_where_there_is_something(folder):
    def headings():
        return re.findall("<h2>(.*?)</h2>", read(folder)[0])

    everything = ["What was run", "In short", "Tables", "Figures"]
    everything += ["Confusion matrix", "Gallery", "Records"]
    assert headings() == everything
    (folder / "gallery.csv").unlink()
    shutil.rmtree(folder / "figures")
    assert headings() == ["What was run", "In short", "Tables", "Records"]


def test_the_confusion_matrix_has_a_section_of_its_own(folder):
    html, *_ = read(folder)
    figures, confusion = html.split("<h2>Confusion matrix</h2>")
    assert 'alt="Figure: Box accuracy" width="1500" height="300"' in figures
    assert 'alt="Figure: Net confusion"' in confusion
    assert 'alt="Figure: Net confusion"' not in figures


def test_nothing_is_loaded_from_elsewhere(folder):
    html, _, reader = read(folder)
    assert [a for a in reader.addresses if not a.startswith(("data:", "#"))] == []
    assert re.findall(r"https?:|url\(|@import", html) == []
    assert "default-src 'none'" in html


def test_everything_is_escaped(folder):
    for name in (f"<b>{'x'}.csv", "<i>.json", "<u>.txt"):
        (folder / name).write_text("{}" if name.endswith("json") else f"{EVIL},<em>\n{EVIL},2\n")
    (folder / "list.json").write_text(json.dumps([EVIL]))
    write_picture(folder / "figures" / "<h1>.png")
    (folder / "summary.csv").write_text(f'<em>,x\n"{EVIL}",1\n')
    html, text, reader = read(folder)
    assert sum(tag == "script" for tag, _ in reader.tags) == 1
    assert not {"b", "u", "em"} & {tag for tag, _ in reader.tags}
    assert "<script>alert" not in html
    assert text.count(EVIL) >= 5
    titled = folder.parent / EVIL.replace("/", "")
    folder.rename(titled)
    assert f"pets / {titled.name}" in read(titled)[1]


def test_an_interval_stands_with_its_number():
    frame = pd.DataFrame(
        {"iou": [0.5, 0.61], "iou_low": [0.45, 0.6], "iou_high": [0.55, 0.7], "n": [1, 2]}
    )
    html = table_html("summary.csv", frame)
    # From .45 to .7: .5 lies at .05/.25 = 20 %, .55 at .1/.25 = 40 %.
    strip = '<i class="strip" style="--at:20.0%;--low:0.0%;--high:40.0%"></i>'
    number = '<td class="number" data-value="0.5">'
    assert f"{number}0.500 <small>0.450 to 0.550</small>{strip}</td>" in html
    assert re.findall("<button.*?>(.*?)</button>", html) == ["IoU", "n"]


def test_an_interval_that_can_cross_zero_shows_where_zero_is():
    frame = pd.DataFrame({"d": [-0.1, -0.2], "low": [-0.4, -0.3], "high": [-0.1, -0.1]})
    # From -.4 to 0: zero is the right end, -.1 lies at .3/.4 = 75 %.
    html = table_html("pairs.csv", frame)
    zero = '<b style="--zero:100.0%"></b>'
    assert f'style="--at:75.0%;--low:0.0%;--high:75.0%">{zero}</i>' in html


@pytest.mark.parametrize(
    ("names", "headings"),
    [
        (["recall_difference", "recall_low", "recall_high"], ["Recall difference"]),
        (["difference", "low", "high"], ["Difference"]),
        (["a", "b_low", "b_high"], ["a", "b low", "b high"]),
        (["iou_mean", "iou_std", "iou_count"], ["IoU"]),
        (["mean", "std", "count"], ["Mean", "Std", "Count"]),
        (["iou", "iou_low"], ["IoU", "IoU low"]),
    ],
)
def test_which_columns_are_one(names, headings):
    html = table_html("x.csv", pd.DataFrame({name: [0.25, 0.5] for name in names}))
    assert re.findall("<button.*?>(.*?)</button>", html) == headings


def test_a_spread_has_the_decimals_of_its_mean():
    frame = pd.DataFrame({"x_mean": [0.58576], "x_std": [0.0037825], "x_count": [3]})
    assert "0.586 <small>± 0.004 (n = 3)</small>" in table_html("seeds.csv", frame)


def test_missing_values_have_a_dash_and_no_sort_key():
    frame = pd.DataFrame(
        {
            "iou": [0.5, np.nan],
            "iou_low": [0.4, np.nan],
            "iou_high": [0.6, np.nan],
            "a": ["x", None],
        }
    )
    html = table_html("x.csv", frame)
    assert '<td class="number" data-value="">—</td><th scope="row" data-value="">—</th>' in html


def test_numbers_as_they_are_read():
    numbers = [0.0, 0.01, 0.0099, 99.9999, 123.456, 1234.5, 12345.6, np.inf, -np.inf, 2e-11]
    texts = ["0.000", "0.010", "0.0099", "100.000", "123.5", "1234", "12,346", "∞", "-∞", "2e-11"]
    assert format_numbers(pd.Series(numbers)) == texts


@pytest.mark.parametrize(("n", "shown"), [(500, 500), (501, 20)])
def test_of_a_long_table_the_first_rows_are_shown(n, shown):
    html = table_html("rows.csv.gz", pd.DataFrame({"id": np.arange(n)}))
    assert re.findall(r'data-value="(\d+)"', html) == [str(row) for row in range(shown)]
    line = "the first 20 of 501 rows; all are in the file"
    assert (f"<code>rows.csv.gz</code> · {line}" in html) == (n == 501)


def test_classes_called_na_or_none_are_no_missing_values(folder):
    (folder / "summary.csv").write_text("class,n\nNA,1\nNone,2\n,3\n")
    table = read_folder(folder).tables["summary.csv"]
    assert table["class"].fillna("missing").tolist() == ["NA", "None", "missing"]


def test_a_gallery_card_says_all_it_knows(folder):
    html, *_ = read(folder)
    gallery = html.split("<h2>Gallery</h2>")[1].split("</section>")[0]
    cards = gallery.split("<figure ")[1:]
    assert 'alt="Heatmap. True: pug, Predicted: beagle (wrong), Method: Grad-CAM, ' in cards[1]
    for mark in ("(wrong)", 'class="wrong"'):
        assert [mark in card for card in cards] == [False, True, False, False]
    assert "<dt>IoU</dt><dd>0.812</dd>" in cards[0]
    assert "<dt>Photo</dt><dd>c.jpg</dd>" in cards[3]
    assert "IoU" not in cards[3]
    assert "data:image/jpeg;base64," in cards[0]
    assert "data:image/png;base64," in cards[1]


def test_a_figure_in_the_gallery_is_shown_once(folder):
    write_gallery(folder, [("figures/box_accuracy.png", *GALLERY[0][1:])])
    html, *_ = read(folder)
    assert html.count('width="1500" height="300"') == 1
    assert 'alt="Figure: Box accuracy"' not in html


# What is wrong with the folder --------------------------------------------------------------------


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def nested(n_lists):
    """What writes a record of lists in each other, in a name's value."""
    return lambda path: path.write_text('{"a": ' + "[" * n_lists + "[1]" + "]" * n_lists + "}")


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("rows.csv.gz", cut, "rows.csv.gz : Compressed file ended"),
        ("rows.csv.gz", lambda p: p.write_bytes(b"no gzip"), "rows.csv.gz : Not a gzipped file"),
        ("more.csv", lambda p: p.write_text("a,b\n1,2\n1,2,3\n"), "Expected 2 fields in line 3"),
        ("more.csv", lambda p: p.write_text(""), "more.csv : is empty"),
        ("more.csv", lambda p: p.write_text("a,b\n1,2,3\n4\n"), "more.csv : is no table (Len"),
        ("more.csv", Path.mkdir, "more.csv : is no file"),
        ("more.csv", os.mkfifo, "more.csv : is no file"),
        ("more.csv", lambda p: p.symlink_to("gone.csv"), "more.csv : No such file or directory"),
        ("more.csv", lambda p: p.write_bytes(b"a\n\xff\n"), "more.csv : is no text in UTF-8"),
        ("config.json", lambda p: p.write_text('{"a": '), "config.json : is no JSON (Expecting"),
        ("config.json", nested(49), "config.json : is nested deeper than 50 levels"),
        ("best.json", nested(100_000), "best.json : is nested deeper than 50 levels"),
        ("best.json", lambda p: p.write_text("[1]"), "must hold names and values, got [1]"),
        ("more.txt", lambda p: p.write_bytes(b"\xff"), "more.txt : is no text in UTF-8"),
        ("figures/box_accuracy.png", cut, "box_accuracy.png : is no whole PNG or JPEG picture"),
        ("figures/a.png", lambda p: Image.new("1", (9500, 9500)).save(p), "a.png : is too large"),
        ("figures/a.png", lambda p: Image.new("1", (9500, 19000)).save(p), "a.png : is too large"),
        ("figures/a.jpg", lambda p: p.write_text(EVIL), "figures/a.jpg : is no whole PNG or JPEG"),
        ("gallery/0.jpg", cut, "gallery/0.jpg : is no whole PNG or JPEG picture"),
        ("gallery/0.jpg", Path.unlink, "gallery/0.jpg : No such file or directory"),
        (
            "gallery.csv",
            lambda p: p.write_text("file,method,y_true,iou\n"),
            "gallery.csv : must have the columns file, method, y_true, y_pred, error_type, iou, "
            "lacks y_pred, error_type",
        ),
    ],
)
def test_damaged_files_are_named_on_the_page_and_the_rest_is_shown(folder, name, damage, said):
    damage(folder / name)
    html, text, _ = read(folder)
    assert said in text
    assert "<h2>Left out</h2>" in html
    assert "Grad-CAM" in text
    assert str(folder) not in html


def test_gallery_pictures_must_lie_in_the_folder(folder):
    write_picture(folder.parent / "secret.png")
    write_gallery(folder, [("../secret.png", *GALLERY[0][1:]), GALLERY[1]])
    html, text, _ = read(folder)
    assert "../secret.png : lies outside the folder" in text
    assert html.count('alt="Heatmap.') == 1


@pytest.mark.parametrize("name", ["more.txt", "more.csv", "more.json", "figures/more.png"])
def test_a_link_that_leads_out_of_the_folder_is_not_followed(folder, name):
    outside = folder.parent / name.replace("/", "-")
    outside.write_text('{"secret": 1}')
    (folder / name).symlink_to(outside)
    _, text, _ = read(folder)
    assert f"{name} : lies outside the folder" in text
    assert "secret" not in text


def test_a_link_within_the_folder_is_followed(folder):
    (folder / "again.csv").symlink_to("summary.csv")
    assert read_folder(folder).tables["again.csv"].equals(pd.DataFrame(SUMMARY))


def test_records_of_fifty_levels_are_shown(folder):
    nested(48)(folder / "config.json")
    assert "config.json" not in {name for name, _ in read_folder(folder).notes}
    assert "<h3>Settings</h3>" in read(folder)[0]


def test_of_long_texts_and_cells_the_start_is_shown(folder):
    (folder / "metrics_summary.txt").write_text("a" * 300_000)
    (folder / "more.csv").write_text(f"name,n\n{'b' * 2000},1\n")
    html, text, _ = read(folder)
    assert html.count("a" * 200_000) == 1
    assert "a" * 200_001 not in html
    assert "... the first 200,000 characters; all are in the file" in text
    assert f">{'b' * 1000}...</th>" in html
    assert "b" * 1001 not in html


def test_an_endless_interval_is_not_drawn():
    ends = {"low": [0.0, 0.0, -np.inf], "high": [np.inf, 2.0, 1.0]}
    html = table_html("x.csv", pd.DataFrame({"d": [np.inf, 1.0, 0.5]} | ends))
    assert html.count('class="strip"') == 1
    assert 'style="--at:50.0%;--low:0.0%;--high:100.0%"' in html
    assert "nan" not in html


def test_hidden_files_are_left_alone(folder):
    (folder / ".summary.csv.123").write_text("")
    (folder / ".half.csv").write_text("")
    assert read_folder(folder).notes == []


def test_no_folder(tmp_path):
    message = r"There is no folder .*nowhere\. Name the folder that an exp"
    with pytest.raises(SystemExit, match=message):
        check(Config(folder=str(tmp_path / "nowhere")))


def test_nothing_to_show(tmp_path):
    (tmp_path / "fit").mkdir()
    (tmp_path / "heatmaps").mkdir()
    looked = (
        r"looked for \*\.csv, \*\.csv\.gz, \*\.json, \*\.txt, and \*\.png and \*\.jpg here and in"
    )
    with pytest.raises(OSError, match=rf"nothing to show.*{looked}.*folders: fit, heatmaps\."):
        write_report(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["fit", "heatmaps"]


def test_a_page_that_cannot_be_written(folder):
    before = sorted(os.listdir(folder))
    with pytest.raises(OSError, match=r"Cannot write .*figures \(.*\)\. Name a file with --out\."):
        write_report(folder, folder / "figures")
    with pytest.raises(OSError, match=r"Cannot write .*page\.html \(There is no folder "):
        write_report(folder, folder / "nowhere" / "page.html")
    assert sorted(os.listdir(folder)) == before


def test_the_page_is_replaced_whole(folder):
    first = write_report(folder)
    assert first == folder / "report.html"
    inode = first.stat().st_ino
    (folder / "metrics_summary.txt").write_text("written anew")
    assert "written anew" in write_report(folder).read_text()
    assert first.stat().st_ino != inode


# The command --------------------------------------------------------------------------------------


def test_the_command(folder, tmp_path):
    out = tmp_path / "page.html"
    command = [sys.executable, "-m", "fmcam", "report", str(folder), "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"Wrote {out} (0.0 MB)\n"
    assert out.read_text() == write_report(folder).read_text()


def test_the_command_says_what_is_wrong():
    with pytest.raises(SystemExit, match="Name the folder of the results: `fmcam report FOLDER`"):
        main(Config())


# In a browser -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def phone(browser, tmp_path_factory):
    """A page of 390 x 844 pixels, what it requested and said, and the report's address."""
    address = write_report(write_results(tmp_path_factory.mktemp("page"))).as_uri()
    page, heard = browser.new_page(viewport={"width": 390, "height": 844}), []
    page.on("request", lambda request: heard.append(request.url))
    for event in ("console", "pageerror", "dialog"):
        page.on(event, lambda message: heard.append(str(message)))
    return page, heard, address


@pytest.fixture
def page(phone):
    """The report, opened anew; at the end it has requested nothing else and said nothing."""
    page, heard, address = phone
    heard.clear()
    page.emulate_media(color_scheme="light", media="screen")
    page.goto(address)
    yield page
    assert [what for what in heard if what != address and not what.startswith("data:")] == []
    assert address in heard


def column(page, place):
    return page.locator("table").first.locator(f"tbody tr > :nth-child({place})").all_inner_texts()


def test_numbers_sort_by_value_and_missing_ones_stay_last(page):
    heading = page.get_by_role("button", name="Score")
    heading.click()
    assert column(page, 1) == ["edges", "Grad-CAM", "CAM", "LayerCAM"]
    assert column(page, 2) == ["0.500", "0.500", "0.500", "—"]
    heading.click()
    assert column(page, 1) == ["CAM", "Grad-CAM", "edges", "LayerCAM"]


def test_texts_sort_as_people_count(page):
    page.get_by_role("button", name="Layer", exact=True).click()
    assert column(page, 4) == ["block 1", "block 9", "block 10", "—"]


def test_sorting_by_keyboard_says_how_it_sorted(page):
    heading = page.get_by_role("button", name="Size")
    heading.focus()
    page.keyboard.press("Enter")
    assert column(page, 3) == ["-20", "-4", "30", "100"]
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Size")
    page.keyboard.press("Space")
    assert column(page, 3) == ["100", "30", "-4", "-20"]
    page.get_by_role("button", name="Method", exact=True).click()
    assert page.locator("[aria-sort]").count() == 1
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Method")


def wait_for_all(page):
    """Resetting the filters takes effect a moment later."""
    page.locator(".gallery figure:visible").nth(len(GALLERY) - 1).wait_for()


def shown(page):
    cards = page.locator(".gallery figure")
    return [number for number in range(cards.count()) if cards.nth(number).is_visible()]


def test_the_gallery_shows_what_fits_all_filters(page):
    classes, methods, errors = (
        page.get_by_label(name) for name in ("True class", "Method", "Error type")
    )
    assert shown(page) == [0, 1, 2, 3]
    classes.select_option("pug (2)")
    assert shown(page) == [0, 1]
    methods.select_option("CAM (3)")
    assert shown(page) == [0]
    assert page.get_by_role("status").inner_text() == "1 of 4 pictures"
    page.get_by_role("button", name="Show all").click()
    wait_for_all(page)
    assert shown(page) == [0, 1, 2, 3]
    assert page.get_by_role("status").inner_text() == "4 of 4 pictures"
    errors.select_option("(none) (1)")
    assert shown(page) == [3]
    errors.select_option("All")
    classes.select_option("All (1)")
    assert shown(page) == [3]
    classes.select_option(f"{EVIL} (1)")
    assert shown(page) == [2]


def test_the_filters_work_by_keyboard(page):
    page.get_by_label("Method").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert shown(page) == [1]
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for_all(page)
    assert shown(page) == [0, 1, 2, 3]


def test_a_picture_opens_large_and_closes(page):
    page.locator(".enlarge").first.click()
    dialog = page.get_by_role("dialog")
    assert dialog.locator("img").get_attribute("alt") == "Figure: Box accuracy"
    assert dialog.locator("img").bounding_box()["width"] > 800
    assert "figures/box_accuracy.png" in dialog.inner_text()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement === document.querySelector('.enlarge')")
    page.locator(".gallery .enlarge").nth(1).press("Enter")
    assert "beagle (wrong)" in dialog.inner_text()
    dialog.get_by_role("button", name="Close").click()
    assert not dialog.is_visible()


def test_pictures_are_there_and_have_texts(page):
    pictures = page.locator("img")
    assert pictures.count() == 6
    assert pictures.evaluate_all("all => all.every(one => one.naturalWidth > 0 && one.alt !== '')")


def test_a_phone_scrolls_within_the_tables_only(page):
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    widths = page.locator(".scroll").last.evaluate("box => [box.scrollWidth, box.clientWidth]")
    assert widths[0] > 1000 > 390 > widths[1]
    right = page.evaluate(
        "Math.max(...[...document.querySelectorAll('section, figure, pre, .scroll,"
        " select')].map(one => one.getBoundingClientRect().right))"
    )
    assert right <= 390


def test_light_and_dark(page):
    def brightness(what):
        colour = page.evaluate(f"getComputedStyle(document.body).{what}")
        return sum(map(int, re.findall(r"\d+", colour)))

    assert brightness("backgroundColor") > 700 > 200 > brightness("color")
    page.emulate_media(color_scheme="dark")
    assert brightness("backgroundColor") < 100 < 600 < brightness("color")
    page.emulate_media(color_scheme="dark", media="print")
    assert brightness("color") < 200


def test_a_large_gallery_shows_some_pictures_at_a_time(browser, tmp_path):
    write_picture(tmp_path / "one.png")
    methods = ["CAM"] * 100 + ["Grad-CAM"] * 30
    write_gallery(tmp_path, [("one.png", method, *GALLERY[0][2:]) for method in methods])
    page = browser.new_page()
    page.goto(write_report(tmp_path).as_uri())
    shown, more = page.locator(".gallery figure:visible"), page.get_by_text("Show more")

    def decoded():
        return page.locator(".gallery img").evaluate_all("all => all.filter(one => one.src).length")

    def state():
        return shown.count(), decoded(), more.is_visible(), page.get_by_role("status").inner_text()

    assert state() == (60, 60, True, "130 of 130 pictures")
    more.click()
    assert state() == (120, 120, True, "130 of 130 pictures")
    more.click()
    assert state() == (130, 130, False, "130 of 130 pictures")
    page.get_by_label("Method").select_option("Grad-CAM (30)")
    assert state() == (30, 130, False, "30 of 130 pictures")
    page.get_by_label("Method").select_option("CAM (100)")
    assert state() == (60, 130, True, "100 of 130 pictures")
    page.close()
