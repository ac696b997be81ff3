"""Settings of the site, which `make docs` builds."""

import re
from datetime import date

from sphinx.ext.autosummary import Autosummary

import fmcam

project = "fmcam"
author = "The fmcam developers"
copyright = f"{date.today().year}, {author}"
release = fmcam.__version__

extensions = [
    "myst_parser",  # the pages are Markdown, which is read in the repository, too
    "numpydoc",  # the sections of docstrings
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",  # runs examples/plot_*.py, and makes notebooks of them
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "obj"  # `name` in a docstring is code, with a link where it is a name of fmcam
myst_heading_anchors = 3

autosummary_ignore_module_all = False  # each name of `__all__` has a page
autosummary_imported_members = True
numpydoc_show_class_members = False  # _templates/autosummary/class.rst shows them

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "ignore_pattern": "compare_simple_cnn_with_lenet5",  # takes an hour; tests run it smaller
    "reference_url": {"fmcam": None},
    "doc_module": "fmcam",
    "backreferences_dir": "gallery/backreferences",
    "download_all_examples": False,
    "show_memory": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"fmcam {release}"
html_theme_options = {"show_toc_level": 2}
html_show_sourcelink = False


class Summaries(Autosummary):
    """Tables of names and first lines, without the papers, which the page of a name lists."""

    def get_items(self, names):
        """What stands in the table: name, signature, first line and the name in full."""
        return [
            (name, signature, re.sub(r" \[\w+-\d+\]_", "", line), full)
            for name, signature, line, full in super().get_items(names)
        ]


def skip_members_of_others(app, what, name, member, skip, options):
    """Leave what classes inherit from torch, skorch and scikit-learn to those projects' pages."""
    module = getattr(getattr(member, "fget", member), "__module__", None)
    return skip or not str(module).startswith("fmcam")


def setup(app):
    """Connect what is above to Sphinx, which calls this."""
    app.add_directive("autosummary", Summaries, override=True)
    app.connect("autodoc-skip-member", skip_members_of_others)
