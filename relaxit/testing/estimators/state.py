"""What an estimator keeps from step to step: a module that learns, rests, and is saved."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from relaxit.estimators import Cost, StatefulEstimator
from relaxit.testing.case import EstimatorCase, countable
from relaxit.testing.check import ALPHA, estimator_check, require
from relaxit.testing.estimators.bias import exact_of_pairs
from relaxit.testing.estimators.costs import pair_cost
from relaxit.testing.statistics import wrong_mean

__all__ = [
    "estimates_with_state_are_unbiased",
    "fresh_state",
    "state_is_restored",
    "state_is_trained",
    "state_rests_in_evaluation",
    "train",
    "vmap_of_states",
]

VARIABLES = 2
COPIES = 4000
_TRAINED = ("state_is_trained",)


def _keeps_nothing(case: EstimatorCase) -> str:
    return "" if isinstance(case.estimator, StatefulEstimator) else "it keeps no state"


def fresh_state(case: EstimatorCase) -> nn.Module:
    """The state of two variables, in training mode."""
    estimator = case.estimator
    assert isinstance(estimator, StatefulEstimator)
    built: Any = estimator.build_state(case.relaxation, VARIABLES)
    require(isinstance(built, nn.Module), f"build_state gives a {type(built).__name__}, no module")
    state: nn.Module = built.to(case.device)
    return state.train()


def _estimate(
    case: EstimatorCase,
    state: nn.Module,
    params: Tensor,
    seed: int | None = None,
    cost: Cost | None = None,
) -> Tensor:
    """Costs of rows of two variables, ``[rows]``, with the state's help."""
    estimator = case.estimator
    assert isinstance(estimator, StatefulEstimator)
    generator = None if seed is None else case.generator(seed)
    q = case.relaxation(params, 1.0)
    return estimator.surrogate(q, cost or pair_cost(case, 2), generator, state)


def train(case: EstimatorCase, state: nn.Module, seed: int, steps: int = 3) -> None:
    """Some steps of descent, after which the state is not the fresh one any more."""
    for step in range(steps):
        params = case.on.params(4, VARIABLES, seed=seed, dtype=case.on.usual_dtype).requires_grad_()
        state.zero_grad()
        _estimate(case, state, params, 10 * seed + step).mean().backward()
        with torch.no_grad():
            for parameter in state.parameters():
                if parameter.grad is not None:
                    parameter.copy_(_descended(parameter, parameter.grad, step))


def _descended(parameter: Tensor, slope: Tensor, step: int) -> Tensor:
    """A short step whose length is not the slope's: squared costs have slopes of any size."""
    return (parameter - 0.01 / (step + 1) * slope.sign()).detach()


def _held(state: nn.Module) -> dict[str, Tensor]:
    """Copies of all it holds, also of what it does not save."""
    named = (*state.named_parameters(), *state.named_buffers())
    return {name: tensor.detach().clone() for name, tensor in named}


