"""The site says all that there is to say, and what it says of the code is so."""

import ast
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.ext.autosummary import generate

import fmcam

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
ERRORS = re.findall(r"^- \*(.+)\*$", (DOCS / "questions.md").read_text(), flags=re.M)


@pytest.fixture(scope="module")
def api_pages(tmp_path_factory):
    """The names that have a page of the API."""
    folder = tmp_path_factory.mktemp("generated")
    options = ["--respect-module-all", "--imported-members", "--templates", DOCS / "_templates"]
    generate.main([*map(str, options), "-o", str(folder), str(DOCS / "api" / "index.rst")])
    return {page.stem for page in folder.iterdir()}


def test_each_public_name_has_a_page(api_pages):
    packages = {f"fmcam.{package}": getattr(fmcam, package).__all__ for package in fmcam.__all__}
    names = {f"{package}.{name}" for package, names in packages.items() for name in names}
    assert api_pages == names | set(packages)


@pytest.fixture(scope="module")
def messages():
    """All texts in the sources, with … for what is filled in."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "fmcam").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    parts = [node.values if isinstance(node, ast.JoinedStr) else [node] for node in nodes]
    return {
        "".join(
            str(getattr(part, "value", "")) if isinstance(part, ast.Constant) else "…"
            for part in text
        )
        for text in parts
    }


@pytest.mark.parametrize("error", ERRORS)
def test_each_error_is_one_that_the_code_raises(error, messages):
    fragments = [re.escape(part) for part in re.split(r"^`\w+`|…", error)]
    assert any(re.search(".*".join(fragments), message) for message in messages)


def test_there_are_errors():
    assert len(ERRORS) > 15


@pytest.fixture(scope="module")
def conf():
    """The settings of the site, as Sphinx runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        return runpy.run_path(str(DOCS / "conf.py"))


def test_the_help_of_each_command_is_on_its_page(conf):
    texts = conf["help_of_commands"]()
    assert {"fmcam explain", "fmcam grid-search", "fmcam score"} <= set(texts)
    for name, text in texts.items():
        assert text.startswith(f"usage: {name} [-h] [--config FILE]"), name
    assert not any(name.startswith("fmcam _") for name in texts)
    command = [sys.executable, "-m", "fmcam", "score", "--help"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": conf["help_columns"]},
    )
    assert texts["fmcam score"] == done.stdout


def test_the_help_of_each_experiment_is_on_its_page(conf):
    texts = conf["help_of_experiments"]()
    pages = {"python -m experiments.pets", "python -m experiments.benchmark heatmaps"}
    assert pages <= set(texts)
    assert "python -m experiments.train" not in texts  # it is fmcam's
    for name, text in texts.items():
        assert text.startswith(f"usage: {name} "), name


def test_all_formulas_can_be_written_as_mathml():
    sources = "".join(path.read_text() for path in (ROOT / "fmcam").rglob("*.py"))
    inline = re.findall(r":math:`([^`]+)`", sources)
    blocks = re.findall(r"\.\. math::\s*(.*?)\n\s*\n", sources, flags=re.S)
    assert len(inline) > 30 < len(blocks)
    for formula in [*inline, *blocks]:
        assert "<math" in tex2mathml(formula)
