"""What classes are called: by the command line, a file, a checkpoint or a data set."""

from collections import Counter
from pathlib import Path

__all__ = ["CLASS_NAMES", "names_of_outputs", "names_of_truth", "read_class_names"]

CLASS_NAMES = (
    "names of the classes 0, 1, 2 and so on, or a file such as imagenet_classes.txt with one a line"
)


def read_class_names(given):
    """The names that a command line gives, or None; ends with a message if they are none.

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
    counts = Counter(names)
    return [
        f"{name} ({number})" if name and counts[name] > 1 else name
        for number, name in enumerate(names)
    ]


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
