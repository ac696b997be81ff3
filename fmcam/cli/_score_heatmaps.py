"""Heatmaps that another tool made, scored on somebody's photographs and boxes."""

import contextlib
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, gen_batches

from fmcam._suggest import suggest
from fmcam._text import printable
from fmcam.cli._score_data import load_parts, read_tables
from fmcam.explain import chance_heatmaps
from fmcam.localize import HeatmapToBox
from fmcam.report import localization_frame

__all__ = ["score_heatmaps"]

_AT_ONCE = 256  # images whose maps are in memory


def score_heatmaps(config):
    """The images, and how well the heatmaps of `config` localize them.

    Parameters
    ----------
    config : Config

    Returns
    -------
    Bunch
        As of `score_network`; classes are not known, so they are "".

    Raises
    ------
    OSError, ValueError
        If files, boxes or heatmaps are not what they must be.
    """
    tables = read_tables(config)
    maps = _open_all(config.heatmaps)
    n_maps, side, _ = next(iter(maps.values())).shape
    names = _names_of_maps(config.heatmap_images, set(pd.concat(tables)["image"]), n_maps)
    has_map, note = _with_maps(tables, names)
    fit, test, left_out = load_parts(config, has_map, (3, side, side), by_label=False)
    places = {printable(name): place for place, name in enumerate(names)}
    for part in (fit, test):
        part.map_rows = np.array([places[name] for name in part.names])
    rows = _score(maps, fit, test)
    return Bunch(
        fit=fit,
        test=test,
        left_out=left_out,
        rows=rows.assign(label=rows["y"], y="", predicted="", correct=np.nan),
        methods=list(maps),
        maps_of=lambda methods, ids: {name: maps[name][test.map_rows[ids]] for name in methods},
        note=note,
    )


def _with_maps(tables, names):
    """The boxes of images that have a heatmap, and what else there is, in words."""
    boxed = set(pd.concat(tables)["image"])
    counts = {
        "images with boxes have no heatmap": len(boxed.difference(names)),
        "heatmaps are of images without boxes": len(set(names) - boxed),
    }
    note = "; ".join(f"{count} {what}" for what, count in counts.items() if count)
    return [table[table["image"].isin(names)] for table in tables], note and f"{note}: left out."


def _open_all(files):
    """The maps in some files, mapped into memory, by the files' names."""
    maps: dict[str, np.ndarray] = {}
    for file in files:
        name = Path(file).stem
        if name in maps:
            raise ValueError(f"--heatmaps: two files are called {name}. Rename one of them.")
        maps[name] = _open(file)
    first, *others = maps
    for name in others:
        if maps[name].shape != maps[first].shape:
            raise ValueError(
                f"--heatmaps must be of the same images and size, got {maps[first].shape} in "
                f"{first}.npy and {maps[name].shape} in {name}.npy."
            )
    return maps


def _open(file):
    try:
        maps = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{file} is no array of numpy.save: {error}") from error
    if maps.dtype.kind != "f" or maps.ndim != 3 or maps.shape[1] != maps.shape[2]:
        raise ValueError(
            f"{file} must hold heatmaps of shape (n, h, h), of float, got {maps.shape} of "
            f"{maps.dtype}. Resize each to a square, as the photographs are."
        )
    return maps


def _names_of_maps(source, boxed, n_maps):
    """The name of the image that each heatmap is of, as the files of boxes have it.

    Parameters
    ----------
    source : str
        "sorted": the names of all images with boxes, sorted. Else a file with a name on each line,
        or a table .csv with a column `image`; endings may be missing.
    boxed : set of str
        The images that the files of boxes name.
    n_maps : int

    Returns
    -------
    list of n_maps str
    """
    names = sorted(boxed) if source == "sorted" else _names_in(source)
    if len(names) != n_maps:
        raise ValueError(
            f"--heatmap-images must name the image of each of the {n_maps} heatmaps, got "
            f"{len(names)}{' images with boxes' if source == 'sorted' else ''}."
        )
    found = _as_boxed(names, boxed)
    if repeated := pd.Index(found)[pd.Index(found).duplicated()].tolist():
        raise ValueError(f"--heatmap-images: {repeated[0]!r} is there several times.")
    if boxed.isdisjoint(found):
        raise ValueError(
            "--heatmap-images must name images as their boxes do, but none has a box, such as "
            f"{found[0]!r}. {suggest(found[0], sorted(boxed))}"
        )
    return found


def _as_boxed(names, boxed):
    """Names as the boxes have them, which may have other endings, or one where these have none."""
    same: dict[str, list] = {}
    for name in sorted(boxed):
        same.setdefault(_without_ending(name), []).append(name)
    found = []
    for name in names:
        stem = name if name in same else _without_ending(name)
        several = [name] if name in boxed else same.get(stem, [name])
        if len(several) > 1:
            raise ValueError(
                f"--heatmap-images: {name!r} could be {' or '.join(map(repr, several))}. Write its "
                "ending."
            )
        found += several
    return found


def _names_in(file):
    try:
        if Path(file).suffix == ".csv":
            return pd.read_csv(file, dtype=str, keep_default_na=False)["image"].tolist()
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"--heatmap-images: {file} is no text in UTF-8.") from error
    except (KeyError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"--heatmap-images: {file} must have a column `image`.") from error
    return [line.strip() for line in lines if line.strip()]


def _without_ending(name):
    path = PurePosixPath(name.replace("\\", "/"))
    return str(path.with_suffix("")) if path.name else name


def _score(maps, fit, test):
    """Rows of the images to score, and of references, with what fits the others best."""
    _, h, w = next(iter(maps.values())).shape
    chance = chance_heatmaps((1, h, w), fit.boxes)
    if taken := [name for name in maps if name in chance]:
        raise ValueError(
            f"--heatmaps: {taken[0]!r} is the name of a reference, which is scored as well. Rename "
            "the file."
        )
    to_boxes: dict[str, HeatmapToBox] = {}
    for rows, found in _batches(maps, chance, fit):
        for name, of_method in found.items():
            with _named(name):
                to_box = to_boxes.setdefault(name, HeatmapToBox(region="fit"))
                to_box.partial_fit(of_method, fit.boxes[rows])
    frames = []
    for rows, found in _batches(maps, chance, test):
        for name, of_method in found.items():
            to_box = to_boxes[name]
            with _named(name):
                frame = localization_frame(
                    {name: of_method},
                    test.target[rows],
                    boxes=test.boxes[rows],
                    thresholds=to_box.threshold_,
                    region=to_box.region_,
                )
            frames.append(frame.assign(id=frame["id"] + rows.start, region=to_box.region_))
    return pd.concat(frames).sort_values("id", kind="stable", ignore_index=True)


def _batches(maps, chance, part):
    """Yield some rows of a part, a slice, and their maps by name, those of chance all alike."""
    for rows in gen_batches(len(part.map_rows), _AT_ONCE):
        found = {name: of_all[part.map_rows[rows]] for name, of_all in maps.items()}
        n = len(part.map_rows[rows])
        yield rows, found | {name: np.repeat(one, n, axis=0) for name, one in chance.items()}


@contextlib.contextmanager
def _named(name):
    """Errors say which method they are about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"Heatmaps of {name}: {error}") from error
