"""The same boxes from every kind of file, and files that are not what they seem."""

import json
import re
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import pytest

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


@pytest.mark.real_data
def test_pets_from_every_format(data_home, tmp_path):
    xmls = data_home / "oxford-iiit-pet" / "annotations" / "xmls"
    if not xmls.is_dir():
        pytest.skip("FMCAM_DATA holds no oxford-iiit-pet")
    pets = read_boxes(xmls)
    assert len(pets) == len(pd.unique(pets["image"])) + 1 == 297  # one has two heads
    for _, of_size in pets.groupby(["width", "height"]):
        rows = of_size.to_dict("records")
        boxes = [
            (row["image"], row["label"], [int(row[name]) for name in ("x0", "y0", "x1", "y1")])
            for row in rows
        ]
        size, expected = (rows[0]["width"], rows[0]["height"]), of_size.reset_index(drop=True)
        for table in (
            read_boxes(write_coco(tmp_path, boxes, size)),
            read_boxes(write_csv(tmp_path, boxes, size), inclusive=False),
            read_boxes(write_csv(tmp_path, boxes, size, last=1), inclusive=True),
        ):
            pd.testing.assert_frame_equal(table, expected)


@pytest.mark.parametrize(
    "content",
    [
        "image,x0,y0,x1,y1,label\na.jpg,1,2,4,6,cat\n",
        "a.jpg,1,2,4,6,cat\n",
        "Label;X_Min;Y Min;xMax;YMAX;File Name;notes\n cat ;1.0;2e0;4;6; a.jpg ;x\n",
        "x1\ty1\tx2\ty2\tpath\tclass\n1\t2\t4\t6\ta.jpg\tcat\n",
        '"image_id","left","top","right","bottom","category_name"\n"a.jpg",1,2,4,6,"cat"\n',
        "\n\nfile,x0,y0,x1,y1,class,width,height\n\na.jpg,1,2,4,6,cat,,0\n\n",
    ],
)
def test_spellings_of_a_csv_file(tmp_path, content):
    path = tmp_path / "boxes.txt"
    path.write_text(content)
    table = read_boxes(path, inclusive=False)
    expected = as_table([("a.jpg", "cat", (1, 2, 4, 6))], size=(pd.NA, pd.NA))
    pd.testing.assert_frame_equal(table, expected)


def test_names_and_labels_that_look_like_numbers_stay_as_they_are(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("image,x0,y0,x1,y1,label\n007,1,2,4,6,01\nnull,1,2,4,6,NA\n")
    table = read_boxes(path, inclusive=False)
    assert table[["image", "label"]].to_numpy().tolist() == [["007", "01"], ["null", "NA"]]


def test_imagenet_by_hand(tmp_path):
    path = tmp_path / "LOC_val_solution.csv"
    path.write_text("ImageId,PredictionString\nb,n02 0 1 9 9 n01 2 2 2 2 \na,\n")
    table = read_boxes(path).iloc[:, :6]
    expected = [("b", "n02", (0, 1, 10, 10)), ("b", "n01", (2, 2, 3, 3)), ("a", None, None)]
    pd.testing.assert_frame_equal(table, as_table(expected).iloc[:, :6])


@pytest.mark.parametrize(
    ("inclusive", "corners"), [(None, [0, 1, 3, 4]), (True, [1, 2, 4, 5]), (False, [1, 2, 3, 4])]
)
def test_what_voc_counts_from(tmp_path, inclusive, corners):
    path = tmp_path / "a.xml"
    path.write_text(
        "<annotation><object><name>a</name><difficult>1</difficult><bndbox><xmin>1</xmin><ymin>2"
        "</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>"
    )
    table = read_boxes(path, inclusive=inclusive)
    assert table[["x0", "y0", "x1", "y1"]].to_numpy().tolist() == [corners]
    assert table["image"].tolist() == ["a"]


def test_boxes_of_crowds_are_left_out_with_a_warning(tmp_path):
    path = write_coco(tmp_path, BOXES)
    record = json.loads(path.read_text())
    record["annotations"][2]["iscrowd"] = 1
    path.write_text(json.dumps(record))
    with pytest.warns(UserWarning, match=r"1 of 4 boxes are of crowds \(`iscrowd`\)"):
        table = read_boxes(path)
    pd.testing.assert_frame_equal(table, as_table(BOXES[:2] + BOXES[3:]))


@pytest.mark.parametrize("format", ["yolo", ["csv"], {"csv"}, {"csv": 1}, np.array(["a", "b"]), 3])
def test_unknown_format(tmp_path, format):
    message = rf"`format` must be one of .*coco.*, got {re.escape(repr(format))}"
    with pytest.raises(ValueError, match=message):
        read_boxes(tmp_path, format=format)


@pytest.mark.parametrize("inclusive", ["no", 0, np.nan])
def test_whether_the_last_pixel_belongs_to_a_box_is_true_or_false(tmp_path, inclusive):
    path = tmp_path / "boxes.csv"
    path.write_text("image,x0,y0,x1,y1,label\na.jpg,1,2,4,6,cat\n")
    with pytest.raises(TypeError, match="inclusive must be an instance of bool, not "):
        read_boxes(path, inclusive=inclusive)
