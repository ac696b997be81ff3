"""What `fmcam explain` does."""

import re
import time
from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd

from fmcam._state_dicts import few
from fmcam._suggest import suggest
from fmcam.cli._class_names import names_of_outputs, names_of_truth, read_class_names
from fmcam.cli._drawing import PictureDisplay
from fmcam.cli._explanations import (
    explain,
    layer_table,
    make_explainers,
    record,
    title,
    top_classes,
)
from fmcam.cli._gallery import transparent
from fmcam.cli._networks import load_network
from fmcam.cli._pictures import (
    draw_rows,
    fetch_source,
    label_names,
    read_photographs,
    read_rows,
    usual_fit,
)
from fmcam.cli._run import Run
from fmcam.cli._script import mistakes_named
from fmcam.cli._settings import DATASETS
from fmcam.cli.explain import NO_DATASET
from fmcam.explain import logit_difference
from fmcam.plot import AttributionDisplay, HeatmapDisplay

NAME_WIDTH = 24  # characters
TITLE_WIDTH = 36
GALLERY = ["file", "method", "y_true", "y_pred", "error_type", "iou"]
GALLERY += ["probability", "explained", "explained_probability", "layer", "image"]


def load(config, model, arch):
    """The network; a file of `fmcam train` says what a file of weights alone does not."""
    training = config.training
    if training is None or arch is not None:
        return load_network(model, arch, config.image_size)
    size = training.input_shape[-1] if training.input_shape else training.image_size
    return load_network(model, None, config.image_size, usual_arch=training.model, usual_size=size)


def source_of(config, clf):
    """Name and folder of the data set: of the settings, or what the network learned from."""
    training, learned = config.training, clf.checkpoint_.get("dataset")
    folder = config.data_dir or (training.data_dir if training else None)
    known = {learned} & set(DATASETS) if isinstance(learned, str) else set()
    if config.dataset is not None or config.photographs:
        return config.dataset or next(iter(known), None), folder
    known |= {training.dataset} if training else set()
    if len(known) != 1:
        found = f" The checkpoint and --config say {' and '.join(sorted(known))}." if known else ""
        raise ValueError(NO_DATASET + found)
    return known.pop(), folder


def load_pictures(config, photographs, clf):
    """The pictures asked for, and the names of the data set's labels by label."""
    image_shape = clf.image_shape_
    dataset, data_dir = source_of(config, clf)
    fit = config.fit or usual_fit(dataset)
    if photographs:
        pictures, left_out = read_photographs(photographs, image_shape, fit)
        for reason in left_out:
            print(f"Left out: {reason}")
        return pictures, {}
    where = {"data_dir": data_dir, "folder": config.folder, "labels": config.labels or "folder"}
    data = fetch_source(dataset, config.subset, size=image_shape[-1], fit=fit, **where)
    for file, reason in data.get("unreadable", pd.DataFrame()).itertuples(index=False):
        print(f"Left out: {file} {reason}")
    rows = config.index or draw_rows(data, config.random, config.seed or 0)
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
        return _named("--class-name", config.class_name, names)
    if config.class_idx is not None and not 0 <= config.class_idx < len(names):
        raise SystemExit(
            f"--class-idx must be in 0..{len(names) - 1} for the {len(names)} classes of the "
            f"network, got {config.class_idx}."
        )
    return config.class_idx


def _named(flag, name, names):
    if name in names:
        return names.index(name)
    alike = [one for one in names if one.lower() == name.lower()]
    if len(alike) > 1:
        raise SystemExit(f"{flag}: {name!r} may be {' or '.join(alike)}. Name one of them so.")
    if not alike:
        raise SystemExit(f"{flag}: there is no class {name!r}. {suggest(name, names)}")
    return names.index(alike[0])


def against(config, names, column):
    """The position of the class that `--against` names, or None."""
    if config.against is None:
        return None
    other = _named("--against", config.against, names)
    if other == column:
        raise SystemExit(f"--against: {names[other]} is the class to explain itself.")
    return other


def slug(text):
    """A text as part of a file's name."""
    return re.sub(r"[^\w.+-]+", "-", text)


