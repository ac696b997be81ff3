"""What the README shows exists, and it is read in two minutes."""

import ast
import re
from pathlib import Path

import pandas as pd
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


def test_what_methods_gain_on_pets_is_that_of_the_tables():
    """References were fitted anew once, and the sentence kept the numbers of before."""

    def gains(results):
        summary = pd.read_csv(ROOT / "results" / results / "summary.csv", index_col="method")
        return summary["iou_difference"].round(3)

    text, gained = " ".join(TEXT.split()), gains("pets")
    pattern = r"is (\S+) of IoU \*worse\* than .* LayerCAM of two layers, not aligned, (\S+) better"
    worse, better = map(float, re.findall(pattern, text)[0])
    assert -worse == gained["CAM"]
    assert better == gained["LayerCAM, layers 3 and 4, not aligned"]
    rows = dict(re.findall(r"^\| ([^|]+) \|.*\| (\S+) \(\S+ to \S+\) \|$", TEXT, flags=re.M))
    gained = gains("pets_imagenet")
    assert {name: float(number) for name, number in rows.items()} == {
        "LayerCAM, three layers, not aligned: best on the 300": gained[
            "LayerCAM, layers blocks.2 to bn2, not aligned"
        ],
        "LayerCAM, two layers": gained["LayerCAM, layers blocks.4 and bn2"],
        "CAM": gained["CAM"],
        "LayerCAM, two layers, random weights": gained[
            "random weights, LayerCAM, layers blocks.4 and bn2"
        ],
    }
