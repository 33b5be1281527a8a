"""Bad input to Permutation and Matching: a typed error in one line, which holds the numbers."""

from __future__ import annotations

import math
import os

import pytest
import torch
from permutation_helpers import INF, gumbel

import relaxit
from relaxit.cli.app import run
from relaxit.errors import ConfigurationError, DomainError, ShapeError, Unsupported
from relaxit_permutation.sinkhorn.operator import SinkhornWarning

BOTH = pytest.mark.parametrize(
    ("name", "options", "shape"),
    [("permutation", {"n": 3}, (3, 3)), ("matching", {"rows": 2, "columns": 3}, (2, 3))],
)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("permutation", {"n": 0}, r"n must be at least 1, got 0"),
        ("permutation", {"n": -2}, r"n must be at least 1, got -2"),
        ("permutation", {"n": 2.5}, r"n must be an integer, got .*2\.5"),
        ("permutation", {"n": True}, r"n must be an integer, got .*True"),
        ("permutation", {}, r"n"),
        ("permutation", {"n": 3, "k": 1}, r"k"),
        ("permutation", {"n": 3, "tolerance": 0}, r"tolerance must be greater than 0"),
        ("permutation", {"n": 3, "tolerance": math.nan}, r"tolerance"),
        ("permutation", {"n": 3, "iterations": 0}, r"iterations must be at least 1"),
        ("permutation", {"n": 3, "newton": -1}, r"newton must be at least 0"),
        ("matching", {"rows": 3, "columns": 2}, r"rows = 3 .* columns = 2"),
        ("matching", {"rows": 0, "columns": 2}, r"rows must be at least 1, got 0"),
        ("matching", {"rows": 1}, r"columns"),
    ],
    ids=str,
)
def test_options(name, options, said):
    with pytest.raises(ConfigurationError, match=said) as found:
        relaxit.get(name, **options)
    assert "\n" not in str(found.value)


@BOTH
@pytest.mark.parametrize("bad", ["nan", "+inf", "row", "no matching", "all"])
def test_illegal_params(name, options, shape, bad):
    structure = relaxit.get(name, **options)
    one = torch.zeros(shape)
    if bad == "nan":
        one[0, 1] = math.nan
    elif bad == "+inf":
        one[0, 1] = INF
    elif bad == "row":
        one[1] = -INF
    elif bad == "no matching":
        one[:2, 1:] = -INF
    else:
        one[:] = -INF
    fine = torch.zeros(shape)
    fine[0, 1] = -INF
    params = torch.stack([torch.zeros(shape), one, fine])
    assert structure.valid_params(params).tolist() == [True, False, True]
    with pytest.raises(
        DomainError, match=rf"^{name}: illegal params in 1 of 3 .*masks that leave no matching"
    ) as e:
        structure(params)
    assert "\n" not in str(e.value)


def test_a_masked_column():
    # No permutation is left; a matching does without.
    masked = torch.zeros(2, 3)
    masked[:, 0] = -INF
    assert bool(relaxit.get("matching", rows=2, columns=3).valid_params(masked))
    square = torch.zeros(3, 3)
    square[:, 0] = -INF
    assert not bool(relaxit.get("permutation", n=3).valid_params(square))


@BOTH
@pytest.mark.parametrize("bad", [(), (3,), (3, 4), (4, 3), (3, 2), (2, 2), (2, 0, 3)], ids=str)
def test_wrong_shape_of_params(name, options, shape, bad):
    with pytest.raises(ShapeError, match=rf"^{name}") as found:
        relaxit.get(name, **options)(torch.zeros(bad))
    assert str(list(bad)) in str(found.value)


@BOTH
def test_wrong_shape_of_values(name, options, shape):
    q = relaxit.get(name, **options)(torch.zeros(4, *shape))
    with pytest.raises(ShapeError, match=rf"{name}.*\[4, 5, 5\]"):
        q.hard(torch.zeros(4, 5, 5))


@BOTH
@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_temperature(name, options, shape, temperature):
    with pytest.raises(DomainError, match="temperature"):
        relaxit.get(name, **options)(torch.zeros(shape), temperature)


@BOTH
def test_integer_params(name, options, shape):
    with pytest.raises(TypeError, match="int64"):
        relaxit.get(name, **options)(torch.zeros(shape, dtype=torch.int64))


@BOTH
def test_quantities_that_do_not_exist(name, options, shape):
    structure = relaxit.get(name, **options)
    q, soft = structure(torch.zeros(shape)), torch.full(shape, 1 / 3)
    with pytest.raises(Unsupported, match=rf"{name} has no log_prob.*It offers: sample"):
        q.log_prob(soft)
    with pytest.raises(Unsupported, match=rf"{name} has no discrete"):
        _ = q.discrete
    with pytest.raises(Unsupported, match=rf"{name} has no log_space"):
        _ = q.log_space
    with pytest.raises(Unsupported):
        structure.discrete(torch.zeros(shape))
    claims = structure.capabilities
    assert not any(
        (claims.density, claims.discrete_distribution, claims.exact_rounding, claims.log_space)
    )


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("permutation", {"n": 1}, (1, 1)),
        ("matching", {"rows": 1, "columns": 1}, (1, 1)),
        ("matching", {"rows": 1, "columns": 4}, (1, 4)),
    ],
)
def test_one_row_works(name, options, shape):
    structure = relaxit.get(name, **options)
    params = torch.zeros(2, *shape, requires_grad=True)
    soft, hard = structure(params, 0.1).draw((3,))
    assert bool(structure.support.check(soft).all())
    assert bool(structure.vertices.check(hard).all())
    slope = torch.autograd.grad(soft.square().sum(), params)[0]
    assert bool(slope.isfinite().all())
    assert bool(slope.any()) == (shape[1] > 1)


def test_a_draw_that_has_not_converged_warns():
    structure = relaxit.get("permutation", n=8, iterations=1, newton=0)
    with pytest.warns(SinkhornWarning, match="off by up to"):
        structure(torch.zeros(8, 8), 0.05).rsample()
    told = SinkhornWarning(0.5, 1e-4, 3)
    assert (told.residual, told.tolerance, told.matrices) == (0.5, 1e-4, 3)


def test_scores_of_nothing():
    for batch in ((0,), (2, 0)):
        soft, hard = relaxit.get("permutation", n=3)(torch.zeros(*batch, 3, 3)).draw((2,))
        assert soft.shape == hard.shape == (2, *batch, 3, 3)


def test_structures_are_compared_by_their_options():
    one, other = (relaxit.get("permutation", n=3, newton=k) for k in (5, 6))
    assert one != other
    assert one == relaxit.get("permutation", n=3, newton=5)
    assert hash(one) == hash(relaxit.get("permutation", n=3, newton=5))
    assert torch.equal(one.argmax(gumbel(3, 3)), other.argmax(gumbel(3, 3)))


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
        ("--relaxation permutation -o n=0", "-o n must be at least 1, got 0"),
        ("--relaxation permutation", "n"),
        ("--relaxation matching -o rows=3 -o columns=2", "rows = 3 exceeds columns = 2"),
        ("--relaxation permutatoin -o n=3", "Did you mean permutation"),
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
