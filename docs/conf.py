"""Sphinx configuration. The build uses no network: ``sphinx-build -W -b html docs docs/_build``."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "relaxit"
author = "The relaxit authors"
release = version = installed_version("relaxit-framework")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["_build", "jupyter_execute"]
html_theme = "furo"
html_title = f"relaxit {release}"

nb_execution_mode = "off"  # the pages' code is run by tests/test_docs.py
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings give shapes, which types do not
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True


def setup(app):
    # On a property napoleon takes "Where soft values lie: the polytope." for a type and a text.
    # This puts the sentence together again.
    def join_sentence(app, what, name, obj, options, lines):
        kinds = [line for line in lines if line.startswith(":type: ")]
        if what == "property" and kinds:
            lines.remove(kinds[0])
            lines[0] = f"{kinds[0].removeprefix(':type: ')}: {lines[0]}"

    app.connect("autodoc-process-docstring", join_sentence, priority=900)
