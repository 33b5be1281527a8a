"""The notebooks of the documentation run, and their stored output is what their code prints."""

from __future__ import annotations

import contextlib
import io
import json
import re

import matplotlib
import pytest
import torch

from tests.pages import DOCS

FIGURES = {"start/notebook": 2, "running/train-in-a-notebook": 1}
"""Number of figures that the code of each notebook draws itself."""
CELLS = {
    name: [
        cell
        for cell in json.loads((DOCS / f"{name}.ipynb").read_text())["cells"]
        if cell["cell_type"] == "code"
    ]
    for name in FIGURES
}
TOLERANCE = 0.15  # of the printed numbers, which training rounds differently on other machines

each_notebook = pytest.mark.parametrize("name", CELLS)


def stored_text(cell: dict) -> str:
    return "".join("".join(o["text"]) for o in cell["outputs"] if o["output_type"] == "stream")


def stored(name: str, kind: str) -> list[str]:
    """Return all outputs of one type of data, such as text/html."""
    outputs = [o for cell in CELLS[name] for o in cell["outputs"]]
    return ["".join(o["data"][kind]) for o in outputs if kind in o.get("data", "")]


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What each cell prints, by notebook; the cells of one share a namespace."""
    backend, threads = matplotlib.get_backend(), torch.get_num_threads()
    matplotlib.use("agg")
    texts: dict[str, list[str]] = {}
    for name, cells in CELLS.items():
        namespace: dict[str, object] = {}
        with contextlib.chdir(tmp_path_factory.mktemp("notebook")):
            texts[name] = [run(cell, namespace) for cell in cells]
    from matplotlib import pyplot

    pyplot.close("all")
    matplotlib.use(backend)
    torch.set_num_threads(threads)
    return texts


def run(cell: dict, namespace: dict[str, object]) -> str:
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()),
    ):
        exec("".join(cell["source"]), namespace)
    return out.getvalue()


@each_notebook
def test_every_cell_was_executed_in_order(name):
    cells = CELLS[name]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert kinds <= {"stream", "display_data", "execute_result"}  # and no error


@each_notebook
def test_its_figures_are_stored(name):
    figures = stored(name, "image/png")
    assert len(figures) == FIGURES[name]
    assert all(len(figure) > 2000 for figure in figures)


def test_training_in_a_notebook_shows_progress_settings_and_figures():
    shown = stored("running/train-in-a-notebook", "text/html")
    assert "epoch 20/20" in shown[0]
    assert "batch 50, adam" in shown[0]
    assert "discrete ELBO" in shown[1]
    assert shown[2].count("data:image/png;base64,") == 3


@pytest.mark.parametrize(
    ("name", "place"), [(name, n) for name in CELLS for n in range(len(CELLS[name]))]
)
def test_a_cell_prints_what_is_stored(printed, name, place):
    number = r"\d+\.?\d*"
    found, kept = printed[name][place], stored_text(CELLS[name][place])
    assert re.sub(number, "0", found).split() == re.sub(number, "0", kept).split()
    values = [[float(n) for n in re.findall(number, text)] for text in (found, kept)]
    assert values[0] == pytest.approx(values[1], rel=TOLERANCE, abs=0.05)
