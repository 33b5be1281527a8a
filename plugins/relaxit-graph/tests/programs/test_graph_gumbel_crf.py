"""The Gumbel-CRF, compared with one that is written as the paper has it, state by state."""

from __future__ import annotations

import pytest
import torch
from sequence_oracles import close, dtypes, normal, seed

import relaxit

CRF = relaxit.get("gumbel-crf", length=4, states=3)


def drawn_by_hand(params, temperature, gumbel):
    """One row, algorithm 2 of the paper: log-probabilities of a state given the next one."""
    unary, pair = params[:12].reshape(4, 3), params[12:].reshape(3, 3, 3)
    alpha = [unary[0]]
    for t in range(3):
        into = [(alpha[-1] + pair[t, :, j]).logsumexp(0) for j in range(3)]
        alpha.append(unary[t + 1] + torch.stack(into))
    soft, hard = [None] * 4, [None] * 4
    for t in (3, 2, 1, 0):
        given = alpha[t] if t == 3 else alpha[t] + pair[t, :, hard[t + 1]]
        perturbed = given.log_softmax(0) + gumbel[t]
        soft[t] = (perturbed / temperature).softmax(0)
        hard[t] = int(perturbed.argmax())
    return torch.stack(soft), torch.eye(3, dtype=params.dtype)[hard]


@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_draws_are_those_of_the_algorithm(temperature, scale):
    params = scale * normal(3, *CRF.param_shape)
    params[0, 1] = params[1, 15] = -torch.inf
    leaf, same = params.clone().requires_grad_(), params.clone().requires_grad_()
    gumbel = relaxit.noise.gumbel((2, 3, 4, 3), dtype=torch.float64, generator=seed(2))
    soft, hard = CRF(leaf, temperature).draw((2,), generator=seed(2))
    rows = [[drawn_by_hand(same[i], temperature, gumbel[s, i]) for i in range(3)] for s in (0, 1)]
    wanted = torch.stack([torch.stack([row[0] for row in each]) for each in rows])
    assert torch.equal(hard, torch.stack([torch.stack([row[1] for row in each]) for each in rows]))
    torch.testing.assert_close(soft, wanted, rtol=1e-10, atol=1e-12)
    weights = normal(*soft.shape, number=4)
    (got,) = torch.autograd.grad((soft * weights).sum(), leaf)
    (slope,) = torch.autograd.grad((wanted * weights).sum(), same)
    close(got, slope.nan_to_num(), 1e-9)
    assert bool(got.any())


@dtypes
def test_samples_and_draws_share_their_noise(dtype):
    q = CRF(normal(3, *CRF.param_shape, dtype=dtype), temperature=0.5)
    soft, hard = q.draw((5,), generator=seed(1))
    assert torch.equal(q.rsample((5,), generator=seed(1)), soft)
    assert soft.dtype == hard.dtype == dtype
    assert not hard.requires_grad
    assert bool(CRF.support.check(soft).all() & CRF.vertices.check(hard).all())


def test_each_row_has_its_temperature():
    params = normal(3, *CRF.param_shape)
    temperatures = torch.tensor([0.1, 1.0, 9.0], dtype=torch.float64)
    soft = CRF(params, temperatures).rsample((4,), generator=seed(6))
    for row, temperature in enumerate(temperatures.tolist()):
        alone = CRF(params, temperature).rsample((4,), generator=seed(6))
        close(soft[:, row], alone[:, row], 1e-6)


def test_the_discrete_distribution_is_that_of_the_chain():
    chain, params = relaxit.get("chain", length=4, states=3), normal(2, *CRF.param_shape)
    one, other = CRF.discrete(params), chain.discrete(params)
    assert torch.equal(one.mean, other.mean)
    assert torch.equal(one.entropy(), other.entropy())
    assert torch.equal(one.sample((3,), seed(1)), other.sample((3,), seed(1)))
    with pytest.raises(relaxit.Unsupported, match="no KL divergence between"):
        torch.distributions.kl_divergence(one, other)
