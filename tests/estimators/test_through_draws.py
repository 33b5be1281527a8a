"""Estimators that give a draw a gradient, against enumeration and formulas written out plainly."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import stats

import relaxit
from relaxit.autograd import replace_gradient
from relaxit.errors import Unsupported
from relaxit.estimators.gapped_st import _moved
from relaxit.testing import ALPHA, count_values, wrong_frequencies
from relaxit.testing.toys import SamplesOnly, ThreeNumbers
from tests.helpers import params_for, seed

BINARY = relaxit.get("binary")
FIVE = relaxit.get("categorical", categories=5)
GROUND = pytest.mark.parametrize(
    "relaxation", [relaxit.get("categorical", categories=2), FIVE, BINARY], ids=repr
)


def built(name: str):
    few = {"draws": 6, "chunk": 4} if "rao" in name or name == "reinmax-cv" else {}
    options = {"forward": 0.6} if name == "decoupled-st-gumbel" else few
    return relaxit.estimator(name, **options)


WITHOUT_NOISE = ["straight-through", "gapped-st", "reinmax"]
WITH_NOISE = ["gumbel-rao", "reinmax-rao", "reinmax-cv"]
ALL = pytest.mark.parametrize("name", [*WITHOUT_NOISE, *WITH_NOISE, "decoupled-st-gumbel"])
EXACT = pytest.mark.parametrize("name", WITHOUT_NOISE)
NOISY = pytest.mark.parametrize("name", WITH_NOISE)


def power_cost(relaxation, power):
    weights = torch.randn(relaxation.event_shape, generator=seed(11), dtype=torch.float64) + 0.5
    rank = len(relaxation.event_shape)

    def cost(z):
        dot = (weights.to(z.dtype) * z).sum(-1) if rank else weights.to(z.dtype) * z
        return (dot + 0.25) ** power

    return cost


def slope_given(estimator, relaxation, params, hard, cost, temperature=1.0, number=1):
    """Gradient for each row of ``params``, the draw being given."""
    leaf = params.detach().clone().requires_grad_()
    value = estimator.given(relaxation(leaf, temperature), hard, seed(number))
    return torch.autograd.grad(cost(value).sum(), leaf)[0]


def pull(kind, p, g):
    """J(p) g of a softmax or a sigmoid, entry by entry."""
    if kind == "bits":
        return p * (1 - p) * g
    out = torch.zeros_like(p)
    for i, j in itertools.product(range(p.shape[-1]), repeat=2):
        out[..., i] += ((p[..., i] if i == j else 0.0) - p[..., i] * p[..., j]) * g[..., j]
    return out


def marginals(kind, logits):
    if kind == "bits":
        return 1 / (1 + (-logits).exp())
    weights = (logits - logits.amax(-1, keepdim=True)).exp()
    return weights / weights.sum(-1, keepdim=True)


def log_odds(kind, p):
    return p.log() if kind == "category" else (p / (1 - p)).log()


def drawn(relaxation, params, *shape, number=3):
    return relaxation(params).sample_hard(shape, seed(number))


def upstream(cost, hard):
    point = hard.clone().requires_grad_()
    return torch.autograd.grad(cost(point).sum(), point)[0]


# --- expectations, by enumeration -------------------------------------------------------------


def expectation(estimator, relaxation, params, cost, temperature=1.0):
    vertices = relaxation.enumerate_vertices().double()
    mass = relaxation.discrete(params).log_prob(vertices).exp()
    rows = params.expand(len(vertices), *params.shape)
    slopes = slope_given(estimator, relaxation, rows, vertices, cost, temperature)
    return (mass.reshape(-1, *(1,) * params.dim()) * slopes).sum(0)


def exact(relaxation, params, cost):
    leaf = params.clone().requires_grad_()
    vertices = relaxation.enumerate_vertices().double()
    mass = relaxation.discrete(leaf).log_prob(vertices).exp()
    return torch.autograd.grad((mass * cost(vertices)).sum(), leaf)[0]


def bias(name, relaxation, power, temperature=1.0):
    params, cost = params_for(relaxation), power_cost(relaxation, power)
    want = exact(relaxation, params, cost)
    got = expectation(built(name), relaxation, params, cost, temperature)
    return float((got - want).norm() / want.norm())


@GROUND
def test_reinmax_is_exact_for_quadratic_costs_at_temperature_one(relaxation):
    assert bias("reinmax", relaxation, 1) < 1e-12
    assert bias("reinmax", relaxation, 2) < 1e-12
    assert bias("reinmax", relaxation, 2, temperature=1.3) > 0.005
    assert bias("reinmax", relaxation, 3) > 0.01


@GROUND
def test_straight_through_is_exact_for_linear_costs_only(relaxation):
    assert bias("straight-through", relaxation, 1) < 1e-12
    assert bias("straight-through", relaxation, 2) > 0.01
    assert bias("straight-through", relaxation, 1, temperature=1.3) > 0.01


@GROUND
@pytest.mark.parametrize("name", ["gapped-st"])
def test_others_are_biased(relaxation, name):
    assert 0.001 < bias(name, relaxation, 2) < 2


@GROUND
def test_reinmax_is_exact_for_the_square_of_a_sum_over_variables(relaxation):
    # Quadratic in each variable given the others, and of two variables under one cost.
    params = params_for(relaxation, 2)
    vertices = relaxation.enumerate_vertices().double()
    factors, per_value = torch.tensor([1.0, -2.0]).double(), power_cost(relaxation, 1)
    pairs = torch.cartesian_prod(*[torch.arange(len(vertices))] * 2)
    z = vertices[pairs]

    def cost(values):
        return (factors * per_value(values)).sum(-1).square()

    leaf = params.clone().requires_grad_()
    mass = relaxation.discrete(leaf).log_prob(z).sum(-1).exp()
    (want,) = torch.autograd.grad((mass * cost(z)).sum(), leaf)
    rows = params.expand(len(pairs), *params.shape)
    slopes = slope_given(built("reinmax"), relaxation, rows, z, cost)
    got = (mass.detach().reshape(-1, *(1,) * params.dim()) * slopes).sum(0)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-12)


# --- ReinMax as published ---------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reinmax_is_that_of_its_authors(temperature, dtype):
    theirs = pytest.importorskip("reinmax").reinmax
    logits = params_for(FIVE, 40, 3, dtype=dtype)
    weights = torch.randn(40, 3, 5, generator=seed(2), dtype=dtype)

    def cost(z):
        return ((weights * z).sum(-1) + 0.3) ** 3

    leaf = logits.clone().requires_grad_()
    sample, _ = theirs(leaf, temperature)
    (want,) = torch.autograd.grad(cost(sample).sum(), leaf)
    strided = logits.transpose(0, 1).contiguous().transpose(0, 1)  # which theirs refuses
    got = slope_given(built("reinmax"), FIVE, strided, sample.detach(), cost, temperature)
    scale = float(want.abs().max())
    assert float((got - want).abs().max()) < (1e-6 if dtype == torch.float32 else 1e-12) * scale


# --- formulas, on the same noise --------------------------------------------------------------


def formula(name, relaxation, params, hard, g, temperature, number):
    """What the gradient should be, by the formulas of the papers."""
    kind = relaxation.capabilities.logits
    pi = marginals(kind, params)
    if name == "straight-through":
        return pull(kind, marginals(kind, params / temperature), g) / temperature
    if name == "gapped-st":
        return (
            pull(kind, marginals(kind, gapped(kind, params, hard) / temperature), g) / temperature
        )
    if name == "reinmax":
        halfway = (marginals(kind, params / temperature) + hard) / 2
        return 2 * pull(kind, halfway, g) - 0.5 * pull(kind, pi, g)
    halfway = (pi + hard) / 2
    shifted = log_odds(kind, halfway)
    noise = seed(number)
    if name == "gumbel-rao":
        return rao(relaxation, params, hard, g, temperature, (4, 2), noise)
    if name == "reinmax-rao":
        second = rao(relaxation, shifted, hard, g, temperature, (4, 2), noise)
        return 2 * second - 0.5 * pull(kind, pi, g)
    one = rao(relaxation, shifted, hard, g, temperature, (1,), noise)
    many = rao(relaxation, shifted, hard, g, temperature, (4, 2), noise)
    return 2 * pull(kind, halfway, g) - 0.5 * pull(kind, pi, g) + 0.5 * (many - one)


def gapped(kind, logits, hard, gap=1.0):
    if kind == "bits":
        up, down = (
            torch.maximum(logits, torch.tensor(gap)),
            torch.minimum(logits, torch.tensor(-gap)),
        )
        return torch.where(hard == 1, up, down)
    out = logits.clone().reshape(-1, logits.shape[-1])
    for row, mark in zip(out, hard.reshape(out.shape), strict=True):
        top, chosen = float(row.max()), int(mark.argmax())
        for i in range(len(row)):
            row[i] = top if i == chosen else min(float(row[i]), top - gap)
    return out.reshape(logits.shape)


def rao(relaxation, at, hard, g, temperature, sizes, noise):
    kind, found = relaxation.capabilities.logits, 0.0
    for size in sizes:
        for x in relaxation.perturb_given(at, hard, torch.Size((size,)), noise):
            found = found + pull(kind, marginals(kind, x / temperature), g) / temperature
    return found / sum(sizes)


@GROUND
@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("name", [*WITHOUT_NOISE, *WITH_NOISE])
def test_formulas(relaxation, name, temperature):
    params, cost = params_for(relaxation, 30), power_cost(relaxation, 3)
    hard = drawn(relaxation, params)
    g = upstream(cost, hard)
    got = slope_given(built(name), relaxation, params, hard, cost, temperature, number=4)
    want = formula(name, relaxation, params, hard, g, temperature, number=4)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-11)


@GROUND
def test_many_categories_or_few_draws_take_another_way_to_the_same(relaxation):
    # Jacobians are summed where that is the smaller tensor; soft values are kept elsewhere.
    params, cost = params_for(relaxation, 30), power_cost(relaxation, 2)
    hard = drawn(relaxation, params)
    for draws, chunk in ((3, 1), (3, 3), (40, 7), (40, 40)):
        rao_ = relaxit.estimator("gumbel-rao", draws=draws, chunk=chunk)
        got = slope_given(rao_, relaxation, params, hard, cost, 0.7)
        sizes = [chunk] * (draws // chunk) + [draws % chunk] * (draws % chunk > 0)
        want = rao(relaxation, params, hard, upstream(cost, hard), 0.7, sizes, seed(1))
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("gap", [0.0, 0.5, 2.0])
def test_the_gap_is_kept_and_no_more(gap):
    logits = params_for(FIVE, 200)
    hard = drawn(FIVE, logits)
    moved = _moved(logits, hard, gap, "category")
    torch.testing.assert_close(moved, gapped("category", logits, hard, gap))
    others = moved.masked_fill(hard == 1, -math.inf).amax(-1)
    lead = (moved * hard).sum(-1) - others
    assert bool((lead >= gap - 1e-12).all())
    leads = (logits * hard).sum(-1) - logits.masked_fill(hard == 1, -math.inf).amax(-1) >= gap
    assert torch.equal(moved[leads], logits[leads])  # what leads already is not moved
    assert bool((moved <= logits.amax(-1, keepdim=True)).all())
    bits = _moved(logits, (hard > 0.5).double(), gap, "bits")
    assert bool(((2 * hard - 1) * bits >= gap).all())


# --- two temperatures -------------------------------------------------------------------------


@GROUND
def test_decoupled_is_st_gumbel_at_forward_one(relaxation):
    params, cost = params_for(relaxation, 20), power_cost(relaxation, 2)
    slopes = []
    for estimator in (
        relaxit.estimator("decoupled-st-gumbel"),
        relaxit.estimator("st-gumbel"),
        relaxit.estimator("decoupled-st-gumbel", forward=0.3),
    ):
        leaf = params.clone().requires_grad_()
        value = estimator.surrogate(relaxation(leaf, 0.7), cost, seed(1)).sum()
        slopes.append(torch.autograd.grad(value, leaf)[0])
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-12, atol=1e-14)
    assert float((slopes[0] - slopes[2]).norm() / slopes[0].norm()) > 0.01


@GROUND
@pytest.mark.parametrize("forward", [0.4, 2.5])
def test_decoupled_draws_at_one_temperature_and_differentiates_at_another(relaxation, forward):
    kind = relaxation.capabilities.logits
    estimator = relaxit.estimator("decoupled-st-gumbel", forward=forward)
    assert estimator.own_distribution
    assert not relaxit.estimator("decoupled-st-gumbel").own_distribution
    params, cost = params_for(relaxation), power_cost(relaxation, 2)
    rows = params.expand(50_000, *params.shape).clone().requires_grad_()
    z = estimator.sample(relaxation(rows, 0.8), (), seed(1))
    vertices = relaxation.enumerate_vertices().double()
    mass = relaxation.discrete(params / forward).log_prob(vertices).exp()
    seen = count_values(z.detach(), vertices)
    assert not wrong_frequencies(seen, mass)
    assert wrong_frequencies(seen, relaxation.discrete(params).log_prob(vertices).exp())
    # The gradient is that of the soft value of the same noise, at the law's own temperature.
    (got,) = torch.autograd.grad(cost(z).sum(), rows)
    shape = torch.Size(rows.shape)
    noise = relaxation.noise(shape, dtype=torch.float64, device=rows.device, generator=seed(1))
    p = marginals(kind, (params + noise) / 0.8)
    want = pull(kind, p, upstream(cost, z.detach())) / 0.8
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-11)


# --- Rao-Blackwell ----------------------------------------------------------------------------


def same_mean(one, other):
    """Welch's test of the means of rows ``[M, D]``, each entry, at ALPHA in all."""
    p = stats.ttest_ind(one.numpy(), other.numpy(), equal_var=False).pvalue
    return bool((p > ALPHA / one.shape[1]).all())


