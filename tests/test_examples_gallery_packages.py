"""The gallery examples that need relaxit-subset, relaxit-permutation or relaxit-graph."""

from __future__ import annotations

import re

from tests.gallery import colour, ink, panels
from tests.scripts import run


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


def test_feature_selection(tmp_path):
    found, inputs, error = numbers(run("gallery/feature_selection.py", cwd=tmp_path))
    assert found == inputs == 10
    assert error < 0.3
    (panel,) = panels(tmp_path / "feature_selection.png")
    assert ink(panel) > 0.05
    assert colour(panel) > 0.02  # the curves of the relevant inputs


def test_learning_to_rank(tmp_path):
    before, after = numbers(run("gallery/learning_to_rank.py", cwd=tmp_path))
    assert before < 0.6 < 0.93 < after < 1
    curve, bars = panels(tmp_path / "learning_to_rank.png", columns=2)
    assert colour(curve) > 0.005
    assert colour(bars) > 0.05


def test_matching(tmp_path):
    text = run("gallery/matching.py", cwd=tmp_path)
    rows = re.findall(r"^(\S+): precision ([\d.]+), recall ([\d.]+)$", text, re.M)
    precision, recall = ({name: float(row[i]) for name, *row in rows} for i in (0, 1))
    assert precision["partial-matching"] > 0.95
    assert recall["partial-matching"] > 0.97
    assert 0.5 < precision["matching"] <= 8 / 12  # 8 of 12 rows have a partner
    assert min(map(colour, panels(tmp_path / "matching.png", columns=2))) > 0.02


def test_jigsaw(tmp_path):
    (solved,) = numbers(run("gallery/jigsaw.py", cwd=tmp_path))
    assert 80 < solved < 100  # a random order solves 4 %
    assert min(map(ink, panels(tmp_path / "jigsaw.png", rows=3))) > 0.1


def test_alignment(tmp_path):
    (off,) = numbers(run("gallery/alignment.py", cwd=tmp_path))
    assert 0 < off < 0.5  # 1.38 with the first turn
    shares = [colour(panel) for panel in panels(tmp_path / "alignment.png", rows=2, columns=2)]
    assert min(shares) > 0.02


def test_router(tmp_path):
    text = run("gallery/router.py", cwd=tmp_path)
    rows = re.findall(r"weight ([\d.]+): error ([\d.]+), load <= ([\d.]+)", text)
    (without, low, most), (weight, error, balanced) = (map(float, row) for row in rows)
    assert without == 0 < weight
    assert low < error < 0.1  # 0.25 with a single linear map
    assert 1 / 8 < balanced < 0.16 < 0.2 < most
    assert min(map(colour, panels(tmp_path / "router.png", columns=2))) > 0.03
