"""What `python -m experiments.mirror` does."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.frozen import FrozenEstimator

from experiments._cell_places import first_cell
from experiments._species import imagenet_classifier
from experiments.mirror import TRAINED_HERE
from fmcam.classifiers import CNNCAMClassifier, LeNet5Classifier, load_classifier
from fmcam.cli._run import Run
from fmcam.datasets import fetch_fashion_mnist, fetch_oxford_pets, make_canvas
from fmcam.explain import EigenCAM, GradCAM, explain_together, randomized
from fmcam.explain._geometry import half_pixel_grid, layer_grid

KINDS = {"Grad-CAM": GradCAM, "Eigen-CAM": EigenCAM}  # of a class, and of none


def classifier_and_photographs(name, config):
    """A trained classifier, by name or from a file, and images of its kind, (n, c, h, w)."""
    if name in TRAINED_HERE:
        return trained_here(name, config)
    if Path(name).is_file():
        clf = load_classifier(name)
    else:
        clf = imagenet_classifier(name, "DEFAULT", config.image_size)
    pets = fetch_oxford_pets(config.data_dir, subset="test", size=config.image_size)
    return clf, pets.images[:: max(1, len(pets.images) // config.images)][: config.images]


def trained_here(name, config):
    """LeNet-5 of items, or CNN_CAM of items on blank canvases."""
    train, test = (fetch_fashion_mnist(config.data_dir, subset=part) for part in ("train", "test"))
    train, test = (
        {"images": part.images[:n], "target": part.target[:n]}
        for part, n in ((train, config.rows), (test, config.images))
    )
    if name == "cnn-cam":
        train, test = (
            make_canvas(*part.values(), canvas_size=config.canvas, random_state=config.seed + i)
            for i, part in enumerate((train, test))
        )
    kind = {"lenet5": LeNet5Classifier, "cnn-cam": CNNCAMClassifier}[name]
    clf = kind(max_epochs=config.epochs, random_state=config.seed, verbose=0)
    return clf.fit(train["images"], train["target"]), np.asarray(test["images"])


def shifted(images, pixels):
    """Images (n, c, h, w) whose content lies further right; their left edge is repeated."""
    padded = np.pad(images, [(0, 0)] * 3 + [(pixels, 0)], mode="edge")
    return padded[..., : images.shape[3]]


def compare(clf, images, layer, config):
    """Yield where the first cell looks, for the trained network and the controls.

    Photographs are shifted by half a stride, so the first cell looks as far left of its place.
    """
    _, _, height, width = images.shape
    net = clf.module_.net
    grid = layer_grid(clf.module_, net.get_submodule(layer), torch.tensor(images[:1]).float())
    pixels = round(grid.stride[1] / 2)
    chance = randomized(clf, random_state=config.seed)
    mirrored = images[..., ::-1]
    cases = {
        "trained": (clf, images, mirrored),
        "random weights": (chance, images, mirrored),
        "shifted": (clf, shifted(images, pixels), shifted(mirrored, pixels)),
    }
    for case, (explained, *both) in cases.items():
        found, of_mirror = raw_maps(explained, both, layer, config.batch_size)
        for name, maps in found.items():
            evenly = half_pixel_grid((height, width), maps.shape[1:]).start[1]
            place = first_cell(maps, of_mirror[name], width, grid, random_state=config.seed)
            yield {
                "case": case,
                "shift": pixels if case == "shifted" else 0,
                "method": name,
                "layer": layer,
                "n": len(maps),
                "width": width,
                "cells": maps.shape[2],
                "stride": grid.stride[1],
                "geometric": grid.start[1],
                "evenly": evenly,
                **place,
            }


def raw_maps(clf, both, layer, batch_size):
    """Maps of images and of their mirror images, by the name of the method, of one class each."""
    raw = {"layer": layer, "upsample": False, "normalize": None, "rectify": False}
    labels, frozen = clf.predict(both[0]), FrozenEstimator(clf)
    explainers = {name: kind(frozen, batch_size=batch_size, **raw) for name, kind in KINDS.items()}
    return [explain_together(explainers, np.ascontiguousarray(some), labels) for some in both]


def default_layer(clf, images):
    """The layer that is explained where none is named."""
    cam = GradCAM(FrozenEstimator(clf))
    (layer,) = cam.layers_for(clf, torch.tensor(images[:1]).to(clf.device))
    return layer


def main(config):
    """Train or read, compare, write."""
    run = Run(config, "python -m experiments.mirror")
    rows = []
    for name in config.networks:
        clf, images = classifier_and_photographs(name, config)
        for row in compare(clf, images, default_layer(clf, images), config):
            rows.append({"network": Path(name).stem if Path(name).is_file() else name, **row})
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    run.write_table("rows.csv", table.round(3))
    print(table.round(2).to_string(index=False))
    run.finish()