@pytest.mark.parametrize("temperature", [0.4, 1.0])
def test_gumbel_rao_has_the_mean_of_st_gumbel_at_lower_variance(temperature):
    params, cost = params_for(FIVE).expand(100_000, 5), power_cost(FIVE, 2)
    slopes = {}
    for name, options in {"st-gumbel": {}, "gumbel-rao": {"draws": 10}}.items():
        leaf = params.clone().requires_grad_()
        estimator = relaxit.estimator(name, **options)
        value = estimator.surrogate(FIVE(leaf, temperature), cost, seed(1)).sum()
        slopes[name] = torch.autograd.grad(value, leaf)[0]
    rough, smooth = slopes["st-gumbel"], slopes["gumbel-rao"]
    error = (rough.var(0) + smooth.var(0)).div(len(rough)).sqrt()
    assert bool(((rough.mean(0) - smooth.mean(0)).abs() < 4 * error).all())
    assert float(smooth.var(0).sum()) < 0.9 * float(rough.var(0).sum())
    assert bool((smooth.var(0) < rough.var(0)).all())
    assert not same_mean(1.1 * smooth, rough)


def test_given_the_draw_the_mean_is_that_of_the_scores_that_round_to_it():
    # By rejection: perturb freely and keep what has the given argmax.
    params, cost = params_for(FIVE), power_cost(FIVE, 3)
    scores = FIVE.perturb(params, torch.Size((60_000,)), seed(2))
    for chosen in (0, 3):
        hard = torch.eye(5, dtype=torch.float64)[chosen]
        g = upstream(cost, hard)
        kept = scores[scores.argmax(-1) == chosen]
        free = pull("category", marginals("category", kept / 0.5), g.expand(kept.shape)) / 0.5
        rows = params.expand(20_000, 5)
        given = slope_given(
            relaxit.estimator("gumbel-rao", draws=1), FIVE, rows, hard.expand(20_000, 5), cost, 0.5
        )
        assert len(kept) > 1000
        assert same_mean(free, given)


