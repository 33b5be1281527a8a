"""The fast forms on the CPU against the plain ones: same noise, same sample, same gradient."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import forward_ad

from relaxit import PerturbAndRelax, noise
from relaxit.categorical.categorical import Categorical
from relaxit.categorical.distributions import OneHot
from relaxit.categorical.fast import cpu, inverse_cdf
from relaxit.categorical.fast.entropy import entropy as entropy_of
from relaxit.estimators.st_gumbel import StraightThroughGumbel
from relaxit.testing import wrong_frequencies
from tests.helpers import seed

SHAPES = [(7, 2), (5, 3, 10), (4, 64), (3, 65), (2, 1000), (4096, 10)]
TEMPERATURES = [1.0, 0.7, 0.05, 5.0, torch.tensor(0.5)]
SCALES = [0.0, 1.0, 30.0]


def logits_for(shape, scale, masked=False, dtype=torch.float32):
    logits = scale * torch.randn(shape, generator=seed(0), dtype=dtype)
    if masked:
        logits[..., 1::3] = -torch.inf
    return logits.requires_grad_()


def plain(categorical, logits, temperature, shape, generator):
    return PerturbAndRelax.draw(categorical, logits, temperature, shape, generator)


def close(got, want, dtype, steep=1.0):
    """``steep``: what a rounding of the scores is multiplied by."""
    tolerance = (1e-5 if dtype == torch.float32 else 1e-12) * max(1.0, steep)
    torch.testing.assert_close(got, want, rtol=10 * tolerance, atol=tolerance)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("temperature", TEMPERATURES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sample_and_gradient_are_those_of_the_plain_form(shape, temperature, scale, dtype, masked):
    categorical = Categorical(categories=shape[-1])
    logits = logits_for(shape, scale, masked, dtype)
    sample = torch.Size([2])
    assert cpu.usable(logits, temperature)
    soft, hard = cpu.concrete(logits, temperature, sample, seed(1), hard=True)
    want, vertex = plain(categorical, logits, temperature, sample, seed(1))
    steep = scale / (50 * temperature)
    close(soft, want, dtype, steep)
    assert (hard == vertex).all()
    assert not hard.requires_grad
    assert (soft[~(logits == -torch.inf).expand_as(soft)] > 0).all()
    arriving = torch.randn(soft.shape, generator=seed(2), dtype=dtype)
    got = torch.autograd.grad(soft, logits, arriving)
    # Relative to what a gradient may be: it grows as 1 / temperature.
    (right,) = torch.autograd.grad(want, logits, arriving)
    close(got[0] * temperature, right * temperature, dtype, steep)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_temperature_for_each_row(dtype):
    logits = logits_for((5, 3, 10), 2.0, dtype=dtype)
    temperature = torch.linspace(0.1, 3.0, 15, dtype=dtype).view(5, 3, 1)
    soft, hard = cpu.concrete(logits, temperature, torch.Size(), seed(1), hard=True)
    want, vertex = plain(Categorical(categories=10), logits, temperature, torch.Size(), seed(1))
    close(soft, want, dtype)
    assert torch.equal(hard, vertex)
    arriving = torch.randn(soft.shape, generator=seed(2), dtype=dtype)
    got = torch.autograd.grad(soft, logits, arriving)
    close(got, torch.autograd.grad(want, logits, arriving), dtype, steep=10)


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_a_distribution_takes_it(temperature, monkeypatch):
    calls = []

    def spy(*arguments, **named):
        calls.append(named["hard"])
        return original(*arguments, **named)

    original = cpu.concrete
    monkeypatch.setattr(cpu, "concrete", spy)
    q = Categorical(categories=3)(logits_for((4, 3), 1.0), temperature)
    q.rsample()
    q.draw()
    q.sample()
    assert calls == [False, True, False]


class Halved(Categorical):
    """Another smoothing than the one that the fast form knows."""

    name = "halved"

    def relax(self, scores, temperature):
        return super().relax(scores, temperature) / 2


def test_a_subclass_keeps_its_own_smoothing():
    soft = Halved(categories=3)(torch.zeros(4, 3)).rsample()
    torch.testing.assert_close(soft.sum(-1), torch.full((4,), 0.5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_short_dtypes(dtype, temperature):
    categorical = Categorical(categories=10)
    logits = logits_for((40, 10), 3.0, masked=True).detach().to(dtype).requires_grad_()
    soft, hard = categorical.draw(logits, temperature, torch.Size(), seed(1))
    want, vertex = plain(categorical, logits, temperature, torch.Size(), seed(1))
    assert soft.dtype == hard.dtype == dtype
    torch.testing.assert_close(soft, want)
    assert torch.equal(hard, vertex)


def test_learned_temperatures_take_the_plain_form():
    tau = torch.tensor(0.5, requires_grad=True)
    logits = logits_for((4, 3), 1.0)
    assert not cpu.usable(logits, tau)
    soft = Categorical(categories=3)(logits, tau).rsample()
    assert torch.autograd.grad(soft.square().sum(), tau)[0] != 0


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_second_derivatives(temperature):
    logits = logits_for((3, 4), 1.0, dtype=torch.float64)

    def draw(params):
        return cpu.concrete(params, temperature, torch.Size([2]), seed(3))[0]

    assert torch.autograd.gradcheck(draw, logits)
    assert torch.autograd.gradgradcheck(draw, logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [*TEMPERATURES, torch.tensor(0.5)], ids=str)
@pytest.mark.parametrize("sample", [(), (2,)], ids=str)
def test_straight_through_is_the_hard_value_of_the_same_draw(sample, temperature, dtype):
    logits = logits_for((6, 3, 10), 2.0, masked=True, dtype=dtype)
    soft, hard = cpu.concrete(logits, temperature, torch.Size(sample), seed(1), hard=True)
    q = Categorical(categories=10)(logits, temperature)
    value = StraightThroughGumbel().sample(q, sample, seed(1))
    assert torch.equal(value, hard)
    assert value.grad_fn.name() == "_ConcreteBackward"  # not a copy with another gradient
    arriving = torch.randn(soft.shape, generator=seed(2), dtype=dtype)
    got, want = (torch.autograd.grad(y, logits, arriving)[0] for y in (value, soft))
    close(got, want, dtype)
    value.mul_(2)  # belongs to the caller, and is no view of anything
    assert torch.equal(value, 2 * hard)


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_second_derivatives_of_straight_through(temperature):
    logits = logits_for((3, 4), 1.0, dtype=torch.float64)

    def value(params):
        return cpu.straight_through(params, temperature, torch.Size([2]), seed(3))

    assert torch.autograd.gradgradcheck(value, logits)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_forward_mode(temperature):
    # Through the law: the plain form takes over. Also over a backward pass.
    logits, tangent = torch.randn(2, 3, 4, generator=seed(0), dtype=torch.float64)
    categorical = Categorical(categories=4)

    def moved(function, by):
        torch.manual_seed(1)
        return function((logits + by * tangent).requires_grad_())

    def slope(params):
        (found,) = torch.autograd.grad(categorical.kl_to_uniform(params).sum(), params)
        return found

    for function in (lambda x: categorical(x, temperature).rsample((2,)), slope):
        with forward_ad.dual_level():
            torch.manual_seed(1)
            dual = forward_ad.make_dual(logits.clone().requires_grad_(), tangent)
            got = forward_ad.unpack_dual(function(dual)).tangent
        ends = [moved(function, by) for by in (1e-6, -1e-6)]
        torch.testing.assert_close(got, (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
@pytest.mark.parametrize("other", [1e8, 1e30, -1e30, torch.finfo(torch.float32).min, torch.nan])
def test_a_row_far_from_the_others_takes_nothing_from_them(other, temperature):
    rows = torch.tensor([[0.0, 3.0, 6.0], [other, 0.0, 0.0]])
    rows = torch.cat([rows, torch.full((1, 3), torch.finfo(torch.float32).min)])
    categorical = Categorical(categories=3)
    found = cpu.concrete(rows, temperature, torch.Size([100]), seed(1), hard=True)
    # The plain form adds noise of 1 to logits of -3e38; the law does not change with a constant.
    near = rows - rows.amax(-1, keepdim=True)
    wanted = plain(categorical, near, temperature, torch.Size([100]), seed(1))
    for got, want in zip(found, wanted, strict=True):
        torch.testing.assert_close(got, want, equal_nan=True, rtol=1e-4, atol=1e-5)
    entropy = entropy_of(rows)
    assert entropy[1].isnan() == math.isnan(other)
    probs = rows[0].double().softmax(-1)
    assert entropy[0].item() == pytest.approx(-(probs * probs.log()).sum().item())
    assert entropy[2].item() == pytest.approx(math.log(3))


def test_the_distribution_does_not_keep_what_had_no_gradient():
    logits = logits_for((3, 4), 1.0)
    distribution = OneHot(Categorical(categories=4), logits)
    with torch.no_grad():
        value = distribution._mode()
        distribution.mean  # noqa: B018
        distribution.log_prob(value)
    assert torch.autograd.grad(distribution.log_prob(value).sum(), logits)[0].abs().max() > 0


def test_batched_gradients():
    logits = logits_for((3, 4), 1.0, dtype=torch.float64)
    for y in (cpu.concrete(logits, 0.5, torch.Size(), seed(1))[0], entropy_of(logits)):
        arriving = torch.randn(5, *y.shape, dtype=torch.float64)
        (got,) = torch.autograd.grad(y, logits, arriving, is_grads_batched=True, retain_graph=True)
        for each, one in zip(got, arriving, strict=True):
            (want,) = torch.autograd.grad(y, logits, one, retain_graph=True)
            torch.testing.assert_close(each, want)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_no_draws_at_all(temperature):
    logits = logits_for((3, 4), 1.0, masked=True)
    soft, hard = Categorical(categories=4).draw(logits, temperature, torch.Size([0]))
    assert soft.shape == hard.shape == (0, 3, 4)


def test_another_default_device():
    with torch.device("meta"):
        logits = torch.zeros(2000, 10, device="cpu")
        q = Categorical(categories=10)(logits)
        assert q.rsample().device.type == q.sample_hard().device.type == "cpu"
        many = Categorical(categories=200)(torch.zeros(2, 200, device="cpu"))
        assert many.sample_hard().sum() == 2


def test_ties_give_one_vertex(monkeypatch):
    monkeypatch.setattr(noise, "minus_exponential", lambda shape, **_: -torch.ones(shape))
    hard = cpu.concrete(torch.zeros(5, 4), 1.0, torch.Size(), hard=True)[1]
    assert torch.equal(hard, torch.eye(4)[[0] * 5])


@pytest.mark.parametrize("temperature", [1.0, 0.5, torch.full((3, 1), 0.5)], ids=str)
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_tie_in_one_row_leaves_the_others_alone(temperature, scale, monkeypatch):
    drawn = torch.tensor([[3.0, 1.0, 1.0, 2.0], [4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    monkeypatch.setattr(noise, "minus_exponential", lambda shape, **_: -drawn)
    logits = torch.zeros(3, 4)
    logits[1, 0] = scale  # near to the others, or far from them
    wanted = (logits - drawn.log()).argmax(-1)
    hard = cpu.concrete(logits, temperature, torch.Size(), hard=True)[1]
    assert torch.equal(hard, torch.eye(4)[wanted])


def test_autocast_changes_nothing():
    logits = logits_for((40, 10), 1.0)
    alone = cpu.concrete(logits, 1.0, torch.Size(), seed(1))[0]
    with torch.autocast("cpu", torch.bfloat16):
        within = cpu.concrete(logits, 1.0, torch.Size(), seed(1))[0]
    torch.testing.assert_close(alone, within)  # sums are formed in another order


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_entropy(shape, scale, masked, dtype):
    logits = logits_for(shape, scale, masked, dtype)
    wide = logits.detach().double().requires_grad_()
    log_p = wide.log_softmax(-1)
    right = -(log_p.exp() * log_p.masked_fill(log_p == -torch.inf, 0.0)).sum(-1)
    got = entropy_of(logits)
    close(got.double(), right, dtype)
    arriving = torch.randn(right.shape, generator=seed(1), dtype=torch.float64)
    (want,) = torch.autograd.grad(right, wide, arriving)
    (slope,) = torch.autograd.grad(got, logits, arriving.to(dtype))
    close(slope.double(), want.nan_to_num(0.0), dtype)


def test_derivatives_of_the_entropy():
    logits = logits_for((3, 4), 1.0, dtype=torch.float64)
    assert torch.autograd.gradcheck(entropy_of, logits)
    assert torch.autograd.gradgradcheck(entropy_of, logits)
    masked = logits_for((3, 4), 1.0, masked=True, dtype=torch.float64)
    (slope,) = torch.autograd.grad(entropy_of(masked).sum(), masked, create_graph=True)
    (second,) = torch.autograd.grad(slope.square().sum(), masked)
    log_p = masked.log_softmax(-1)
    right = -(log_p.exp() * log_p.masked_fill(masked == -torch.inf, 0.0)).sum()
    (other,) = torch.autograd.grad(right, masked, create_graph=True)
    (want,) = torch.autograd.grad(other.square().sum(), masked)
    torch.testing.assert_close(second.nan_to_num(0.0), want.nan_to_num(0.0))
    assert torch.autograd.gradcheck(entropy_of, logits.detach().T.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("categories", [2, 10, 128, 129, 130, 1000])
@pytest.mark.parametrize("masked", [False, True])
def test_exact_draws_follow_their_probabilities(categories, masked, dtype):
    # alpha = 2e-5 each; by chi-square over up to 64 cells of equally many categories.
    logits = logits_for((categories,), 2.0, masked, dtype).detach()
    hard = inverse_cdf.draw(logits, torch.Size([20_000 if categories > 128 else 100_000]), seed(1))
    assert ((hard == 0) | (hard == 1)).all()
    assert (hard.sum(-1) == 1).all()
    assert (hard[..., logits == -torch.inf] == 0).all()
    cells = torch.arange(categories) % 64
    probs = torch.zeros(64, dtype=torch.float64).index_add_(0, cells, logits.double().softmax(-1))
    counts = torch.zeros(64, dtype=torch.float64).index_add_(0, cells, hard.double().sum(0))
    kept = probs > 0
    assert (counts[~kept] == 0).all()
    assert not wrong_frequencies(counts[kept], probs[kept])


@pytest.mark.parametrize("categories", [3, 10, 129, 1000])
@pytest.mark.parametrize("u", [1e-12, 0.25, 0.5, 1 - 2**-24])
def test_exact_draws_invert_the_distribution_function(categories, u, monkeypatch):
    def constant(shape, dtype=torch.float32, **_):
        return torch.full(shape, u, dtype=dtype)

    monkeypatch.setattr(noise, "uniform", constant)
    logits = logits_for((6, categories), 3.0, masked=True).detach()
    hard = inverse_cdf.draw(logits, torch.Size([2]))
    steps = logits.double().softmax(-1).cumsum(-1)
    index = hard.argmax(-1)
    assert (hard.sum(-1) == 1).all()
    before = torch.cat([torch.zeros(6, 1, dtype=torch.float64), steps], -1)
    slack = 1e-5
    for row in range(6):
        for k in index[:, row].tolist():
            assert before[row, k] - slack <= u <= steps[row, k] + slack
            assert logits[row, k] > -torch.inf


def test_exact_draws_of_rows_far_apart():
    # One scale for all rows would lose the second one.
    logits = torch.tensor([[0.0, 1.0], [-300.0, -301.0]])
    hard = inverse_cdf.draw(logits, torch.Size([20_000]), seed(0))
    for row, p in ((0, 1 / (1 + math.e)), (1, 1 / (1 + 1 / math.e))):
        count = hard[:, row, 0].sum().item()
        assert not wrong_frequencies(
            torch.tensor([count, 20_000 - count]),
            torch.tensor([p, 1 - p], dtype=torch.float64),
        )


def test_draws_of_the_distribution_are_exact_and_obey_the_generator():
    distribution = OneHot(Categorical(categories=5), torch.zeros(100, 5))
    assert torch.equal(
        distribution.sample((3,), generator=seed(1)), distribution.sample((3,), generator=seed(1))
    )
    assert distribution.sample((3,)).shape == (3, 100, 5)


ROWS = torch.linspace(0.05, 2.0, 40).unsqueeze(-1)


@pytest.mark.parametrize("temperature", [0.3, torch.tensor(1.0), torch.tensor(0.01), ROWS], ids=str)
def test_compiled_code_calls_the_same(temperature):
    categorical = Categorical(categories=10)

    def draw(params, temperature):
        return categorical.draw(params, temperature, torch.Size([2]))

    torch.compiler.reset()
    compiled = torch.compile(draw, fullgraph=True, backend="aot_eager")
    logits, results = logits_for((40, 10), 3.0, masked=True), []
    for form in (compiled, draw):
        torch.manual_seed(1)
        soft, hard = form(logits, temperature)
        arriving = torch.randn(soft.shape, generator=seed(2))
        results.append([soft, hard, *torch.autograd.grad(soft, logits, arriving)])
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want)
    torch.library.opcheck(
        torch.ops.relaxit.race.default,
        (logits, -torch.rand(2, 40, 10) - 0.1, torch.as_tensor(temperature), True),
        test_utils=("test_schema", "test_faketensor", "test_aot_dispatch_static"),
    )


def test_derivatives_of_the_operator():
    drawn = -0.1 - torch.rand(2, 3, 4, generator=seed(1), dtype=torch.float64)
    temperature = torch.tensor([[0.5], [1.0], [2.0]], dtype=torch.float64)
    logits = logits_for((3, 4), 1.0, dtype=torch.float64)

    def draw(params):
        return torch.ops.relaxit.race(params, drawn, temperature, False)[0]

    assert torch.autograd.gradcheck(draw, logits)
    assert torch.autograd.gradgradcheck(draw, logits)
