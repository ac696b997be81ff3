"""Every block of the README and of the pages of the site runs, and prints what stands below it."""

import contextlib
import io
import os
import re
import shlex
import subprocess
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.models import ResNet18_Weights, resnet18

from fmcam.datasets import make_fashion_shapes
from tests.small_data import draw_photographs

ROOT = Path(__file__).parent.parent
ELSEWHERE = {
    "coming-from.md": "tests/test_coming_from.py runs its blocks",
    "scoring.md": "tests/test_scoring_page.py runs its blocks",
    "clusters.md": "a scheduler of its own is on another machine",
}
PAGES = {page.name: page.read_text() for page in [ROOT / "README.md", *ROOT.glob("docs/*.md")]}
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$(?:\n+```text\n(.*?)^```$)?", re.M | re.S)
BLOCKS = {
    name: found
    for name, text in PAGES.items()
    if name not in ELSEWHERE and (found := BLOCK.findall(text))
}
SMALL = {  # a command: what it is given besides; of an option that is there twice the last counts
    "fmcam finetune": "--image-size 64 --batch-size 8 --head-epochs 1 --epochs 1 --gallery 4"
}
COMMANDS = 'python() {{ {python} "$@"; }}\nfmcam() {{ python -m fmcam "$@"; }}\n'


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder in which torchvision finds the weights of ResNet-18, random ones here."""
    folder = tmp_path_factory.mktemp("torch")
    file = folder / "hub" / "checkpoints" / ResNet18_Weights.DEFAULT.url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(resnet18().state_dict(), file)
    return folder


@pytest.fixture
def environment(tmp_path, monkeypatch, weights, cache):
    """In a folder of its own: what the pages take for given, photographs and weights."""
    for name, pixels in zip(("china.jpg", "cat.jpg"), load_sample_images().images, strict=True):
        Image.fromarray(pixels).save(tmp_path / name)
    draw_photographs(tmp_path / "photos", 10)
    monkeypatch.setenv("TORCH_HOME", str(weights))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    yield os.environ
    plt.close("all")


def printed(language, block, names, python):
    """What a block prints, Python in the names that earlier ones have made."""
    if language == "bash":
        for command, settings in SMALL.items():
            block = re.sub(f"^{command}.*", rf"\g<0> {settings}", block, flags=re.M)
        block = COMMANDS.format(python=shlex.join(python)) + block
        done = subprocess.run(["bash", "-euc", block], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block, "<block>", "exec"), names)
    return out.getvalue()


def words_and_numbers(text):
    """The words of a text, and its numbers: those of another machine differ a little."""
    parts = re.split(r"(-?\d+\.?\d*)", text)
    return [part.split() for part in parts[::2]], [float(part) for part in parts[1::2]]


@pytest.mark.slow
@pytest.mark.parametrize("name", BLOCKS)
def test_the_blocks_run(name, environment, warm_python):
    shapes = make_fashion_shapes(60, random_state=0)
    names = {"__name__": "__main__", "X": shapes.images, "y": shapes.target}
    for language, block, shown in BLOCKS[name]:
        words, numbers = words_and_numbers(printed(language, block, names, warm_python))
        if shown:
            shown_words, shown_numbers = words_and_numbers(shown)
            assert words == shown_words
            assert numbers == pytest.approx(shown_numbers, abs=0.1)


@pytest.mark.parametrize("name", BLOCKS)
def test_what_blocks_print_fits_a_terminal(name):
    lines = [line for _, _, shown in BLOCKS[name] for line in shown.splitlines()]
    assert [line for line in lines if len(line) > 80 or "..." in line] == []


def test_pages_that_run_elsewhere_are_there():
    assert ELSEWHERE.keys() <= PAGES.keys()
    assert len(BLOCKS["README.md"]) == 3