@pytest.mark.parametrize("relaxation", [FIVE, BINARY], ids=repr)
def test_the_control_variate_has_mean_zero_given_the_draw(relaxation):
    params, cost = params_for(relaxation), power_cost(relaxation, 3)
    rows = params.expand(40_000, *params.shape)
    hard = drawn(relaxation, params).expand(40_000, *relaxation.event_shape)
    reinmax = slope_given(built("reinmax"), relaxation, rows[:1], hard[:1], cost, 1.0)
    many = slope_given(built("reinmax-cv"), relaxation, rows, hard, cost, 0.6).reshape(40_000, -1)
    off = (many.mean(0) - reinmax.flatten()).abs() / (many.std(0) / 200)
    assert bool((off < stats.norm.isf(ALPHA / 2 / many.shape[1])).all())
    assert float(many.std(0).min()) > 0.001  # there is noise, and it goes out
    off = relaxit.estimator("reinmax-cv", eta=0.0)
    plain = slope_given(off, relaxation, rows[:1], hard[:1], cost, 0.6)
    torch.testing.assert_close(plain, reinmax, rtol=1e-12, atol=1e-14)


# --- bits and two categories ------------------------------------------------------------------


def as_two_categories(bits):
    two = relaxit.get("categorical", categories=2)
    logits = torch.stack([bits, torch.zeros_like(bits)], -1)
    return two, logits


