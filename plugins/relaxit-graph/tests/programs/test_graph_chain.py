"""The chain: its noise, its parts, and long chains, compared with textbook recursions in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sequence_oracles import close, normal, seed

import relaxit
from relaxit import ShapeError, Unsupported


def chain_of(length=4, states=3, **options):
    return relaxit.get("chain", length=length, states=states, **options)


# --- noise --------------------------------------------------------------------------------------


def test_noise_of_states_leaves_the_pairs_alone():
    chain, params = chain_of(), normal(2, 4 * 3 + 3 * 9)
    assert chain.noise_shape == chain.event_shape == (4, 3)
    noise = normal(5, 2, 4, 3, number=1)
    parts, given = chain.split(chain.add_noise(params, noise)), chain.split(params)
    close(parts["unary"], given["unary"] + noise)
    assert torch.equal(parts["pair"], given["pair"].expand(5, 2, 3, 3, 3))


def test_noise_of_all_scores():
    chain, params = chain_of(noise="all"), normal(2, 4 * 3 + 3 * 9)
    assert chain.noise_shape == chain.param_shape
    noise = normal(5, *params.shape, number=1)
    close(chain.add_noise(params, noise), params + noise)
    assert torch.equal(chain.noised(params), params)


def test_noised_is_rejected_where_pairs_get_no_noise():
    with pytest.raises(Unsupported, match=r"chain: some params of .* get no noise"):
        chain_of().noised(torch.zeros(39))


@pytest.mark.parametrize("noise", ["unary", "all"])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_perturbed_scores(noise, batch):
    chain = chain_of(noise=noise)
    params = normal(*batch, *chain.param_shape)
    drawn = relaxit.noise.gumbel(
        (7, *batch, *chain.noise_shape), dtype=torch.float64, generator=seed(3)
    )
    scores = chain.perturb(params, torch.Size((7,)), seed(3))
    close(scores, chain.add_noise(params, drawn))
    soft = chain(params, 0.5).rsample((7,), generator=seed(3))
    close(soft, chain.relax(scores, 0.5))


def test_without_pairs_samples_are_those_of_independent_states():
    chain, unary = chain_of(), normal(2, 4, 3)
    params = chain.join(unary=unary, pair=torch.zeros(3, 3, dtype=torch.float64))
    categorical = relaxit.get("categorical", categories=3)
    soft, hard = chain(params, 0.7).draw((9,), generator=seed(4))
    wanted_soft, wanted_hard = categorical(unary, 0.7).draw((9,), generator=seed(4))
    torch.testing.assert_close(soft, wanted_soft, rtol=1e-9, atol=1e-9)
    assert torch.equal(hard, wanted_hard)
    close(chain.discrete(params).entropy(), categorical.discrete(unary).entropy().sum(-1))


# --- parts --------------------------------------------------------------------------------------


def test_parts():
    chain = chain_of()
    assert dict(chain.parts) == {"unary": (4, 3), "pair": (3, 3, 3)}
    assert chain.param_shape == (4 * 3 + 3 * 9,)
    assert dict(chain_of(length=1).parts) == {"unary": (1, 3), "pair": (0, 3, 3)}


def test_a_table_of_steps_is_read_from_rows_to_columns():
    """Entry (i, j) scores state i before state j."""
    chain = chain_of(length=3, states=3)
    table = torch.full((3, 3), -torch.inf)
    table[0, 1] = table[1, 2] = table[2, 0] = 0.0
    q = chain.discrete(
        chain.join(unary=torch.tensor([[0.0, 9, 0], [0, 0, 0], [0, 0, 0]]), pair=table)
    )
    assert q.mode.argmax(-1).tolist() == [1, 2, 0]
    assert len(torch.unique(q.sample((200,)).argmax(-1), dim=0)) <= 3


def test_each_position_has_its_table():
    chain = chain_of(length=3, states=2)
    pair = torch.zeros(2, 2, 2)
    pair[0, 0, 1] = pair[1, 1, 1] = 5.0
    q = chain.discrete(chain.join(unary=torch.zeros(3, 2), pair=pair))
    assert q.mode.argmax(-1).tolist() == [0, 1, 1]


def test_a_table_of_scores_for_all_rows_learns():
    chain = chain_of(length=5, states=2)
    table = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer = torch.optim.SGD([table], lr=0.5)
    stays = torch.eye(2)[[0, 0, 0, 1, 1]].expand(4, 5, 2)

    def loss():
        params = chain.join(unary=torch.zeros(4, 5, 2), pair=table)
        return -chain.discrete(params).log_prob(stays).mean()

    before = loss()
    before.backward()
    mean = torch.full((2, 2), 1.0)  # of four steps, a quarter each
    close(table.grad, -(torch.tensor([[2.0, 1.0], [0.0, 1.0]]) - mean), 1e-6)
    optimizer.step()
    assert float(loss()) < float(before)
    assert float(table[0, 0]) > 0 > float(table[1, 0])


def test_parts_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"chain: part 'pair' must be \[\*, 3, 3, 3\]"):
        chain_of().join(unary=torch.zeros(4, 3), pair=torch.zeros(2, 2))


# --- long chains --------------------------------------------------------------------------------


def forward_backward(unary, pair):
    """Log-partition and marginals, by products of matrices that are rescaled at each step."""
    length, states = unary.shape
    left, right = np.zeros((length, states)), np.ones((length, states))
    log_z = 0.0
    for t in range(length):
        before = left[t - 1] @ np.exp(pair[t - 1]) if t else np.ones(states)
        left[t] = before * np.exp(unary[t])
        log_z += np.log(left[t].sum())
        left[t] /= left[t].sum()
    for t in reversed(range(length - 1)):
        right[t] = np.exp(pair[t]) @ (np.exp(unary[t + 1]) * right[t + 1])
        right[t] /= right[t].sum()
    both = left * right
    return log_z, both / both.sum(-1, keepdims=True)


def viterbi(unary, pair):
    """States with the highest score."""
    best, pointers = unary[0], []
    for score, step in zip(unary[1:], pair, strict=True):
        total = best[:, None] + step
        pointers.append(total.argmax(0))
        best = score + total.max(0)
    path = [int(best.argmax())]
    for pointer in reversed(pointers):
        path.append(int(pointer[path[-1]]))
    return path[::-1]


@pytest.mark.parametrize(("length", "states"), [(2, 5), (60, 4), (200, 2)])
def test_recursions_of_the_textbook(length, states):
    chain = chain_of(length=length, states=states)
    unary, pair = normal(length, states), normal(length - 1, states, states, number=1)
    q = chain.discrete(chain.join(unary=unary, pair=pair))
    log_z, mean = forward_backward(unary.numpy(), pair.numpy())
    close(q.log_partition(), torch.tensor(log_z))
    close(q.mean, torch.from_numpy(mean))
    assert q.mode.argmax(-1).tolist() == viterbi(unary.numpy(), pair.numpy())
    state = q.sample(generator=seed(5))
    score = (state * unary).sum() + torch.einsum("ti,tij,tj->", state[:-1], pair, state[1:])
    close(q.log_prob(state), score - log_z)


def test_sticky_states_have_no_overflow():
    """Scores of 1e4, whose sums over 100 positions reach 1e6."""
    chain = chain_of(length=100, states=2)
    table = 1e4 * torch.eye(2, dtype=torch.float64)
    leaf = table.requires_grad_()
    q = chain.discrete(chain.join(unary=torch.zeros(100, 2, dtype=torch.float64), pair=leaf))
    close(q.mean.detach(), torch.full((100, 2), 0.5), 1e-9)
    close(q.entropy().detach(), torch.tensor(2.0).double().log(), 1e-3)  # 1e6 minus 1e6
    (slope,) = torch.autograd.grad(q.entropy() + q.mean.square().sum(), leaf)
    assert bool(slope.isfinite().all())
