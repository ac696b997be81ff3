"""Files that lie: what fmcam makes of files whose bytes or values somebody changed."""

import contextlib
import io
import os
import random
import shutil
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image
from sklearn.frozen import FrozenEstimator

from experiments.benchmark._box_kinds import BOX_KINDS
from experiments.benchmark._damage import damage
from experiments.benchmark._kind import Kind
from fmcam.classifiers import (
    CNNClassifier,
    LeNet5Classifier,
    Resumable,
    load_classifier,
    save_classifier,
)
from fmcam.cli._config import parse
from fmcam.cli._report._write import write_report
from fmcam.cli.train import Config as Settings
from fmcam.datasets import load_image, load_image_folder
from fmcam.explain import CAM, explain_in_shards
from fmcam.model_selection import GridSearchCV
from fmcam.models import CNN_CAM, LeNet5

__all__ = ["KINDS", "tried"]

_SECONDS = 20
_LONGEST = 3000  # characters of a message


# What is read: `make` writes into a folder, `read` gives what is compared or None -----------------


class Checkpoint(Kind):
    """A classifier of fmcam."""

    def make(self, folder):
        """CNN_CAM with all that a checkpoint can hold."""
        clf = CNNClassifier(CNN_CAM, max_epochs=1, random_state=0, verbose=0, batch_size=8)
        clf.fit(_images(8, 16), np.array(["ant", "bee"] * 4))
        names = {"class_names": ["Ant", "Bee"], "dataset": "insects", "metrics": {"accuracy": 0.5}}
        save_classifier(clf, folder / "net.safetensors", **names)

    def read(self, folder):
        """Probabilities, of blank images in the size that the file says."""
        _check_probabilities(folder / "net.safetensors")


class TorchFile(Kind):
    """Weights in a torch file, with what others keep beside them."""

    def make(self, folder):
        """A dictionary with weights, names, mean and deviation."""
        beside = {"class_names": ["a", "b"], "mean": [0.5], "std": [0.2], "epoch": np.int64(3)}
        torch.save({"model": LeNet5(2).state_dict(), **beside}, folder / "net.pt")

    def read(self, folder):
        """Probabilities of blank images."""
        _check_probabilities(folder / "net.pt", module=LeNet5)


def _check_probabilities(path, **options):
    """Blank images have probabilities, or are refused."""
    clf = load_classifier(path, **options)
    shape = clf.image_shape_ or (1, 28, 28)
    if np.prod(shape) > 2**16:
        return
    try:
        proba = clf.predict_proba(np.zeros((2, *shape), dtype=np.float32))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not np.allclose(proba.sum(axis=1), 1, atol=1e-3):
        raise AssertionError(f"probabilities that sum to {proba.sum(axis=1)}")


class SettingsFile(Kind):
    """YAML with the settings of a training."""

    def make(self, folder):
        """The settings of this repository."""
        shutil.copy(Path(__file__).parents[2] / "configs" / "imagenette.yaml", folder)

    def read(self, folder):
        """The settings."""
        arguments = ["--config", str(folder / "imagenette.yaml")]
        with contextlib.redirect_stderr(io.StringIO()) as said:
            try:
                parse(Settings, arguments, prog="fmcam train", description="")
            except SystemExit as end:
                raise ValueError(f"{said.getvalue()} {end}") from end


class Picture(Kind):
    """A picture of one of seven formats."""

    def __init__(self, ending):
        self.ending = ending

    def make(self, folder):
        """Noise."""
        Image.fromarray(_images(3, 40)[:, 0].transpose(1, 2, 0)).save(folder / f"a.{self.ending}")

    def read(self, folder):
        """Its pixels."""
        load_image(folder / f"a.{self.ending}", size=32)


class Page(Kind):
    """A folder of results, of which any file may be damaged: the page is made without it."""

    def make(self, folder):
        """Tables, records, a picture and a gallery."""
        (folder / "summary.csv").write_text("method,iou,iou_low,iou_high\nCAM,.5,.4,.6\n")
        (folder / "gallery.csv").write_text(
            "file,method,y_true,y_pred,error_type,iou\na.png,CAM,cat,dog,wrong,0.5\n"
        )
        (folder / "provenance.json").write_text('{"command": "a", "versions": {"torch": "2"}}')
        (folder / "config.json").write_text('{"seeds": [1, 2], "lr": 0.1, "flip": true}')
        Image.fromarray(_images(3, 16)[:, 0].transpose(1, 2, 0)).save(folder / "a.png")

    def read(self, folder):
        """The page."""
        html = write_report(folder).read_text()
        if "<h2>" not in html:
            raise AssertionError("a page without a section")


