"""What classes are called: by the command line, a file, a checkpoint or a data set."""

import re
import unicodedata
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from fmcam._suggest import nearest

__all__ = [
    "CLASS_NAMES",
    "classes_of_labels",
    "names_of_outputs",
    "names_of_truth",
    "read_class_names",
    "unknown_labels",
]

CLASS_NAMES = (
    "names of the classes 0, 1, 2 and so on, or a file such as imagenet_classes.txt with one a line"
)
_OF_IMAGENET = ["tench", "goldfish", "great white shark"]  # the first of 1,000
_LISTED = 3
_NUMBER_BEFORE = re.compile(
    r"(?P<number>\d+)(?:\s*[,;:](?:\s+|(?=\D))|\s*\t\s*|\s*[.)]\s+|\s+-\s+)(?P<name>\S.*)"
)
_NUMBER_BEHIND = re.compile(r"(?P<name>.*\S)\s*[,;:\t]\s*(?P<number>\d+)")
_SPACED_BEFORE = re.compile(r"(?P<number>\d+)\s+(?P<name>\S.*)")
_SPACED_BEHIND = re.compile(r"(?P<name>.*\S)\s+(?P<number>\d+)")
_GAPS = re.compile(r"[\s_,-]+")
_WORDNET_ID = re.compile(r"n\d{8}[\s,;:]+(?P<name>\S.*)")


def read_class_names(given):
    """The names that a command line gives, or None; ends with a message if they are none.

    Lines of a file may be numbered, as in "0, tench" or "tench, 0", or begin with WordNet IDs, as
    in "n01440764 tench".

    Parameters
    ----------
    given : sequence of str or None
        Names, or one file. Names that a file has several times, as ImageNet's crane, a bird and a
        machine, get their numbers behind.

    Returns
    -------
    list of str or None
    """
    if given is None:
        return None
    names = list(given)
    if len(names) == 1:
        names = _lines_of(names[0])
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise SystemExit(f"--class-names: {repeated[0]!r} is there several times.")
    if len(names) < 2 or not all(names):
        raise SystemExit(f"--class-names needs two names or more, none of them empty, got {names}.")
    return names


def _lines_of(file):
    path = Path(file)
    if not path.is_file():
        raise SystemExit(
            f"--class-names: there is no file {file}. Give two names or more, or a file of them."
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise SystemExit(f"--class-names: {file} is no text in UTF-8.") from error
    names = [line.strip() for line in "\n".join(lines).strip().splitlines()]
    if names and names[0].startswith(("{", "[")):
        raise SystemExit(f"--class-names: {file} must have a name on each line, got {names[0]!r}.")
    names = _without_numbers(file, names)
    counts = Counter(names)
    return [
        f"{name} ({number})" if name and counts[name] > 1 else name
        for number, name in enumerate(names)
    ]


def _without_numbers(file, lines):
    """Names in the order of the numbers beside them, or else of the lines."""
    lines = _without_ids(lines)
    before, behind = _all_match(_NUMBER_BEFORE, lines), _all_match(_NUMBER_BEHIND, lines)
    if numbered := before or (behind if _in_order(behind) else []):
        if not _in_order(numbered):
            raise SystemExit(
                f"--class-names: the numbers in {file} must be 0 to {len(lines) - 1}, or 1 to "
                f"{len(lines)}, each once. Complete them, or leave them out."
            )
        return _without_ids([found["name"] for found in sorted(numbered, key=_number_in)])
    _check_spaced(file, lines)
    if _all_match(_NUMBER_BEFORE, lines[1:]):
        raise SystemExit(
            f"--class-names: {lines[0]!r} in {file} has no number, as all others have. If it is a "
            "heading, leave it out."
        )
    return lines


def _without_ids(lines):
    return [found["name"] for found in _all_match(_WORDNET_ID, lines)] or lines


def _check_spaced(file, lines):
    """End with a message where numbers, with a space only, may be of the names or of the lines."""
    for pattern, place in ((_SPACED_BEFORE, "begin"), (_SPACED_BEHIND, "end")):
        spaced = _all_match(pattern, lines)
        if _in_order(spaced) and len({found["name"] for found in spaced}) > 1:
            raise SystemExit(
                f"--class-names: lines of {file} {place} with numbers in order, such as "
                f"{lines[0]!r}. Leave them out, or if they are of the names, give the names "
                "instead of the file."
            )


def _all_match(pattern, lines):
    found = [pattern.fullmatch(line) for line in lines]
    return found if len(found) > 1 and all(found) else []


def _in_order(numbered):
    """Whether numbers count lines from 0 or 1, in any order."""
    numbers = sorted(map(_number_in, numbered))
    return numbers in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))


def _number_in(found):
    return int(found["number"])


