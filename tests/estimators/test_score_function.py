"""Score-function estimators: expectation, variance, state, and what the cost's own weights get.

The oracle is enumeration: the expected cost is summed over all joint values and differentiated.
"""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch import nn

import relaxit
from relaxit import RelaxedDistribution, StatefulEstimator
from relaxit.errors import ShapeError, Unsupported
from relaxit.estimators.arm import Arm
from relaxit.estimators.base import surrogate_with
from relaxit.estimators.common import antithetic
from relaxit.estimators.common.running_averages import RunningMoments
from relaxit.estimators.common.score_function import add_gradient
from relaxit.estimators.disarm import Disarm
from relaxit.estimators.rebar import Rebar
from relaxit.estimators.reinforce import Reinforce
from relaxit.estimators.relax import RelaxEstimator
from relaxit.estimators.rloo import Rloo
from relaxit.testing.toys import SamplesOnly, ThreeNumbers
from tests.helpers import params_for, seed

CATEGORICAL = relaxit.get("categorical", categories=4)
BINARY = relaxit.get("binary")
GENERAL = [Reinforce(), Rloo(samples=2), Rloo(), Rebar(), Rebar(eta=0.3), RelaxEstimator(),
           RelaxEstimator(rebar=False)]  # fmt: skip
BITS = [Arm(), Disarm()]
CASES = [(e, r) for r in (CATEGORICAL, BINARY) for e in GENERAL] + [(e, BINARY) for e in BITS]
EACH = pytest.mark.parametrize(("estimator", "relaxation"), CASES, ids=repr)
STATEFUL = pytest.mark.parametrize(
    "estimator", [e for e in GENERAL if isinstance(e, StatefulEstimator)], ids=repr
)
VARIATES = pytest.mark.parametrize(
    "estimator", [Rebar(), RelaxEstimator(), RelaxEstimator(rebar=False)], ids=repr
)


def cubic(relaxation, variables):
    """One cost of so many variables: no product of functions of one variable each."""
    weights = torch.randn(variables, *relaxation.event_shape, generator=seed(11)).double()

    def cost(z):
        dot = (weights.to(z.dtype) * z).flatten(z.dim() - weights.dim()).sum(-1)
        return (dot + 0.25) ** 3 + 2

    return cost


def exact_gradient(relaxation, params, cost):
    """Of the expected cost of variables ``[L, *param_shape]`` under one cost, and that itself."""
    leaf = params.detach().double().clone().requires_grad_()
    vertices = relaxation.enumerate_vertices().double()
    mass = relaxation.discrete(leaf.unsqueeze(1)).log_prob(vertices).exp()  # [L, N]
    expected = leaf.new_zeros(())
    for state in itertools.product(range(len(vertices)), repeat=len(params)):
        p = math.prod(mass[i, s] for i, s in enumerate(state))
        expected = expected + p * cost(vertices[list(state)])
    return torch.autograd.grad(expected, leaf)[0], expected.detach()


def estimates(estimator, relaxation, params, cost, rows, state=None, temperature=0.7, number=1):
    leaf = params.expand(rows, *params.shape).clone().requires_grad_()
    q = relaxation(leaf, temperature)
    value = surrogate_with(state, estimator, q, cost, seed(number))
    return torch.autograd.grad(value.sum(), leaf)[0], value.detach()


# --- expectations -----------------------------------------------------------------------------


def errors_off(estimates, exact):
    """By how many standard errors the mean over rows is off, the largest."""
    error = estimates.double().std(0) / len(estimates) ** 0.5
    return float(((estimates.double().mean(0) - exact).abs() / error).max())


@EACH
def test_unbiased_within_four_errors(estimator, relaxation):
    # Two variables under one cost. 4 standard errors: a right estimator of 8 numbers and the value
    # fails at 6e-4 of seeds.
    params, cost = params_for(relaxation, 2, dtype=torch.float32), cubic(relaxation, 2)
    exact, expected = exact_gradient(relaxation, params, cost)
    found, value = estimates(estimator, relaxation, params, cost, 100_000)
    assert errors_off(found, exact) < 4
    assert errors_off(value, expected) < 4
    assert errors_off(found * 1.05, exact) > 4  # 5 % would be seen


def fixed_draws(monkeypatch, hard):
    monkeypatch.setattr(RelaxedDistribution, "sample_hard", lambda *_: hard)


