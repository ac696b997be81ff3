"""What the README shows exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
SCRIPTS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


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
