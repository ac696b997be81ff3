"""The command `fmcam`: its commands, and the photographs that are named to it."""

import json
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import experiments
from experiments.benchmark.__main__ import SCRIPTS as BENCHMARKS
from fmcam.cli import explain
from fmcam.cli._config import parse
from fmcam.cli._photographs import find_photographs
from fmcam.cli._pictures import read_photographs

ROOT = Path(__file__).parents[2]


def fmcam(*arguments):
    command = [sys.executable, "-m", "fmcam", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_command_lists_its_scripts():
    for done in (fmcam("--help"), fmcam()):
        lines = done.stdout.splitlines()
        listed = dict(line.split(maxsplit=1) for line in lines if line.startswith("  "))
        assert {"train", "grid-search", "finetune", "visualize", "report", "score"} <= set(listed)
        assert listed["explain"] == explain.__doc__.splitlines()[0]


HEAVY = ("torch", "torchvision", "timm", "sklearn", "pandas", "matplotlib", "numpy")
SCORE = ("score", "--images", "tests", "--boxes", "setup.cfg")
MISTAKES = {
    ("xyz",): "fmcam: error: there is no command 'xyz'. Known are app, explain",
    ("trian",): "fmcam: error: there is no command 'trian'. Did you mean 'train'?",
    ("explain", "--metod", "cam"): "there is no option --metod. Did you mean --method?",
    ("explain", "--method", "grad-cm"): "--method: cannot be 'grad-cm'. Did you mean 'grad-cam'",
    ("explain", "setup.cfg", "--arch", "resnet5"): "Did you mean 'resnet50'",
    ("explain", "setup.cfg", "--arch", "timm/resnet50.a1_in2k"): "Did you mean 'timm/resnet50",
    ("explain", "setup.cfg", "--arch", "hf/none"): "hf/none must name a folder",
    ("explain", "none.jpg"): "There is no photograph none.jpg.",
    ("train", "--dataset", "shape"): "--dataset: cannot be 'shape'. Did you mean 'shapes'?",
    ("train", "--patience", "2"): "--patience watches held-out images",
    ("grid-search", "--lr", "nan"): "--lr: must be a finite number, got 'nan'",
    ("finetune",): "--folder must name the folder of the photographs.",
    ("finetune", "--folder", "tests", "--weights", "DEFAULTS"): "Did you mean 'DEFAULT'?",
    ("finetune", "--folder", "tests", "--out", "setup.cfg"): "--out must be a folder",
    ("train", "--model", "resnet18", "--weights", "V9"): "Known are DEFAULT, IMAGENET1K_V1.",
    ("train", "--image-size", "64"): "fashion-mnist has none",
    ("train", "--out", "setup.cfg/run"): "--out must be a folder that can be written to",
    ("train", "--checkpoint-dir", "setup.cfg"): "--checkpoint-dir must be a folder",
    ("grid-search", "--halving", "--epochs", "2"): "--halving needs --epochs of 3 or more",
    ("grid-search", "--halving", "--lr", "1", "--batch-size", "8", "--weight-decay", "0"): (
        "--halving needs three candidates or more, got 1"
    ),
    ("grid-search", "--out", "setup.cfg"): "--out must be a folder that can be written to",
    ("explain", "setup.cfg", "--arch", "resnet50", "--model", "V9"): "IMAGENET1K_V2",
    ("explain", "setup.cfg", "--arch", "resnet50", "--model", "DEFAULT", "--out", "setup.cfg"): (
        "--out must be a folder"
    ),
    ("report",): "Name the folder of the results",
    ("score",): "Name the photographs and their boxes",
    (
        "score",
        "--images",
        "nowhere",
        "--boxes",
        "setup.cfg",
    ): "--images: there is no folder nowhere.",
    (*SCORE[:3], "--boxes", "none.json"): "--boxes: there is no file none.json.",
    (*SCORE, "--fit-on", "0,3"): "--fit-on: there is no file 0,3. Name a file of boxes, or a share",
    (
        *SCORE,
        "--fit-on",
        "1",
    ): "--fit-on must be a share between 0 and 1, or a file of boxes, got 1.",
    (*SCORE, "--arch", "resnet50"): "resnet50 needs --model: a file",
    (*SCORE, "--arch", "resnet5", "--model", "DEFAULT"): "Did you mean 'resnet50'",
    (*SCORE, "--model", "setup.cfg", "--out", "setup.cfg"): "--out must be a folder",
    (*SCORE, "--heatmaps", "maps.npy", "--arch", "resnet50"): "--arch is about a network",
    (
        *SCORE,
        "--heatmaps",
        "setup.cfg",
    ): "--heatmaps must be files .npy, as of numpy.save; setup.cfg",
    (*SCORE, "--heatmap-images", "sorted"): "--heatmap-images goes with --heatmaps alone.",
    ("app", "--image-size", "0"): "--image-size must be 1 or more, got 0.",
    ("report", "nowhere"): "There is no folder nowhere.",
    ("report", "tests", "--out", "nowhere/page.html"): "There is no folder nowhere to write",
}


WORDS = {
    ("--help",): "fmcam COMMAND --help",
    ("--version",): "fmcam 0.",
    ("app", "--help"): "usage: fmcam app",
    ("explain", "--help"): "usage: fmcam explain",
    ("visualize", "--help"): "usage: fmcam explain",
    ("train", "--print-config"): "learning rate",
    ("grid-search", "--help"): "usage: fmcam grid-search",
    ("finetune", "--help"): "usage: fmcam finetune",
    ("report", "--help"): "usage: fmcam report",
    ("score", "--help"): "usage: fmcam score",
}
NAMES = [found.name for found in pkgutil.iter_modules(experiments.__path__)]
SCRIPTS = {(name,): "usage: " for name in NAMES if name[0] != "_" and name != "benchmark"}
SCRIPTS |= {
    ("benchmark", name): f"usage: python -m experiments.benchmark {name} " for name in BENCHMARKS
}
EXPERIMENTS = {
    **{(*script, "--help"): usage for script, usage in SCRIPTS.items()},
    **{
        (*script, "--otu", "x"): "there is no option --otu. Did you mean --out?"
        for script in SCRIPTS
    },
    ("benchmark",): "usage: ",
    ("benchmark", "halving", "--nets", "lenet"): "Did you mean 'lenet5'?",
    ("benchmark", "wsol", "--rival", "nowhere"): "--rival: there is no clone of wsolevaluation in",
    ("compare", "--search", "nowhere"): "There is no nowhere/best.json. Name the folder",
    ("compare_methods", "--runs", "nowhere"): "--runs: there is no nowhere/config.json.",
    ("localize", "--threshold", "2"): "--threshold must be in [0, 1], got 2.0.",
    ("pets", "--weights", "DEFAULTS"): "Did you mean 'DEFAULT'?",
    ("pets", "--arch", "resnet5"): "Did you mean 'resnet50'",
    ("pets", "--out", "setup.cfg"): "--out must be a folder that can be written to",
}
AT_ONCE = f"""
import contextlib, io, json, runpy, sys, time
last, told = 0, []
for command in json.load(sys.stdin):
    sys.argv, out, err = command, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module(command[0], run_name="__main__")
            code = 0
        except SystemExit as end:
            code = end.code
            if isinstance(code, str):
                print(code, file=err)
    heavy = [name for name in {HEAVY} if name in sys.modules]
    spent, last = time.process_time() - last, time.process_time()
    told.append((code, out.getvalue(), err.getvalue(), heavy, spent))
print(json.dumps(told))
"""


def said_at_once(commands):
    """What each command says; none imports anything heavy or takes over half a second.

    All run in one process, whose start is counted with the first.
    """
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE],
        input=json.dumps(commands),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for command, (code, out, err, heavy, seconds) in zip(
        commands, json.loads(done.stdout), strict=True
    ):
        assert heavy == [], command
        assert seconds < 0.5, command  # about 0.15 where nothing else runs
        yield code, out, err


