"""Folders as people have them: links, parts of a data set, odd names, folders without use."""

import json
import os
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fmcam._text import printable
from fmcam.cli._run import Run
from fmcam.datasets import load_image_folder
from fmcam.plot import HeatmapDisplay
from fmcam.report import classification_frame, write_csv

pytestmark = pytest.mark.usefixtures("cache")


def make_folder(folder, *names):
    for grey, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 4), grey).save(path, format="PNG")
    return folder


def load(folder, **options):
    bunch = load_image_folder(folder, size=4, **options)
    return bunch.filenames.tolist(), dict(bunch.unreadable.to_numpy().tolist())


# Links


@pytest.mark.parametrize(
    ("link", "target", "reason"),
    [
        ("cat/all", "..", "is what is read as the folder itself"),
        ("cat/all", "../..", "is a link to a folder above, which is not followed"),
        ("cat/all", ".", "is what is read as cat"),
        ("dog/cats", "../cat", "is what is read as cat"),
        ("kitten", "cat", "is what is read as cat"),
        ("a kitten", "cat", "is what is read as cat"),
        ("cat/0.png", "1.png", "is what is read as cat/1.png"),
        ("dog/1.png", "../cat/1.png", "is what is read as cat/1.png"),
        ("again.png", "cat/1.png", "is what is read as cat/1.png"),
    ],
)
def test_a_link_to_what_is_there_adds_nothing(tmp_path, link, target, reason):
    folder = make_folder(tmp_path / "up" / "pets", "cat/1.png", "dog/2.png", "dog/old/3.png")
    make_folder(tmp_path / "up", "beside.png")
    (folder / link).symlink_to(target)
    assert load(folder) == (["cat/1.png", "dog/2.png", "dog/old/3.png"], {link: reason})


def test_links_to_elsewhere_are_followed(tmp_path):
    store = make_folder(tmp_path / "store", "cats/1.png", "cats/old/2.png", "blob")
    folder = make_folder(tmp_path / "pets", "dog/3.png")
    (folder / "cat").symlink_to(store / "cats")
    (folder / "tom").symlink_to(store / "cats")
    (folder / "dog" / "4.png").symlink_to(store / "blob")
    (folder / "dog" / "5.png").symlink_to(store / "blob")
    (store / "cats" / "back").symlink_to(folder)
    (store / "cats" / "up").symlink_to(store)
    assert load(folder) == (
        ["cat/1.png", "cat/old/2.png", "dog/3.png", "dog/4.png"],
        {
            "cat/back": "is what is read as the folder itself",
            "cat/up": "is a link to a folder above, which is not followed",
            "dog/5.png": "is what is read as dog/4.png",
            "tom": "is what is read as cat",
        },
    )
    (tmp_path / "linked").symlink_to(folder)
    assert load(tmp_path / "linked")[0] == load(folder)[0]


def test_of_links_to_one_folder_the_first_name_counts(tmp_path):
    make_folder(tmp_path / "store", "1.png")
    folder = make_folder(tmp_path / "pets", "dog/2.png")
    for name in "caebfd":
        (folder / name).symlink_to(tmp_path / "store")
    assert load(folder) == (
        ["a/1.png", "dog/2.png"],
        dict.fromkeys("bcdef", "is what is read as a"),
    )


def test_a_link_to_a_folder_and_one_to_a_folder_inside_it(tmp_path):
    make_folder(tmp_path / "store", "cats/1.png", "2.png")
    folder = make_folder(tmp_path / "pets", "dog/3.png")
    (folder / "cat").symlink_to(tmp_path / "store" / "cats")
    (folder / "more").symlink_to(tmp_path / "store")
    assert load(folder) == (
        ["cat/1.png", "dog/3.png", "more/2.png"],
        {"more/cats": "is what is read as cat"},
    )


def test_links_to_hidden_pictures_are_read(tmp_path):
    folder = make_folder(tmp_path / "pets", ".store/1.png", "dog/2.png")
    (folder / "cat").mkdir()
    (folder / "cat" / "1.png").symlink_to("../.store/1.png")
    assert load(folder) == (["cat/1.png", "dog/2.png"], {})


def test_broken_links_are_named(tmp_path):
    folder = make_folder(tmp_path, "cat/1.png", "dog/2.png")
    (folder / "cat" / "0.png").symlink_to("gone.png")
    (folder / "cat" / "loop.png").symlink_to("loop.png")
    (folder / "cat" / "gone").symlink_to("nowhere")
    files, unreadable = load(folder)
    assert files == ["cat/1.png", "dog/2.png"]
    assert unreadable.keys() == {"cat/0.png", "cat/loop.png"}
    assert "No such file or directory" in unreadable["cat/0.png"]