@pytest.mark.parametrize("relaxation", [CATEGORICAL, BINARY], ids=repr)
def test_reinforce_is_exact_over_all_draws_whatever_the_baseline(relaxation, monkeypatch):
    params, cost = params_for(relaxation, 2), cubic(relaxation, 2)
    exact, _ = exact_gradient(relaxation, params, cost)
    vertices, total = relaxation.enumerate_vertices().double(), torch.zeros_like(params)
    state = RunningMoments(0.9).double().eval()
    state.update(torch.tensor([5.0, -1.0, 0.5]).double())
    for pair in itertools.product(range(len(vertices)), repeat=2):
        hard = vertices[list(pair)]
        fixed_draws(monkeypatch, hard)
        leaf = params.clone().requires_grad_()
        value = Reinforce().surrogate(relaxation(leaf), cost, None, state)
        assert torch.equal(value, cost(hard))
        mass = relaxation.discrete(params).log_prob(hard).sum().exp()
        total += mass * torch.autograd.grad(value, leaf)[0]
    torch.testing.assert_close(total, exact, rtol=0, atol=1e-12)


def test_rloo_is_exact_over_all_pairs_of_draws(monkeypatch):
    params, cost = params_for(CATEGORICAL, 1), cubic(CATEGORICAL, 1)
    exact, expected = exact_gradient(CATEGORICAL, params, cost)
    vertices, total, mean = torch.eye(4).double(), torch.zeros_like(params), 0.0
    mass = params[0].softmax(-1)
    for i, j in itertools.product(range(4), repeat=2):
        fixed_draws(monkeypatch, vertices[[i, j]].unsqueeze(1))
        leaf = params.clone().requires_grad_()
        value = Rloo(samples=2).surrogate(CATEGORICAL(leaf), cost)
        mean += mass[i] * mass[j] * value.detach()
        total += mass[i] * mass[j] * torch.autograd.grad(value, leaf)[0]
    torch.testing.assert_close(total, exact, rtol=0, atol=1e-12)
    torch.testing.assert_close(mean, expected, rtol=0, atol=1e-12)


def pieces_of(p):
    """Where both bits of a pair stay as they are: middle and length of intervals of u."""
    ends = [0.0, min(p, 1 - p), max(p, 1 - p), 1.0]
    return [((a + b) / 2, b - a) for a, b in itertools.pairwise(ends)]


@pytest.mark.parametrize("estimator", BITS, ids=repr)
def test_antithetic_pairs_are_exact_over_all_noise(estimator, monkeypatch):
    # Both estimates are linear in each u between the points where a bit of the pair changes, so
    # that the midpoint rule is exact.
    params, cost = torch.tensor([0.8, -1.7]).double(), cubic(BINARY, 2)
    exact, expected = exact_gradient(BINARY, params, cost)
    total, mean = torch.zeros_like(params), 0.0
    for (u, du), (v, dv) in itertools.product(*(pieces_of(float(a.sigmoid())) for a in params)):
        noise = torch.tensor([u, v], dtype=torch.float64).logit()
        monkeypatch.setattr(antithetic, "logistic", lambda *_, x=noise, **__: x)
        leaf = params.clone().requires_grad_()
        value = estimator.surrogate(BINARY(leaf), cost)
        mean += du * dv * value.detach()
        total += du * dv * torch.autograd.grad(value, leaf)[0]
    torch.testing.assert_close(total, exact, rtol=0, atol=1e-12)
    torch.testing.assert_close(mean, expected, rtol=0, atol=1e-12)


def test_disarm_varies_less_than_arm():
    params, cost = params_for(BINARY, 5, dtype=torch.float32), cubic(BINARY, 5)
    arm, disarm = (estimates(e, BINARY, params, cost, 5000)[0].var(0).sum() for e in BITS)
    assert disarm < 0.9 * arm


# --- shapes -----------------------------------------------------------------------------------


@EACH
def test_one_cost_each_and_one_for_all(estimator, relaxation):
    # A cost that is a sum over variables has the gradient of the terms, in expectation; here the
    # shapes, and that the terms of other rows leave no trace.
    params = params_for(relaxation, 3, 2).requires_grad_()
    per_value, joint = cubic(relaxation, 1), cubic(relaxation, 2)
    each = estimator.surrogate(relaxation(params), lambda z: per_value(z.unsqueeze(2)), seed(1))
    assert each.shape == (3, 2)
    (slope,) = torch.autograd.grad(each[0, 1], params)
    assert bool(slope[0, 1].any())
    assert float(slope.abs().sum()) == float(slope[0, 1].abs().sum())
    one = estimator.surrogate(relaxation(params), joint, seed(1))
    assert one.shape == (3,)
    (slope,) = torch.autograd.grad(one[0], params)
    assert bool(slope[0].any())
    assert not bool(slope[1:].any())


