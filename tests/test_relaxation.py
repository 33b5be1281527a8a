"""The contract of a relaxation: shapes, temperatures, draws, gradients."""

from __future__ import annotations

import math

import pytest
import torch

import relaxit
from relaxit import Relaxation, RelaxedDistribution
from relaxit.dtypes import compute_dtype
from relaxit.errors import DomainError
from tests.helpers import DTYPES, seed
from tests.toy_relaxations import BARE, EACH, Rows, distribution


class AllOrNone(Rows):
    """Has one answer for the whole batch, expanded."""

    name = "test-all-or-none"

    def valid_params(self, params):
        return (params.sum() >= 0).expand(params.shape[:-2])


@pytest.mark.parametrize("batch", [(), (0,), (1,), (4,), (2, 3)], ids=str)
def test_an_expanded_answer_about_params_counts(batch):
    params = torch.ones(*batch, 2, 3)
    assert AllOrNone()(params).batch_shape == batch
    number = math.prod(batch)
    if number:
        with pytest.raises(DomainError, match=f"{number} of {number} parameter sets"):
            AllOrNone()(-params)


@EACH
@pytest.mark.parametrize("sample", [(), (0,), (3,), (2, 1), 5])
@pytest.mark.parametrize("batch", [(), (1,), (3,), (0,), (2, 3)])
def test_shapes(relaxation, batch, sample):
    q = distribution(relaxation, *batch)
    lead = (sample,) if isinstance(sample, int) else sample
    want = torch.Size([*lead, *batch, *relaxation.event_shape])
    soft, hard = q.draw(sample)
    assert q.batch_shape == torch.Size(batch)
    assert q.event_shape == relaxation.event_shape
    assert q.rsample(sample).shape == q.sample(sample).shape == want
    assert soft.shape == hard.shape == q.hard(soft).shape == q.sample_hard(sample).shape == want
    assert bool(q.support.check(soft).all())
    assert bool(relaxation.vertices.check(hard).all())


@EACH
@pytest.mark.parametrize("given", [(3,), (2, 1), (1, 3), (2, 3), (1,), (1, 1)])
def test_temperature_per_row_equals_the_loop(relaxation, given):
    # Three columns against a batch of three: the temperature must meet the batch, not the event.
    params = torch.randn(2, 3, *relaxation.param_shape)
    temperature = torch.rand(given, generator=seed(0)) + 0.1
    got = relaxation(params, temperature).rsample((5,), seed(1))
    full = temperature.expand(2, 3)
    for i in range(2):
        for j in range(3):
            one = relaxation(params, float(full[i, j])).rsample((5,), seed(1))
            torch.testing.assert_close(got[:, i, j], one[:, i, j])


@EACH
@pytest.mark.parametrize("temperature", [0.5, 2, torch.tensor(0.5), torch.tensor(2)])
def test_scalar_temperature_in_each_guise(relaxation, temperature):
    params = torch.randn(3, *relaxation.param_shape)
    got = relaxation(params, temperature).rsample((), seed(0))
    assert torch.equal(got, relaxation(params, float(temperature)).rsample((), seed(0)))


@EACH
@pytest.mark.parametrize("temperature", [0.5, torch.tensor(0.5), torch.tensor([0.5, 2.0, 4.0])])
def test_expand(relaxation, temperature):
    params = torch.randn(3, *relaxation.param_shape)
    q = relaxation(params, temperature)
    big = q.expand((2, 3))
    assert isinstance(big, RelaxedDistribution)
    assert big.batch_shape == (2, 3)
    assert big.params.data_ptr() == params.data_ptr()
    # Row i of the larger distribution has the temperature of row i of the small one.
    soft = big.rsample((4,), seed(0))
    again = relaxation(params.expand(2, *params.shape).clone(), temperature).rsample((4,), seed(0))
    assert torch.equal(soft, again)
    with pytest.raises((RuntimeError, ValueError)):
        q.expand((2, 4))


def test_expanded_distribution_checks_as_the_original_does():
    vertex = torch.eye(3)[0]
    q = relaxit.get("categorical", categories=3)(torch.zeros(2, 3))
    for each in (q, q.expand((4, 2))):
        with pytest.raises(DomainError, match="no density"):
            each.log_prob(vertex)


def test_distribution_is_final():
    # Only a type checker enforces it; the mark must be there.
    assert RelaxedDistribution.__final__
    assert Relaxation.__call__.__final__


def test_abstract_until_complete():
    class Half(Relaxation):
        api = 1
        name = "half"
        capabilities = BARE

    with pytest.raises(TypeError, match="abstract"):
        Half()


@EACH
def test_draw_shares_its_noise(relaxation):
    q = distribution(relaxation, 100)
    soft, hard = q.draw((3,), seed(0))
    assert torch.equal(hard, relaxation.hard(soft))
    # Fresh noise for the vertex would agree in a third or so of the draws only.
    assert not torch.equal(hard, q.draw((3,), seed(1))[1])


@EACH
def test_default_hard_draw_is_the_vertex_of_a_draw(relaxation):
    q = distribution(relaxation, 10)
    assert torch.equal(q.sample_hard((3,), seed(0)), q.draw((3,), seed(0))[1])


@EACH
def test_who_carries_a_gradient(relaxation):
    params = torch.randn(3, *relaxation.param_shape, requires_grad=True)
    q = relaxation(params, 0.5)
    soft, hard = q.draw()
    assert soft.requires_grad
    assert not hard.requires_grad
    assert q.rsample().requires_grad
    assert not q.sample().requires_grad
    assert not q.sample_hard().requires_grad
    assert not q.hard(soft).requires_grad


@EACH
def test_temperature_gets_a_gradient(relaxation):
    temperature = torch.tensor([0.5, 1.0, 2.0], requires_grad=True)
    q = relaxation(torch.randn(3, *relaxation.param_shape), temperature)
    q.rsample().square().sum().backward()
    assert bool((temperature.grad != 0).all())


@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_reach_a_plugin_in_float32_at_least(dtype):
    seen = []

    class Spy(Rows):
        name = "test-spy"

        def relax(self, scores, temperature):
            seen.append(scores.dtype)
            return super().relax(scores, temperature)

    soft, hard = Spy()(torch.zeros(2, 3, dtype=dtype)).draw()
    assert seen == [compute_dtype(dtype)]
    assert soft.dtype == hard.dtype == dtype


def test_hard_of_a_draw_comes_from_the_scores():
    # In bfloat16 at a high temperature the soft values tie; the scores do not.
    q = Rows(columns=8)(torch.zeros(500, 2, 8, dtype=torch.bfloat16), 1e4)
    soft, hard = q.draw()
    assert not torch.equal(hard, q.hard(soft))
    assert bool((hard.float().mean((0, 1)) > 0.05).all())
