"""The loss of REINFORCE for actions drawn earlier, with and without its baseline."""

from __future__ import annotations

import copy

import pytest
import torch

import relaxit
from relaxit.estimators import surrogate_with
from relaxit.estimators.reinforce import Reinforce
from tests.estimators.common.score_estimators import CATEGORICAL, exact_gradient
from tests.estimators.costs import cubic
from tests.helpers import params_for, seed
from tests.own_relaxations import DISCRETE


def slope(value, params):
    return value.detach(), torch.autograd.grad(value.sum(), params)[0]


@DISCRETE
@pytest.mark.parametrize("variables", [1, 3])
@pytest.mark.parametrize("baseline", [False, True])
def test_loss_is_the_surrogate_of_the_same_draws(relaxation, variables, baseline):
    params = params_for(relaxation, 5, 3).requires_grad_()
    q, reinforce = relaxation(params), Reinforce()
    joint, each = cubic(relaxation, 3), cubic(relaxation, 1)
    cost = joint if variables == 3 else lambda z: each(z.unsqueeze(2))
    states = [None, None]
    if baseline:
        state = reinforce.build_state(relaxation, variables).double()
        state.update(torch.tensor([3.0, 4.0]))
        states = [state, copy.deepcopy(state)]
    action = q.sample_hard((), seed(1))
    loss = reinforce.loss(q, action, -cost(action), states[0])
    wanted = surrogate_with(states[1], reinforce, q, cost, seed(1))
    for got, want in zip(slope(loss, params), slope(wanted, params), strict=True):
        assert torch.equal(got, want)
    if baseline:
        kept, want = (dict(s.named_buffers()) for s in states)
        assert all(torch.equal(kept[name], want[name]) for name in want)
        assert float(kept["weight"]) > 0.015  # it has seen the reward


def test_loss_over_all_actions_is_the_exact_gradient():
    # One row per action, each with its probability: the expectation over actions.
    params, cost = params_for(CATEGORICAL, 1), cubic(CATEGORICAL, 1)
    exact, expected = exact_gradient(CATEGORICAL, params, cost)
    leaf = params.clone().requires_grad_()
    mass = params[0].softmax(-1)
    q = CATEGORICAL(leaf.expand(4, 1, 4))
    index = torch.arange(4).unsqueeze(-1)
    reward = -cost(torch.eye(4).double().unsqueeze(1))
    loss = relaxit.estimator("reinforce").loss(q, index, reward, state=None)
    torch.testing.assert_close((mass * loss.detach()).sum(), expected)
    (got,) = torch.autograd.grad((mass * loss).sum(), leaf)
    torch.testing.assert_close(got, exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sample", [(6,), (2, 3)])
def test_several_samples_of_a_row_are_averaged(sample):
    params = params_for(CATEGORICAL, 5).requires_grad_()
    q = CATEGORICAL(params)
    action = q.sample_hard(sample, seed(1))
    reward = torch.randn(*sample, 5, generator=seed(2), dtype=torch.float64)
    got = slope(Reinforce().loss(q, action, reward, None), params)
    each = [
        slope(Reinforce().loss(q, a, r, None), params)
        for a, r in zip(action.reshape(6, 5, 4), reward.reshape(6, 5), strict=True)
    ]
    for one, many in zip(got, zip(*each, strict=True), strict=True):
        torch.testing.assert_close(one, torch.stack(many).mean(0))


def test_a_reward_model_keeps_its_gradient():
    weight = torch.tensor(2.0, requires_grad=True)
    q = CATEGORICAL(torch.zeros(3, 4, requires_grad=True))
    loss = Reinforce().loss(q, [0, 1, 2], weight * torch.tensor([1.0, 2.0, 3.0]), None)
    assert torch.autograd.grad(loss.sum(), weight)[0].item() == -6
    with torch.no_grad():
        assert Reinforce().loss(q, [0, 1, 2], [1.0, 2.0, 3.0]).tolist() == [-1, -2, -3]


@pytest.mark.parametrize("name", ["arm", "disarm", "rebar", "relax", "exact"])
def test_those_that_choose_their_values_have_no_loss(name):
    q = relaxit.get("binary")(torch.zeros(3, requires_grad=True))
    with pytest.raises(relaxit.Unsupported, match=f"'{name}' chooses.*or estimator 'rloo'") as said:
        relaxit.estimator(name).loss(q, q.sample_hard(), [1.0, 2.0, 3.0])
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("name", ["pathwise", "st-gumbel", "straight-through", "reinmax"])
def test_those_that_differentiate_the_cost_have_no_loss(name):
    q = CATEGORICAL(torch.zeros(3, 4, requires_grad=True))
    with pytest.raises(relaxit.Unsupported, match=f"'{name}' differentiates the cost as a functi"):
        relaxit.estimator(name).loss(q, q.sample_hard(), [1.0, 2.0, 3.0])
