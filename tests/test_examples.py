"""The example scripts run as a reader would run them."""

from __future__ import annotations

import re

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


@pytest.mark.parametrize("seed", ["0", "1"])
def test_plain_loop_improves(tmp_path, seed):
    text = run("plain_loop.py", "--epochs", "6", "--seed", seed, cwd=tmp_path)
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


def test_bandit_learns_from_actions_drawn_earlier(tmp_path):
    text = run("bandit.py", cwd=tmp_path)
    before, after = map(float, re.findall(r"^step \d+: regret ([\d.]+)$", text, re.M))
    assert before > 0.3
    assert after < 0.05


def test_router_balances_what_it_learns(tmp_path):
    text = run("router.py", cwd=tmp_path)
    error, least, most = map(float, re.findall(r"[\d.]+", text))
    assert error < 0.2
    assert 0.1 < least <= 0.125 <= most < 0.15


def test_pruning_gates_keep_the_relevant_inputs(tmp_path):
    text = run("pruning_gates.py", cwd=tmp_path)
    error, expected = map(float, re.search(r"error ([\d.]+), expected L0 ([\d.]+)", text).groups())
    kept, relevant = re.findall(r"\[([\d, ]+)\]", text)
    assert kept == relevant
    assert error < 0.02
    assert 7 < expected < 12


def test_codebook_reconstructs_with_many_codes(tmp_path):
    text = run("codebook.py", cwd=tmp_path)
    error, perplexity, codes = map(float, re.findall(r"[\d.]+", text))
    assert error < 0.45
    assert 40 < perplexity < codes == 512
