"""Actions drawn earlier: shapes, indices, and what is told about those that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import relaxit
from relaxit.errors import DomainError, ShapeError
from relaxit.estimators import given_actions
from relaxit.testing.toys import ThreeNumbers
from tests.helpers import params_for, seed
from tests.own_relaxations import DISCRETE

CATEGORICAL = relaxit.get("categorical", categories=4)
BITS = relaxit.get("binary")


@DISCRETE
@pytest.mark.parametrize("sample", [(), (3,), (2, 3)])
@pytest.mark.parametrize("lead", [(), (5,), (5, 2)])
def test_values_are_as_they_were_drawn_and_costs_are_negative(relaxation, sample, lead):
    q = relaxation(params_for(relaxation, 5, 2))
    action = q.sample_hard(sample, seed(1))
    reward = torch.randn((*sample, *lead), generator=seed(2), dtype=torch.float64)
    hard, costs, shape = given_actions("mine", q, action, reward)
    assert torch.equal(hard, action)
    assert torch.equal(costs, -reward)
    assert shape == sample
    for other in (reward.numpy(), reward.tolist()):
        torch.testing.assert_close(
            given_actions("mine", q, action, other)[1], -reward, check_dtype=False
        )


@pytest.mark.parametrize("kind", [torch.int64, torch.int32, torch.uint8, np.array, list])
@pytest.mark.parametrize("sample", [(), (3,), (4,), (5,)])
def test_integers_are_indices_of_categories(kind, sample):
    q = CATEGORICAL(params_for(CATEGORICAL, 5))
    action = q.sample_hard(sample, seed(1))
    index = action.argmax(-1)
    given = index.to(kind) if isinstance(kind, torch.dtype) else kind(index.tolist())
    hard, _, shape = given_actions("mine", q, given, torch.zeros(*sample, 5))
    assert torch.equal(hard, action)
    assert shape == sample
    # A whole one-hot value is no index where the reward says so.
    whole, _, shape = given_actions("mine", q, action.long(), torch.zeros(*sample, 5))
    assert torch.equal(whole, action)
    assert shape == sample


def test_integers_of_other_structures_are_values():
    for relaxation in (BITS, ThreeNumbers()):
        q = relaxation(params_for(relaxation, 6))
        action = q.sample_hard((), seed(1))
        for given in (action.long(), action.tolist(), action.numpy()):
            hard, _, shape = given_actions("mine", q, given, torch.zeros(6))
            assert torch.equal(hard, action)
            assert hard.dtype == q.params.dtype
            assert shape == ()
    q = BITS(torch.zeros(2))
    assert given_actions("mine", q, torch.tensor([True, False]), [1, 2])[0].tolist() == [1, 0]


def test_integers_that_fit_as_both_are_rejected():
    # Four rows of four categories, one reward a row: indices of four samples, or one-hot rows.
    q, eye = CATEGORICAL(torch.zeros(4, 4)), torch.eye(4)
    with pytest.raises(ShapeError, match=r"'mine'.*indices or one-hot values; pass .*\.float\(\)"):
        given_actions("mine", q, eye.long(), torch.zeros(4))
    assert torch.equal(given_actions("mine", q, eye, torch.zeros(4))[0], eye)
    assert given_actions("mine", q, eye.long(), torch.zeros(4, 4))[2] == (4,)


@pytest.mark.parametrize(
    ("action", "reward", "message"),
    [
        (torch.zeros(5, 3), [0] * 5, r"must be \[\*sample, 5, 4\], got shape \[5, 3\]"),
        (
            [0, 0, 0],
            [0, 0, 0],
            r"must be \[\*sample, 5\] or \[\*sample, 5, 4\], got shape \[3\]",
        ),
        ([0] * 5, [[0]] * 5, r"shape \[5, 1\] does not fit.*begins the batch shape; use \.squeeze"),
        ([[0] * 5] * 3, [0] * 5, r"a reward of shape \[5\] does not fit samples \[3\]"),
        ([0] * 5, [0] * 4, r"a reward of shape \[4\] does not fit samples \[\]"),
    ],
)
def test_shapes_that_do_not_fit_are_rejected(action, reward, message):
    with pytest.raises(ShapeError, match=f"^estimator 'mine'.*{message}") as caught:
        given_actions("mine", CATEGORICAL(torch.zeros(5, 4)), action, reward)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("action", "reward", "message"),
    [
        (None, torch.zeros(2), "the action must be hard values or indices, got None"),
        ([0, 1], None, "the reward must be real numbers, got None"),
        ([0, 1], ["a", "b"], "the reward must be real numbers, got a list"),
        ([0, 1], [torch.tensor(1.0)] * 2, "got a list of tensors; use torch.stack"),
    ],
)
def test_what_is_no_number_is_rejected(action, reward, message):
    with pytest.raises(TypeError, match=f"^estimator 'mine': .*{message}"):
        given_actions("mine", CATEGORICAL(torch.zeros(2, 4)), action, reward)


@pytest.mark.parametrize(
    "action",
    [torch.tensor([0, 4]), torch.tensor([-1, 1]), torch.tensor([2, 0]),
     torch.full((2, 4), 0.25), torch.tensor([[1.0, 0, 0, 0], [1.0, 1.0, 0, 0]])],
)  # fmt: skip
def test_actions_of_mass_zero_are_rejected(action):
    # Out of range, masked, and no vertices.
    params = torch.zeros(2, 4)
    params[0, 2] = -torch.inf
    with pytest.raises(DomainError, match=r"'mine': [12] of 2 actions have mass 0 under q"):
        given_actions("mine", CATEGORICAL(params), action, torch.zeros(2))


def test_whole_rewards_are_negated_as_numbers():
    q = BITS(torch.zeros(2))
    for reward in (torch.tensor([True, False]), np.array([1, 0], dtype=np.uint8), [1, 0]):
        assert given_actions("mine", q, [1.0, 0.0], reward)[1].tolist() == [-1, 0]


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.uint32, np.uint64])
def test_indices_of_any_integer_type(kind):
    q = CATEGORICAL(torch.zeros(2, 4))
    hard, _, sample = given_actions("mine", q, np.array([0, 3], dtype=kind), [1.0, 2.0])
    assert torch.equal(hard, torch.eye(4)[[0, 3]])
    assert sample == ()


def test_bools_are_no_indices():
    with pytest.raises(ShapeError, match=r"must be \[\*sample, 2, 4\], got shape \[2\]"):
        given_actions("mine", CATEGORICAL(torch.zeros(2, 4)), [True, False], [1.0, 2.0])


@pytest.mark.parametrize("name", ["reinforce", "rloo"])
def test_no_actions_at_all(name):
    q = CATEGORICAL(torch.zeros(2, 4))
    with pytest.raises(ShapeError, match=r"there are no actions in a sample of shape \[0\]"):
        relaxit.estimator(name).loss(q, torch.zeros(0, 2, 4), torch.zeros(0, 2), None)
