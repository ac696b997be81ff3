"""The photographs that a command line names: files, folders, patterns."""

import glob
from pathlib import Path

from fmcam._listing import Listing
from fmcam._suggest import nearest

__all__ = ["find_photographs"]


def find_photographs(names):
    """Return which files are meant, and whether each was named itself.

    Parameters
    ----------
    names : sequence of str
        Of files; of folders, whose files named like pictures are meant, also those in its
        subfolders, sorted; and patterns such as ``photos/*.jpg``.

    Returns
    -------
    dict of Path to bool
        In the order of `names`. False: a folder or pattern led there.

    Raises
    ------
    ValueError
        For an empty name, a name of nothing, and a folder or a pattern without photographs.
    """
    found: dict[Path, bool] = {}
    for name in names:
        if not name:
            raise ValueError("A photograph has an empty name.")
        path = Path(name).expanduser()
        if path.is_file():
            found[path] = True
        else:
            found |= {inner: found.get(inner, False) for inner in _inside(name, path)}
    return found


def _inside(name, path):
    if not path.is_dir() and not glob.has_magic(name):
        raise ValueError(f"There is no photograph {name}.{_hint(name, path)}")
    places = [path] if path.is_dir() else map(Path, sorted(glob.glob(str(path), recursive=True)))
    files = [file for one in places for file in (_in_folder(one) if one.is_dir() else [one])]
    if not files:
        raise ValueError(f"There are no photographs in {name}: no files named like cat.jpg.")
    return files


def _in_folder(folder):
    return [folder / name for name in Listing(folder).pictures]


def _hint(name, path):
    if "://" in name:
        return " Download it first, and name the file."
    if not path.parent.is_dir():
        return f" There is not even a folder {path.parent}."
    near = nearest(path.name, [one.name for one in path.parent.iterdir()])
    return f" Did you mean {path.with_name(near[0])}?" if near else ""
