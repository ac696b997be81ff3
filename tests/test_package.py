"""The package itself: what `import fmcam` reaches, and what it leaves unimported."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import lazy_loader
import pytest

import fmcam

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "torchvision", "timm", "sklearn", "pandas", "matplotlib", "numpy")


def test_each_package_is_reached_from_fmcam():
    folders = {path.parent.name for path in (ROOT / "fmcam").glob("*/__init__.py")}
    public = {name for name in folders if not name.startswith("_")} - {"cli"}
    assert set(fmcam.__all__) == public | {"localize"}
    assert fmcam.explain.GradCAM.__module__ == "fmcam.explain._cam"


def test_the_version_is_that_of_the_installed_package(tmp_path):
    assert fmcam.__version__ == version("fmcam")
    for package in (fmcam, lazy_loader):
        folder = Path(package.__file__).parent
        (tmp_path / folder.name).symlink_to(folder)
    command = [sys.executable, "-ES", "-c", "import fmcam; print(fmcam.__version__)"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0.0"


@pytest.mark.parametrize("name", fmcam.__all__)
def test_each_public_name_is_there(name):
    package = getattr(fmcam, name)
    assert [public for public in package.__all__ if not hasattr(package, public)] == []


def test_names_are_told_without_importing_what_takes_seconds():
    code = "import sys, fmcam; fmcam.models.list_models(); fmcam.explain.list_explainers(); "
    code += f"print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_networks_of_our_own_do_without_the_two_seconds_of_torchvision():
    code = """
import sys
import numpy as np
from sklearn.frozen import FrozenEstimator
from fmcam.classifiers import LeNet5Classifier
from fmcam.cli import _explain, _grid_search, _train
from fmcam.explain import GradCAM
X, y = np.zeros((8, 1, 28, 28), np.uint8), np.arange(8) % 2
clf = LeNet5Classifier(max_epochs=1, verbose=0).fit(X, y)
GradCAM(FrozenEstimator(clf)).transform(X)
print("torchvision" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"
