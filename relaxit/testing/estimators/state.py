"""Checks of the state of an estimator: a module that is trained, evaluated, saved and restored."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from relaxit.estimators import Cost, MissingStateWarning, StatefulEstimator, surrogate_with
from relaxit.testing.case import EstimatorCase, countable
from relaxit.testing.check import ALPHA, estimator_check, require
from relaxit.testing.estimators.bias import exact_of_pairs
from relaxit.testing.estimators.costs import pair_cost
from relaxit.testing.statistics import wrong_mean

__all__ = [
    "estimates_with_state_are_unbiased",
    "fresh_state",
    "missing_state_is_reported",
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
    """Applies: a `StatefulEstimator`."""
    return "" if isinstance(case.estimator, StatefulEstimator) else "it keeps no state"


def fresh_state(case: EstimatorCase) -> nn.Module:
    """Return a new state for two variables, in training mode."""
    estimator = case.estimator
    assert isinstance(estimator, StatefulEstimator)
    built: Any = estimator.build_state(case.relaxation, VARIABLES)
    require(
        isinstance(built, nn.Module), f"build_state returns a {type(built).__name__}, not a module"
    )
    state: nn.Module = built.to(case.device)
    return state.train()


def _estimate(
    case: EstimatorCase,
    state: nn.Module,
    params: Tensor,
    seed: int | None = None,
    cost: Cost | None = None,
) -> Tensor:
    """Return the surrogate of rows of two variables, ``[rows]``, computed with the state."""
    estimator = case.estimator
    assert isinstance(estimator, StatefulEstimator)
    generator = None if seed is None else case.generator(seed)
    q = case.relaxation(params, 1.0)
    return estimator.surrogate(q, cost or pair_cost(case, 2), generator, state)


def train(case: EstimatorCase, state: nn.Module, seed: int, steps: int = 3) -> None:
    """Train the state for some steps, so that it differs from a new one."""
    for step in range(steps):
        params = case.on.params(4, VARIABLES, seed=seed, dtype=case.on.usual_dtype).requires_grad_()
        state.zero_grad()
        _estimate(case, state, params, 10 * seed + step).mean().backward()
        with torch.no_grad():
            for parameter in state.parameters():
                if parameter.grad is not None:
                    parameter.copy_(_descended(parameter, parameter.grad, step))


def _descended(parameter: Tensor, slope: Tensor, step: int) -> Tensor:
    """Return the parameter after a step of fixed length: slopes may have any size."""
    return (parameter - 0.01 / (step + 1) * slope.sign()).detach()


def _held(state: nn.Module) -> dict[str, Tensor]:
    """Return copies of all parameters and buffers, also of those that are not saved."""
    named = (*state.named_parameters(), *state.named_buffers())
    return {name: tensor.detach().clone() for name, tensor in named}


def _differs(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    return [name for name in one if not torch.equal(one[name], other[name])]


@estimator_check(absent=_keeps_nothing)
def state_is_trained(case: EstimatorCase) -> None:
    """`build_state` returns a module; a backward pass gives each of its parameters a finite
    gradient, and after a few steps all its parameters and some of its buffers have changed. Why: a
    baseline that is never updated does not reduce the variance."""
    state = fresh_state(case)
    before = _held(state)
    require(before, "build_state returns a module without parameters and buffers")
    params = case.on.params(4, VARIABLES, dtype=case.on.usual_dtype).requires_grad_()
    value = _estimate(case, state, params, 1)
    require(value.shape == (4,), f"with a state the surrogate has shape {list(value.shape)}")
    value.mean().backward()
    for name, parameter in state.named_parameters():
        slope = parameter.grad
        require(slope is not None, f"no gradient reaches {name} of the state")
        finite = slope is not None and bool(slope.isfinite().all())
        require(finite, f"the gradient of {name} of the state is not finite")
    train(case, state, seed=2, steps=10)
    changed = set(_differs(before, _held(state)))
    unchanged = {name for name, _ in state.named_parameters()} - changed
    require(
        not unchanged, f"unchanged in the state after ten steps: {', '.join(sorted(unchanged))}"
    )
    buffers = {name for name, _ in state.named_buffers()}
    require(not buffers or buffers & changed, "no buffer of the state changes in ten steps")


def _needs_no_state(case: EstimatorCase) -> str:
    """Applies: a `StatefulEstimator` with `state_matters`."""
    if absent := _keeps_nothing(case):
        return absent
    assert isinstance(case.estimator, StatefulEstimator)
    return "" if case.estimator.state_matters else "it is the same without a state"


@estimator_check(absent=_needs_no_state)
def missing_state_is_reported(case: EstimatorCase) -> None:
    """`surrogate` without `state` issues a `MissingStateWarning`. It issues none with `state=None`,
    and none with gradients disabled. Why: without a word a user trains without a baseline."""
    q = case.relaxation(case.on.params(4, VARIABLES).requires_grad_())
    cost = pair_cost(case, 2)

    def reported(estimate: Callable[[], Tensor]) -> bool:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimate()
        return any(issubclass(w.category, MissingStateWarning) for w in caught)

    surrogate = case.estimator.surrogate
    require(reported(lambda: surrogate(q, cost)), "no MissingStateWarning without a state")
    silent = not reported(lambda: surrogate_with(None, case.estimator, q, cost))
    require(silent, "a MissingStateWarning though state=None was passed")
    with torch.no_grad():
        silent = not reported(lambda: surrogate(q, cost))
    require(silent, "a MissingStateWarning though gradients are disabled")


@estimator_check(absent=_keeps_nothing, needs=_TRAINED)
def state_rests_in_evaluation(case: EstimatorCase) -> None:
    """In evaluation mode, and with gradients disabled, an estimate does not change the state. Why:
    otherwise a validation pass would change the training that follows."""
    state = fresh_state(case)
    train(case, state, seed=1)
    params = case.on.params(4, VARIABLES, dtype=case.on.usual_dtype).requires_grad_()
    before = _held(state)
    _estimate(case, state.eval(), params).mean().backward()
    changed = _differs(before, _held(state))
    require(not changed, f"changed in evaluation mode: {', '.join(changed)}")
    with torch.no_grad():
        _estimate(case, state.train(), params)
    changed = _differs(before, _held(state))
    require(not changed, f"changed under no_grad: {', '.join(changed)}")


@estimator_check(absent=_keeps_nothing, needs=_TRAINED)
def state_is_restored(case: EstimatorCase) -> None:
    """A new state that loads the `state_dict` of an old one gives the same estimates and continues
    in the same way. Why: otherwise a resumed run differs from an uninterrupted one."""
    state, restored = fresh_state(case), fresh_state(case)
    train(case, state, seed=1)
    restored.load_state_dict(copy.deepcopy(state.state_dict()))
    slopes = []
    for learning in (state, restored):
        params = case.on.params(4, VARIABLES, dtype=case.on.usual_dtype).requires_grad_()
        train(case, learning, seed=2)
        value = _estimate(case, learning, params, 5).sum()
        slopes.append(torch.autograd.grad(value, params)[0])
    require(torch.equal(*slopes), "a restored state gives different estimates")
    changed = _differs(_held(state), _held(restored))
    require(not changed, f"a restored state continues differently: {', '.join(changed)}")


_Tensors = dict[str, Tensor]


def _stacked(
    case: EstimatorCase, base: nn.Module
) -> Callable[[_Tensors, _Tensors, Tensor], Tensor]:
    """Return the estimate as a function of the state's tensors and of params."""
    cost = pair_cost(case, 2)  # created outside vmap, which would vary its random weights

    class EstimatorStep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.state = base

        def forward(self, params: Tensor) -> Tensor:
            return _estimate(case, self.state, params, cost=cost)

    step = EstimatorStep()

    def function(weights: _Tensors, buffers: _Tensors, params: Tensor) -> Tensor:
        tensors = {f"state.{name}": tensor for name, tensor in (weights | buffers).items()}
        estimate: Tensor = torch.func.functional_call(step, tensors, (params,))
        return estimate

    return function


