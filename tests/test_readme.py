"""What the README shows exists, and it is read in two minutes."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
SCRIPTS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


def test_it_is_short():
    assert len(TEXT.split()) < 900


def test_there_are_scripts():
    assert len(SCRIPTS) == 3


@pytest.mark.parametrize("script", SCRIPTS)
def test_imports_of_the_scripts(script):
    """pytorch-grad-cam's README imports a module that is not there."""
    imports = [node for node in ast.parse(script).body if isinstance(node, ast.ImportFrom)]
    assert imports
    exec(compile(ast.Module(imports, type_ignores=[]), "README.md", "exec"), {})


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", TEXT))))
def test_linked_files_exist(link):
    assert link.startswith("https://") or (ROOT / link).exists()


def test_numbers_of_what_nobody_else_has_name_their_files():
    """A number in prose names the file in `results/` that it comes from."""
    section = TEXT.split("## What nobody else has")[1].split("\n\nNot measured")[0]
    items = re.split(r"^- ", section, flags=re.M)[1:]
    assert len(items) == 5
    assert [item for item in items if "](results/" not in item] == []