@EACH
def test_costs_that_do_not_begin_the_batch_are_refused(estimator, relaxation):
    joint = cubic(relaxation, 2)
    q = relaxation(params_for(relaxation, 3, 2).requires_grad_())
    with pytest.raises(ShapeError, match=r"\[3, 1\] does not begin the batch shape \[3, 2\]"):
        estimator.surrogate(q, lambda z: joint(z).unsqueeze(-1))


def test_a_gradient_is_added_to_a_value_that_stays():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    extra = 3 * x + torch.tensor([torch.inf, 0.0])
    y = add_gradient(x.square(), extra)
    assert y.tolist() == [1, 4]
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [5, 7]
    y = add_gradient(torch.ones(2, dtype=torch.bfloat16), x)
    assert torch.autograd.grad(y.sum(), x)[0].dtype == torch.float32


# --- what the cost is made of -----------------------------------------------------------------


@EACH
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_decoder_gets_the_gradient_of_the_costs_of_hard_values(estimator, relaxation, dtype):
    size = 2 * math.prod(relaxation.event_shape)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = nn.Sequential(nn.Linear(size, 8), nn.Tanh(), nn.Linear(8, 1)).to(dtype)
    seen = []

    def cost(z):
        if bool(relaxation.vertices.check(z).all()):
            seen.append(z.detach())
        return decoder(z.flatten(1)).squeeze(-1).square()

    params = params_for(relaxation, 5, 2, dtype=dtype).requires_grad_()
    stateful = isinstance(estimator, StatefulEstimator)
    state = estimator.build_state(relaxation, 2) if stateful else None  # which learns
    value = surrogate_with(state, estimator, relaxation(params, 2.0), cost, seed(1))
    got = torch.autograd.grad(value.sum(), list(decoder.parameters()))
    count = 1 if stateful else estimator.evaluations(relaxation, 2)
    assert len(seen) == count
    costs = torch.stack([cost(z) for z in list(seen)])
    assert torch.equal(value, costs.mean(0) if count > 2 else costs.sum(0) / count)
    want = torch.autograd.grad(costs.sum() / count, list(decoder.parameters()))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


@EACH
def test_without_gradients_the_value_is_the_same(estimator, relaxation):
    q = relaxation(params_for(relaxation, 5, 2).requires_grad_(), 0.7)
    cost = cubic(relaxation, 2)
    with torch.no_grad():
        value = estimator.surrogate(q, cost, seed(1))
    assert torch.equal(value, estimator.surrogate(q, cost, seed(1)))


@pytest.mark.parametrize("estimator", GENERAL, ids=repr)
def test_masked_entries_stay_as_they_are(estimator):
    params = params_for(CATEGORICAL, 50, 2)
    params[:, 0, 1] = -torch.inf
    params[:, 1, :2] = -torch.inf
    state = None
    if isinstance(estimator, StatefulEstimator):
        state = estimator.build_state(CATEGORICAL, 2)
    leaf = params.clone().requires_grad_()
    tau = torch.tensor(0.5).double().requires_grad_()  # one that is learned elsewhere
    for _ in range(3):
        value = surrogate_with(state, estimator, CATEGORICAL(leaf, tau), cubic(CATEGORICAL, 2))
        learned = list(state.parameters()) if state is not None else []
        slope, *others = torch.autograd.grad(value.sum(), [leaf, *learned])
        assert bool(value.isfinite().all())
        assert all(bool(s.isfinite().all()) for s in (slope, *others))
        assert not bool(slope[params == -torch.inf].any())
        assert bool(slope.any())


@pytest.mark.parametrize("estimator", BITS + GENERAL, ids=repr)
def test_forced_bits_stay_as_they_are(estimator):
    params = torch.tensor([torch.inf, -torch.inf, 0.3]).expand(50, 3).clone().requires_grad_()
    value = estimator.surrogate(BINARY(params), cubic(BINARY, 3))
    (slope,) = torch.autograd.grad(value.sum(), params)
    assert bool(slope.isfinite().all())
    assert not bool(slope[:, :2].any())
    assert bool(slope[:, 2].any())


# --- transforms -------------------------------------------------------------------------------


@EACH
def test_vmap_of_grad_with_decoders_equals_a_loop(estimator, relaxation):
    # Params and decoder weights at once, one pair a row, as an ensemble of models has them.
    params, weights = params_for(relaxation, 3, 4), params_for(relaxation, 3, number=3)

    def loss(a, w):
        cost = lambda z: ((w * z).flatten(1).sum(-1) if z.dim() > 1 else w * z - 0.1) ** 2  # noqa: E731
        return estimator.surrogate(relaxation(a, 0.7), cost).sum()

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


