"""Labels of files and folders as numbers of given names."""

import numpy as np

from fmcam._suggest import suggest
from fmcam._text import printable

__all__ = ["named_classes"]


def named_classes(target, class_names):
    """Labels and the names of classes: as they are, or as numbers of given names."""
    if class_names is None:
        return target, np.unique(target).tolist()
    names = [printable(name) for name in class_names]
    if len(set(names)) < len(names):
        raise ValueError(f"`class_names` must name each class once, got {names}.")
    numbers = {name: number for number, name in enumerate(names)}
    labels = set(target.tolist())
    if not labels <= numbers.keys() and all(label.isdecimal() for label in labels):
        numbers = {str(number): number for number in range(len(names))}
        target = np.array([str(int(label)) for label in target.tolist()])
    unknown = sorted(set(target.tolist()) - numbers.keys())
    if unknown:
        raise ValueError(
            f"`class_names` must name all labels: the numbers 0 to {len(names) - 1}, or the names "
            f"themselves. There is the label {unknown[0]!r}. {suggest(unknown[0], names)}"
        )
    return np.array([numbers[label] for label in target.tolist()]), names
