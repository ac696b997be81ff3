"""Files of boxes that are damaged, of another kind than they seem, or made to do harm."""

import json
import os
import time
import warnings

import pytest

from fmcam.datasets import read_boxes

ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
BILLION_LAUGHS = f'<!DOCTYPE a [<!ENTITY e0 "ha">{ENTITIES}]><annotation>&e9;</annotation>'
OTHER_FILE = (
    '<!DOCTYPE a [<!ENTITY e SYSTEM "{}">]><annotation><filename>&e;</filename></annotation>'
)
OBJECT = "<object><name>cat</name><bndbox>{}</bndbox></object>"
CORNERS = "<xmin>{}</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax>"


def voc(inside):
    return f"<annotation><filename>boxes.jpg</filename>{inside}</annotation>"


def corner(value):
    return voc(OBJECT.format(CORNERS.format(value)))


def coco(**changes):
    record = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}],
        "annotations": [{"id": 7, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 2, "name": "cat"}],
    }
    return json.dumps(record | changes)


def annotation(**changes):
    return coco(annotations=[{"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]} | changes])


HEADER = "image,x0,y0,x1,y1,label\n"
FILES = [
    # XML
    ("boxes.xml", BILLION_LAUGHS, "plain XML, but: .*e0"),
    ("boxes.xml", OTHER_FILE.format("/etc/passwd"), "plain XML, but: .*e"),
    ("boxes.xml", OTHER_FILE.format("http://127.0.0.1:9/"), "plain XML, but: .*e"),
    ("boxes.xml", '<?xml version="1.0" encoding="x"?><annotation/>', "plain XML, but: "),
    ("boxes.xml", "<annotation>", "plain XML, but: no element found"),
    ("boxes.xml", "<annotation/></annotation>", "plain XML, but: not well-formed"),
    ("boxes.xml", "<html/>", "must be an `annotation` of Pascal VOC, got 'html'"),
    ("boxes.xml", voc("").replace("boxes", "other"), "named after its image, .* 'other.jpg'"),
    ("boxes.xml", voc("<object><name>a</name></object>"), "an `object` must have a `bndbox`"),
    ("boxes.xml", voc("<object><bndbox/></object>"), "an `object` must have a `name`"),
    ("boxes.xml", voc(OBJECT.format("")), "xmin must be a number, got ''"),
    ("boxes.xml", corner("one"), "xmin must be a number, got 'one'"),
    ("boxes.xml", corner("nan"), "a box must have four numbers"),
    ("boxes.xml", corner("inf"), "a box must have four numbers"),
    ("boxes.xml", corner("1e300"), "a box must have four numbers"),
    ("boxes.xml", corner("0"), r"counts pixels from 1, and 1 of 1 boxes .* `inclusive=True`"),
    ("boxes.xml", voc("<size><width>x</width></size>"), "size/width must be a number, got 'x'"),
    ("boxes.xml", voc("<size><width>-5</width></size>"), "width of a picture .* got -5.0"),
    # JSON
    ("boxes.json", '{"images": [', "must be JSON, but: Expecting value"),
    ("boxes.json", "[" * 100_000, "must be JSON, but: "),
    ("boxes.json", '{"images": ' + "[" * 100_000 + "]" * 100_000 + "}", "must be JSON, but: "),
    ("boxes.json", coco().replace("[1, 2,", "[NaN, 2,"), "NaN is no number of JSON"),
    ("boxes.json", coco().replace("[1, 2,", "[-Infinity, 2,"), "-Infinity is no number of JSON"),
    ("boxes.json", coco().replace("[1, 2,", "[1e999, 2,"), r"annotations\[0\]: bbox must be"),
    ("boxes.json", coco().replace("[1, 2,", f"[{'9' * 400}, 2,"), r"annotations\[0\]: bbox must"),
    ("boxes.json", coco().replace("[1, 2,", f"[{'9' * 9999}, 2,"), "must be JSON, but: "),
    ("boxes.json", "{}", r"an object with images, annotations, categories, .* got \[\]"),
    ("boxes.json", "[]", "got a list, as those of detections are"),
    ("boxes.json", coco(images={"a.jpg": 1}), "images must be a list of objects"),
    ("boxes.json", coco(images=[3]), "images must be a list of objects"),
    ("boxes.json", coco(images=[]), r"annotations\[0\]: image_id must be an id in the file, got 1"),
    ("boxes.json", coco(images=[{"id": 1}]), "an image must have a file_name, got None"),
    ("boxes.json", coco(images=[{"id": 1, "file_name": 5}]), "have a file_name, got 5"),
    ("boxes.json", coco(images=[{"file_name": "a"}]), r"images\[0\] must have an id, got None"),
    ("boxes.json", coco(images=[{"id": [1], "file_name": "a"}]), r"must have an id, got \[1\]"),
    ("boxes.json", coco(images=[{"id": 1, "file_name": "a"}] * 2), "two images have the id 1"),
    (
        "boxes.json",
        coco(images=[{"id": 1, "file_name": "a", "width": "9"}]),
        r"width and height must be numbers, got \('9', None\)",
    ),
    ("boxes.json", coco(images=[{"id": 1, "file_name": "a", "width": 9.5}]), "whole number"),
    ("boxes.json", coco(categories=[{"id": 2, "name": ["cat"]}]), "category must have a name"),
    ("boxes.json", coco(categories=[{"id": 2}, {"id": 2}]), "two categories have the id 2"),
    ("boxes.json", coco(categories=[]), "category_id must be an id in the file, got 2"),
    ("boxes.json", annotation(image_id=[1]), r"image_id must be an id in the file, got \[1\]"),
    ("boxes.json", annotation(bbox=["1", 2, 3, 4]), "bbox must be x, y, width, height, got "),
    ("boxes.json", annotation(bbox=[1, 2, 3]), "bbox must be x, y, width, height, got "),
    ("boxes.json", annotation(bbox=[True, 2, 3, 4]), "bbox must be x, y, width, height, got "),
    ("boxes.json", annotation(bbox=None), "bbox must be x, y, width, height, got None"),
    ("boxes.json", annotation(bbox="x" * 5000), r"got 'x{50,99}\.\.\.\."),
    ("boxes.json", annotation(iscrowd="0"), r"annotations\[0\]: iscrowd must be 0 or 1, got '0'"),
    # CSV
    ("boxes.csv", "a.jpg,1,2\n", "must have the columns image, x0, y0"),
    ("boxes.csv", "image,x,y,w,h\na.jpg,1,2,3,4\n", "x, y is a corner for some tools"),
    ("boxes.csv", HEADER + "a.jpg,1,2,three,4,cat\n", r"x1 must be a number, got 'three' \(1 of 1"),
    ("boxes.csv", HEADER + "a.jpg,1,2,inf,4,cat\n", "a box must have four numbers"),
    ("boxes.csv", HEADER + "a.jpg,1,2,,4,cat\n", r"four numbers .* 'a.jpg' \(1 of 1 rows\)"),
    ("boxes.csv", HEADER + "a.jpg,1,2,3,4,cat,extra\n", "must be a table, but: "),
    ("boxes.csv", HEADER + "a.jpg,1,2,2,5,30,1,40,5,cat\n", "must be a table, but: "),
    ("boxes.csv", HEADER + 'a.jpg,1,2,3,4,"cat\n', "must be a table, but: "),
    ("boxes.csv", HEADER + "a.jpg,0x1,2,3,4,cat\n", "x0 must be a number, got '0x1'"),
    ("boxes.csv", HEADER + "a.jpg,1_0,2,3,4,cat\n", "x0 must be a number, got '1_0'"),
    ("boxes.csv", HEADER + ",1,2,3,4,cat\n", "must name the image of each row, 1 do not"),
    ("boxes.csv", "image,image,x0,y0,x1,y1\n", "must be a table, but: .*Duplicate names"),
    ("boxes.csv", "image,x_0,x0,y0,x1,y1\n", "must have each column once"),
    ("boxes.csv", "image,path,x0,y0,x1,y1\na,a,1,2,3,4\n", "one of the columns .*image.*path"),
    ("boxes.csv", HEADER, "holds no image"),
    # ImageNet
    ("boxes.csv", "ImageId,PredictionString\na,n01 1 2 3\n", "line 2 must be an id and groups"),
    ("boxes.csv", "ImageId,PredictionString\na,n01 1 2 3 x\n", "line 2 must have numbers"),
    ("boxes.csv", "ImageId,PredictionString\n,n01 1 2 3 4\n", "line 2 must be an id and groups"),
    # neither
    ("boxes", "", "is empty"),
    ("boxes", " \n\r\n\t", "is empty"),
    ("boxes", "\ufeff", "is empty"),
    ("boxes", "hello", "must be JSON of COCO, XML of Pascal VOC or a table with .*hell"),
]


@pytest.mark.parametrize(("name", "content", "message"), FILES)
def test_what_is_wrong_is_told_with_the_name_of_the_file(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    inclusive = None if name == "boxes.xml" else False
    start = time.process_time()
    quiet = warnings.catch_warnings(action="ignore")  # they are errors in tests alone
    with quiet, pytest.raises(ValueError, match=message) as caught:
        read_boxes(path, inclusive=inclusive)
    assert time.process_time() - start < 2
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("format", ["coco", "voc", "csv", "imagenet"])
@pytest.mark.parametrize(
    "content", [b"\x00" * 99, b"\xff\xfe\x00", b"\x89PNG\r\n\x1a\n\x00", b"\xe9t\xe9,1"]
)
def test_bytes_that_are_no_text(tmp_path, format, content):
    path = tmp_path / "boxes"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=str(path)):
        read_boxes(path, format=format, inclusive=False)


@pytest.mark.parametrize("format", [None, "coco", "voc", "csv", "imagenet"])
def test_what_is_no_file(tmp_path, format):
    def read(name):
        read_boxes(tmp_path / name, format=format, inclusive=False)

    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "again").symlink_to(tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "large", "wb") as file:
        file.truncate(3 * 2**30)  # of no blocks on the disk
    with pytest.raises(OSError, match="nothing"):
        read("nothing")
    with pytest.raises(OSError, match="loop"):
        read("loop")
    with pytest.raises(ValueError, match="pipe must be a file"):
        read("pipe")
    with pytest.raises(ValueError, match=r"large must have .* at most, got 3,221,225,472"):
        read("large")
    if format in (None, "voc"):
        with pytest.raises(ValueError, match="must hold XML files"):
            read("folder")
    else:
        with pytest.raises(ValueError, match="folder must be a file"):
            read("folder")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("boxes.csv", HEADER + "é.jpg,1,2,4,6,chat\n"),
        (
            "boxes.json",
            coco().replace("a.jpg", "é.jpg").replace('"cat"', '"chat"').replace(", ", ",\n"),
        ),
        ("boxes.csv", "ImageId,PredictionString\né.jpg,chat 1 2 4 6 \n"),
    ],
)
def test_byte_order_marks_and_ends_of_lines(tmp_path, encoding, ends, name, content):
    path = tmp_path / name
    path.write_bytes(content.replace("\n", ends).encode(encoding))
    table = read_boxes(path, inclusive=False)
    row = ["é.jpg", "chat", 1, 2, 4, 6]
    assert table.iloc[:, :6].to_numpy().tolist() == [row]


def test_names_that_lead_elsewhere_are_only_names(tmp_path):
    path = tmp_path / "boxes.json"
    path.write_text(coco(images=[{"id": 1, "file_name": "../../../etc/passwd"}]))
    assert read_boxes(path)["image"].tolist() == ["../../../etc/passwd"]
