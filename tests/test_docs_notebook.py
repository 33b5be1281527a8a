"""The notebook of the documentation runs, and its stored output is what its code prints today."""

from __future__ import annotations

import contextlib
import io
import json
import re

import matplotlib
import pytest

from tests.pages import DOCS

NOTEBOOK = DOCS / "start" / "notebook.ipynb"
CELLS = [c for c in json.loads(NOTEBOOK.read_text())["cells"] if c["cell_type"] == "code"]
TOLERANCE = 0.15  # of the printed numbers, which training rounds differently on other machines


def stored_text(cell: dict) -> str:
    return "".join("".join(o["text"]) for o in cell["outputs"] if o["output_type"] == "stream")


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """What each cell prints; the cells share a namespace, as in a notebook."""
    backend = matplotlib.get_backend()
    matplotlib.use("agg")
    texts, namespace = [], {}
    for cell in CELLS:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec("".join(cell["source"]), namespace)
        texts.append(out.getvalue())
    from matplotlib import pyplot

    pyplot.close("all")
    matplotlib.use(backend)
    return texts


def test_every_cell_was_executed_in_order():
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    kinds = {output["output_type"] for cell in CELLS for output in cell["outputs"]}
    assert kinds <= {"stream", "display_data"}  # and no error


def test_its_figures_are_stored():
    figures = [
        o["data"]["image/png"]
        for c in CELLS
        for o in c["outputs"]
        if "image/png" in o.get("data", "")
    ]
    assert len(figures) == 2
    assert all(len(figure) > 5000 for figure in figures)


@pytest.mark.parametrize("place", range(len(CELLS)))
def test_a_cell_prints_what_is_stored(printed, place):
    number = r"\d+\.?\d*"
    found, stored = printed[place], stored_text(CELLS[place])
    assert re.sub(number, "0", found).split() == re.sub(number, "0", stored).split()
    values = [[float(n) for n in re.findall(number, text)] for text in (found, stored)]
    assert values[0] == pytest.approx(values[1], rel=TOLERANCE, abs=0.05)
