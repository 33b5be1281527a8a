"""Sphinx configuration. The build uses no network: ``sphinx-build -W -b html docs docs/_build``."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx_gallery.sorting import ExplicitOrder

project = "relaxit"
author = "The relaxit authors"
release = version = installed_version("relaxit-framework")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",  # formulas are shown without the network
]
exclude_patterns = ["_build", "jupyter_execute", "gallery/*.ipynb", "gallery/*.py"]
html_theme = "furo"
smartquotes = False  # it makes one dash of the two of an option
html_title = f"relaxit {release}"
html_search_scorer = str(Path(__file__).with_name("scorer.js"))
html_copy_source = False
project_copyright = "The relaxit authors"

nb_execution_mode = "off"  # the pages' code is run by tests/test_docs.py
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"  # the docstrings add shapes, which types do not give
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True


# The scripts are run by the build, one after the other. Their order is the order of the page.
ORDER = [
    "hard_attention", "router", "pruning_gates", "codebook", "prompt_search", "feature_selection",
    "learning_to_rank", "bandit", "matching", "jigsaw", "alignment", "temperature",
    "exact_gradients",
]  # fmt: skip
sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": ExplicitOrder([f"{name}.py" for name in ORDER]),
    "abort_on_example_error": True,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 10_000,
    "write_computation_times": False,
    "remove_config_comments": True,
    "image_scrapers": ("matplotlib",),
    "capture_repr": (),
    "matplotlib_animations": False,
}

# The reference of the command line is written by Typer from the commands themselves.
COMMANDS = Path(__file__).parent / "running" / "commands.md"
subprocess.run(
    [sys.executable, "-m", "typer", "relaxit.cli.app", "utils", "docs", "--name", "relaxit",
     "--title", "Command line reference", "--output", str(COMMANDS)],
    check=True, stdout=subprocess.DEVNULL,
)  # fmt: skip


def setup(app):
    # On a property napoleon takes "Where soft values lie: the polytope." for a type and a text.
    # This puts the sentence together again.
    def join_sentence(app, what, name, obj, options, lines):
        kinds = [line for line in lines if line.startswith(":type: ")]
        if what == "property" and kinds:
            lines.remove(kinds[0])
            lines[0] = f"{kinds[0].removeprefix(':type: ')}: {lines[0]}"

    app.connect("autodoc-process-docstring", join_sentence, priority=900)
