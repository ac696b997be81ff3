"""The same boxes from every kind of file, and files that are not what they seem."""

import json
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd

from fmcam.datasets import read_boxes

BOXES = [
    ("birds/a b.jpg", "red kite", (0, 0, 60, 40)),
    ("birds/a b.jpg", "red kite", (10, 5, 20, 40)),
    ("birds/a b.jpg", "owl", (1, 1, 2, 2)),
    ("birds/é&.png", "owl", (3, 4, 50, 6)),
    ("empty.jpg", None, None),
]
SIZE = (60, 40)


def as_table(boxes, size=SIZE):
    """What `read_boxes` has to make of them."""
    rows = [(image, label, *map(float, box or [np.nan] * 4), *size) for image, label, box in boxes]
    names = ["image", "label", "x0", "y0", "x1", "y1", "width", "height"]
    table = pd.DataFrame(rows, columns=names).astype({"width": "Int64", "height": "Int64"})
    return table.sort_values(names[:6], ignore_index=True)


def write_coco(folder, boxes, size=SIZE):
    images = list(dict.fromkeys(image for image, _, _ in boxes))
    labels = list(dict.fromkeys(label for _, label, _ in boxes if label))
    annotations = [
        {
            "image_id": 100 + images.index(image),
            "category_id": labels.index(label),
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
        }
        for image, label, box in boxes
        if box
    ]
    record = {
        "images": [
            {"id": 100 + number, "file_name": name, "width": size[0], "height": size[1]}
            for number, name in enumerate(images)
        ],
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in enumerate(labels)],
    }
    path = folder / "boxes.json"
    path.write_text(json.dumps(record))
    return path


def write_voc(folder, boxes, size=SIZE):
    root = folder / "voc"
    texts = {}
    for image, label, box in boxes:
        x0, y0, x1, y1 = box or (0, 0, 0, 0)
        texts[image] = texts.get(image, "") + (
            f"<object><name>{label}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin>"
            f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>"
            "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"
            if box
            else ""
        )
    for image, objects in texts.items():
        path = (root / image).with_suffix(".xml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"<annotation><folder>elsewhere</folder><filename>{escape(image.split('/')[-1])}"
            f"</filename><size><width>{size[0]}</width><height>{size[1]}</height></size>{objects}"
            "</annotation>",
            encoding="utf-8",
        )
    return root


def write_csv(folder, boxes, size=SIZE, last=0):
    lines = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for image, label, box in boxes:
        corners = (box[0], box[1], box[2] - last, box[3] - last) if box else [""] * 4
        lines.append(",".join(map(str, (image, *size, label or "", *corners))))
    path = folder / f"boxes{last}.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_every_format_gives_one_and_the_same_table(tmp_path):
    expected = as_table(BOXES)
    read = {
        "coco": read_boxes(write_coco(tmp_path, BOXES)),
        "voc": read_boxes(write_voc(tmp_path, BOXES)),
        "half-open": read_boxes(write_csv(tmp_path, BOXES), inclusive=False),
        "inclusive": read_boxes(write_csv(tmp_path, BOXES, last=1), inclusive=True),
    }
    for table in read.values():
        pd.testing.assert_frame_equal(table, expected)