def explained(row, found, names):
    """What the heatmaps of a picture are of."""
    name = names[found.columns[row]]
    return name if found.against is None else f"{name} against {names[found.against]}"


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
        title=fill(f"heatmap of {explained(row, found, names)}", TITLE_WIDTH),
    )
    return PictureDisplay(display, top)


def write_figures(run, folder, picture, row, found, names, cmap):
    """Draw one picture; returns the file of each heatmap."""
    files = {key: f"{folder}/{slug(title(*key))}.png" for key in found.maps}
    for key, file in files.items():
        run.write_figure(file, display_of(picture, row, [key], found, names), cmap=cmap)
    if len(files) > 1:
        display = display_of(picture, row, list(files), found, names)
        run.write_figure(f"{folder}.png", display, cmap=cmap)
    for key, attributions in found.attributions.items():
        display = AttributionDisplay.from_attributions(
            picture.image[None], attributions[[row]], edges=found.edges[[row]], title=title(*key)
        )
        run.write_figure(files[key].replace(".png", "-pixels.png"), display, cmap=cmap)
    return {key: f"figures/{file}" for key, file in files.items()}


def write_overlays(run, folder, picture, row, found, cmap):
    """Write each heatmap of one picture as a transparent one of the original's size."""
    for key, maps in found.maps.items():
        file = f"overlays/{folder}/{slug(title(*key))}.png"
        heatmap = picture.placement.heatmap_in_original(maps[row])
        run.write_picture(file, transparent(heatmap, cmap))


def gallery(records, names):
    """The table of pictures for a report."""
    frame = pd.DataFrame(records).rename(
        columns={"file": "image", "picture": "file", "true": "y_true", "predicted": "y_pred"}
    )
    wrong = frame["y_true"].isin(names) & (frame["y_true"] != frame["y_pred"])
    frame["error_type"] = np.where(wrong, "wrong class", "")
    return frame[GALLERY].round(3)


def look(config, photographs, model, arch):
    """The pictures, the names of the network's classes, and where it looks."""
    given = read_class_names(config.class_names)
    clf = load(config, model, arch)
    pictures, labels = load_pictures(config, photographs, clf)
    names = names_of_outputs(clf, labels, given)
    truth = names_of_truth(clf, labels, names, given)
    pictures = in_words_of_network(pictures, truth, names)
    column = column_of(config, names)
    other = against(config, names, column)
    target = "logit" if other is None else logit_difference(other)
    explainers = make_explainers(clf, config.method, config.layer, target)
    images = np.stack([picture.image for picture in pictures])
    found = explain(clf, explainers, images, column, config.threshold)
    found.against = other
    return pictures, names, found


def write(run, config, pictures, names, found):
    """Draw all pictures; returns a record of each heatmap."""
    (run.folder / "figures").mkdir(exist_ok=True)
    records = []
    for row, picture in enumerate(pictures):
        folder = f"{row + 1:0{len(str(len(pictures)))}}-{slug(Path(picture.file).stem)}"
        files = write_figures(run, folder, picture, row, found, names, config.cmap)
        if config.overlay:
            write_overlays(run, folder, picture, row, found, config.cmap)
        records += [
            {
                **record(picture, row, key, found, names, config.threshold),
                "against": None if found.against is None else names[found.against],
                "picture": file,
            }
            for key, file in files.items()
        ]
    return records


def main(config, photographs, model, arch):
    """Load, explain, draw, write."""
    started = time.perf_counter()
    with mistakes_named():
        pictures, names, found = look(config, photographs, model, arch)
    run = Run(config, "fmcam explain", started=started)
    records = write(run, config, pictures, names, found)
    for row, picture in enumerate(pictures):
        name, probability = top_classes(found.proba[row], names)[0]
        print(f"{picture.file}: {name} ({probability:.2f})")
    run.write_json("records.json", {"records": records})
    run.write_table("gallery.csv", gallery(records, names))
    boxes = np.stack([picture.box_true for picture in pictures])
    table = layer_table(found, config.method, config.layer, boxes)
    if table is not None:
        run.write_table("layers.csv", table.round(4))
        print("\n" + table.round(3).to_string())
    run.finish()
