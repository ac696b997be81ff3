"""Borders between the packages, read off the imports in the sources."""

import ast
from pathlib import Path

import fmcam

ROOT = Path(fmcam.__file__).parent
# Each imports only from those in front of it; those in ALONE and the private modules from none.
FLOW = (
    *("models", "metrics", "datasets", "classifiers", "_ensemble", "model_selection"),
    *("explain", "localize", "report", "plot", "cli", "__main__"),
)
ALONE = ("models", "metrics", "datasets")


def imported(source):
    """The modules that a source imports, and the names it imports from them, dotted."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def owner(path):
    """The package or the module right inside fmcam that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def from_others(path):
    """What a file imports from other parts of fmcam, as lists such as ["models", "_own"]."""
    names = (name.split(".") for name in imported(path.read_text()))
    return [
        name[1:] for name in names if name[0] == "fmcam" and name[1:2] not in ([], [owner(path)])
    ]


SOURCES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def test_no_package_imports_a_private_module_of_another():
    private = {
        str(path.relative_to(ROOT)): ".".join(name)
        for path in SOURCES
        for name in from_others(path)
        if any(part[0] == "_" for part in name[1:])
    }
    assert private == {}


def test_arrows_point_down_the_flow():
    upward = {str(path.relative_to(ROOT)): found for path in SOURCES if (found := _upward(path))}
    assert upward == {}


def _upward(path):
    """The packages that a file imports though they do not stand in front of its own."""
    packages = {name[0] for name in from_others(path) if not name[0].startswith("__")}
    shared = {name for name in packages if name[0] == "_" and name not in FLOW}
    mine = owner(path)
    before = FLOW[: FLOW.index(mine)] if mine in FLOW and mine not in ALONE else ()
    return packages - shared - set(before)


def test_nothing_imports_the_experiments():
    names = {name.split(".")[0] for path in SOURCES for name in imported(path.read_text())}
    assert "experiments" not in names
    assert {"fmcam", "numpy", "torch"} <= names


def test_private_names_of_scikit_learn_and_skorch_are_in_one_file():
    private = {
        path.name
        for path in SOURCES
        for name in imported(path.read_text())
        if name.startswith(("sklearn.", "skorch.")) and "._" in name
    }
    assert private == {"_sklearn_compat.py"}
