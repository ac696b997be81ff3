"""The command `fmcam`: its commands, and the photographs that are named to it."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fmcam.cli import explain
from fmcam.cli._config import parse
from fmcam.cli._photographs import find_photographs
from fmcam.cli._pictures import read_photographs

ROOT = Path(__file__).parents[2]


def fmcam(*arguments):
    command = [sys.executable, "-m", "fmcam", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_command_lists_its_scripts_without_loading_them():
    code = "import runpy, sys; sys.argv = ['fmcam', '--help']\n"
    code += "try: runpy.run_module('fmcam', run_name='__main__')\n"
    code += "except SystemExit: print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "False"
    listed = dict(line.split(maxsplit=1) for line in lines if line.startswith("  "))
    assert {"train", "grid-search", "visualize", "report"} <= set(listed)
    assert listed["explain"] == explain.__doc__.splitlines()[0]


@pytest.mark.slow
def test_the_command_passes_arguments_on():
    done = fmcam("visualize", "--help")
    assert done.returncode == 0
    assert "usage: fmcam explain" in done.stdout
    assert "--class-name" in done.stdout
    done = fmcam("report", "no-such-folder")
    assert done.returncode == 1
    assert "There is no folder no-such-folder" in done.stderr


def test_the_command_names_a_mistake_and_its_version():
    done = fmcam("paint")
    assert done.returncode == 2
    assert "invalid choice: 'paint'" in done.stderr
    assert "'train'" in done.stderr
    assert fmcam("--version").stdout.startswith("fmcam 0.")


# Photographs --------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    for name in ("b.jpg", "a [1].png", "cats/c.JPG", "cats/.hidden.jpg"):
        Image.new("RGB", (8, 6)).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["photos/b.jpg", "photos/a [1].png"], ["photos/b.jpg", "photos/a [1].png"]),
        (["photos"], ["photos/a [1].png", "photos/b.jpg", "photos/cats/c.JPG"]),
        (["photos/cats/"], ["photos/cats/c.JPG"]),
        (["photos/*.jpg"], ["photos/b.jpg"]),
        (["photos/c*"], ["photos/cats/c.JPG"]),
        (["**/*.[jJ]*"], ["photos/b.jpg", "photos/cats/c.JPG"]),
        (["~/photos/b.jpg"], ["{home}/photos/b.jpg"]),
        (["photos/b.jpg", "photos"], ["photos/b.jpg", "photos/a [1].png", "photos/cats/c.JPG"]),
    ],
)
def test_files_folders_and_patterns(photos, monkeypatch, names, expected):
    monkeypatch.setenv("HOME", str(photos.parent))
    found = find_photographs(names)
    assert list(map(str, found)) == [name.format(home=photos.parent) for name in expected]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("photos/bb.jpg", r"no photograph photos/bb.jpg. Did you mean photos/b.jpg\?"),
        ("photo/b.jpg", "no photograph photo/b.jpg. There is not even a folder photo."),
        ("xyz", "There is no photograph xyz.$"),
        ("https://example.org/b.jpg", "no photograph https://example.org/b.jpg. Download it first"),
        ("empty", "no photographs in empty: no files named like"),
        ("photos/*.gif", r"no photographs in photos/\*.gif"),
        ("", "A photograph has an empty name"),
    ],
)
def test_nothing_there(photos, name, message):
    with pytest.raises(ValueError, match=message):
        find_photographs([name])


def test_what_a_folder_holds_may_be_broken_but_what_is_named_may_not(photos):
    (photos / "b.jpg").write_text("no picture")
    for names in (["photos", "photos/b.jpg"], ["photos/b.jpg", "photos"]):
        assert [path.name for path, named in find_photographs(names).items() if named] == ["b.jpg"]
    pictures, left_out = read_photographs(find_photographs(["photos"]), (3, 4, 4), "crop")
    assert [Path(picture.file).name for picture in pictures] == ["a [1].png", "c.JPG"]
    (reason,) = left_out
    assert reason.startswith("photos/b.jpg is not a picture")
    with pytest.raises(ValueError, match=r"^photos/b.jpg is not a picture"):
        read_photographs(find_photographs(["photos", "photos/b.jpg"]), (3, 4, 4), "crop")
    with pytest.raises(ValueError, match=r"None of the 1 .* be read: photos/b.jpg is"):
        read_photographs(find_photographs(["photos/*.jpg"]), (3, 4, 4), "crop")


def settings_of(*arguments):
    return parse(explain.Config, list(arguments), prog="fmcam explain", description="")


def test_photographs_before_and_between_options():
    found = settings_of("a.jpg", "--method", "cam", "edge-map", "--arch", "resnet50", "b.jpg")
    assert found.photographs == ("a.jpg", "b.jpg")
    assert (found.method, found.arch) == (("cam", "edge-map"), "resnet50")
    assert settings_of("a.jpg", "--image", "b.jpg").photographs == ("a.jpg", "b.jpg")
    assert settings_of("--arch", "resnet50").photographs == ()


def test_photographs_named_in_a_file(tmp_path):
    file = tmp_path / "explain.yaml"
    file.write_text("photo: [a.jpg, b.jpg]\nmethod: cam\n")
    assert settings_of("--config", str(file)).photographs == ("a.jpg", "b.jpg")
    assert settings_of("c.jpg", "--config", str(file)).photographs == ("c.jpg",)
    assert settings_of("--config", str(file)).method == ("cam",)