def test_mistakes_are_told_at_once_in_one_line():
    commands = [["fmcam", *arguments] for arguments in MISTAKES]
    for (code, out, err), message in zip(said_at_once(commands), MISTAKES.values(), strict=True):
        assert message in err
        assert len(err.splitlines()) == 1, err
        assert (bool(code), out) == (True, "")


def test_what_is_no_work_is_said_at_once():
    commands = [["fmcam", *arguments] for arguments in WORDS]
    for (code, out, err), words in zip(said_at_once(commands), WORDS.values(), strict=True):
        assert words in out
        assert (bool(code), err) == (False, "")


def test_experiments_say_at_once_what_is_no_work():
    commands = [[f"experiments.{name}", *arguments] for name, *arguments in EXPERIMENTS]
    found = zip(commands, said_at_once(commands), EXPERIMENTS.values(), strict=True)
    for command, (_, out, err), words in found:
        assert words in (out if "--help" in command else err)


@pytest.mark.parametrize(("shell", "said"), [("bash", "compgen"), ("zsh", "#compdef fmcam")])
def test_a_shell_completes_commands_options_and_choices(shell, said):
    done = fmcam("--print-completion", shell)
    assert done.returncode == 0, done.stderr
    for word in (said, "grid-search", "--threshold", "layer-cam", "imagenette"):
        assert word in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes(tmp_path):
    script = tmp_path / "completion.sh"
    script.write_text(fmcam("--print-completion", "bash").stdout)
    asked = f"source {script}; COMP_WORDS=(fmcam train --data); COMP_CWORD=2; "
    asked += "_shtab_fmcam; echo ${COMPREPLY[@]}"
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["--dataset", "--data-dir"]


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
