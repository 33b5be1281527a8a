"""The Fenchel-Young loss against cross-entropy and integrals."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import integrate, stats

import relaxit
from relaxit.errors import ConfigurationError, DomainError, ShapeError, Unsupported
from relaxit.losses import fenchel_young_loss
from relaxit.testing.toys import ThreeNumbers
from tests.helpers import params_for, seed
from tests.toy_relaxations import Plain

CATEGORICAL = relaxit.get("categorical", categories=4)
BINARY = relaxit.get("binary")


def test_loss_is_the_cross_entropy_plus_eulers_constant():
    params = params_for(CATEGORICAL, 3).requires_grad_()
    target = torch.eye(4).double()[[2, 0, 1]]
    value = fenchel_young_loss(CATEGORICAL, params, target, draws=100_000, generator=seed(1))
    assert value.shape == (3,)
    want = torch.nn.functional.cross_entropy(params, torch.tensor([2, 0, 1]), reduction="none")
    error = math.pi / math.sqrt(6 * 100_000)  # the maximum is Gumbel
    assert float((value - want - 0.5772156649).detach().abs().max()) < 4 * error
    (got,) = torch.autograd.grad(value.sum(), params)
    (wanted,) = torch.autograd.grad(want.sum(), params)
    assert float((got - wanted).abs().max()) < 4 * 0.5 / math.sqrt(100_000)


def test_loss_of_a_bit_against_its_integral():
    # E max(0, a + s Z), with derivative P(a + s Z > 0).
    a, target = torch.tensor(0.4).double().requires_grad_(), torch.tensor(1.0)
    value = fenchel_young_loss(
        BINARY, a, target, draws=200_000, scale=0.5, noise="gaussian", generator=seed(1)
    )
    density = lambda z: max(0.0, 0.4 + 0.5 * z) * stats.norm.pdf(z)  # noqa: E731
    want = integrate.quad(density, -8, 8)[0] - 0.4
    assert float(value.detach()) == pytest.approx(want, abs=4 * 0.5 / math.sqrt(200_000))
    (slope,) = torch.autograd.grad(value, a)
    error = 0.5 / math.sqrt(200_000)
    assert float(slope) == pytest.approx(stats.norm.cdf(0.8) - 1, abs=4 * error)


def test_loss_is_the_function_whose_gradient_it_has():
    params = params_for(CATEGORICAL, 3).requires_grad_()
    target = torch.eye(4).double()[:3]
    loss = lambda a: fenchel_young_loss(CATEGORICAL, a, target, generator=seed(1))  # noqa: E731
    assert torch.autograd.gradcheck(loss, params)  # piecewise linear on fixed noise


def test_descent_teaches_the_target():
    params = torch.zeros(2, 4, requires_grad=True)
    target = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]])
    optimiser, generator = torch.optim.Adam([params], lr=0.1), seed(1)
    for _ in range(100):
        optimiser.zero_grad()
        fenchel_young_loss(CATEGORICAL, params, target, generator=generator).sum().backward()
        optimiser.step()
    torch.testing.assert_close(params.detach().softmax(-1), target, rtol=0, atol=0.1)


def test_loss_of_masked_scores():
    params = torch.tensor([[0.3, -torch.inf, 0.1, 0.0]] * 2, requires_grad=True)
    target = torch.eye(4)[:2]
    value = fenchel_young_loss(CATEGORICAL, params, target)
    assert bool(value[0].isfinite())
    assert float(value[1].detach()) == torch.inf  # its target cannot be
    (slope,) = torch.autograd.grad(value[0], params)
    assert bool(slope.isfinite().all())
    assert float(slope[0, 1]) == 0
    forced = torch.tensor([torch.inf, -torch.inf], requires_grad=True)
    assert bool(fenchel_young_loss(BINARY, forced, torch.tensor([1.0, 0.0])).isfinite().all())


class NoScores(ThreeNumbers):
    """Three numbers whose score is not said to be linear in params."""

    name = "no-scores"

    def statistics(self, value):
        return relaxit.PerturbAndRelax.statistics(self, value)


def test_loss_rejects_scores_that_are_not_linear():
    with pytest.raises(Unsupported, match="no-scores has no statistics, the linear score"):
        fenchel_young_loss(NoScores(), torch.zeros(3), torch.zeros(()))
    with pytest.raises(Unsupported, match=r"needs an argmax.*try -q.discrete.log_prob"):
        fenchel_young_loss(Plain(), torch.zeros(3), torch.zeros(3))


@pytest.mark.parametrize(
    ("wrong", "kind", "said"),
    [
        ({"draws": 0}, ConfigurationError, "draws must be an integer of 1 or more, got 0"),
        ({"draws": 2.0}, ConfigurationError, "draws must be an integer of 1 or more, got 2.0"),
        ({"scale": 0.0}, ConfigurationError, "scale must be positive and finite, got 0.0"),
        ({"scale": -1.0}, ConfigurationError, "scale must be positive and finite, got -1.0"),
        ({"scale": math.nan}, ConfigurationError, "scale must be positive and finite, got nan"),
        ({"noise": "x"}, ConfigurationError, "noise must be own or gaussian, got 'x'"),
        ({"target": torch.zeros(2, 5)}, ShapeError, r"value must be \[\*, 4\], got \[2, 5\]"),
        ({"target": torch.zeros(3, 4)}, ShapeError, r"value \[3, 4\] does not broadcast"),
        ({"target": [1.0]}, DomainError, "value must be a tensor, got list"),
        ({"params": torch.zeros(2, 5)}, ShapeError, r"params must be \[\*, 4\], got \[2, 5\]"),
        ({"relaxation": "categorical"}, TypeError, "must be an object, got 'categorical'"),
    ],
    ids=str,
)
def test_illegal_arguments_are_named(wrong, kind, said):
    legal = {"relaxation": CATEGORICAL, "params": torch.zeros(2, 4), "target": torch.eye(4)[:2]}
    with pytest.raises(kind, match=f"^fenchel_young_loss.*{said}"):
        fenchel_young_loss(**(legal | wrong))
