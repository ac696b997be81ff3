"""What `fmcam explain` does."""

import re
from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd

from fmcam._state_dicts import few
from fmcam._suggest import suggest
from fmcam.cli._class_names import names_of_outputs, names_of_truth, read_class_names
from fmcam.cli._drawing import AttributionDisplay, PictureDisplay
from fmcam.cli._explanations import explain, make_explainers, record, top_classes
from fmcam.cli._gallery import transparent
from fmcam.cli._networks import load_network
from fmcam.cli._pictures import draw_rows, fetch_source, label_names, read_photographs, read_rows
from fmcam.cli._run import Run
from fmcam.cli._script import mistakes_named
from fmcam.plot import HeatmapDisplay

NAME_WIDTH = 24  # characters
GALLERY = ["file", "method", "y_true", "y_pred", "error_type", "iou"]
GALLERY += ["probability", "explained", "explained_probability", "layer", "image"]


def load_pictures(config, photographs, image_shape):
    """The pictures asked for, and the names of the data set's labels by label."""
    fit = config.fit or ("stretch" if config.dataset == "pets" else "crop")
    if photographs:
        pictures, left_out = read_photographs(photographs, image_shape, fit)
        for reason in left_out:
            print(f"Left out: {reason}")
        return pictures, {}
    where = {"folder": config.folder, "labels": config.labels}
    data = fetch_source(config.dataset, config.subset, size=image_shape[-1], fit=fit, **where)
    for file, reason in data.get("unreadable", pd.DataFrame()).itertuples(index=False):
        print(f"Left out: {file} {reason}")
    rows = config.index or draw_rows(data, config.random, config.seed)
    return read_rows(data, rows, image_shape, fit), label_names(data)


def in_words_of_network(pictures, truth, names):
    """The pictures, their true classes called as the network calls them."""
    if truth and not set(truth.values()) & set(names):
        print(
            f"The true classes ({few(truth)}) are none of the network's ({few(names)}), so whether "
            "it is right is not told. Say what they are called with --class-names."
        )
    return [picture._replace(y_true=truth.get(picture.y_true)) for picture in pictures]


def column_of(config, names):
    """The position of the class to explain; None: the predicted one of each picture."""
    if config.class_name is not None:
        lower = [name.lower() for name in names]
        if config.class_name.lower() not in lower:
            hint = suggest(config.class_name, names)
            raise SystemExit(f"--class-name: there is no class {config.class_name!r}. {hint}")
        return lower.index(config.class_name.lower())
    if config.class_idx is not None and not 0 <= config.class_idx < len(names):
        raise SystemExit(
            f"--class-idx must be in 0..{len(names) - 1} for the {len(names)} classes of the "
            f"network, got {config.class_idx}."
        )
    return config.class_idx


def title(method, layer):
    """What a heatmap is called."""
    return method if layer is None else f"{method} {layer}"


def slug(text):
    """A text as part of a file's name."""
    return re.sub(r"[^\w.+-]+", "-", text)


def display_of(picture, row, keys, found, names):
    """A picture with the heatmaps of some explainers."""
    y_true = picture.y_true if picture.y_true in names else None
    top = top_classes(found.proba[row], names)
    display = HeatmapDisplay.from_heatmaps(
        picture.image[None],
        {title(*key): found.maps[key][[row]] for key in keys},
        y_true=None if y_true is None else [fill(y_true, NAME_WIDTH)],
        y_pred=[fill(top[0][0], NAME_WIDTH)],
        probability=[top[0][1]],
        boxes_true=None if np.isnan(picture.box_true).any() else [picture.box_true],
        boxes_pred={title(*key): found.boxes[key][[row]] for key in keys},
        title=f"heatmap of {names[found.columns[row]]}",
    )
    return PictureDisplay(display, top)


def write_figures(run, folder, picture, row, found, names):
    """Draw one picture; returns the file of each heatmap."""
    files = {key: f"{folder}/{slug(title(*key))}.png" for key in found.maps}
    for key, file in files.items():
        run.write_figure(file, display_of(picture, row, [key], found, names))
    if len(files) > 1:
        run.write_figure(f"{folder}.png", display_of(picture, row, list(files), found, names))
    for key, attributions in found.attributions.items():
        display = AttributionDisplay(
            picture.image, attributions[row], found.maps[key][row], found.edges[row], title(*key)
        )
        run.write_figure(files[key].replace(".png", "-pixels.png"), display)
    return {key: f"figures/{file}" for key, file in files.items()}


def write_overlays(run, folder, picture, row, found):
    """Write each heatmap of one picture as a transparent one of the original's size."""
    for key, maps in found.maps.items():
        file = f"overlays/{folder}/{slug(title(*key))}.png"
        run.write_picture(file, transparent(picture.heatmap_in_original(maps[row])))


def gallery(records, names):
    """The table of pictures for a report."""
    frame = pd.DataFrame(records).rename(
        columns={"file": "image", "picture": "file", "true": "y_true", "predicted": "y_pred"}
    )
    wrong = frame["y_true"].isin(names) & (frame["y_true"] != frame["y_pred"])
    frame["error_type"] = np.where(wrong, "wrong class", "")
    return frame[GALLERY].round(3)


def main(config, photographs, model, arch):
    """Load, explain, draw, write."""
    given = read_class_names(config.class_names)
    run = Run(config, "fmcam explain")
    with mistakes_named():
        clf = load_network(model, arch, config.image_size)
        pictures, labels = load_pictures(config, photographs, clf.image_shape_)
        names = names_of_outputs(clf, labels, given)
        truth = names_of_truth(clf, labels, names, given)
        pictures = in_words_of_network(pictures, truth, names)
        column = column_of(config, names)
        explainers = make_explainers(clf, config.method, config.layer)
        images = np.stack([picture.image for picture in pictures])
        found = explain(clf, explainers, images, column, config.threshold)
    (run.folder / "figures").mkdir(exist_ok=True)
    records = []
    for row, picture in enumerate(pictures):
        folder = f"{row + 1:0{len(str(len(pictures)))}}-{slug(Path(picture.file).stem)}"
        files = write_figures(run, folder, picture, row, found, names)
        if config.overlay:
            write_overlays(run, folder, picture, row, found)
        records += [
            {**record(picture, row, key, found, names, config.threshold), "picture": file}
            for key, file in files.items()
        ]
    for row, picture in enumerate(pictures):
        name, probability = top_classes(found.proba[row], names)[0]
        print(f"{picture.file}: {name} ({probability:.2f})")
    run.write_json("records.json", {"records": records})
    run.write_table("gallery.csv", gallery(records, names))
    run.finish()
