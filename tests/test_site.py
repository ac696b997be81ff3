"""The site says all that there is to say: a page for each public name."""

from pathlib import Path

import pytest
from sphinx.ext.autosummary import generate

import fmcam

DOCS = Path(__file__).parent.parent / "docs"


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
