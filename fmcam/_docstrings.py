"""Docstrings that tell all: what comes from elsewhere is written once, there."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any, TypeVar

__all__ = ["complete_docstrings", "documented_like"]

_HEADING = re.compile(r"\n\n(\w[\w ]*)\n-{3,}\n")
_ENTRY = re.compile(r"^(?=\S)", re.MULTILINE)
_CITATION = re.compile(r"\s+\[\d+\]_")  # its paper is listed where it comes from
_INHERITED_BY_METHODS = ("Parameters", "Returns", "Yields")
_T = TypeVar("_T")


def complete_docstrings(cls: type) -> None:
    """Add to the docstrings of a new class what those of its bases in fmcam say.

    The class gets an entry for each attribute and for each parameter of its constructor, of one
    with ``**kwargs`` for all that its bases have. A method gets the sections about parameters and
    results from the one it overrides. What the class says itself stays.

    Parameters
    ----------
    cls : type
        Its docstrings are changed.

    Examples
    --------
    >>> from fmcam.classifiers import CNNClassifier, LeNet5Classifier
    >>> "batch_size : int, default=128" in LeNet5Classifier.__doc__
    True
    """
    bases = [base for base in cls.__mro__[1:] if base.__module__.startswith("fmcam.")]
    _complete(cls, "Attributes", bases)
    _complete(cls, "Parameters", bases)
    for name, method in vars(cls).items():
        overridden = next((vars(base)[name] for base in bases if name in vars(base)), None)
        if isinstance(method, FunctionType) and isinstance(overridden, FunctionType):
            known = _sections(overridden)
            inherited = {part: known[part] for part in _INHERITED_BY_METHODS if part in known}
            method.__doc__ = _joined({"": "", **inherited, **_sections(method)})


def documented_like(other: object) -> Callable[[_T], _T]:
    """Make a decorator that adds what another class or function says of the same parameters.

    Parameters
    ----------
    other : class or function
        Its parameters are those of the decorated one, where that says nothing of them.

    Returns
    -------
    callable
        Returns what it decorates.

    Examples
    --------
    >>> from fmcam._docstrings import documented_like
    >>> def area(width):
    ...     '''An area.
    ...
    ...     Parameters
    ...     ----------
    ...     width : int
    ...         In pixels.
    ...     '''
    >>> @documented_like(area)
    ... def perimeter(width=1):
    ...     '''A perimeter.'''
    >>> perimeter.__doc__.splitlines()[-2:]
    ['width : int, default=1', '    In pixels.']
    """

    def complete(documented: _T) -> _T:
        _complete(documented, "Parameters", [other])
        return documented

    return complete


def _complete(documented: Any, part: str, others: Iterable[object]) -> None:
    sections = _sections(documented)
    known = {name: _CITATION.sub("", entry) for name, entry in _entries(part, others).items()}
    known |= _entries(part, [documented])
    entries = _of_signature(documented, known) if part == "Parameters" else known.values()
    complete = {part: "\n".join(entries)}
    parameters = {"Parameters": ""} if part == "Attributes" else {}  # they come first
    documented.__doc__ = _joined({"": "", **parameters, **complete, **sections, **complete})


def _sections(documented: object) -> dict[str, str]:
    """The text of each section by its heading, that of the summary is empty."""
    parts = _HEADING.split("\n\n" + inspect.cleandoc(documented.__doc__ or ""))
    return {"": parts[0].strip(), **dict(zip(parts[1::2], parts[2::2], strict=True))}


def _joined(sections: Mapping[str, str]) -> str:
    parts = [
        f"{heading}\n{'-' * len(heading)}\n{text.rstrip()}" if heading else text
        for heading, text in sections.items()
        if text
    ]
    return "\n\n".join(parts) + "\n"


def _entries(section: str, sources: Iterable[object]) -> dict[str, str]:
    """What is said of each parameter or attribute by the first that says something."""
    found: dict[str, str] = {}
    for source in sources:
        for entry in _ENTRY.split(_sections(source).get(section, ""))[1:]:
            found.setdefault(entry.split()[0], entry.rstrip())
    return found


def _of_signature(documented: Any, known: Mapping[str, str]) -> list[str]:
    """Entries in the order of the signature, and behind them all others where it takes any."""
    parameters = inspect.signature(documented).parameters
    names = [name for name in parameters if name in known]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        names += [name for name in known if name not in names]
    return [_with_default(known[name], parameters.get(name)) for name in names]


def _with_default(entry: str, parameter: inspect.Parameter | None) -> str:
    """An entry, and the default where whoever wrote it has none."""
    head, newline, text = entry.partition("\n")
    if parameter is None or parameter.default is parameter.empty or "default=" in head:
        return entry
    if parameter.default is None and head.endswith(", optional"):
        return entry
    default = getattr(parameter.default, "__name__", repr(parameter.default))
    return f"{head}, default={default}{newline}{text}"