@EXACT
@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_a_bit_is_a_choice_between_two(name, temperature):
    logits = params_for(BINARY, 60)
    bits = drawn(BINARY, logits)
    two, pairs = as_two_categories(logits)
    hard = torch.stack([bits, 1 - bits], -1)
    one = slope_given(built(name), BINARY, logits, bits, lambda z: (z - 0.3) ** 3, temperature)
    other = slope_given(
        built(name), two, pairs, hard, lambda z: (z[..., 0] - 0.3) ** 3, temperature
    )
    torch.testing.assert_close(other[:, 0], one, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(other[:, 1], -one, rtol=1e-9, atol=1e-12)


@NOISY
def test_a_bit_is_a_choice_between_two_in_the_mean(name):
    logits = torch.tensor(0.7).double().expand(30_000)
    two, pairs = as_two_categories(logits)
    for bit in (0.0, 1.0):
        bits = torch.full_like(logits, bit)
        hard = torch.stack([bits, 1 - bits], -1)
        one = slope_given(built(name), BINARY, logits, bits, lambda z: 2 * z, 0.7)
        other = slope_given(built(name), two, pairs, hard, lambda z: 2 * z[..., 0], 0.7, number=2)
        assert same_mean(one.unsqueeze(-1), other[:, :1])


# --- masks, dtypes, layout, transforms --------------------------------------------------------


@pytest.mark.parametrize("name", [*WITHOUT_NOISE, *WITH_NOISE])
def test_a_masked_category_is_as_if_it_were_not_there(name):
    three = relaxit.get("categorical", categories=3)
    logits = params_for(three, 20)
    kept = [0, 2, 3]
    masked = torch.full((20, 5), -math.inf).double()
    masked[:, kept] = logits
    hard = drawn(three, logits)
    wide = torch.zeros(20, 5).double()
    wide[:, kept] = hard
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0, 9.0]).double()
    got = slope_given(built(name), FIVE, masked, wide, lambda z: (z @ weights + 0.1) ** 3, 0.7)
    assert bool(got.isfinite().all())
    assert not got[:, [1, 4]].any()
    if name in WITHOUT_NOISE:
        few = weights[kept]
        want = slope_given(built(name), three, logits, hard, lambda z: (z @ few + 0.1) ** 3, 0.7)
        torch.testing.assert_close(got[:, kept], want, rtol=1e-9, atol=1e-12)


