"""Every block of docs/scoring.md runs, one after the other, on a few drawn photographs."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from fmcam.classifiers import CNNClassifier, save_classifier
from fmcam.models import CNN_CAM, Standardize, StandardizedNet

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "scoring.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.M | re.S)
SMALL = "--gallery 2"
SIZE = 64
LABELS = ["goldfish", "tench"]


def of_box(x, y):
    """A box of 30 x 20 pixels in COCO's format, and as runs of pixels, of pictures of 80 x 60."""
    runs = [60 * x + y, *[20, 40] * 29, 20, 60 * (80 - x - 30) + 60 - y - 20]
    return {"bbox": [x, y, 30, 20], "segmentation": {"size": [60, 80], "counts": runs}}


def write_boxes(folder, boxes):
    """As all files that the page names."""
    for file, images in (("boxes", boxes), ("val", boxes[:6]), ("test", boxes[6:])):
        content = {
            "images": [{"id": n, "file_name": name} for n, (name, *_) in enumerate(images)],
            "categories": [{"id": n, "name": label} for n, label in enumerate(LABELS)],
            "annotations": [
                {"id": n, "image_id": n, "category_id": LABELS.index(label), **of_box(x, y)}
                for n, (_, label, x, y) in enumerate(images)
            ],
        }
        (folder / f"{file}.json").write_text(json.dumps(content))
    for file, prefix in (("boxes", ""), ("breeds", "my ")):
        rows = [f"{name},{prefix}{label},{x},{y},{x + 30},{y + 20}" for name, label, x, y in boxes]
        (folder / f"{file}.csv").write_text("\n".join(["image,label,x0,y0,x1,y1", *rows]) + "\n")


@pytest.fixture
def folder(tmp_path):
    """What the page takes for given: photographs, boxes and networks."""
    rng, boxes = np.random.default_rng(0), []
    (tmp_path / "photos").mkdir()
    for number in range(14):
        picture = Image.fromarray(rng.integers(0, 120, (60, 80, 3), dtype=np.uint8))
        x, y = rng.integers(0, [50, 40]).tolist()
        picture.paste([(250, 160, 40), (90, 110, 60)][number % 2], (x, y, x + 30, y + 20))
        picture.save(tmp_path / "photos" / f"{number:02}.png")
        boxes.append((f"{number:02}.png", LABELS[number % 2], x, y))
    write_boxes(tmp_path, boxes)
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "resnet18.pth")
    net = StandardizedNet(CNN_CAM(2, 3), Standardize(3, [100.0] * 3, [60.0] * 3))
    clf = CNNClassifier(CNN_CAM).adopt(net, np.arange(2), (3, SIZE, SIZE))
    save_classifier(clf, tmp_path / "cnn.safetensors", class_names=LABELS)
    return tmp_path


@pytest.mark.slow
def test_the_blocks_run(folder, warm_python):
    assert [language for language, _ in BLOCKS] == [*["bash"] * 5, "python", "bash", "python"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    for language, block in BLOCKS:
        command = [*warm_python, "-c", block]
        if language == "bash":
            fmcam = f'fmcam() {{ {shlex.join(warm_python)} -m fmcam "$@" {SMALL}; }}\n'
            command = ["bash", "-euc", fmcam + block]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    for run in ("score", "parts", "table", "outlines", "bright"):
        assert (folder / "runs" / run / "report.html").is_file()
