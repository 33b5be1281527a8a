"""The gallery: each example reaches what it sets out to do, and its figure shows it."""

from __future__ import annotations

import ast
import re

import pytest

from tests.gallery import SCRIPTS, colour, ink, lines_of_code, panels
from tests.scripts import run

EACH_SCRIPT = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


def test_lines_are_counted():
    source = '"""Doc\n\nstring."""\n\nimport a  # comment\n# another\nx = [\n    1,\n]\n'
    assert lines_of_code(source) == 4


@EACH_SCRIPT
def test_an_example_is_short(path):
    assert 15 <= lines_of_code(path.read_text()) <= 25


@EACH_SCRIPT
def test_an_example_begins_with_a_title(path):
    title, underline, empty, *text = ast.get_docstring(ast.parse(path.read_text())).splitlines()
    assert re.fullmatch(r"[A-Z].{9,}", title)
    assert underline == "=" * len(title)
    assert not empty
    assert text[0]


@EACH_SCRIPT
def test_an_example_has_cells_and_saves_its_figure_last(path):
    lines = path.read_text().splitlines()
    assert sum(line == "# %%" for line in lines) >= 1
    assert lines[-1] == f'plt.savefig("{path.stem}.png")'


def test_hard_attention(tmp_path):
    (attention,) = numbers(run("gallery/hard_attention.py", cwd=tmp_path))
    assert 0.98 < attention <= 1
    (panel,) = panels(tmp_path / "hard_attention.png")
    assert ink(panel) > 0.15  # padding
    assert colour(panel) > 0.015  # attention


def test_pruning_gates(tmp_path):
    kept, units, error = numbers(run("gallery/pruning_gates.py", cwd=tmp_path))
    assert 6 <= kept <= 12 < units == 64
    assert error < 0.02
    assert min(map(colour, panels(tmp_path / "pruning_gates.png", columns=2))) > 0.01


def test_codebook(tmp_path):
    error, used, codes = numbers(run("gallery/codebook.py", cwd=tmp_path))
    assert error < 0.4
    assert 45 < used <= codes == 64
    digits, usage = panels(tmp_path / "codebook.png", rows=2)
    assert ink(digits) > 0.1
    assert colour(usage) > 0.1


def test_prompt_search(tmp_path):
    found, tokens, distance = numbers(run("gallery/prompt_search.py", cwd=tmp_path))
    assert found == tokens == 6
    assert distance < 5  # of a random prompt, 12
    assert min(map(colour, panels(tmp_path / "prompt_search.png", columns=2))) > 0.01


def test_exact_gradients(tmp_path):
    text = run("gallery/exact_gradients.py", cwd=tmp_path)
    rows = re.findall(r"(\S+): bias ([\d.]+), noise ([\d.]+)", text)
    bias = {name: float(number) for name, number, _ in rows}
    noise = {name: float(number) for name, _, number in rows}
    assert bias["st-gumbel"] > 0.3 > 0.2 > bias["reinmax"] > 0.1
    assert bias["rloo"] < 0.06  # 2.2 / sqrt(10 000) = 0.022 is expected
    assert 0.7 < noise["st-gumbel"] < 1.1 < noise["reinmax"] < 1.6 < noise["rloo"] < 2.7
    assert min(map(colour, panels(tmp_path / "exact_gradients.png", columns=3))) > 0.01


def test_bandit(tmp_path):
    reinforce, rloo = numbers(run("gallery/bandit.py", cwd=tmp_path))
    assert rloo < 0.25 < 0.3 < reinforce
    (panel,) = panels(tmp_path / "bandit.png")
    assert colour(panel) > 0.01


def test_temperature(tmp_path):
    error, best, annealed = numbers(run("gallery/temperature.py", cwd=tmp_path))
    assert 0.3 < best < 1
    assert annealed < 0.9 * error < 0.4
    (panel,) = panels(tmp_path / "temperature.png")
    assert colour(panel) > 0.01
