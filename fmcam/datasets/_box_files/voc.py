"""Pascal VOC's XML: a file for each image, with its size and its objects."""

from pathlib import PurePath

from defusedxml.ElementTree import ParseError, fromstring

from fmcam._text import printable, shown
from fmcam.datasets._box_files.content import content_of

__all__ = ["read", "read_file"]

_MOST_BYTES = 16 * 2**20
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_PLACEHOLDERS = ("", "%s")  # in place of the name in some files of ImageNet


def read(path):
    """Rows of an XML file, or of those in a folder and its subfolders.

    An image lies in the subfolder that its XML file lies in. Boxes of the parts of an object, such
    as a hand, are not those of the object.
    """
    if not path.is_dir():
        return read_file(path)
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.suffix.lower() == ".xml" and not file.name.startswith(".")
    ]
    if not files:
        raise ValueError(f"{path} must hold XML files, as Pascal VOC has them; there are none.")
    return [
        ((file.parent.relative_to(path) / name).as_posix(), *rest)
        for file in files
        for name, *rest in read_file(file)
    ]


def read_file(path):
    """Rows of one file."""
    content = content_of(path, _MOST_BYTES)
    try:
        root = fromstring(content)
    except (ParseError, ValueError, LookupError) as error:  # entities; unknown encodings
        raise ValueError(f"{path} must be plain XML, but: {error}.") from error
    if root.tag != "annotation":
        raise ValueError(f"{path} must be an `annotation` of Pascal VOC, got {shown(root.tag)}.")
    name = _image(path, root)
    size = [_number(path, root, f"size/{side}", needed=False) for side in ("width", "height")]
    boxes = [
        (_label(path, item), *(_number(path, box, corner) for corner in _CORNERS))
        for item in root.findall("object")
        for box in _bndboxes(path, item)
    ]
    return [(name, *box, *size) for box in boxes or [(None,) * 5]]


def _image(path, root):
    """The image's name, which must be that of the XML file but for the ending."""
    name = PurePath(_text(root, "filename").replace("\\", "/")).name
    if name in _PLACEHOLDERS:
        return path.stem
    if path.stem not in (name, PurePath(name).stem):
        raise ValueError(
            f"{path} must be named after its image, which it calls {shown(name)}. Rename it or "
            "change its `filename`."
        )
    return printable(name)


def _label(path, item):
    if label := _text(item, "name"):
        return printable(label)
    raise ValueError(f"{path}: an `object` must have a `name`.")


def _bndboxes(path, item):
    if boxes := item.findall("bndbox"):
        return boxes
    raise ValueError(f"{path}: an `object` must have a `bndbox` with {', '.join(_CORNERS)}.")


def _number(path, element, name, *, needed=True):
    """A number in an element; None where there is none and none is needed."""
    text = _text(element, name)
    if not text and not needed:
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{path}: {name} must be a number, got {shown(text)}.") from None


def _text(element, name):
    return (element.findtext(name) or "").strip()
