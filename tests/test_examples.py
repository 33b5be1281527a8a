"""The example scripts run as a reader would run them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.image import imread

from tests.scripts import run


@pytest.fixture(scope="module")
def figure(tmp_path_factory):
    directory = tmp_path_factory.mktemp("temperature")
    return run("temperature.py", "figure.png", cwd=directory), directory / "figure.png"


def test_temperature_writes_an_image(figure):
    _, path = figure
    image = imread(path)[..., :3]
    assert min(image.shape[:2]) > 300
    assert (image.min(-1) < 0.99).mean() > 0.05  # ink
    # Each of the five columns of axes has bars of its own.
    assert all((part.min(-1) < 0.9).mean() > 0.02 for part in _columns(image))


def _columns(image):
    width = image.shape[1] // 5
    return [image[:, i * width : (i + 1) * width] for i in range(5)]


def test_simplex_has_points_of_three_colours_in_each_panel(tmp_path):
    run("simplex.py", "simplex.png", cwd=tmp_path)
    panels = np.array_split(imread(tmp_path / "simplex.png")[..., :3], 4, axis=1)
    for panel in panels:
        for strongest in range(3):  # blue, orange and green have their largest channel each
            others = np.delete(panel, strongest, axis=-1).max(-1)
            assert (panel[..., strongest] > others + 0.1).mean() > 5e-4


def test_temperature_prints_the_table(figure):
    text, _ = figure
    rows = [[float(n) for n in re.findall(r"\d+\.?\d*", line)] for line in text.splitlines()]
    soft = [row for row in rows if len(row) == 9]
    (softmax,) = [row for row in rows if len(row) == 7]
    distances = [row[1] for row in soft]
    assert len(soft) == 4
    assert distances == sorted(distances)
    assert distances[0] < 0.1 < 0.7 < distances[-1] < 1
    for row in soft:
        assert row[2:] == pytest.approx(softmax, abs=0.015)


def test_plain_loop_improves(tmp_path):
    text = run("plain_loop.py", "--epochs", "6", cwd=tmp_path)
    first, last = map(float, re.search(r"first ELBO (-[\d.]+), last ELBO (-[\d.]+)", text).groups())
    assert last > first + 10
    epochs = re.findall(
        r"^epoch +(\d+): temperature ([\d.]+), training surrogate ([\d.]+)", text, re.M
    )
    assert [int(epoch) for epoch, _, _ in epochs] == [5, 6]
    assert float(epochs[0][1]) > float(epochs[1][1]) >= 0.4
    assert 0 < float(epochs[1][2]) < -first


def test_plain_loop_repeats(tmp_path):
    texts = {run("plain_loop.py", "--epochs", "1", cwd=tmp_path) for _ in range(2)}
    assert len(texts) == 1


def test_annealing_is_saved_and_loaded(tmp_path):
    temperature, error, mode = map(
        float, re.findall(r"[\d.]+\d", run("annealing.py", cwd=tmp_path))
    )
    assert temperature == 0.3
    assert max(error, mode) < 0.2
    assert (tmp_path / "model.pt").is_file()


def test_drop_in_learns(tmp_path):
    text = run("drop_in.py", cwd=tmp_path)
    errors = [float(error) for error in re.findall(r"error ([\d.]+)", text)]
    assert len(errors) == 4
    assert errors[-1] < 0.05 < 0.2 < errors[0]