@estimator_check(absent=_keeps_nothing, needs=_TRAINED)
def vmap_of_states(case: EstimatorCase) -> None:
    """Under `torch.func.vmap` over stacked states, estimates and updated states equal those of a
    loop. Why: ensembles of seeds are trained as one batch, each with its own state."""
    states = [fresh_state(case) for _ in range(3)]
    for number, state in enumerate(states):
        train(case, state, seed=number)
    weights, buffers = torch.func.stack_module_state(states)
    params = case.on.params(3, 4, VARIABLES, dtype=case.on.usual_dtype).requires_grad_()
    function = torch.func.vmap(_stacked(case, fresh_state(case)), randomness="same")
    torch.manual_seed(5)
    batched = torch.autograd.grad(function(weights, buffers, params).sum(), params)[0]
    for number, state in enumerate(states):
        torch.manual_seed(5)
        leaf = params[number].detach().requires_grad_()
        (looped,) = torch.autograd.grad(_estimate(case, state, leaf).sum(), leaf)
        near = torch.allclose(batched[number], looped, rtol=1e-4, atol=1e-5)
        require(near, "an estimate under vmap over states differs from that of a loop")
        for name, buffer in state.named_buffers():
            near = torch.allclose(buffers[name][number], buffer, rtol=1e-4, atol=1e-5)
            require(near, f"{name} of the state after a step under vmap differs from a loop")


def _claims_nothing(case: EstimatorCase) -> str:
    """Applies: a `StatefulEstimator`, unbiased for quadratic costs; at most 12 values."""
    if absent := _keeps_nothing(case):
        return absent
    if case.estimator.unbiased not in ("quadratic", "any"):
        return "unbiased is not claimed for quadratic costs"
    if absent := countable("discrete_distribution")(case):
        return absent
    return "" if len(case.on.vertices) <= 12 else "too many pairs of values"


@estimator_check(false_alarm=ALPHA, absent=_claims_nothing, needs=("vmap_of_states",))
def estimates_with_state_are_unbiased(case: EstimatorCase) -> None:
    """With a fresh state and while it learns, one row at a time, the estimates are unbiased as
    claimed. Why: subtracting a baseline that has already seen the same cost causes bias, and the
    smaller the batch the larger the bias."""
    params, cost = case.on.params(1, VARIABLES, dtype=case.on.usual_dtype), pair_cost(case, 2)
    state = fresh_state(case)
    weights, buffers = (
        {n: t.detach().expand(COPIES, *t.shape).clone() for n, t in named}
        for named in (state.named_parameters(), state.named_buffers())
    )
    step = torch.func.vmap(_stacked(case, state), randomness="different")
    total, steps = torch.zeros(COPIES, *params.shape, device=case.device), 5
    torch.manual_seed(5)
    for number in range(steps):
        leaf = params.expand(COPIES, *params.shape).clone().requires_grad_()
        learned = [tensor.requires_grad_() for tensor in weights.values()]
        value = step(weights, buffers, leaf).sum()
        slope, *learning = torch.autograd.grad(value, [leaf, *learned])
        total += slope / steps
        weights = {
            name: _descended(tensor, change, number)
            for (name, tensor), change in zip(weights.items(), learning, strict=True)
        }
        buffers = {name: tensor.detach() for name, tensor in buffers.items()}
    wrong = wrong_mean(total, exact_of_pairs(case, params, cost))
    require(not wrong, wrong)