# Folders


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    folder = make_folder(tmp_path, "cat/1.png", "dog/2.png")
    scandir = os.scandir

    def guarded(path):  # permissions do not hold for the root user, who may run this
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    message = (
        f"The folder {folder.resolve() / 'dog'} in {folder} cannot be listed (Permission denied). "
        "Change its permissions, or move it"
    )
    with pytest.raises(PermissionError, match=re.escape(message)):
        load_image_folder(folder)


def test_folders_of_systems_are_left_out_and_empty_ones_named(tmp_path):
    folder = make_folder(
        tmp_path,
        "cat/1.png",
        "dog/2.png",
        "__MACOSX/cat/3.png",
        ".ipynb_checkpoints/4.png",
        "cat/@eaDir/5.png",
        ".git/6.png",
        "cat/._1.png",
    )
    (folder / ".DS_Store").touch()
    (folder / "bird" / "old").mkdir(parents=True)
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").touch()
    assert load(folder) == (
        ["cat/1.png", "dog/2.png"],
        {"bird": "holds no picture", "notes": "holds no picture"},
    )


def test_names_that_differ_in_capitals_only_are_said(tmp_path):
    folder = make_folder(
        tmp_path, "Cat/1.png", "cat/2.png", "Andr\u00e9/3.png", "Andre\u0301/4.png"
    )
    with pytest.warns(
        UserWarning, match=r"encoding only: \[\['Andre\u0301', 'Andr\u00e9'\], \['Cat', 'cat'\]\]"
    ):
        assert len(set(load_image_folder(folder, size=4).target)) == 4


# Names that are no UTF-8


@pytest.fixture(name="latin")
def folder_of_an_old_archive(tmp_path):
    folder = make_folder(tmp_path / "old", "coffee/1.png", "dog/2.png")
    os.rename(
        folder / "coffee" / "1.png", os.fsdecode(os.fsencode(folder / "coffee") + b"/\xe9.png")
    )
    os.rename(folder / "coffee", os.fsdecode(os.fsencode(folder) + b"/Andr\xe9"))
    return folder


def test_labels_of_such_names_can_be_written(latin):
    bunch = load_image_folder(latin, size=4)
    assert bunch.target.tolist() == ["Andr\\udce9", "dog"]
    assert bunch.target_names == ["Andr\\udce9", "dog"]
    assert os.fsencode(latin / bunch.filenames[0]).endswith(b"Andr\xe9/\xe9.png")
    assert load_image_folder(latin, size=4).images[:, 0, 0, 0].tolist() == [0, 1]


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_such_names_in_tables(tmp_path, name):
    frame = pd.DataFrame({"file": ["Andr\udce9.png", "André.png", "a,b.png"]})
    write_csv(frame, tmp_path / name)
    read = pd.read_csv(tmp_path / name, encoding="utf-8")["file"].tolist()
    assert read == ["Andr\\udce9.png", "André.png", "a,b.png"]


def test_such_names_in_files_of_a_run(tmp_path):
    from dataclasses import dataclass

    @dataclass
    class Config:
        out: str
        resume: bool = False

    run = Run(Config(str(tmp_path / "run")), "try")
    run.write_json("files.json", ["Andr\udce9.png"])
    run.write_text("files.txt", "Andr\udce9.png é")
    assert json.loads((run.folder / "files.json").read_text("utf-8")) == ["Andr\udce9.png"]
    assert (run.folder / "files.txt").read_text("utf-8") == "Andr\\udce9.png é"


def test_such_names_in_pictures_and_reports():
    assert printable("Andr\udce9 é") == "Andr\\udce9 é"
    display = HeatmapDisplay.from_heatmaps(
        np.zeros((1, 4, 4)),
        {"m\udce9": np.zeros((1, 4, 4))},
        y_true=["Andr\udce9"],
        y_pred=["d\udce9"],
        title="of \udce9",
    )
    figure = display.plot().figure_
    figure.canvas.draw()
    assert display.ax_[0, 0].get_ylabel() == "true: Andr\\udce9\npredicted: d\\udce9"
    frame = classification_frame([0, 1], [[1, 0], [0, 1]], [0, 1], class_names=["a", "\udce9"])
    assert frame.index.tolist() == ["a", "\\udce9"]
