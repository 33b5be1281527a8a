"""Score-function estimators under vmap, with stacked states, and compiled."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from relaxit.estimators import surrogate_with
from relaxit.estimators.rebar import Rebar
from relaxit.estimators.reinforce import Reinforce
from tests.estimators.common.score_estimators import BINARY, CATEGORICAL, EACH, STATEFUL, estimates
from tests.estimators.costs import cubic
from tests.helpers import params_for, seed


@EACH
def test_vmap_of_grad_with_decoders_equals_a_loop(estimator, relaxation):
    # Params and decoder weights at once, one pair a row, as an ensemble of models has them.
    params, weights = params_for(relaxation, 3, 4), params_for(relaxation, 3, number=3)

    def loss(a, w):
        cost = lambda z: ((w * z).flatten(1).sum(-1) if z.dim() > 1 else w * z - 0.1) ** 2  # noqa: E731
        return surrogate_with(None, estimator, relaxation(a, 0.7), cost).sum()

    grad = torch.func.grad(loss, argnums=(0, 1))
    torch.manual_seed(5)
    got = torch.func.vmap(grad, randomness="same")(params, weights)
    rows = []
    for a, w in zip(params, weights, strict=True):
        torch.manual_seed(5)
        leaves = a.clone().requires_grad_(), w.clone().requires_grad_()
        rows.append(torch.autograd.grad(loss(*leaves), leaves))
    for column, each in enumerate(got):
        torch.testing.assert_close(each, torch.stack([row[column] for row in rows]))


@STATEFUL
def test_vmap_of_grad_over_stacked_states_equals_a_loop(estimator):
    params, cost = params_for(CATEGORICAL, 2, 5, 2, dtype=torch.float32), cubic(CATEGORICAL, 2)
    states = [estimator.build_state(CATEGORICAL, 2) for _ in range(2)]
    for number, state in enumerate(states):  # no two alike
        for p in state.parameters():
            p.data += 0.1 * torch.randn(p.shape, generator=seed(number))
        estimates(estimator, CATEGORICAL, params[number, 0], cost, 20, state, number=number)
    learned, buffers = torch.func.stack_module_state(states)
    empty = copy.deepcopy(states[0])

    class Step(nn.Module):
        def __init__(self):
            super().__init__()
            self.state = empty

        def forward(self, a):
            return estimator.surrogate(CATEGORICAL(a, 0.7), cost, None, self.state).mean()

    def loss(weights, kept, a):
        given = {f"state.{name}": tensor for name, tensor in {**weights, **kept}.items()}
        return torch.func.functional_call(Step(), given, (a,))

    grad = torch.func.grad(loss, argnums=(0, 2))
    torch.manual_seed(5)
    by_state, by_params = torch.func.vmap(grad, randomness="same")(learned, buffers, params)
    for number, state in enumerate(states):
        torch.manual_seed(5)
        leaf = params[number].clone().requires_grad_()
        value = estimator.surrogate(CATEGORICAL(leaf, 0.7), cost, None, state).mean()
        names = list(dict(state.named_parameters()))
        slope, *others = torch.autograd.grad(value, [leaf, *state.parameters()])
        torch.testing.assert_close(by_params[number], slope)
        for name, other in zip(names, others, strict=True):
            torch.testing.assert_close(by_state[name][number], other, rtol=1e-4, atol=1e-6)
        for name, buffer in state.named_buffers():
            torch.testing.assert_close(buffers[name][number], buffer)


@pytest.mark.parametrize("estimator", [Rebar(), Reinforce()], ids=repr)
def test_compiled_equals_eager(estimator):
    # With a state: a compiler that works the baseline out again after it has been brought up to
    # date, as torch's does, lets it know its own cost.
    cost = cubic(BINARY, 2)

    def step(params):
        return estimator.surrogate(BINARY(params, 0.5), cost, None, state)

    def run(function):
        torch.manual_seed(1)
        state.load_state_dict(kept)
        params = params_for(BINARY, 4, 2).requires_grad_()
        value = function(params)
        return value, torch.autograd.grad(value.sum(), params)[0]

    state = estimator.build_state(BINARY, 2)
    kept = copy.deepcopy(state.state_dict())
    torch.compiler.reset()
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    for got, want in zip(run(compiled), run(step), strict=True):
        torch.testing.assert_close(got, want)
