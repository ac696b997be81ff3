"""Every block of docs/coming-from.md runs, on small data and with a few settings made small."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import torch
import torchvision

from tests.small_data import draw_imagenette, draw_pets, draw_photographs, draw_plants

ROOT = Path(__file__).parent.parent
SECTIONS = dict(
    section.split("\n", maxsplit=1)
    for section in re.split("^## ", (ROOT / "docs" / "coming-from.md").read_text(), flags=re.M)[1:]
)
BLOCKS = {
    f"{title}, {language}": (language, block)
    for title, text in SECTIONS.items()
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```", text, flags=re.M | re.S)
}
TRANSFER = "--weights resnet18.pth --image-size 64 --head-epochs 1 --epochs 1"
SMALL = {  # a command: what it is given besides; of an option that is there twice the last counts
    "experiments.localize": "--dataset shapes --canvas 40 --feature-canvas 32 --rows 300 --epochs 1"
    " --images 8 --validation 12 --visualize 1",
    "experiments.compare": "--dataset shapes --search runs/grid_search/fashion-mnist --epochs 1"
    " --seeds 0 --jobs 1",
    "experiments.pets": f"{TRANSFER} --batch-size 6 --validation 0.3 --gallery 1",
    "--dataset canvas": "--dataset shapes --image-size 28",
    "fmcam finetune": f"{TRANSFER} --test 0.3",
    "fmcam grid-search": "--dataset shapes --rows 100 --epochs 1 --final-epochs 1 --lr 0.01"
    " --batch-size 64 --weight-decay 0 --jobs 1 --out runs/grid_search/fashion-mnist",
    "fmcam train": "--epochs 1 --image-size 64 --batch-size 8 --val-size 10 --seeds 0",
}
SMALLER = [  # in Python: a pattern and what it becomes
    ('"fashion-mnist", ("train"|"test")', r'"shapes", \1'),
    (r"get_data_loaders\((\w+)", r'get_data_loaders(\1, dataset="shapes"'),
    (r"\b(train|test|pets)\.(images|target)\b", r"\g<0>[:100]"),
    (r"max_epochs=\d+", "max_epochs=1"),
    ("size=(160|224)", "size=64"),
    (r"Crop\(160\)", "Crop(64)"),
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """With small data sets, an empty cache, this checkout and this Python."""
    home = tmp_path_factory.mktemp("home")
    draw_imagenette(home, {"train": 3, "val": 1})
    draw_pets(home, {"trainval": 6, "test": 2})
    return {
        **os.environ,
        "FMCAM_DATA": str(home),
        "MPLBACKEND": "agg",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(home / "cache"),
    }


@pytest.fixture
def folder(tmp_path):
    """What the page takes for given: the checkout's files, photographs, weights of a network."""
    for name in ("configs", "examples", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    draw_photographs(tmp_path / "photos", 10)
    draw_plants(tmp_path / "plants")
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "resnet18.pth")
    return tmp_path


def small(language, block, python):
    """The arguments of the Python or shell that runs a block, smaller."""
    if language == "python":
        for pattern, replacement in SMALLER:
            block = re.sub(pattern, replacement, block)
        return [*python, "-c", block]
    lines = block.replace("\\\n", " ").splitlines()
    for command, settings in SMALL.items():
        lines = [f"{line} {settings}" if command in line else line for line in lines]
    run = f'python() {{ {shlex.join(python)} "$@"; }}\nfmcam() {{ python -m fmcam "$@"; }}\n'
    return ["bash", "-euc", run + "\n".join(lines)]


@pytest.mark.slow
@pytest.mark.parametrize("name", BLOCKS)
def test_the_block_runs(name, environment, folder, warm_python):
    command = small(*BLOCKS[name], warm_python)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"{done.stdout}\n{done.stderr}", pytrace=False)


@pytest.mark.parametrize("title", SECTIONS)
def test_the_blocks_use_all_that_the_table_names(title):
    table = re.findall(r"^\| (.*) \| (.*) \|$", SECTIONS[title], flags=re.M)[1:]
    ours = [code for _, right in table for code in re.findall("`([^`]+)`", right)]
    assert ours
    blocks = [block for name, (_, block) in BLOCKS.items() if name.startswith(title)]
    assert len(blocks) == 2
    assert [code for code in ours if not any(code in block for block in blocks)] == []
