"""The folders of wsolevaluation: image_ids, class_labels, image_sizes and localization as text."""

from pathlib import PurePosixPath

from fmcam._text import printable, shown
from fmcam.datasets._box_files.content import start_of, text_of

__all__ = ["FILES", "is_of_masks", "read", "read_masks"]

_OPTIONAL = ("image_sizes.txt", "localization.txt")
FILES = ("image_ids.txt", "class_labels.txt", *_OPTIONAL)


def read(folder):
    """Rows of the images of a folder, without boxes where the lists are of masks or empty."""
    labels = dict(_lines(folder, "class_labels.txt", 1))
    sizes = {name: _numbers(folder, two) for name, *two in _lines(folder, "image_sizes.txt", 2)}
    boxes: dict[str, list] = {}
    if not is_of_masks(folder):
        for name, *corners in _lines(folder, "localization.txt", 4):
            boxes.setdefault(name, []).append(_numbers(folder, corners))
    ids = [name for (name,) in _lines(folder, "image_ids.txt", 0)]
    if unlabelled := [name for name in ids if name not in labels]:
        raise ValueError(
            f"{folder / 'class_labels.txt'} must have a label for each image, {len(unlabelled)} of "
            f"{len(ids)} have none, such as {shown(unlabelled[0])}."
        )
    return [
        (name, labels[name], *box, *sizes.get(name, (None, None)))
        for name in ids
        for box in boxes.get(name, [(None,) * 4])
    ]


def is_of_masks(folder):
    """Whether a folder says where masks are and no boxes."""
    if _is_left_empty(folder / "localization.txt"):
        return False
    return start_of(folder / "localization.txt").partition("\n")[0].count(",") == 2


def read_masks(folder):
    """Names of the masks of each image: of its objects, and of what to ignore, or None.

    Returns
    -------
    dict of str: (list of str, str or None)
        None of them leads out of the folder it is relative to.
    """
    masks: dict[str, list] = {}
    ignored: dict[str, str] = {}
    for name, mask, ignore in _lines(folder, "localization.txt", 2):
        masks.setdefault(name, []).append(_inside(folder, mask))
        if ignore:
            ignored[name] = _inside(folder, ignore)
    return {name: (of_objects, ignored.get(name)) for name, of_objects in masks.items()}


def _lines(folder, file, n_values):
    """Fields of each line: the image's name, in which there may be commas, and so many values."""
    if _is_left_empty(folder / file):
        return
    for number, line in enumerate(text_of(folder / file).splitlines(), start=1):
        fields = line.strip().rsplit(",", n_values) if n_values else [line.strip()]
        if fields == [""]:
            continue
        if len(fields) != n_values + 1 or not fields[0]:
            raise ValueError(
                f"{folder / file}, line {number} must be a name and {n_values} values after "
                f"commas, got {shown(line)}."
            )
        yield [printable(field.strip()) for field in fields]


def _is_left_empty(path):
    """Whether a list is an empty file: sizes are beside masks, boxes in parts for training."""
    return path.name in _OPTIONAL and path.stat().st_size == 0


def _numbers(folder, texts):
    try:
        return [float(text) for text in texts]
    except ValueError:
        raise ValueError(f"{folder} must have numbers of pixels, got {shown(texts)}.") from None


def _inside(folder, name):
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not name:
        raise ValueError(
            f"{folder / 'localization.txt'} must name masks in their folder, got {shown(name)}."
        )
    return name
