"""COCO's JSON: images, categories, and annotations with a box x, y, width, height."""

import json
import warnings

from fmcam._text import printable, shown
from fmcam.datasets._box_files.content import text_of

__all__ = ["annotations", "is_crowd", "is_number", "read"]

_LISTS = ("images", "annotations", "categories")


def read(path):
    """Rows of a COCO file: corners are x, y, x + width, y + height.

    Boxes of crowds are left out with a warning: they surround many objects, and COCO's own
    evaluation ignores them.
    """
    lists = _lists(path)
    found = list(_annotations(path, lists))
    boxes = [one for one in found if not is_crowd(one[0], one[-1])]
    if len(boxes) < len(found):
        warnings.warn(
            f"{path}: {len(found) - len(boxes)} of {len(found)} boxes are of crowds (`iscrowd`) "
            "and left out, as in COCO's evaluation.",
            stacklevel=3,
        )
    sizes = dict(_named(path, image) for image in lists[0])
    if len(sizes) < len(lists[0]):
        raise ValueError(
            f"{path}: images must have different names, {len(sizes)} of {len(lists[0])} do."
        )
    rows = [
        (image, label, *_corners(place, one), *sizes[image]) for place, image, label, one in boxes
    ]
    without = sizes.keys() - {row[0] for row in rows}
    return rows + [(image, *[None] * 5, *sizes[image]) for image in without]


def annotations(path):
    """Yield each annotation of a file: where it stands, name of the image, label, and itself."""
    yield from _annotations(path, _lists(path))


def is_crowd(place, annotation):
    """Whether an annotation is of a crowd: its `iscrowd` is 1."""
    value = annotation.get("iscrowd") or 0
    if value not in (0, 1):
        raise ValueError(f"{place}: iscrowd must be 0 or 1, got {shown(value)}.")
    return value == 1


def _annotations(path, lists):
    images, annotations, categories = lists
    names = {key: _named(path, one)[0] for key, one in _by_id(path, "images", images).items()}
    labels = {key: _label(path, one) for key, one in _by_id(path, "categories", categories).items()}
    for number, annotation in enumerate(annotations):
        place = f"{path}: annotations[{number}]"
        keys = [annotation.get(name) for name in ("image_id", "category_id")]
        for name, key, known in zip(
            ("image_id", "category_id"), keys, (names, labels), strict=True
        ):
            if not (isinstance(key, int | str) and key in known):
                raise ValueError(f"{place}: {name} must be an id in the file, got {shown(key)}.")
        yield place, names[keys[0]], labels[keys[1]], annotation


def _lists(path):
    """The three lists of a file, each of dictionaries."""
    text = text_of(path)
    try:
        record = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be JSON, but: {error}.") from error
    if isinstance(record, list):
        raise ValueError(
            f"{path} must be an object with {', '.join(_LISTS)}, as COCO's of true boxes are, "
            "got a list, as those of detections are."
        )
    if not isinstance(record, dict) or not {*_LISTS} <= record.keys():
        got = list(record) if isinstance(record, dict) else record
        raise ValueError(
            f"{path} must be an object with {', '.join(_LISTS)}, as COCO has it, got {shown(got)}."
        )
    lists = [record[name] for name in _LISTS]
    for name, items in zip(_LISTS, lists, strict=True):
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise ValueError(f"{path}: {name} must be a list of objects, got {shown(items)}.")
    return lists


def _refuse_constant(name):
    raise ValueError(f"{name} is no number of JSON")


def _by_id(path, name, items):
    """Items by their ids, which are numbers or texts, each there once."""
    found = {}
    for number, item in enumerate(items):
        key = item.get("id")
        if not isinstance(key, int | str):
            raise ValueError(f"{path}: {name}[{number}] must have an id, got {shown(key)}.")
        if key in found:
            raise ValueError(f"{path}: two {name} have the id {shown(key)}. Give each its own.")
        found[key] = item
    return found


def _named(path, image):
    """An image's name, and its width and height."""
    name = image.get("file_name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"{path}: an image must have a file_name, got {shown(name)}.")
    size = (image.get("width"), image.get("height"))
    if not all(side is None or is_number(side) for side in size):
        raise ValueError(f"{path}: an image's width and height must be numbers, got {shown(size)}.")
    return printable(name), size


def _label(path, category):
    label = category.get("name", category["id"])
    if not isinstance(label, int | str) or label == "":
        raise ValueError(f"{path}: a category must have a name, got {shown(label)}.")
    return printable(label)


def _corners(place, annotation):
    bbox = annotation.get("bbox")
    if not (isinstance(bbox, list) and len(bbox) == 4 and all(map(is_number, bbox))):
        raise ValueError(f"{place}: bbox must be x, y, width, height, got {shown(bbox)}.")
    x, y, width, height = bbox
    return x, y, x + width, y + height


def is_number(value):
    """Whether a value of JSON is a number, and none that only errors and attacks have."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
