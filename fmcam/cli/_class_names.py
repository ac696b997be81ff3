"""What classes are called: by the command line or by a file, one name a line."""

from pathlib import Path

__all__ = ["CLASS_NAMES", "read_class_names"]

CLASS_NAMES = (
    "names of the classes 0, 1, 2 and so on, or a file such as imagenet_classes.txt with one a line"
)


def read_class_names(given):
    """The names that a command line gives, or None; ends with a message if they are none.

    Parameters
    ----------
    given : sequence of str or None
        Names, or one file.

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
    return [line.strip() for line in "\n".join(lines).strip().splitlines()]
