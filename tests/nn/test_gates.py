"""Hard-concrete gates: probabilities and means against integrals and frequencies, and gradients."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit

from relaxit import ConfigurationError, DomainError, ShapeError
from relaxit.nn import HardConcreteGates
from relaxit.testing import wrong_frequencies, wrong_mean

SETTINGS = pytest.mark.parametrize(
    ("temperature", "stretch"),
    [(2 / 3, (-0.1, 1.1)), (0.3, (-0.1, 1.1)), (1.0, (-0.5, 1.2)), (3.0, (-0.02, 1.4))],
)
LOGITS = [-4.0, -1.0, 0.0, 0.7, 5.0]


def gates_at(logits, temperature, stretch, **settings):
    gates = HardConcreteGates(
        len(logits), temperature, stretch=stretch, dtype=torch.float64, **settings
    )
    with torch.no_grad():
        gates.logits.copy_(torch.tensor(logits))
    return gates


def integral(a, temperature, stretch, function):
    """The mean of a function of the gate, over the logistic noise, by adaptive quadrature."""
    left, right = stretch

    def gate(noise):
        return min(1.0, max(0.0, expit((a + noise) / temperature) * (right - left) + left))

    edges = [temperature * math.log((t - left) / (right - t)) - a for t in (0.0, 1.0)]
    return quad(
        lambda x: function(gate(x)) * expit(x) * expit(-x), -60, 60, points=edges, limit=400
    )[0]


@SETTINGS
def test_probabilities_and_means_equal_integrals(temperature, stretch):
    gates = gates_at(LOGITS, temperature, stretch)
    found = {
        gates.open_probability: lambda z: z > 0,
        gates.zero_probability: lambda z: z == 0,
        gates.one_probability: lambda z: z == 1,
        gates.expected_value: lambda z: z,
    }
    for method, function in found.items():
        want = [integral(a, temperature, stretch, function) for a in LOGITS]
        torch.testing.assert_close(
            method().detach(), torch.tensor(want, dtype=torch.float64), atol=1e-7, rtol=0
        )
    total = gates.open_probability() + gates.zero_probability()
    torch.testing.assert_close(total, torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(gates.expected_l0(), gates.open_probability().sum())


@SETTINGS
@pytest.mark.parametrize("per_example", [True, False])
def test_samples_follow_the_probabilities(temperature, stretch, per_example):
    # alpha = 2e-5 for each gate
    torch.manual_seed(0)
    gates = gates_at(LOGITS[1:4], temperature, stretch, per_example=per_example)
    drawn = gates.values((40_000,)).detach()
    assert bool(((drawn >= 0) & (drawn <= 1)).all())
    ones, zeros = (gates.one_probability().detach(), gates.zero_probability().detach())
    cells = torch.stack([zeros, 1 - zeros - ones, ones])
    for z, p in zip(drawn.unbind(-1), cells.unbind(-1), strict=True):
        counts = torch.stack([(z == 0).sum(), ((z > 0) & (z < 1)).sum(), (z == 1).sum()])
        assert not wrong_frequencies(counts, p)
        assert wrong_frequencies(counts, p.roll(1))
    mean = gates.expected_value().detach()
    assert not wrong_mean(drawn, mean)
    assert wrong_mean(drawn, mean + 0.02)


@pytest.mark.parametrize("p", [0.01, 0.5, 0.9])
def test_initial_probability(p):
    gates = HardConcreteGates((2, 3), open_probability=p)
    torch.testing.assert_close(gates.open_probability().detach(), torch.full((2, 3), p))
    assert [tuple(parameter.shape) for parameter in gates.parameters()] == [(2, 3)]


@SETTINGS
def test_evaluation_is_the_formula_of_the_paper(temperature, stretch):
    gates, (left, right) = gates_at(LOGITS, temperature, stretch).eval(), stretch
    want = [min(1.0, max(0.0, expit(a) * (right - left) + left)) for a in LOGITS]
    torch.testing.assert_close(gates.values().detach(), torch.tensor(want, dtype=torch.float64))
    assert torch.equal(gates(torch.ones(7, 5).double()), gates.values((7,)))
    closed = torch.tensor(LOGITS) <= math.log(-left / right)  # as the docstring says
    assert torch.equal(gates.deterministic_gates() == 0, closed)


def test_gradients_equal_differences_at_fixed_noise():
    x = torch.randn(6, 5, dtype=torch.float64)
    weights = torch.randn(6, 5, dtype=torch.float64)

    def loss(logits):
        gates = gates_at(LOGITS, 2 / 3, (-0.1, 1.1), generator=torch.Generator().manual_seed(1))
        values = torch.func.functional_call(gates, {"logits": logits}, (x,))
        penalty = torch.func.functional_call(gates, {"logits": logits}, (x[:0],)).sum()
        return (values * weights).sum() + penalty

    logits = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, logits)
    (slope,) = torch.autograd.grad(loss(logits), logits)
    assert bool(slope.any())


@SETTINGS
def test_gradients_of_the_closed_forms(temperature, stretch):
    gates = gates_at(LOGITS, temperature, stretch)
    for method in (gates.open_probability, gates.one_probability, gates.expected_value):
        (got,) = torch.autograd.grad(method().sum(), gates.logits)
        step, ends = 1e-6, []
        for sign in (1, -1):
            with torch.no_grad():
                gates.logits.add_(sign * step)
                ends.append(method().detach())
                gates.logits.sub_(sign * step)
        torch.testing.assert_close(got, (ends[0] - ends[1]) / (2 * step), atol=1e-8, rtol=0)


@pytest.mark.parametrize(
    ("shape", "dim", "size", "lead"),
    [
        (5, None, (5,), ()),
        (5, None, (4, 3, 5), (4, 3)),
        ((2, 5), None, (4, 2, 5), (4,)),
        (5, 1, (4, 5, 3, 2), (4,)),
        (5, 0, (5, 3), ()),
        (5, -2, (4, 5, 3), (4,)),
        ((5, 3), 1, (4, 5, 3, 2), (4,)),
    ],
)
@pytest.mark.parametrize("per_example", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_gates_multiply_the_dimensions_they_belong_to(
    shape, dim, size, lead, per_example, training
):
    gates = HardConcreteGates(shape, dim=dim, per_example=per_example).train(training)
    torch.manual_seed(3)
    got = gates(torch.ones(size))
    torch.manual_seed(3)
    values = gates.values(lead if per_example else ())
    first = len(lead)
    rest = (1,) * (len(size) - first - len(gates.shape))
    assert torch.equal(got, values.reshape(*values.shape, *rest).expand(size))
    if lead and training:  # noise of its own for each example, or the same for all
        assert bool((got[0] == got[1]).all()) != per_example


def test_scaling_of_features():
    gates, x = HardConcreteGates(3).eval(), torch.randn(4, 3)
    torch.testing.assert_close(gates(x), x * gates.deterministic_gates())


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"shape": ()}, ShapeError, "no gates"),
        ({"shape": (3, 0)}, ShapeError, "no gates"),
        ({"shape": -1}, ShapeError, "no gates"),
        ({"shape": (-2, -1)}, ShapeError, "no gates"),
        ({"shape": 3, "stretch": (0.0, 1.1)}, ConfigurationError, r"stretch .*\(0.0, 1.1\)"),
        ({"shape": 3, "stretch": (-0.1, 1.0)}, ConfigurationError, "stretch"),
        ({"shape": 3, "stretch": (-math.inf, 1.1)}, ConfigurationError, "stretch"),
        ({"shape": 3, "open_probability": 0.0}, ConfigurationError, "open_probability .* 0.0"),
        ({"shape": 3, "open_probability": 1.0}, ConfigurationError, "open_probability"),
        ({"shape": 3, "temperature": 0.0}, DomainError, "temperature"),
    ],
)
def test_illegal_settings(settings, error, said):
    with pytest.raises(error, match=said) as found:
        HardConcreteGates(**settings)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("size", [(4,), (3, 4), (), (3, 5, 1)])
@pytest.mark.parametrize("dim", [None, 4])
def test_wrong_sizes(size, dim):
    with pytest.raises(ShapeError, match=r"sizes \[5\]"):
        HardConcreteGates(5, dim=dim)(torch.zeros(size))


def test_integers_are_rejected():
    with pytest.raises(TypeError, match="int64"):
        HardConcreteGates(5)(torch.zeros(5, dtype=torch.int64))


def test_probabilities_of_short_logits_are_those_of_long_ones():
    gates = HardConcreteGates(4, open_probability=0.7).bfloat16()
    exact = HardConcreteGates(4).double()
    with torch.no_grad():
        exact.logits.copy_(gates.logits)
    exact.temperature = gates.temperature
    for name in ("open_probability", "zero_probability", "one_probability", "expected_l0"):
        got, want = getattr(gates, name)(), getattr(exact, name)()
        assert got.dtype == torch.float32
        torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=0)
