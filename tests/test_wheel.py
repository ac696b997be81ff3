"""What is installed: the package alone, whose command runs without the checkout."""

import re
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

import pytest

ROOT = Path(__file__).parent.parent


def python(*arguments, **options):
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    try:
        found = version("setuptools")
    except PackageNotFoundError:
        found = "0"
    if int(found.partition(".")[0]) < 77:
        pytest.skip(f"setuptools 77 or newer builds the wheel, found {found}")
    pytest.importorskip("setuptools_scm")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("fmcam", "experiments"):
        copytree(ROOT / name, source / name, ignore=ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        copy(ROOT / name, source)
    python("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", out, source)
    return next(out.glob("fmcam-*.whl"))


def test_the_version_is_that_of_the_last_tag(tmp_path):
    pytest.importorskip("setuptools_scm")
    for name in ("pyproject.toml", ".git_archival.txt"):
        copy(ROOT / name, tmp_path)

    def version_after(*commands):
        for command in commands:
            identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
            subprocess.run(["git", *identity, *command.split()], cwd=tmp_path, check=True)
        return python("-m", "setuptools_scm", cwd=tmp_path).strip()

    commit = "commit -q --allow-empty -m change"
    assert version_after() == "0.0"  # an archive that knows no commit
    assert version_after("init -q", "add .", commit).startswith("0.1.dev")  # a clone without tags
    assert version_after("tag v1.2.3") == "1.2.3"
    assert version_after(commit, commit).startswith("1.2.4.dev2+g")
    (tmp_path / ".git").rename(tmp_path / "git")
    filled = "node: 0123456789abcdef\ndescribe-name: v1.2.3-2-g0123456\n"
    (tmp_path / ".git_archival.txt").write_text(filled)
    assert version_after() == "1.2.4.dev2+g0123456"  # an archive of a host of repositories


def test_changes_are_headed_by_version_and_date():
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGES.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", one) for one in headings[1:])


@pytest.mark.slow
def test_the_wheel_holds_the_package_alone(wheel):
    names = {Path(name).parts for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top, *_ in names if not top.endswith(".dist-info")} == {"fmcam"}
    sources = [path.relative_to(ROOT).parts for path in (ROOT / "fmcam").rglob("*.py")]
    sources += [path.relative_to(ROOT).parts for path in (ROOT / "fmcam").rglob("*.pyi")]
    pages = [("fmcam", "cli", "_report", f"page.{kind}") for kind in ("css", "html", "js")]
    assert {*sources, *pages, ("fmcam", "py.typed")} <= names


@pytest.mark.slow
def test_users_code_passes_mypy_strict(wheel, tmp_path, monkeypatch):
    pytest.importorskip("mypy")
    python("-m", "pip", "install", "--no-deps", "--no-index", "--target", tmp_path / "site", wheel)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    copy(Path(__file__).with_name("typed_use.py"), tmp_path)
    (tmp_path / "wrong_use.py").write_text(
        "from fmcam.explain import GradCAM\n"
        "GradCAM(None, batch_size='many').explain([[[0.0]]]).no_such_name\n"
    )
    files = ["typed_use.py", "wrong_use.py"]
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.partition(":")[0] for line in errors] == ["wrong_use.py"] * 2
    codes = sorted(line.rpartition("[")[2] for line in errors)
    assert codes == ["arg-type]", "attr-defined]"]


@pytest.mark.slow
def test_the_command_runs_where_it_is_installed(wheel, tmp_path, monkeypatch):
    target, folder = tmp_path / "site", tmp_path / "results"
    python("-m", "pip", "install", "--no-deps", "--no-index", "--target", target, wheel)
    monkeypatch.setenv("PYTHONPATH", str(target))
    folder.mkdir()
    (folder / "rows.csv").write_text("name,score\none,0.5\n")
    script = target / "bin" / "fmcam"
    assert python(script, "--version", cwd=tmp_path) == "fmcam 0.0\n"
    assert "  explain " in python(script, "--help", cwd=tmp_path)
    assert "report.html" in python(script, "report", folder, cwd=tmp_path)
    where = python("-c", "import fmcam; print(fmcam.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(target)
