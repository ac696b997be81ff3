"""Folders named train, val or test: the part of a data set that the pictures in them are."""

import re
from itertools import takewhile
from pathlib import PurePosixPath

from fmcam._text import printable

__all__ = ["SUBSETS", "is_subset_name", "seem_parts", "subsets_of"]

SUBSETS = ("train", "validation", "test")

_NAMES = re.compile(
    r"(?P<place>\d+[ ._-]*|[a-z][ ._-]+)?"  # 01_train, b-test
    r"(?:(?P<train>train|training|trainval)|(?P<validation>val|valid|validation|dev|eval|evaluation)"
    r"|(?P<test>test|testing))(?:[ ._-]?(?:set|data|images|\d+))?",
    re.IGNORECASE,
)
_GAP = re.compile(r"[ ._-]+")
_BEGINNING = re.compile(r".*[ ._-]", re.DOTALL)


def subsets_of(names, folder):
    """The part of a data set that each picture is in, and its name inside that part.

    Parts lie right in the folder, in the only folder inside it, or in each class: train/cat/1.jpg,
    pets/Train/cat/1.jpg, pets_train/cat/1.jpg, cat/train/1.jpg.

    Parameters
    ----------
    names : list of str
        Of pictures, relative to the folder.
    folder : Path
        For messages.

    Returns
    -------
    dict of str to (str or None, str), or None
        One of `SUBSETS`, or None for a picture beside the parts; and "cat/1.jpg" of
        "train/cat/1.jpg". None where no folders are called so.

    Raises
    ------
    ValueError
        If a folder called so lies beside others.
    """
    places = [PurePosixPath(name).parts for name in names]
    level = _level_of_choice([place[:-1] for place in places])
    known = _by_folder({place[level] for place in places if len(place) > level + 1})
    if not any(known.values()):
        return _inside_classes(names, [place[level:] for place in places])
    _check_all_known(known, folder.joinpath(*places[0][:level]))
    subsets = [known[place[level]] if len(place) > level + 1 else None for place in places]
    if None in subsets and len(set(known.values())) == 1:
        return None
    inside = [_inside(place, level) for place in places]
    return dict(zip(names, zip(subsets, inside, strict=True), strict=True))


def is_subset_name(name):
    """Whether a folder is called like a part of a data set."""
    return _NAMES.fullmatch(name) is not None


def seem_parts(folders):
    """Whether the names of all folders end like those of parts, and not all like that of one."""
    ends = [
        {_subset(name[gap.end() :]) for gap in _GAP.finditer(name)} - {None} for name in folders
    ]
    return all(ends) and len(set().union(*ends)) > 1


def _level_of_choice(folders):
    """The first level at which there are several folders, or one called like a part."""
    shared = _common_start(folders)
    return next((i for i, name in enumerate(shared) if is_subset_name(name)), len(shared))


def _by_folder(folders):
    """The part that each folder is called after, None for another name."""
    known = {name: _subset(name) for name in folders}
    if len(known) > 1 and len({*known.values()}) == 1 and all(map(_has_place, known)):
        return dict.fromkeys(known)  # t-test and u-test, perhaps classes
    if len(known) > 1 and not any(known.values()):  # pets_train and pets_val
        start = _common_beginning(folders)
        end = _common_beginning([name[::-1] for name in folders])
        inner = {name: _subset(name[start : len(name) - end]) for name in folders}
        return inner if len({*inner.values()} - {None}) > 1 or all(inner.values()) else known
    return known


def _common_beginning(names):
    found = _BEGINNING.match("".join(_common_start(names)))
    return found.end() if found else 0


def _common_start(sequences):
    """What all begin with: folders of paths, or characters of names."""
    columns = zip(*sequences, strict=False)
    return [first for first, *_ in takewhile(lambda column: len(set(column)) == 1, columns)]


def _subset(name):
    found = _NAMES.fullmatch(name)
    return found.lastgroup if found else None


def _has_place(name):
    found = _NAMES.fullmatch(name)
    return found is not None and found["place"] is not None


def _check_all_known(known, folder):
    others = sorted(name for name, subset in known.items() if subset is None)
    if others:
        parts = sorted(known.keys() - set(others))
        raise ValueError(
            f"{printable(folder)} holds what seems to be parts of a data set, "
            f"{printable(', '.join(parts))}, beside {printable(', '.join(others[:3]))}. Pass a "
            "folder that holds nothing but the parts. If a class is called so, rename its folder."
        )


def _inside(place, level):
    """The name inside a part, which may lie in a folder of the same name once more."""
    rest = place[level + 1 :] or place[level:]
    while len(rest) > 1 and rest[0] == place[level]:
        rest = rest[1:]
    return "/".join(rest)


def _inside_classes(names, places):
    """As `subsets_of` where each class has its own parts; None where it has not."""
    classes = {place[0] for place in places}
    if any(len(place) < 3 for place in places):
        return None
    subsets = [_subset(place[1]) for place in places]
    pairs = {(place[0], subset) for place, subset in zip(places, subsets, strict=True)}
    if None in subsets or any((one, "train") not in pairs for one in classes):
        return None
    inside = ["/".join((place[0], *place[2:])) for place in places]
    return dict(zip(names, zip(subsets, inside, strict=True), strict=True))