# --- baseline ---------------------------------------------------------------------------------


def test_moments_are_those_of_the_past():
    moments, decay, costs = RunningMoments(0.8), 0.8, torch.randn(6, 10, generator=seed(1))
    for step, now in enumerate(costs):
        past = costs[:step]
        weights = decay ** torch.arange(step - 1, -1, -1.0)
        mean = (weights * past.mean(1)).sum() / weights.sum() if step else torch.zeros(())
        square = (weights * past.square().mean(1)).sum() / weights.sum() if step else mean
        torch.testing.assert_close(moments.mean(), mean)
        torch.testing.assert_close(moments.deviation(), (square - mean**2).sqrt())
        moments.update(now)


def test_baseline_knows_earlier_costs_only():
    # One row: with its own cost in the baseline the first estimate would be 0, a bias of 100 %.
    cost, state = cubic(CATEGORICAL, 2), Reinforce().build_state(CATEGORICAL, 2)
    params = params_for(CATEGORICAL, 2, dtype=torch.float32)
    first, value = estimates(Reinforce(), CATEGORICAL, params, cost, 1, state)
    plain, _ = estimates(Reinforce(), CATEGORICAL, params, cost, 1)
    assert torch.equal(first, plain)
    torch.testing.assert_close(state.mean(), value[0])
    second, now = estimates(Reinforce(), CATEGORICAL, params, cost, 1, state, number=2)
    plain, _ = estimates(Reinforce(), CATEGORICAL, params, cost, 1, number=2)
    torch.testing.assert_close(second * now, plain * (now - value))


def test_baseline_lowers_the_variance():
    cost, params = cubic(CATEGORICAL, 2), params_for(CATEGORICAL, 2, dtype=torch.float32)
    state = Reinforce().build_state(CATEGORICAL, 2)
    raw, _ = estimates(Reinforce(), CATEGORICAL, params, lambda z: cost(z) + 10, 2000, state)
    less, _ = estimates(Reinforce(), CATEGORICAL, params, lambda z: cost(z) + 10, 2000, state)
    assert float(less.var(0).sum()) < 0.3 * float(raw.var(0).sum())


@STATEFUL
def test_state_rests_and_is_restored(estimator):
    cost, params = cubic(CATEGORICAL, 2), params_for(CATEGORICAL, 2, dtype=torch.float32)
    state = estimator.build_state(CATEGORICAL, 2)
    estimates(estimator, CATEGORICAL, params, cost, 50, state)
    kept = copy.deepcopy(state.state_dict())
    want, _ = estimates(estimator, CATEGORICAL, params, cost, 50, state.eval())
    with torch.no_grad():
        estimator.surrogate(CATEGORICAL(params), cost, None, state.train())
    assert all(torch.equal(kept[name], now) for name, now in state.state_dict().items())
    other = estimator.build_state(CATEGORICAL, 2).eval()
    other.load_state_dict(kept)
    got, _ = estimates(estimator, CATEGORICAL, params, cost, 50, other)
    assert torch.equal(got, want)


# --- control variates -------------------------------------------------------------------------


def quadratic(z):
    return ((z * torch.arange(4.0, dtype=z.dtype)).sum((-1, -2)) - 2.0) ** 2


def spread_of(estimator, params, state=None, temperature=0.5):
    found, _ = estimates(estimator, CATEGORICAL, params, quadratic, 4000, state, temperature)
    return float(found.var(0).sum())


def train(estimator, params, steps=60, rate=0.1):
    state = estimator.build_state(CATEGORICAL, len(params))
    optimiser = torch.optim.Adam(state.parameters(), lr=rate)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(steps):
            leaf = params.expand(100, *params.shape).clone().requires_grad_()
            value = estimator.surrogate(CATEGORICAL(leaf, 0.5), quadratic, None, state)
            optimiser.zero_grad()
            value.mean().backward()
            optimiser.step()
    return state.eval()


def test_rebar_varies_less_than_the_score_function():
    params = params_for(CATEGORICAL, 2, dtype=torch.float32)
    assert spread_of(Rebar(), params) < 0.8 * spread_of(Reinforce(), params)


@pytest.mark.parametrize("eta", [0.1, 5.0])
def test_eta_is_learned_from_either_side(eta):
    params = params_for(CATEGORICAL, 2, dtype=torch.float32)
    estimator = Rebar(eta=eta)
    state = train(estimator, params)
    grid = {e: spread_of(Rebar(eta=e), params) for e in (0.5, 0.7, 0.9, 1.1, 1.3)}
    learned = float(state.log_eta.detach().exp())
    assert abs(learned - min(grid, key=grid.get)) < 0.3
    assert spread_of(estimator, params, state) < 0.8 * spread_of(estimator, params)
    assert not list(Rebar(eta=eta, learn=False).build_state(CATEGORICAL, 2).parameters())


