"""Checks that results do not depend on settings of the process."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from relaxit.estimators import StatefulEstimator
from relaxit.perturb import PerturbAndRelax
from relaxit.testing.case import EstimatorCase, RelaxationCase, countable
from relaxit.testing.check import estimator_check, relaxation_check
from relaxit.testing.estimators.costs import Cost, pair_cost
from relaxit.testing.estimators.state import VARIABLES, fresh_state, train
from relaxit.testing.relaxations.transforms import quantities
from relaxit.testing.settings.setting import (
    AUTOCAST,
    DEFAULTS,
    MODES,
    PRECISION,
    Results,
    Setting,
    require_no_change,
)

__all__ = [
    "autocast_changes_nothing",
    "autocast_keeps_estimates",
    "defaults_change_nothing",
    "defaults_keep_estimates",
    "matmul_precision_changes_nothing",
    "matmul_precision_keeps_estimates",
    "modes_change_nothing",
    "modes_keep_estimates",
]

TEMPERATURES = (0.02, 1.0)
"""A temperature at which products cancel, and one at which most formulas are simplest."""
ROWS = 64
NUMBERS = 20_500
"""Size of a large draw: above the sizes from which code takes another path."""

_SOUND = ("generator_is_obeyed", "hard_of_hard_is_itself", "log_prob_is_finite")


def _many(case: RelaxationCase) -> int:
    """Return a number of rows that makes NUMBERS params and values, or up to five times as many."""
    sizes = [math.prod(s) for s in (case.relaxation.param_shape, case.relaxation.event_shape)]
    return max(ROWS, min(-(-NUMBERS // min(sizes)), 5 * NUMBERS // max(sizes)))


def _samples(case: RelaxationCase, params: Tensor, temperature: float, hard: Tensor) -> Results:
    """Return everything that is drawn."""
    q = case.relaxation(params, temperature)
    soft, vertex = q.draw((), case.generator(1))
    samples = {"the soft sample of draw": soft, "the hard sample of draw": vertex}
    samples["rsample"] = q.rsample((), case.generator(2))
    samples["sample_hard"] = q.sample_hard((), case.generator(3))
    if case.relaxation.capabilities.log_space:
        samples["log_space.rsample"] = value = q.log_space.rsample((), case.generator(4))
        samples["log_space.log_prob"] = q.log_space.log_prob(value)
        samples["from_log_space"] = case.relaxation.from_log_space(value)
    if case.relaxation.capabilities.conditional:
        assert isinstance(case.relaxation, PerturbAndRelax)  # has the capability
        given = case.relaxation.perturb_given(params, hard, torch.Size(), case.generator(5))
        samples["perturb_given"] = given
    return samples


def _of_relaxation(case: RelaxationCase, settings: Sequence[Setting]) -> None:
    for temperature in TEMPERATURES:

        def make(dtype: torch.dtype, temperature: float = temperature) -> Any:
            params = case.params(ROWS, dtype=dtype)
            soft, hard = case.relaxation(params, temperature).draw((), case.generator(0))

            def experiment(fresh: RelaxationCase) -> tuple[Results, Tensor]:
                leaf = params.clone().requires_grad_()
                results = _samples(fresh, leaf, temperature, hard)
                for name, function in quantities(fresh, temperature).items():
                    results[name] = function(leaf, soft, hard)
                return results, leaf

            return experiment

        require_no_change(case, settings, make, f" at temperature {temperature:g}")
    require_no_change(case, settings, lambda dtype: _draws(case, dtype), " in large batches")


def _listed(case: RelaxationCase, dtype: torch.dtype) -> Any:
    params = case.params(dtype=dtype)

    def experiment(fresh: RelaxationCase) -> tuple[Results, Tensor]:
        return {"the list of values": fresh.relaxation.discrete(params).enumerate_support()}, params

    return experiment


def _draws(case: RelaxationCase, dtype: torch.dtype) -> Any:
    params = case.params(_many(case), dtype=dtype)

    def experiment(fresh: RelaxationCase) -> tuple[Results, Tensor]:
        leaf = params.clone().requires_grad_()
        soft, hard = fresh.relaxation(leaf, 0.1).draw((), fresh.generator(1))
        return {"the soft sample of draw": soft, "the hard sample of draw": hard}, leaf

    return experiment


def _of_estimator(case: EstimatorCase, settings: Sequence[Setting]) -> None:
    for rows, temperature in zip((ROWS, _many(case.on)), TEMPERATURES, strict=True):

        def make(dtype: torch.dtype, rows: int = rows, temperature: float = temperature) -> Any:
            params = case.on.params(rows, dtype=dtype)

            def experiment(fresh: EstimatorCase) -> tuple[Results, Tensor]:
                leaf, cost = params.clone().requires_grad_(), Cost(fresh)
                q = fresh.relaxation(leaf, temperature)
                value = fresh.estimator.surrogate(q, cost, fresh.generator(1))
                seen = {f"sample {i} passed to the cost": z for i, z in enumerate(cost.seen)}
                return seen | {"the surrogate": value}, leaf

            return experiment

        require_no_change(case, settings, make, f" at temperature {temperature:g}")
    if isinstance(case.estimator, StatefulEstimator):
        _of_state(case, settings)


def _of_state(case: EstimatorCase, settings: Sequence[Setting]) -> None:
    """Compare estimates with a state. What the state learns may differ: it may be a network."""
    state = fresh_state(case)
    train(case, state, seed=1)  # a network may start at 0

    def make(dtype: torch.dtype) -> Any:
        params = case.on.params(ROWS, VARIABLES, dtype=dtype)

        def experiment(fresh: EstimatorCase) -> tuple[Results, Tensor]:
            leaf, state_copy = params.clone().requires_grad_(), copy.deepcopy(state)
            estimator = fresh.estimator
            assert isinstance(estimator, StatefulEstimator)
            q, cost = fresh.relaxation(leaf, 0.5), pair_cost(fresh, 2)
            return {
                "the surrogate": estimator.surrogate(q, cost, fresh.generator(1), state_copy)
            }, leaf

        return experiment

    require_no_change(case, settings, make, " with a state")


@relaxation_check(needs=_SOUND)
def autocast_changes_nothing(case: RelaxationCase) -> None:
    """Under autocast to bfloat16 and to float16, samples and quantities, and their gradients, are
    the same as without it. Why: mixed-precision training is meant for the networks, and differences
    of results with 8 bits can have any error."""
    _of_relaxation(case, AUTOCAST)


@relaxation_check(needs=_SOUND)
def matmul_precision_changes_nothing(case: RelaxationCase) -> None:
    """Samples and quantities, and their gradients, are the same if
    `torch.set_float32_matmul_precision` allows matrix multiplications with 11 or 8 bits, which is
    emulated here on any CPU. Why: it is set for the networks, and errors only occur on the user's
    device."""
    _of_relaxation(case, PRECISION)


@relaxation_check(needs=(*_SOUND, "device_is_that_of_params"))
def defaults_change_nothing(case: RelaxationCase) -> None:
    """Samples and quantities, their gradients, and the list of values are the same with another
    default dtype, or with a default device other than that of params. Why: a constant created
    without `dtype=` or `device=` follows the process, not the params."""
    _of_relaxation(case, DEFAULTS)
    if not countable("discrete_distribution")(case):
        require_no_change(case, DEFAULTS, lambda dtype: _listed(case, dtype))


@relaxation_check(needs=(*_SOUND, "gradient_mode_changes_nothing", "log_space_is_finite"))
def modes_change_nothing(case: RelaxationCase) -> None:
    """Samples and quantities, and their gradients, are the same with deterministic algorithms, with
    denormal numbers flushed, and in inference mode, after which the same object can be trained.
    Why: these modes are used to repeat a run, to speed it up or to evaluate, not to get other
    numbers."""
    _of_relaxation(case, MODES)


@estimator_check(needs=("estimates_repeat_on_a_seed",))
def autocast_keeps_estimates(case: EstimatorCase) -> None:
    """Under autocast to bfloat16 and to float16, the samples passed to the cost, the surrogate and
    its gradient are the same as without it, for a cost without matrix multiplications. Why:
    mixed-precision training is meant for the networks, and an estimate with a relative error of a
    tenth is not noticed."""
    _of_estimator(case, AUTOCAST)


@estimator_check(needs=("estimates_repeat_on_a_seed",))
def matmul_precision_keeps_estimates(case: EstimatorCase) -> None:
    """The samples passed to the cost, the surrogate and its gradient are the same if
    `torch.set_float32_matmul_precision` allows matrix multiplications with 11 or 8 bits, which is
    emulated here on any CPU. Why: it is set for the networks, and errors only occur on the user's
    device."""
    _of_estimator(case, PRECISION)


@estimator_check(needs=("estimates_repeat_on_a_seed",))
def defaults_keep_estimates(case: EstimatorCase) -> None:
    """The samples passed to the cost, the surrogate and its gradient are the same with another
    default dtype, or with a default device other than that of params. Why: a constant created
    without `dtype=` or `device=` follows the process, not the params."""
    _of_estimator(case, DEFAULTS)


@estimator_check(needs=("estimates_repeat_on_a_seed", "gradient_mode_keeps_the_cost"))
def modes_keep_estimates(case: EstimatorCase) -> None:
    """The samples passed to the cost, the surrogate and its gradient are the same with
    deterministic algorithms, with denormal numbers flushed, and in inference mode, after which the
    same object can be trained. Why: these modes are used to repeat a run, to speed it up or to
    evaluate, not to get other numbers."""
    _of_estimator(case, MODES)
