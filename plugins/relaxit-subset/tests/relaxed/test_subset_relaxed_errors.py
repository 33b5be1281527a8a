"""Bad input: each a typed error, whose message holds the numbers, also on the command line."""

from __future__ import annotations

import math
import os
import re

import pytest
import torch
from subset_helpers import INF

import relaxit
from relaxit.cli.app import run
from relaxit.errors import ConfigurationError, DomainError, ShapeError, Unsupported

NAMES = pytest.mark.parametrize("name", ["subset", "subset-plackett-luce"])


@NAMES
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 5, "k": 7}, r"k = 7 exceeds n = 5; k must be at most n"),
        ({"n": 5, "k": -1}, r"k must be at least 0, got -1"),
        ({"n": 0, "k": 0}, r"n must be at least 1, got 0"),
        ({"n": -3, "k": 0}, r"n must be at least 1, got -3"),
        ({"n": 5, "k": 2.5}, r"k must be an integer, got .*2\.5"),
        ({"n": 5, "k": math.nan}, r"k must be (an integer|finite), got nan"),
        ({"n": 5, "k": "two"}, r"k must be an integer, got .*two"),
        ({"n": 5, "k": True}, r"k must be an integer, got .*True"),
        ({"n": 5, "k": None}, r"k must be an integer, got .*None"),
        ({"n": 5}, r"k"),
        ({}, r"n"),
        ({"n": 5, "k": 2, "m": 1}, r"m"),
    ],
    ids=str,
)
def test_options(name, options, said):
    with pytest.raises(ConfigurationError, match=said) as found:
        relaxit.get(name, **options)
    assert "\n" not in str(found.value)


@NAMES
@pytest.mark.parametrize(
    "row",
    [
        [math.nan, 0.0, 1.0, 2.0],
        [math.nan, INF, INF, 2.0],
        [-INF, -INF, -INF, 1.0],
        [-INF] * 4,
        [INF, INF, INF, 0.0],
        [INF] * 4,
        [INF, INF, INF, -INF],
    ],
    ids=str,
)
def test_illegal_logits(name, row):
    structure = relaxit.get(name, n=4, k=2)
    rows = torch.tensor([[0.0, 1.0, 2.0, 3.0], row, [0.0, INF, -INF, 1.0]])
    assert structure.valid_params(rows).tolist() == [True, False, True]
    said = rf"^{name}: illegal params in 1 of 3 .*fewer than k = 2 .* more than k = 2 "
    with pytest.raises(DomainError, match=said):
        structure(rows)


@NAMES
@pytest.mark.parametrize(
    "row", [[-INF, -INF, 0.0, 1.0], [INF, INF, 0.0, 1.0], [INF, -INF, -INF, 1.0]], ids=str
)
def test_logits_that_leave_just_one_subset_are_legal(name, row):
    q = relaxit.get(name, n=4, k=2)(torch.tensor(row))
    assert float(q.discrete.entropy()) == pytest.approx(0, abs=1e-6)
    assert float(q.discrete.mean.sum()) == 2


@NAMES
@pytest.mark.parametrize(("n", "k"), [(3, 0), (3, 3)])
def test_nan_is_rejected_without_a_choice(name, n, k):
    with pytest.raises(DomainError, match=r"1 of 1"):
        relaxit.get(name, n=n, k=k)(torch.tensor([0.0, math.nan, 1.0]))


@NAMES
@pytest.mark.parametrize("shape", [(), (3,), (5,), (4, 3)])
def test_wrong_shape_of_params(name, shape):
    with pytest.raises(ShapeError, match=rf"^{name}.*4") as found:
        relaxit.get(name, n=4, k=2)(torch.zeros(shape))
    assert str(list(shape)) in str(found.value)


@NAMES
def test_wrong_shape_of_values(name):
    q = relaxit.get(name, n=4, k=2)(torch.zeros(3, 4))
    for call in (q.log_prob, q.discrete.log_prob, q.hard):
        with pytest.raises(ShapeError, match=rf"{name}.*\[3, 5\]"):
            call(torch.zeros(3, 5))


@NAMES
@pytest.mark.parametrize("shape", [(), (1,), (3, 1), (3, 5), (2, 4), (2, 1, 3)])
def test_wrong_shape_of_values_in_log_space(name, shape):
    x = relaxit.get(name, n=4, k=2)(torch.zeros(3, 4)).log_space
    with pytest.raises(ShapeError, match=rf"BalancedLogits.*{re.escape(str(list(shape)))}"):
        x.log_prob(torch.zeros(shape))


@NAMES
@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_temperature(name, temperature):
    with pytest.raises(DomainError, match="temperature"):
        relaxit.get(name, n=4, k=2)(torch.zeros(4), temperature)


@NAMES
def test_integer_params(name):
    with pytest.raises(TypeError, match="int64"):
        relaxit.get(name, n=4, k=2)(torch.zeros(4, dtype=torch.int64))


@NAMES
def test_too_many_subsets_to_list(name):
    q = relaxit.get(name, n=30, k=15)(torch.zeros(30))
    with pytest.raises(Unsupported, match=r"155117520 subsets of 15 out of 30"):
        q.discrete.enumerate_support()
    assert len(relaxit.get(name, n=20, k=9)(torch.zeros(20)).discrete.enumerate_support()) == 167960


# --- the command line -------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty directory, with none of the user's environment."""
    for key in [key for key in os.environ if key.startswith("RELAXIT_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--relaxation subset -o n=5 -o k=7", "k = 7 exceeds n = 5"),
        ("--relaxation subset -o n=5 -o k=-1", "-o k must be at least 0, got -1"),
        ("--relaxation subset -o n=0 -o k=0", "-o n must be at least 1, got 0"),
        ("--relaxation subset -o n=5 -o k=2.5", "k"),
        ("--relaxation subset -o n=5", "k"),
        ("--relaxation subset-plackett-luce -o n=5 -o k=7", "k = 7 exceeds n = 5"),
        ("--relaxation subst -o n=5 -o k=2", "Did you mean subset"),
        ("--relaxation subset -o n=5 -o k=2 --estimator imle -e lam=0", "lam"),
    ],
)
def test_command_line(elsewhere, capsys, flags, said):
    small = "--epochs 1 --batch-size 300 --device cpu --latents 2"
    assert run(["train", *small.split(), *flags.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert said in err
    assert list(elsewhere.iterdir()) == []
