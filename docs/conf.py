"""Settings of the site, which `make docs` builds."""

import contextlib
import io
import os
import pkgutil
import re
import runpy
import sys
import warnings
from datetime import date
from unittest import mock

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.ext.autosummary import Autosummary
from sphinx.util.docutils import SphinxDirective

import experiments.benchmark
import fmcam.cli

project = "fmcam"
author = "The fmcam developers"
copyright = f"{date.today().year}, {author}"
release = fmcam.__version__

extensions = [
    "myst_parser",  # the pages are Markdown, which is read in the repository, too
    "numpydoc",  # the sections of docstrings
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",  # runs examples/plot_*.py, and makes notebooks of them
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "obj"  # `name` in a docstring is code, with a link where it is a name of fmcam
myst_heading_anchors = 3

autodoc_typehints = "none"  # docstrings say them shorter: ArrayLike alone is seven lines

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
    "ignore_repr_types": "Display",  # their pictures say all
}

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = f"fmcam {release.partition('+')[0]}"  # with the commit it is wider than a phone
html_theme_options = {"show_toc_level": 2}
html_show_sourcelink = False
html_sidebars = {page: [] for page in ("changes", "coming-from", "results")}  # none belong to them
html_static_path = ["_static"]
html_css_files = ["fmcam.css"]

help_columns = "70"  # that a block on a page has room for


class Summaries(Autosummary):
    """Tables of names and first lines, without the papers, which the page of a name lists."""

    def get_items(self, names):
        """What stands in the table: name, signature, first line and the name in full."""
        return [
            (name, signature, re.sub(r" \[\w+-\d+\]_", "", line), full)
            for name, signature, line, full in super().get_items(names)
        ]


def help_of_commands():
    """What `--help` says of each command of fmcam, by the command."""
    names = [name.replace("_", "-") for name in public_modules(fmcam.cli)]
    return {f"fmcam {name}": said("fmcam", name, "--help") for name in names}


def help_of_experiments():
    """What `--help` says of each script of experiments that is no command of fmcam, too."""
    scripts = {(f"experiments.{name}",) for name in public_modules(experiments)}
    scripts |= {("experiments.benchmark", name) for name in public_modules(experiments.benchmark)}
    texts = {f"python -m {' '.join(one)}": said(*one, "--help") for one in sorted(scripts)}
    return {name: text for name, text in texts.items() if text.startswith(f"usage: {name} [")}


def public_modules(package):
    """The names of the modules in a package, without those that begin with an underscore."""
    names = [found.name for found in pkgutil.iter_modules(package.__path__)]
    return [name for name in names if not name.startswith("_")]


def said(module, *arguments):
    """What ``python -m module arguments`` prints, in columns that a page has room for."""
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.suppress(SystemExit),
        mock.patch.object(sys, "argv", [module, *arguments]),
        mock.patch.dict(os.environ, {"COLUMNS": help_columns, "NO_COLOR": "1"}),
        warnings.catch_warnings(action="ignore", category=RuntimeWarning),  # imported already
    ):
        runpy.run_module(module, run_name="__main__")
    return out.getvalue()


class Help(SphinxDirective):
    """A section for each of the commands, or experiments, with what its `--help` says."""

    required_arguments = 1

    def run(self):
        """The sections, made anew in each build."""
        self.env.note_reread()
        texts = {"commands": help_of_commands, "experiments": help_of_experiments}
        return [self._section(*one) for one in texts[self.arguments[0]]().items()]

    def _section(self, name, text):
        title = nodes.title("", name.removeprefix("python -m "))
        section = nodes.section("", title, ids=[nodes.make_id(name)], names=[])
        section += nodes.literal_block(text, text, language="text")
        self.state.document.note_explicit_target(section)
        return section


def visit_math(writer, node):
    """Write a formula as MathML, which browsers draw by themselves, without a network."""
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def visit_math_block(writer, node):
    """Write a formula that has a line of its own."""
    formula = tex2mathml(node.astext(), as_block=True)
    writer.body.append(f'<div class="formula">{formula}</div>')
    raise nodes.SkipNode


def skip_members_of_others(app, what, name, member, skip, options):
    """Leave what classes inherit from torch, skorch and scikit-learn to those projects' pages."""
    module = getattr(getattr(member, "fget", member), "__module__", None)
    return skip or not str(module).startswith("fmcam")


def setup(app):
    """Connect what is above to Sphinx, which calls this."""
    app.add_directive("autosummary", Summaries, override=True)
    app.add_directive("help", Help)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.connect("autodoc-skip-member", skip_members_of_others)