def _differs(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    return [name for name in one if not torch.equal(one[name], other[name])]


@estimator_check(absent=_keeps_nothing)
def state_is_trained(case: EstimatorCase) -> None:
    """`build_state` gives a module; a backward pass gives every parameter of it a finite gradient,
    and after a few steps all its parameters and some of its buffers are others. Why: a baseline
    that is never brought up to date takes nothing off the variance."""
    state = fresh_state(case)
    before = _held(state)
    require(before, "build_state gives a module that holds nothing")
    params = case.on.params(4, VARIABLES, dtype=case.on.usual_dtype).requires_grad_()
    value = _estimate(case, state, params, 1)
    require(value.shape == (4,), f"with a state it has shape {list(value.shape)}")
    value.mean().backward()
    for name, parameter in state.named_parameters():
        slope = parameter.grad
        require(slope is not None, f"no gradient reaches {name} of the state")
        finite = slope is not None and bool(slope.isfinite().all())
        require(finite, f"the gradient of {name} of the state is not finite")
    train(case, state, seed=2, steps=10)
    changed = set(_differs(before, _held(state)))
    kept = {name for name, _ in state.named_parameters()} - changed
    require(not kept, f"after ten steps {', '.join(sorted(kept))} of the state is as it was")
    buffers = {name for name, _ in state.named_buffers()}
    require(
        not buffers or buffers & changed, "after ten steps the state's buffers are as they were"
    )


@estimator_check(absent=_keeps_nothing, needs=_TRAINED)
def state_rests_in_evaluation(case: EstimatorCase) -> None:
    """In evaluation mode, and without gradient, an estimate leaves the state as it was. Why: a
    validation pass would otherwise change the training that follows."""
    state = fresh_state(case)
    train(case, state, seed=1)
    params = case.on.params(4, VARIABLES, dtype=case.on.usual_dtype).requires_grad_()
    before = _held(state)
    _estimate(case, state.eval(), params).mean().backward()
    changed = _differs(before, _held(state))
    require(not changed, f"{', '.join(changed)} changes in evaluation mode")
    with torch.no_grad():
        _estimate(case, state.train(), params)
    changed = _differs(before, _held(state))
    require(not changed, f"{', '.join(changed)} changes under no_grad")


@estimator_check(absent=_keeps_nothing, needs=_TRAINED)
def state_is_restored(case: EstimatorCase) -> None:
    """A new state that loads the `state_dict` of an old one gives the same estimates and goes on
    as it would have. Why: a resumed run would otherwise be another run."""
    state, other = fresh_state(case), fresh_state(case)
    train(case, state, seed=1)
    other.load_state_dict(copy.deepcopy(state.state_dict()))
    slopes = []
    for each in (state, other):
        params = case.on.params(4, VARIABLES, dtype=case.on.usual_dtype).requires_grad_()
        train(case, each, seed=2)
        value = _estimate(case, each, params, 5).sum()
        slopes.append(torch.autograd.grad(value, params)[0])
    require(torch.equal(*slopes), "a restored state gives other estimates")
    changed = _differs(_held(state), _held(other))
    require(not changed, f"a restored state goes on differently: {', '.join(changed)}")


_Tensors = dict[str, Tensor]


def _stacked(
    case: EstimatorCase, base: nn.Module
) -> Callable[[_Tensors, _Tensors, Tensor], Tensor]:
    """The estimate as a function of the state's tensors and of params."""
    cost = pair_cost(case, 2)  # made here: its weights are random, and vmap would vary them

    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.state = base

        def forward(self, params: Tensor) -> Tensor:
            return _estimate(case, self.state, params, cost=cost)

    step = Step()

    def function(weights: _Tensors, buffers: _Tensors, params: Tensor) -> Tensor:
        given = {f"state.{name}": tensor for name, tensor in (weights | buffers).items()}
        found: Tensor = torch.func.functional_call(step, given, (params,))
        return found

    return function


@estimator_check(absent=_keeps_nothing, needs=_TRAINED)
def vmap_of_states(case: EstimatorCase) -> None:
    """Under `torch.func.vmap` over stacked states estimates, and the states after them, equal those
    of a loop. Why: ensembles of seeds are trained as one batch, each with a state of its own."""
    states = [fresh_state(case) for _ in range(3)]
    for number, state in enumerate(states):
        train(case, state, seed=number)
    weights, buffers = torch.func.stack_module_state(states)
    params = case.on.params(3, 4, VARIABLES, dtype=case.on.usual_dtype).requires_grad_()
    function = torch.func.vmap(_stacked(case, fresh_state(case)), randomness="same")
    torch.manual_seed(5)
    got = torch.autograd.grad(function(weights, buffers, params).sum(), params)[0]
    for number, state in enumerate(states):
        torch.manual_seed(5)
        leaf = params[number].detach().requires_grad_()
        (want,) = torch.autograd.grad(_estimate(case, state, leaf).sum(), leaf)
        near = torch.allclose(got[number], want, rtol=1e-4, atol=1e-5)
        require(near, "an estimate under vmap over states differs from a loop")
        for name, buffer in state.named_buffers():
            near = torch.allclose(buffers[name][number], buffer, rtol=1e-4, atol=1e-5)
            require(near, f"{name} of the state after a step under vmap differs from a loop")


def _claims_nothing(case: EstimatorCase) -> str:
    if absent := _keeps_nothing(case):
        return absent
    if case.estimator.unbiased not in ("quadratic", "any"):
        return "nothing is claimed of quadratic costs"
    if absent := countable("discrete_distribution")(case):
        return absent
    return "" if len(case.on.vertices) <= 12 else "too many pairs of values"


@estimator_check(false_alarm=ALPHA, absent=_claims_nothing, needs=("vmap_of_states",))
def estimates_with_state_are_unbiased(case: EstimatorCase) -> None:
    """With a fresh state and while it learns, one row at a time, estimates keep the claim
    `unbiased`. Why: a baseline that has already seen the cost it is subtracted from is a bias, and
    the smaller the batch the larger."""
    one, cost = case.on.params(1, VARIABLES, dtype=case.on.usual_dtype), pair_cost(case, 2)
    state = fresh_state(case)
    weights, buffers = (
        {n: t.detach().expand(COPIES, *t.shape).clone() for n, t in named}
        for named in (state.named_parameters(), state.named_buffers())
    )
    step = torch.func.vmap(_stacked(case, state), randomness="different")
    total, rounds = torch.zeros(COPIES, *one.shape, device=case.device), 5
    torch.manual_seed(5)
    for number in range(rounds):
        leaf = one.expand(COPIES, *one.shape).clone().requires_grad_()
        learned = [tensor.requires_grad_() for tensor in weights.values()]
        value = step(weights, buffers, leaf).sum()
        slope, *learning = torch.autograd.grad(value, [leaf, *learned])
        total += slope / rounds
        weights = {
            name: _descended(tensor, change, number)
            for (name, tensor), change in zip(weights.items(), learning, strict=True)
        }
        buffers = {name: tensor.detach() for name, tensor in buffers.items()}
    wrong = wrong_mean(total, exact_of_pairs(case, one, cost))
    require(not wrong, wrong)
