"""Heatmaps that another tool made, scored on somebody's photographs and boxes."""

import contextlib
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, gen_batches

from fmcam._suggest import suggest
from fmcam.cli._score_data import load_parts, pictures_of, read_tables
from fmcam.explain import chance_heatmaps
from fmcam.localize import HeatmapToBox
from fmcam.report import PooledScores, localization_frame

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
    boxed = pictures_of(config, pd.concat(tables)["image"])
    images = _images_of_maps(config, boxed, n_maps)
    has_map, note = _with_maps(tables, boxed, images)
    fit, test, left_out = load_parts(config, has_map, (3, side, side), by_label=False)
    places = {image: place for place, image in enumerate(images)}
    for part in (fit, test):
        part.map_rows = np.array([places[image] for image in part.filenames])
    rows, pooled = _score(maps, fit, test)
    return Bunch(
        fit=fit,
        test=test,
        left_out=left_out,
        rows=rows.assign(label=rows["y"], y="", predicted="", correct=np.nan),
        pooled=pooled,
        methods=list(maps),
        maps_of=lambda methods, ids: {name: maps[name][test.map_rows[ids]] for name in methods},
        note=note,
    )


def _with_maps(tables, boxed, images):
    """The boxes of images that have a heatmap, and what else there is, in words."""
    named, mapped = set(boxed.values()), set(images)
    counts = {
        "images with boxes have no heatmap": len(named - mapped),
        "heatmaps are of images without boxes": len(mapped - named),
    }
    note = "; ".join(f"{count} {what}" for what, count in counts.items() if count)
    has_map = [table[table["image"].map(boxed).isin(images)] for table in tables]
    return has_map, note and f"{note}: left out."


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
        maps = np.lib.format.open_memmap(file, "r")
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is no array of numpy.save: {error}") from error
    if maps.dtype.kind != "f" or maps.ndim != 3 or maps.shape[1] != maps.shape[2]:
        raise ValueError(
            f"{file} must hold heatmaps of shape (n, h, h), of float, got {maps.shape} of "
            f"{maps.dtype}. Resize each to a square, as the photographs are."
        )
    return maps


def _images_of_maps(config, boxed, n_maps):
    """The picture that each heatmap is of.

    Parameters
    ----------
    config : Config
        Of its `heatmap_images`, "sorted" is the names of all images with boxes, sorted; else it is
        a file with a name on each line, or a table .csv with a column `image`. They are compared as
        those of boxes are.
    boxed : dict of str to str
        The pictures that the names in the files of boxes mean.
    n_maps : int

    Returns
    -------
    list of n_maps str
        Where there is no such picture, the name.
    """
    if config.heatmap_images == "sorted":
        return _one_a_map([boxed[name] for name in sorted(boxed)], n_maps, " images with boxes")
    names = _one_a_map(_names_in(config.heatmap_images), n_maps)
    pictures = pictures_of(config, names, all_there=False)
    if set(boxed.values()).isdisjoint(pictures.values()):
        raise ValueError(
            "--heatmap-images must name images as their boxes do, but none has a box, such as "
            f"{names[0]!r}. {suggest(names[0], sorted(boxed))}"
        )
    return [pictures.get(name, name) for name in names]


def _one_a_map(names, n_maps, what=""):
    if len(names) != n_maps:
        raise ValueError(
            f"--heatmap-images must name the image of each of the {n_maps} heatmaps, got "
            f"{len(names)}{what}."
        )
    if repeated := pd.Series(names)[pd.Series(names).duplicated()].tolist():
        raise ValueError(f"--heatmap-images: {repeated[0]!r} is there several times.")
    return names


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


def _score(maps, fit, test):
    """Rows and pooled scores of what fits the others best, with references."""
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
    frames, pooled = [], PooledScores()
    for rows, found in _batches(maps, chance, test):
        known = [name for name in ("boxes", "masks") if test.get(name) is not None]
        truth = {name: test[name][rows] for name in known}
        for name, of_method in found.items():
            to_box = to_boxes[name]
            cut = {"thresholds": to_box.threshold_, "region": to_box.region_}
            with _named(name):
                frame = localization_frame({name: of_method}, test.target[rows], **truth, **cut)
                pooled.update({name: of_method}, **truth)
            frames.append(frame.assign(id=frame["id"] + rows.start, region=to_box.region_))
    scored = pd.concat(frames).sort_values("id", kind="stable", ignore_index=True)
    return scored, pooled.frame()


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
