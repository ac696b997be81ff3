"""Pets for a network that learned ImageNet: it has no class of most breeds, but of dogs and cats.

As the true class counts the likeliest class of the animal's species, so what is predicted is right
if it is any kind of dog on a photograph of a dog, any domestic cat on one of a cat.
"""

from pathlib import PurePath

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from fmcam.cli._networks import load_network
from fmcam.report import wilson_interval

__all__ = ["imagenet_classifier", "with_species_classes", "write_species"]

DOGS = slice(151, 269)  # Chihuahua to Mexican hairless
CATS = slice(281, 286)  # tabby to Egyptian cat
N_CLASSES = 1000


def imagenet_classifier(arch, weights, image_size):
    """A network by name with weights of ImageNet's 1,000 classes; else end with a message."""
    try:
        clf = load_network(weights, arch, image_size)
    except (ImportError, ValueError) as error:
        raise SystemExit(f"{error}") from error
    if len(clf.classes_) != N_CLASSES or "class_names" not in clf.checkpoint_:
        raise SystemExit(
            f"--arch must be a network of ImageNet's {N_CLASSES:,} classes, but {arch} has "
            f"{len(clf.classes_)} with these weights. Leave it out to train on the breeds."
        )
    return clf


def with_species_classes(clf, data):
    """The photographs with ImageNet's classes as `target` and `target_names`.

    The publishers write the names of cats' files with a capital letter.
    """
    is_cat = np.array([PurePath(name).name[0].isupper() for name in data.filenames])
    of_species = np.zeros((len(is_cat), N_CLASSES), dtype=bool)
    of_species[is_cat, CATS] = True
    of_species[~is_cat, DOGS] = True
    target = np.where(of_species, clf.predict_proba(data.images), -1).argmax(axis=1)
    return Bunch(**{**data, "target": target, "target_names": clf.checkpoint_["class_names"]})


def write_species(run, clf, test, breeds):
    """Write how often each breed is taken for which class; returns the accuracy of the species."""
    predicted = clf.predict(test.images)
    named = pd.DataFrame({"breed": breeds, "predicted": np.take(test.target_names, predicted)})
    right = predicted == test.target
    named["right_species"] = right
    run.write_table("predictions.csv", named.value_counts().rename("n").reset_index())
    low, high = wilson_interval(right.sum(), len(right))
    row = {"n": len(right), "accuracy": right.mean(), "accuracy_low": low, "accuracy_high": high}
    table = pd.DataFrame([row])
    run.write_table("classification.csv", table)
    return table
