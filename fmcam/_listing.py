"""The pictures in a folder, each one once whatever links lead to it."""

import os

# HEIC and AVIF are not read, and so get named instead of going missing.
_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".heic", ".heif", ".avif"),
)
_OF_SYSTEMS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found")


class Listing:
    """What a folder and its subfolders hold, without names that start with a dot.

    Links are followed after all else, so that what they lead to keeps its own name where it has
    one in the folder. No link is followed to a folder above, which would lead around.

    Parameters
    ----------
    folder : pathlib.Path

    Attributes
    ----------
    pictures : list of str
        Names of files that are named like pictures, relative to the folder, sorted.
    folders : list of str
        Names of the folders right inside, sorted.
    repeated : list of (str, str)
        Each link, and what lies behind one, that is left out, and the reason.

    Raises
    ------
    OSError
        If a folder cannot be listed; the message names it.
    """

    def __init__(self, folder):
        self._folder = folder
        self._names: dict[str, str] = {}  # of folders by their real paths
        self._links_to_folders: list[str] = []
        self._links_to_files: list[str] = []
        self.pictures: list[str] = []
        self.repeated: list[tuple[str, str]] = []
        self._list("", os.path.realpath(folder))
        while self._links_to_folders:
            self._links_to_folders.sort(reverse=True)
            self._follow_to_folder(self._links_to_folders.pop())
        self._follow_to_files()
        self.pictures.sort()
        self.folders = sorted(name for name in self._names.values() if name and "/" not in name)

    def _list(self, name, real):
        waiting = [(name, real)]
        while waiting:
            parent, real_parent = waiting.pop()
            self._names[real_parent] = parent
            for entry in self._entries(real_parent):
                name, real = f"{parent}/{entry.name}".lstrip("/"), f"{real_parent}/{entry.name}"
                if entry.is_symlink():
                    folder = os.path.isdir(real)
                    (self._links_to_folders if folder else self._links_to_files).append(name)
                elif entry.is_dir():
                    if real in self._names:  # by a link to the folder inside
                        self._repeat(name, self._names[real])
                    else:
                        waiting.append((name, real))
                elif _is_picture(entry.name):
                    self.pictures.append(name)

    def _entries(self, real):
        try:
            with os.scandir(real) as entries:
                return [entry for entry in entries if _is_wanted(entry.name)]
        except OSError as error:
            raise type(error)(
                f"The folder {real} in {self._folder} cannot be listed ({error.strerror}). Change "
                "its permissions, or move it elsewhere."
            ) from error

    def _follow_to_folder(self, name):
        real = os.path.realpath(self._folder / name)
        around = (os.path.realpath(place) for place in (self._folder, (self._folder / name).parent))
        if real in self._names:
            self._repeat(name, self._names[real] or "the folder itself")
        elif any(inside.startswith(os.path.join(real, "")) for inside in around):
            self.repeated.append((name, "is a link to a folder above, which is not followed"))
        else:
            self._list(name, real)

    def _follow_to_files(self):
        linked: dict[str, str] = {}
        for name in sorted(filter(_is_picture, self._links_to_files)):
            real = os.path.realpath(self._folder / name)
            parent, file = os.path.split(real)
            listed = parent in self._names and _is_wanted(file) and _is_picture(file)
            if listed and os.path.exists(real):
                self._repeat(name, f"{self._names[parent]}/{file}".lstrip("/"))
            elif real in linked:
                self._repeat(name, linked[real])
            else:
                linked[real] = name
                self.pictures.append(name)

    def _repeat(self, name, first):
        self.repeated.append((name, f"is what is read as {first}"))


def _is_wanted(name):
    return not name.startswith(".") and name not in _OF_SYSTEMS


def _is_picture(name):
    return name.lower().endswith(_SUFFIXES)
