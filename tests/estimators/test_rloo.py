"""The loss of RLOO for groups of actions drawn earlier."""

from __future__ import annotations

import itertools

import pytest
import torch

from relaxit.errors import ShapeError
from relaxit.estimators.rloo import Rloo
from tests.estimators.common.score_estimators import CATEGORICAL, exact_gradient
from tests.estimators.costs import cubic
from tests.helpers import params_for, seed
from tests.own_relaxations import DISCRETE


@DISCRETE
@pytest.mark.parametrize("variables", [1, 3])
def test_loss_is_the_surrogate_of_the_same_draws(relaxation, variables):
    params = params_for(relaxation, 5, 3).requires_grad_()
    q, joint, each = relaxation(params), cubic(relaxation, 3), cubic(relaxation, 1)
    cost = joint if variables == 3 else lambda z: each(z.unsqueeze(2))
    action = q.sample_hard((6,), seed(1))
    reward = -torch.stack([cost(a) for a in action])
    loss = Rloo().loss(q, action, reward)  # the group may have another size than the option
    wanted = Rloo(samples=6).surrogate(q, cost, seed(1))
    assert torch.equal(loss, wanted)
    slopes = [torch.autograd.grad(x.sum(), params)[0] for x in (loss, wanted)]
    assert torch.equal(*slopes)
    assert float(slopes[0].abs().sum()) > 0


def test_loss_over_all_pairs_of_actions_is_the_exact_gradient():
    params, cost = params_for(CATEGORICAL, 1), cubic(CATEGORICAL, 1)
    exact, expected = exact_gradient(CATEGORICAL, params, cost)
    reward, mass = -cost(torch.eye(4).double().unsqueeze(1)), params[0].softmax(-1)
    total, mean = torch.zeros_like(params), 0.0
    for i, j in itertools.product(range(4), repeat=2):
        leaf = params.clone().requires_grad_()
        pair = torch.tensor([i, j])
        loss = Rloo().loss(CATEGORICAL(leaf), pair.unsqueeze(-1), reward[pair])
        mean += mass[i] * mass[j] * loss.detach()
        total += mass[i] * mass[j] * torch.autograd.grad(loss, leaf)[0]
    torch.testing.assert_close(total, exact, rtol=0, atol=1e-12)
    torch.testing.assert_close(mean, expected)


def test_descent_goes_to_the_rewarded_action():
    # A wrong sign would go to one of the others.
    logits = torch.zeros(2, 3, requires_grad=True)
    optimizer, generator = torch.optim.SGD([logits], lr=2.0), seed(1)
    prizes = torch.tensor([[0.0, 1.0, 0.2], [1.0, 0.0, 0.5]])
    for _ in range(200):
        q = CATEGORICAL.__class__(categories=3)(logits)
        action = q.sample_hard((4,), generator).argmax(-1)
        loss = Rloo().loss(
            q, action, prizes.expand(4, 2, 3).gather(-1, action.unsqueeze(-1))[..., 0]
        )
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    assert logits.softmax(-1).argmax(-1).tolist() == [1, 0]
    assert float(logits.softmax(-1).amax(-1).min().detach()) > 0.9


@pytest.mark.parametrize("sample", [(), (1,), (2, 3)])
def test_a_group_has_one_dimension_and_two_members(sample):
    q = CATEGORICAL(torch.zeros(5, 4))
    with pytest.raises(ShapeError, match=r"'rloo'.*size 2 or more, got sample shape.*'reinforce'"):
        Rloo().loss(q, q.sample_hard(sample), torch.zeros(*sample, 5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_autocast_changes_nothing(dtype):
    slopes = []
    for enabled in (False, True):
        params = params_for(CATEGORICAL, 5, dtype=dtype).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            value = Rloo().surrogate(CATEGORICAL(params), lambda z: z[..., 0] * 3, seed(1))
        slopes.append(torch.autograd.grad(value.sum(), params)[0])
    assert torch.equal(*slopes)
