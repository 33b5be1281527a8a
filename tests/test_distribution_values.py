"""What values ``log_prob`` takes, and when values are checked."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.distributions import Distribution

import relaxit
from relaxit import DomainError, ShapeError, tracing
from tests.helpers import params_for
from tests.own_relaxations import ALL

PARTS = {"density": lambda q: q, "log_space": lambda q: q.log_space, "mass": lambda q: q.discrete}
EACH_PART = pytest.mark.parametrize("part", PARTS)
BINARY = relaxit.get("binary")


@ALL
@EACH_PART
@pytest.mark.parametrize(
    ("convert", "kind"),
    [(lambda x: [*x], "list"), (lambda x: x.numpy(), "ndarray"), (lambda x: None, "NoneType")],
)
def test_values_must_be_tensors(relaxation, part, convert, kind):
    distribution = PARTS[part](relaxation(params_for(relaxation, 3)))
    with pytest.raises(DomainError, match=f"must be a tensor, got {kind}") as caught:
        distribution.log_prob(convert(distribution.sample()))
    assert isinstance(caught.value, ValueError)


@ALL
@EACH_PART
@pytest.mark.parametrize(
    ("batch", "lead"), [((3,), (2,)), ((3,), (3, 2)), ((2, 3), (3, 2)), ((2, 3), (7, 3, 3))]
)
def test_values_must_broadcast(relaxation, part, batch, lead):
    distribution = PARTS[part](relaxation(params_for(relaxation, *batch)))
    value = distribution.sample()
    value = value.reshape(-1, *relaxation.event_shape)[:1].expand(*lead, *relaxation.event_shape)
    with pytest.raises(ShapeError, match="does not broadcast") as caught:
        distribution.log_prob(value)
    assert isinstance(caught.value, ValueError)
    assert str(list(value.shape)) in str(caught.value)


@ALL
@EACH_PART
@pytest.mark.parametrize(
    ("lead", "shape"), [((), (2, 3)), ((1,), (2, 3)), ((2, 1), (2, 3)), ((7, 1, 3), (7, 2, 3))]
)
def test_what_broadcasts_is_taken(relaxation, part, lead, shape):
    distribution = PARTS[part](relaxation(params_for(relaxation, 2, 3)))
    value = distribution.sample()[(0, 0)].expand((*lead, *relaxation.event_shape))
    assert distribution.log_prob(value).shape == shape


def test_what_is_rounded_must_be_a_tensor():
    with pytest.raises(DomainError, match="must be a tensor, got list"):
        BINARY(torch.zeros(1)).hard([0.3])


def test_whole_numbers_are_values_too():
    q = BINARY(torch.zeros(3))
    whole = torch.tensor([0, 1, 1])
    assert torch.equal(q.discrete.log_prob(whole), q.discrete.log_prob(whole.float()))
    with pytest.raises(DomainError, match="vertex"):
        q.log_prob(whole)


@pytest.fixture
def unchecked(monkeypatch):
    monkeypatch.setattr(tracing, "compiler_has_run", lambda: False)
    Distribution.set_default_validate_args(False)
    yield
    Distribution.set_default_validate_args(True)


@pytest.mark.usefixtures("unchecked")
def test_the_default_of_torch_switches_checks_off():
    q = BINARY(torch.full((3,), torch.nan), torch.tensor(-1.0))
    assert q.batch_shape == (3,)
    assert not BINARY(torch.zeros(1)).log_prob(torch.ones(1)).isfinite()
    assert not BINARY(torch.zeros(1)).expand((4,)).log_prob(torch.ones(1)).isfinite().any()
    # Shapes and types cost nothing, and are checked as ever; and so are values, if asked for.
    with pytest.raises(ShapeError):
        q.log_prob(torch.zeros(2))
    with pytest.raises(DomainError):
        BINARY(torch.full((3,), torch.nan), validate_args=True)


def test_a_distribution_keeps_the_choice_it_was_made_with(unchecked):
    made = {flag: BINARY(torch.zeros(1), validate_args=flag) for flag in (None, False, True)}
    Distribution.set_default_validate_args(True)
    for flag, q in made.items():
        for each in (q, q.expand((4,))):
            if not flag:
                assert not each.log_prob(torch.ones(1)).isfinite().any()
                continue
            with pytest.raises(DomainError):
                each.log_prob(torch.ones(1))


@pytest.mark.parametrize("optimised", [False, True])
def test_assertions_off_is_checks_off(optimised):
    """As for torch's own distributions, whose default is ``__debug__``."""
    code = "import torch, relaxit; relaxit.get('binary')(torch.full((1,), torch.nan))"
    command = [sys.executable, *["-O"] * optimised, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is optimised, done.stderr
    assert ("illegal params" in done.stderr) is not optimised


def test_a_compiler_does_not_switch_checks_off():
    # It switches off the default of torch for the rest of the process.
    code = (
        "import torch, relaxit\n"
        "torch.compile(lambda x: x + 1, backend='eager')(torch.ones(1))\n"
        "assert torch.distributions.Bernoulli(torch.full((), 2.0))\n"
        "relaxit.get('binary')(torch.full((1,), torch.nan))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "illegal params" in done.stderr