@ALL
def test_forced_bits_and_learned_temperatures_give_finite_gradients(name):
    for relaxation, logits in (
        (BINARY, torch.tensor([-math.inf, math.inf, 0.3])),
        (FIVE, torch.tensor([[0.0, -math.inf, 1.0, 2.0, -1.0], [-math.inf] * 4 + [0.0]])),
    ):
        leaf = logits.double().requires_grad_()
        temperature = torch.tensor(0.7).double().requires_grad_()
        value = built(name).sample(relaxation(leaf, temperature), (50,), seed(1))
        slopes = torch.autograd.grad(
            power_cost(relaxation, 3)(value).sum(), (leaf, temperature), allow_unused=True
        )
        for slope in slopes:
            assert slope is None or bool(slope.isfinite().all())


@GROUND
@ALL
def test_each_row_has_its_temperature(relaxation, name):
    params, cost = params_for(relaxation, 3), power_cost(relaxation, 2)
    temperatures = torch.tensor([0.4, 1.0, 2.0]).double()

    def slope(temperature):
        leaf = params.clone().requires_grad_()
        value = built(name).surrogate(relaxation(leaf, temperature), cost, seed(1)).sum()
        return torch.autograd.grad(value, leaf)[0]

    got = slope(temperatures)
    want = torch.stack([slope(float(t))[i] for i, t in enumerate(temperatures)])
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)