class Search(Kind):
    """The fits that a search has kept."""

    steady = True

    def make(self, folder):
        """Four of them."""
        self.read(folder)

    def read(self, folder):
        """The scores."""
        clf = LeNet5Classifier(max_epochs=1, batch_size=8, random_state=0, verbose=0)
        search = GridSearchCV(clf, {"lr": [0.1, 0.01]}, cv=2, refit=False, memory=folder)
        search.fit(_images(12, 12), np.arange(12) % 2)
        return np.stack([search.cv_results_[f"split{k}_test_score"] for k in range(2)])


class Training(Kind):
    """The state of a training."""

    steady = True

    def make(self, folder):
        """At its end."""
        self.read(folder)

    def read(self, folder):
        """The weights at the end."""
        callbacks = [Resumable(folder / "state.pt")]
        clf = LeNet5Classifier(
            max_epochs=1, batch_size=8, callbacks=callbacks, random_state=0, verbose=0
        )
        clf.fit(_images(12, 12), np.arange(12) % 2)
        return np.concatenate([w.detach().numpy().ravel() for w in clf.module_.parameters()])


class Shards(Kind):
    """Maps that were made in shards."""

    steady = True

    def make(self, folder):
        """Three shards of two maps."""
        self.read(folder)

    def read(self, folder):
        """The maps."""
        torch.manual_seed(0)
        cam = CAM(FrozenEstimator(CNNClassifier.from_module(CNN_CAM(2).eval())), batch_size=2)
        return np.array(explain_in_shards(cam, _images(6, 12), folder=folder, rows_per_shard=2))


class Decoded(Kind):
    """Pictures that were decoded once into the user's cache."""

    steady = True

    def make(self, folder):
        """Eight of two classes."""
        for number, image in enumerate(_images(8, 12)[:, 0]):
            (folder / "pictures" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / "pictures" / "ab"[number % 2] / f"{number}.png")
        self.read(folder)

    def read(self, folder):
        """Their pixels."""
        with mock.patch.dict(os.environ, {"XDG_CACHE_HOME": str(folder / "cache")}):
            return np.array(load_image_folder(folder / "pictures", size=8).images)


def _images(n, size):
    return np.random.default_rng(0).integers(0, 256, (n, 1, size, size), dtype=np.uint8)


KINDS: dict[str, Kind] = {
    "checkpoint": Checkpoint(),
    "torch file": TorchFile(),
    "settings": SettingsFile(),
    **{f"picture {ending}": Picture(ending) for ending in ("png", "jpg", "gif", "bmp", "tiff")},
    **{f"picture {ending}": Picture(ending) for ending in ("webp", "ppm")},
    "page": Page(),
    "fits of a search": Search(),
    "state of a training": Training(),
    "shards of maps": Shards(),
    "decoded pictures": Decoded(),
    **BOX_KINDS,
}


# Trying -------------------------------------------------------------------------------------------


def tried(name, seeds):
    """Damage files of a kind once for each seed, and read them.

    Parameters
    ----------
    name : str
        One of `KINDS`.
    seeds : iterable of int

    Yields
    ------
    outcome : str
        "read", "refused" with an error that names the file, or what was wrong.
    """
    kind = KINDS[name]
    with tempfile.TemporaryDirectory() as root:
        whole = Path(root) / "whole"
        whole.mkdir()
        kind.make(whole)
        expected = kind.read(_copy(whole, Path(root) / "first"))
        for seed in seeds:
            folder = _copy(whole, Path(root) / str(seed))
            draw = random.Random(f"{name} {seed}")
            damaged = [path for path in folder.rglob("*") if path.is_file()]
            if name == "decoded pictures":
                damaged = [path for path in damaged if "cache" in path.parts]
            damage(draw, draw.choice(sorted(damaged)))
            yield _outcome(kind, folder, expected)
            shutil.rmtree(folder)


def _copy(source, target):
    return Path(shutil.copytree(source, target))


def _outcome(kind, folder, expected):
    start = time.perf_counter()
    try:
        found = kind.read(folder)
    except (OSError, ValueError) as error:
        said = str(error)
        if str(folder) not in said or len(said) > _LONGEST:
            return f"said {len(said)} characters: {said[:200]!r}"
        return "refused"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    seconds = time.perf_counter() - start
    if seconds > _SECONDS:
        return f"took {seconds:.0f} s"
    if kind.steady and not np.array_equal(found, expected):
        return "gave something else without a word"
    return "read"