@pytest.mark.parametrize("options", [{}, {"rebar": False}], ids=repr)
def test_relax_learns_a_better_control_variate(options):
    params = params_for(CATEGORICAL, 2, dtype=torch.float32)
    estimator = RelaxEstimator(**options)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = train(estimator, params, steps=100, rate=0.03)
        fresh = estimator.build_state(CATEGORICAL, 2)
    assert spread_of(estimator, params, state) < 0.8 * spread_of(Rebar(), params)
    assert torch.equal(
        estimates(estimator, CATEGORICAL, params, quadratic, 20, fresh)[0],
        estimates(estimator, CATEGORICAL, params, quadratic, 20)[0],
    )  # a fresh network is 0


@VARIATES
def test_a_trained_state_leaves_the_estimate_unbiased(estimator):
    params = params_for(CATEGORICAL, 2, dtype=torch.float32)
    state = train(estimator, params, steps=20)
    exact, _ = exact_gradient(CATEGORICAL, params, quadratic)
    found, _ = estimates(estimator, CATEGORICAL, params, quadratic, 100_000, state)
    assert errors_off(found, exact) < 4


@VARIATES
def test_state_gets_the_gradient_of_the_square(estimator):
    # Against differences of the squared estimate on one noise, in units of the size it is told in.
    params = params_for(CATEGORICAL, 6, 2)
    state = estimator.build_state(CATEGORICAL, 2).double()
    for number, p in enumerate(state.parameters()):
        p.data = 0.5 * torch.randn(p.shape, generator=seed(number)).double()
    if isinstance(estimator, RelaxEstimator):
        state.moments.update(torch.tensor([1.0, 4.0]))

    def square():
        leaf = params.clone().requires_grad_()
        value = estimator.surrogate(CATEGORICAL(leaf, 0.7), quadratic, seed(1), state.eval())
        return float(torch.autograd.grad(value.sum(), leaf)[0].square().sum())

    kept = copy.deepcopy(state.state_dict())
    leaf = params.clone().requires_grad_()
    value = estimator.surrogate(CATEGORICAL(leaf, 0.7), quadratic, seed(1), state.train())
    slopes = torch.autograd.grad(value.sum(), list(state.parameters()))
    state.load_state_dict(kept)
    ratios = []
    for p, slope in zip(state.parameters(), slopes, strict=True):
        entry, step = tuple(0 for _ in p.shape), 1e-5
        ends = []
        for sign in (1, -2):
            p.data[entry] += sign * step
            ends.append(square())
        p.data[entry] += step
        ratios.append(float(slope[entry]) / ((ends[0] - ends[1]) / (2 * step)))
    assert ratios[0] > 0
    assert ratios == pytest.approx([ratios[0]] * len(ratios), rel=1e-4)


def test_a_state_for_other_variables_is_refused():
    state = RelaxEstimator().build_state(CATEGORICAL, 3)
    q = CATEGORICAL(params_for(CATEGORICAL, 5, 2).requires_grad_())
    with pytest.raises(ShapeError, match=r"'relax'.*built for 12 perturbed scores.*there are 8"):
        RelaxEstimator().surrogate(q, quadratic, None, state)


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "relaxation", "message"),
    [
        *((e, SamplesOnly(), "needs the discrete distribution") for e in GENERAL),
        *((e, SamplesOnly(), "logits of independent bits") for e in BITS),
        *((e, CATEGORICAL, "logits of independent bits") for e in BITS),
        *((e, ThreeNumbers(), "capability conditional") for e in (Rebar(), RelaxEstimator())),
    ],
    ids=repr,
)
def test_refusals_name_what_is_missing(estimator, relaxation, message):
    q = relaxation(torch.zeros(2, *relaxation.param_shape))
    for call in (lambda: estimator.check(relaxation), lambda: estimator.surrogate(q, torch.sum)):
        with pytest.raises(Unsupported, match=message) as caught:
            call()
        text = str(caught.value)
        assert estimator.name in text
        assert relaxation.name in text
        assert "\n" not in text


@pytest.mark.parametrize(
    ("name", "options"),
    [("reinforce", {"decay": 1.0}), ("rloo", {"samples": 1}), ("rebar", {"eta": 0.0}),
     ("relax", {"hidden": 0})],
)  # fmt: skip
def test_options_out_of_range(name, options):
    with pytest.raises(relaxit.ConfigurationError, match=next(iter(options))):
        relaxit.estimator(name, **options)