@GROUND
@ALL
def test_layout_and_short_dtypes(relaxation, name):
    params, cost = params_for(relaxation, 6, 4), power_cost(relaxation, 2)

    def run(given):
        leaf = given.detach().requires_grad_()
        value = built(name).sample(relaxation(leaf, 0.7), (), seed(1))
        return value.detach(), torch.autograd.grad(cost(value).sum(), leaf)[0]

    value, slope = run(params.float())
    strided = params.float().transpose(0, 1).contiguous().transpose(0, 1)
    assert not strided.is_contiguous()
    for got, want in zip(run(strided), (value, slope), strict=True):
        torch.testing.assert_close(got, want)
    short_value, short_slope = run(params.bfloat16())
    again, rounded = run(params.bfloat16().float())
    assert bool(relaxation.vertices.check(short_value).all())
    assert torch.equal(short_value.float(), again)
    torch.testing.assert_close(short_slope.float(), rounded, rtol=0.05, atol=0.05)


@GROUND
@pytest.mark.parametrize("name", [*WITHOUT_NOISE, *WITH_NOISE])
def test_vmap_over_params_and_draws(relaxation, name):
    params, cost = params_for(relaxation, 4), power_cost(relaxation, 2)
    hard = drawn(relaxation, params)

    def slope(a, z):
        torch.manual_seed(5)
        return torch.func.grad(lambda x: cost(built(name).given(relaxation(x, 0.7), z)))(a)

    got = torch.func.vmap(slope, randomness="same")(params, hard)
    want = torch.stack([slope(*row) for row in zip(params, hard, strict=True)])
    torch.testing.assert_close(got, want)


@ALL
def test_compiled_equals_eager(name):
    relaxation = BINARY if name in ("gapped-st", "reinmax-rao", "reinmax-cv") else FIVE
    cost = power_cost(relaxation, 3)
    few = {"draws": 3, "chunk": 3} if name in WITH_NOISE else {}

    def step(params, temperature):
        return built_once.surrogate(relaxation(params, temperature), cost)

    def run(function):
        torch.manual_seed(1)
        params = params_for(relaxation, 4).requires_grad_()
        value = function(params, torch.tensor(0.5, dtype=torch.float64))
        return value, torch.autograd.grad(value.sum(), params)[0]

    built_once = relaxit.estimator(name, **few)
    torch.compiler.reset()
    # Differentiated by the compiler two calls of rand may change places: other numbers, one law.
    backend = "eager" if name == "reinmax-cv" else "aot_eager"
    compiled = torch.compile(step, fullgraph=True, backend=backend)
    for got, want in zip(run(compiled), run(step), strict=True):
        torch.testing.assert_close(got, want)


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("gapped-st", "logits of one category or of independent bits"),
        ("reinmax", "logits of one category or of independent bits"),
        ("reinmax-rao", "logits of one category or of independent bits"),
        ("reinmax-cv", "logits of one category or of independent bits"),
        ("gumbel-rao", "capability conditional"),
    ],
)
def test_what_is_missing_is_named(name, missing):
    for bare in (SamplesOnly(), ThreeNumbers()):
        q = bare(torch.zeros(2, 3))
        for call in (
            lambda q=q: built(name).check(q.relaxation),
            lambda q=q: built(name).sample(q),
        ):
            with pytest.raises(Unsupported, match=missing) as caught:
                call()
            assert name in str(caught.value)
            assert bare.name in str(caught.value)


def test_an_oracle_that_is_off_is_seen():
    # One part in a thousand on the second-order term, and the tests above say no.
    params, cost = params_for(FIVE), power_cost(FIVE, 2)
    reinmax = built("reinmax")

    class Off(type(reinmax)):
        api, name = 1, "off"

        def given(self, q, hard, generator=None):
            value = super().given(q, hard, generator)
            return replace_gradient(hard, 1.001 * value)

    got = expectation(Off(), FIVE, params, cost)
    assert float((got - exact(FIVE, params, cost)).norm()) > 1e-5