def names_of_outputs(clf, labels, given=None):
    """The name of each class of a network, list of k str.

    Parameters
    ----------
    clf : CNNClassifier
        With `checkpoint_`.
    labels : dict of label to str
        The names that a data set has for its labels; they count if its labels are just the
        network's, and the checkpoint has no names.
    given : sequence of str or None
        Names that count more than those of the checkpoint. Where they are the same in another
        order, they say what a data set's numbers are called, see :func:`names_of_truth`.
    """
    classes = clf.classes_.tolist()
    known = clf.checkpoint_.get("class_names")
    if given is not None and len(given) != len(classes):
        raise SystemExit(
            f"--class-names must name the {len(classes)} classes of the network, got {len(given)}."
        )
    if known is None and set(classes) == set(labels):
        known = [labels[label] for label in classes]
    if given is not None and (known is None or set(given) != set(known)):
        _check_spelling(given, known or ())
        known = given
    return list(map(str, known or classes))


def _check_spelling(given, known):
    """End with a message where names differ in capitals, so that their order has two meanings."""
    spelled = {name.casefold(): name for name in known}
    lower = [name.casefold() for name in given]
    if lower != list(spelled) and set(lower) == set(spelled):
        one = next(name for name in given if name not in known)
        raise SystemExit(
            f"--class-names: {one!r} is {spelled[one.casefold()]!r} in the checkpoint, where the "
            "order is another one. Write all as there, in the order of the data set's numbers."
        )


def names_of_truth(clf, labels, names, given=None):
    """What a network calls the classes of a data set, by their names there.

    A number that has no name there, such as that of "2_ab12.jpg", is the class of that label. Where
    one of them is no label, as in folders that count from 1, all stay numbers.

    Parameters
    ----------
    clf : CNNClassifier
    labels : dict of label to str
        The names that the data set has for its labels.
    names : list of k str
        Of :func:`names_of_outputs`.
    given : sequence of str or None
        What the numbers 0, 1, 2 and so on of the data set are called.

    Returns
    -------
    dict of str to str
        A class that the network does not have keeps its name.
    """
    if given is None:
        numbers = dict(zip(map(str, clf.classes_.tolist()), names, strict=True))
    else:
        numbers = {str(number): name for number, name in enumerate(given)}
    others = {name: _number(name) for name in labels.values() if name not in names}
    if any(number.isdecimal() and number not in numbers for number in others.values()):
        numbers = {}
    return {
        name: numbers.get(others[name], name) if name in others else name
        for name in labels.values()
    }


def _number(name):
    return str(int(name)) if name.isdecimal() else name


def classes_of_labels(labels, names):
    """The position of the class of a network that each label of somebody's file means.

    A label is the name of a class: as it is written; with other capitals, commas, hyphens or
    underscores; or the first of several synonyms that commas part. If any is none, all may be
    numbers of classes, counted from 0, or the WordNet IDs of ImageNet's, such as n01440764.

    Parameters
    ----------
    labels : iterable of str
    names : list of k str
        Of :func:`names_of_outputs`.

    Returns
    -------
    dict of str to int or None
        None: the label is no class, or may be several.
    """
    spellings = [
        (spell, [spell(name) for name in names])
        for spell in (str, _plain, _first, lambda name: _plain(_first(name)))
    ]
    found = {label: _called(label, spellings) for label in labels}
    if None in found.values():
        for known in (list(map(str, range(len(names)))), _wordnet_ids(names)):
            if {_number(label) for label in found} <= set(known):
                return {label: known.index(_number(label)) for label in found}
    return found


def _called(label, spellings):
    """The position of the name that is spelled most like a label, if it is the only one."""
    for spell, names in spellings:
        if (n := names.count(spell(label))) > 0:
            return names.index(spell(label)) if n == 1 else None
    return None


def _plain(name):
    """Without capitals, commas, hyphens and underscores; other signs stay, as C++ is not C."""
    return _GAPS.sub(" ", unicodedata.normalize("NFC", name).casefold()).strip() or name


def _first(name):
    return name.partition(",")[0].strip()


def _wordnet_ids(names):
    """Those of ImageNet's classes, if a network has these, and timm, which knows them, is there."""
    timm, of_imagenet = find_spec("timm"), [_first(name) for name in names[:3]] == _OF_IMAGENET
    if timm is None or timm.origin is None or not of_imagenet or len(names) != 1000:
        return []
    file = Path(timm.origin).parent / "data" / "_info" / "imagenet_synsets.txt"
    return file.read_text().split()


def unknown_labels(found, names):
    """What a message says about the labels that are no classes; nothing if all are.

    Parameters
    ----------
    found : dict of str to int or None
        Of :func:`classes_of_labels`.
    names : list of k str
    """
    unknown = [label for label, place in found.items() if place is None]
    if not unknown:
        return ""
    shown = [f"{label!r}{_hint(label, names)}" for label in unknown[:_LISTED]]
    more = [f"{len(unknown) - _LISTED} more"] if len(unknown) > _LISTED else []
    return (
        f"{len(unknown)} of {len(found)} labels are none of the {len(names):,} classes of the "
        f"network: {', '.join(shown + more)}."
    )


def _hint(label, names):
    if re.fullmatch(r"n\d{8}", label) and find_spec("timm") is None:
        return " (a WordNet ID; timm knows those of ImageNet: python -m pip install timm)"
    near = nearest(label, names)
    return f" (perhaps {' or '.join(map(repr, near))})" if near else ""
