"""Files of boxes and masks that may be damaged, beside the picture that they are of."""

import contextlib
import json
import os
from unittest import mock

import numpy as np
from PIL import Image

from experiments.benchmark._kind import Kind
from fmcam.datasets import load_boxed_images, load_wsol, read_boxes

__all__ = ["BOX_KINDS"]

_XML = """\
<annotation><filename>a.png</filename><size><width>24</width><height>16</height></size><object>
<name>cat</name><bndbox><xmin>3</xmin><ymin>2</ymin><xmax>20</xmax><ymax>14</ymax></bndbox></object>
</annotation>"""
_OUTLINES = (
    [[2, 1, 20, 1, 20, 14, 2, 14]],
    {"size": [16, 24], "counts": [33, 13, 338]},
    {"size": [16, 24], "counts": "Q1=b:"},
)
_COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 24, "height": 16}],
    "annotations": [
        {"image_id": 1, "category_id": 2, "bbox": [2, 1, 18, 13], "segmentation": outline}
        for outline in _OUTLINES
    ],
    "categories": [{"id": 2, "name": "cat"}],
}
_FILES = {
    "boxes.json": json.dumps(_COCO),
    "a.xml": _XML,
    "boxes.csv": "image,x0,y0,x1,y1,label,width,height\na.png,2,1,20,14,cat,24,16\n",
    "LOC_val_solution.csv": "ImageId,PredictionString\na,cat 2 1 19 13 cat 4 1 19 13 \n",
}
_LISTS = {
    "image_ids.txt": "a.png\n",
    "class_labels.txt": "a.png,3\n",
    "image_sizes.txt": "a.png,24,16\n",
    "localization.txt": "a.png,2,1,19,13\na.png,4,1,19,13\n",
}


class Boxes(Kind):
    """A file of boxes."""

    def __init__(self, name):
        self.name = name

    def make(self, folder):
        """The file, a picture and its mask."""
        _draw(folder)
        (folder / self.name).write_text(_FILES[self.name])

    def read(self, folder):
        """Boxes and masks in squares."""
        path = folder / self.name
        masks = path if path.suffix == ".json" else folder / "masks"
        table = read_boxes(path, inclusive=False if self.name == "boxes.csv" else None)
        with _named(folder):
            loaded = load_boxed_images(folder / "images", table, size=8, masks=masks)
        _check(loaded)


class Lists(Kind):
    """A folder of wsolevaluation."""

    def make(self, folder):
        """The lists and a picture."""
        _draw(folder)
        (folder / "lists" / "test").mkdir(parents=True)
        for name, content in _LISTS.items():
            (folder / "lists" / "test" / name).write_text(content)

    def read(self, folder):
        """Boxes in squares."""
        with _named(folder):
            loaded = load_wsol(folder / "images", folder / "lists", "test", size=8)
        _check(loaded)


def _draw(folder):
    for name, values in {"images": 200, "masks": 1}.items():
        (folder / name).mkdir()
        pixels = np.zeros((16, 24), dtype=np.uint8)
        pixels[1:14, 2:20] = values
        Image.fromarray(pixels).save(folder / name / "a.png")


@contextlib.contextmanager
def _named(folder):
    """Pictures are decoded into the folder, and errors of a table name it."""
    with mock.patch.dict(os.environ, {"XDG_CACHE_HOME": str(folder / "cache")}):
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from error


def _check(loaded):
    """All boxes lie in their squares, with an area, and masks have their three values."""
    boxes = loaded.boxes[~np.isnan(loaded.boxes[..., 0])]
    if not ((boxes >= 0) & (boxes <= 8)).all() or not (boxes[:, :2] < boxes[:, 2:]).all():
        raise AssertionError(f"boxes {boxes.tolist()}")
    if loaded.masks is not None and not np.isin(loaded.masks, (0, 1, 255)).all():
        raise AssertionError("masks of other values")


BOX_KINDS = {
    **{f"boxes {name}": Boxes(name) for name in _FILES},
    "boxes of wsolevaluation": Lists(),
}
