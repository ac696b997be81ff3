"""Which picture of a folder a name in somebody's file means."""

import unicodedata
from collections import defaultdict

from fmcam._suggest import suggest
from fmcam._text import shown

__all__ = ["match_pictures"]


def match_pictures(names, pictures, folder, *, all_there=True):
    """Return the picture that each name means.

    Names come from other machines: their folders may be more or fewer than those inside `folder`,
    with slashes or backslashes, and the ending may be missing. They are compared, never opened.

    Parameters
    ----------
    names : iterable of str
    pictures : list of str
        Relative to `folder`.
    folder : path
        For messages.
    all_there : bool, default=True
        Whether names of no picture are an error. If not, they are left out.

    Returns
    -------
    dict of str: str

    Raises
    ------
    ValueError
        If there are names of no picture, of several, or several of one.
    """
    whole, ends = defaultdict(list), defaultdict(list)
    for picture in pictures:
        for name in _with_and_without_ending(_normal(picture)):
            whole[name].append(picture)
            for end in _ends(name):
                ends[end].append(picture)
    found = {name: _found(_normal(name), whole, ends) for name in dict.fromkeys(names)}
    if not all_there:
        found = {name: several for name, several in found.items() if several}
    _check_each_once(found, pictures, folder)
    by_picture = defaultdict(list)
    for name, (picture,) in found.items():
        by_picture[picture].append(name)
    if doubled := [several for several in by_picture.values() if len(several) > 1]:
        raise ValueError(
            f"{len(doubled)} pictures of {folder} are named in several ways, such as "
            f"{', '.join(map(shown, doubled[0][:3]))}. Name each in one way, with its folders."
        )
    return {name: picture for name, (picture,) in found.items()}


def _normal(name):
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def _with_and_without_ending(name):
    stem, dot, _ = name.rpartition(".")
    return {name, stem} if dot else {name}


def _ends(path):
    """A path, and what is left of it without the first folder, the first two, and so on."""
    parts = path.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _found(name, whole, ends):
    """The pictures whose path ends a name, the longest of them, or else those that a name ends."""
    return next((whole[end] for end in _ends(name) if end in whole), ends.get(name, []))


def _check_each_once(found, pictures, folder):
    if missing := [name for name, several in found.items() if not several]:
        raise ValueError(
            f"{folder} must hold the {len(found)} pictures that are named; {len(missing)} are not "
            f"there, such as {shown(missing[0])}. {suggest(missing[0], pictures)} Choose the "
            "folder that the names are relative to, or leave out pictures that you do not have."
        )
    if unclear := [name for name, several in found.items() if len(several) > 1]:
        several = " or ".join(map(shown, found[unclear[0]][:3]))
        raise ValueError(
            f"{len(unclear)} of {len(found)} names could each be several pictures of {folder}, "
            f"such as {shown(unclear[0])}: {several}. Name their folders and endings."
        )
