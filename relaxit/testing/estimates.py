"""Checks of estimators: what the cost sees, what it returns, and the exact gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from relaxit.errors import Unsupported
from relaxit.estimators.base import SampleEstimator
from relaxit.testing.bare import Bare
from relaxit.testing.case import EstimatorCase, countable
from relaxit.testing.check import ALPHA, Failed, estimator_check, require
from relaxit.testing.randomness import random_state, require_independence
from relaxit.testing.statistics import DRAWS, count, wrong_frequencies, wrong_mean

__all__ = [
    "cost_keeps_its_gradient",
    "cost_sees_the_claimed_values",
    "cost_shape_is_kept",
    "estimates_are_finite",
    "estimates_repeat_on_a_seed",
    "gradient_mode_keeps_the_cost",
    "gradient_reaches_params",
    "inputs_of_estimates_are_not_mutated",
    "missing_capability_is_unsupported",
    "points_the_right_way",
    "rows_have_noise_of_their_own",
    "sample_is_that_of_the_surrogate",
    "surrogate_is_the_cost",
    "unbiased_as_claimed",
    "unbiased_in_small_batches",
    "values_follow_the_discrete_law",
    "vmap_of_estimates",
]

_POWERS = {"": (), "linear": (1,), "quadratic": (1, 2), "any": (1, 2, 3)}


@dataclass
class Cost:
    """``(w . z + 1/4) ** power`` of every value ``[..., *event]``, which it remembers."""

    case: EstimatorCase
    power: int = 2
    seen: list[Tensor] = field(default_factory=list)
    returned: list[Tensor] = field(default_factory=list)
    weights: Tensor = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(11)
        drawn = torch.randn(self.case.relaxation.event_shape, generator=generator) + 0.5
        self.weights = drawn.to(self.case.device)

    def __call__(self, z: Tensor) -> Tensor:
        event = self.case.relaxation.event_shape
        product = self.weights.to(z.dtype) * z
        dot = product.flatten(z.dim() - len(event)).sum(-1) if event else product
        cost: Tensor = (dot + 0.25) ** self.power
        self.seen.append(z.detach())
        self.returned.append(cost.detach())
        return cost


def _rows(case: EstimatorCase, number: int, seed: int = 0) -> Tensor:
    """The same params in every one of so many rows, as a leaf."""
    one = case.on.params(seed=seed)
    return one.expand(number, *one.shape).clone().requires_grad_()


@estimator_check()
def cost_shape_is_kept(case: EstimatorCase) -> None:
    """The surrogate has the shape of the costs, whether they are one a variable or one for several.
    Why: a mean over the batch would be weighted as a single term."""
    q = case.relaxation(case.on.params(4, 3).requires_grad_(), 0.7)
    per_value = Cost(case)
    for lead, cost in (((4, 3), per_value), ((4,), lambda z: per_value(z).sum(-1))):
        got = case.estimator.surrogate(q, cost, case.generator(1))
        require(got.shape == lead, f"shape {list(got.shape)} for costs of shape {list(lead)}")


@estimator_check()
def cost_sees_the_claimed_values(case: EstimatorCase) -> None:
    """With `hard` the cost is evaluated on vertices, to the last bit; otherwise on soft values of
    the support; in every dtype it sees `batch + event`. Why: the bound that an objective reports
    depends on it, and a decoder is made for these shapes."""
    hard, relaxation = case.estimator.hard, case.relaxation
    for dtype in case.on.dtypes:
        cost = Cost(case)
        params = case.on.params(200, dtype=dtype).requires_grad_()
        case.estimator.surrogate(relaxation(params, 0.7), cost, case.generator(1))
        require(cost.seen, "the cost was never evaluated")
        for z in cost.seen:
            expected = (200, *relaxation.event_shape)
            require(z.shape == expected, f"the cost saw shape {list(z.shape)}, not batch + event")
            require(z.dtype == dtype, f"the cost saw {z.dtype} for params of {dtype}")
        vertex = [bool(relaxation.vertices.check(z).all()) for z in cost.seen]
        if hard:
            require(any(vertex), f"hard is claimed, but the cost saw no vertices in {dtype}")
        else:
            soft = [z for z, v in zip(cost.seen, vertex, strict=True) if not v]
            require(soft, f"hard is denied, but the cost saw only vertices in {dtype}")
        legal = [bool(relaxation.support.check(z).all()) for z in cost.seen]
        require(all(legal), f"the cost saw a value outside support in {dtype}")


@estimator_check(needs=("cost_sees_the_claimed_values",))
def surrogate_is_the_cost(case: EstimatorCase) -> None:
    """The value of the surrogate lies between the smallest and the largest cost of its values, of
    the hard ones if `hard`. Why: it is reported as the loss."""
    q = case.relaxation(case.on.params(50).requires_grad_(), 0.7)
    cost = Cost(case, 3)
    value = case.estimator.surrogate(q, cost, case.generator(1)).detach()
    pairs = zip(cost.seen, cost.returned, strict=True)
    vertex = case.relaxation.vertices.check
    shown = [c for z, c in pairs if not case.estimator.hard or bool(vertex(z).all())]
    require(shown, "the cost was evaluated on no value of the claimed kind")
    costs = torch.cat([each.reshape(-1, 50) for each in shown])
    low, high = costs.amin(0), costs.amax(0)
    slack = 1e-6 * (1 + high.abs().max())
    within = bool(((value >= low - slack) & (value <= high + slack)).all())
    require(within, "a value is none of the costs, nor between them")


def _has_exact_draw(case: EstimatorCase) -> str:
    return countable("discrete_law")(case) if case.estimator.exact_draw else "no exact_draw claimed"


@estimator_check(false_alarm=ALPHA, absent=_has_exact_draw, needs=("cost_sees_the_claimed_values",))
def values_follow_the_discrete_law(case: EstimatorCase) -> None:
    """Where `exact_draw` is claimed the values that the cost sees have the frequencies of the mass.
    Why: the reported ELBO is one of the discrete model only then."""
    cost, params = Cost(case), _rows(case, DRAWS)
    case.estimator.surrogate(case.relaxation(params, 0.5), cost, case.generator(1))
    seen = cost.seen[0].reshape(-1, *case.relaxation.event_shape)
    wrong = wrong_frequencies(count(seen, case.on.vertices), case.on.masses(params[0].detach()))
    require(not wrong, wrong)


def _bias_unknown(case: EstimatorCase) -> str:
    if not case.estimator.unbiased:
        return "nothing is claimed"
    if not case.estimator.hard:  # the relaxed expectation needs no enumeration
        short = torch.finfo(case.on.dtype).bits < 32
        return "differences need float32 at least" if short else ""
    follows = case.estimator.exact_draw or case.relaxation.capabilities.exact_rounding
    return countable("discrete_law")(case) if follows else "its values have another law"


@estimator_check(false_alarm=3 * ALPHA, absent=_bias_unknown)
def unbiased_as_claimed(case: EstimatorCase) -> None:
    """At temperature 1 and for the claimed class of costs the mean of the estimates is the exact
    gradient: by enumeration over hard values, by differences of the mean cost over soft ones. Why:
    a wrong sign, a factor or a forgotten term still trains, badly."""
    for power in _POWERS[case.estimator.unbiased]:
        params = _rows(case, DRAWS // 2, seed=power)
        q = case.relaxation(params, 1.0)
        total = case.estimator.surrogate(q, Cost(case, power), case.generator(power)).sum()
        (estimates,) = torch.autograd.grad(total, params)
        exact, error = _by_enumeration(case, power) if case.estimator.hard else _soft(case, power)
        wrong = wrong_mean(estimates, exact, error)
        require(not wrong, f"costs of degree {power}: {wrong}")


def _by_enumeration(case: EstimatorCase, power: int) -> tuple[Tensor, Tensor]:
    """The exact gradient of the expected cost of a hard value, and no error."""
    params = case.on.params(seed=power).requires_grad_()
    expected = (case.on.masses(params) * Cost(case, power)(case.on.vertices)).sum()
    (exact,) = torch.autograd.grad(expected, params)
    return exact, torch.zeros_like(exact)


def _soft(case: EstimatorCase, power: int) -> tuple[Tensor, Tensor]:
    """Central differences of the mean cost of soft values on one noise, with standard error."""
    params, cost, step = case.on.params(seed=power), Cost(case, power), 1e-3
    slopes = torch.empty(DRAWS // 2, params.numel(), dtype=params.dtype, device=params.device)
    for i in range(params.numel()):
        ends = []
        for sign in (1, -1):
            moved = params.clone()
            moved.reshape(-1)[i] += sign * step
            soft = case.relaxation(moved, 1.0).sample((DRAWS // 2,), case.generator(99))
            ends.append(cost(soft))
        slopes[:, i] = (ends[0] - ends[1]) / (2 * step)
    error = slopes.std(0) / len(slopes) ** 0.5
    return slopes.mean(0).reshape(params.shape), error.reshape(params.shape)


def _several_unknown(case: EstimatorCase) -> str:
    if not case.estimator.hard:
        return "its values are soft"
    if absent := _bias_unknown(case):
        return absent
    return "" if len(case.on.vertices) <= 12 else "too many pairs of values"


@estimator_check(false_alarm=ALPHA, absent=_several_unknown, needs=("unbiased_as_claimed",))
def unbiased_in_small_batches(case: EstimatorCase) -> None:
    """So it is for a batch of two rows, with one cost for the two different variables of each row.
    Why: a model has several latents a picture, and a baseline that knows the sample's own cost is
    biased by the share of it in the batch."""
    params = torch.stack([case.on.params(2, seed=1), case.on.params(2, seed=2)])
    factors = params.new_tensor([[1.0, -2.0], [0.5, 1.5]])
    degree = max(_POWERS[case.estimator.unbiased])
    per_value = Cost(case, 1)

    def cost(z: Tensor) -> Tensor:
        total: Tensor = ((factors * per_value(z)).sum(-1) + 0.3) ** degree
        return total

    leaf, generator = params.clone().requires_grad_(), case.generator(3)
    estimates = []
    for _ in range(1000):
        total = case.estimator.surrogate(case.relaxation(leaf, 1.0), cost, generator).sum()
        estimates.append(torch.autograd.grad(total, leaf)[0])
        per_value.seen.clear()
        per_value.returned.clear()
    wrong = wrong_mean(torch.stack(estimates), _exact_of_pairs(case, params, cost))
    require(not wrong, wrong)


def _exact_of_pairs(
    case: EstimatorCase, params: Tensor, cost: Callable[[Tensor], Tensor]
) -> Tensor:
    """Gradient of the expected cost of two rows of two variables, over all pairs of values."""
    leaf, vertices = params.clone().requires_grad_(), case.on.vertices
    first, second = torch.cartesian_prod(*[torch.arange(len(vertices))] * 2).T
    log = case.relaxation.discrete(leaf).log_prob
    total = leaf.new_zeros(())
    for i, j in zip(first, second, strict=True):
        z = torch.stack([vertices[i], vertices[j]]).expand(2, 2, *case.relaxation.event_shape)
        total = total + (log(z).sum(-1).exp() * cost(z)).sum()
    (exact,) = torch.autograd.grad(total, leaf)
    return exact


def _direction_unknown(case: EstimatorCase) -> str:
    if case.estimator.unbiased:
        return "it claims more: to be unbiased"
    if not case.estimator.hard:
        return "its values are soft"
    return countable("discrete_law")(case)


@estimator_check(absent=_direction_unknown)
def points_the_right_way(case: EstimatorCase) -> None:
    """Where nothing is claimed, the mean estimate for a linear cost at temperature 1 has between a
    fifth and five times the exact gradient's length along it. Why: a wrong sign and a forgotten
    step size are no bias, they are mistakes."""
    params = _rows(case, DRAWS // 10, seed=1)
    total = case.estimator.surrogate(case.relaxation(params, 1.0), Cost(case, 1), case.generator(1))
    (estimates,) = torch.autograd.grad(total.sum(), params)
    exact, _ = _by_enumeration(case, 1)
    share = float((estimates.mean(0) * exact).sum() / exact.square().sum())
    require(0.2 < share < 5, f"along the exact gradient its mean is {share:.3g} times that one")


@estimator_check()
def gradient_reaches_params(case: EstimatorCase) -> None:
    """A gradient reaches the params, in their dtype and on their device, in every claimed dtype.
    Why: an estimate cut off by a detach trains nothing and says nothing."""
    for dtype in case.on.dtypes:
        params = case.on.params(50, dtype=dtype).requires_grad_()
        total = case.estimator.surrogate(case.relaxation(params, 0.7), Cost(case)).float().sum()
        require(total.requires_grad, f"no gradient reaches params of {dtype}")
        (slope,) = torch.autograd.grad(total, params)
        require(slope.dtype == dtype, f"the gradient of {dtype} params is {slope.dtype}")
        require(float(slope.abs().sum()) > 0, f"the gradient of {dtype} params is zero")


@estimator_check()
def estimates_are_finite(case: EstimatorCase) -> None:
    """Estimates are finite with params up to 1e4 and temperatures from 0.01 to 100. Why: one NaN
    ends a run, and a trained model has such params."""
    dtypes = [d for d in case.on.dtypes if torch.finfo(d).bits >= 32]
    size = math.prod(case.relaxation.param_shape)
    rows = torch.tensor([1e4, -1e4, 0.0, 1e4, 3.0] * size)[: 4 * size]
    for dtype in dtypes:
        for temperature in (0.01, 1.0, 100.0):
            params = rows.to(case.device, dtype).reshape(4, *case.relaxation.param_shape)
            params = params.clone().requires_grad_()
            value = case.estimator.surrogate(case.relaxation(params, temperature), Cost(case))
            (slope,) = torch.autograd.grad(value.sum(), params)
            finite = bool(value.isfinite().all()) and bool(slope.isfinite().all())
            require(finite, f"an estimate is not finite ({dtype}, temperature {temperature:g})")


@estimator_check()
def estimates_repeat_on_a_seed(case: EstimatorCase) -> None:
    """The same seed gives the same estimate, another seed another one, and the global generator is
    left alone. Why: without it no result can be repeated."""
    q = case.relaxation(case.on.params(50).requires_grad_(), 0.7)
    before = random_state(case.device)
    runs = []
    for seed in (1, 1, 2):
        value = case.estimator.surrogate(q, Cost(case, 3), case.generator(seed)).sum()
        runs.append(torch.autograd.grad(value, q.params)[0])
    require(torch.equal(runs[0], runs[1]), "the same seed gives different estimates")
    require(not torch.equal(runs[0], runs[2]), "another seed gives the same estimate")
    require(torch.equal(before, random_state(case.device)), "the global generator was used as well")
    cost = Cost(case, 3)
    free = [case.estimator.surrogate(q, cost).detach() for _ in range(2)]
    require(not torch.equal(*free), "without a generator two calls give the same estimate")


@estimator_check(needs=("estimates_repeat_on_a_seed",))
def gradient_mode_keeps_the_cost(case: EstimatorCase) -> None:
    """Without gradient the surrogate has the same value. Why: the loss that is reported in
    evaluation is another one."""
    q = case.relaxation(case.on.params(50).requires_grad_(), 0.7)
    want = case.estimator.surrogate(q, Cost(case, 3), case.generator(1)).detach()
    with torch.no_grad():
        got = case.estimator.surrogate(q, Cost(case, 3), case.generator(1))
    require(torch.allclose(got, want), "the value under no_grad is another one")


@estimator_check(needs=("surrogate_is_the_cost",))
def cost_keeps_its_gradient(case: EstimatorCase) -> None:
    """What the cost is made of, a decoder's weights, gets the gradient of the costs themselves.
    Why: a detached cost, or one counted twice, trains the decoder wrongly or not at all."""
    q = case.relaxation(case.on.params(50).requires_grad_(), 0.7)
    weight = torch.ones((), dtype=case.on.dtype, device=case.device, requires_grad=True)
    inner = Cost(case)
    value = case.estimator.surrogate(q, lambda z: weight * inner(z), case.generator(1))
    total = value.sum()
    require(total.requires_grad, "the value carries no gradient")
    (slope,) = torch.autograd.grad(total, weight, allow_unused=True)
    require(slope is not None, "no gradient reaches the cost's own parameters")
    near = torch.allclose(slope, total.detach(), rtol=1e-4, atol=1e-4)
    require(near, f"a factor of the cost gets {float(slope):.4g} and should get {float(total):.4g}")


@estimator_check(false_alarm=2 * ALPHA)
def rows_have_noise_of_their_own(case: EstimatorCase) -> None:
    """The values that the cost sees are uncorrelated between rows, and samples of one row are. Why:
    one draw shared over the batch leaves every estimate right and their mean as noisy as one."""
    params = case.on.params().expand(20_000, 2, *case.relaxation.param_shape)
    cost = Cost(case)
    case.estimator.surrogate(case.relaxation(params, 1.0), cost, case.generator(1))
    event = case.relaxation.event_shape
    values = cost.seen[0].reshape(-1, 20_000, 2, *event)[0].transpose(0, 1)
    require_independence(values, "two rows of a batch")
    if isinstance(case.estimator, SampleEstimator):
        q = case.relaxation(params[:, 0], 1.0)
        require_independence(
            case.estimator.sample(q, (2,), case.generator(2)).detach(), "two samples"
        )


def _acts_through_a_sample(case: EstimatorCase) -> str:
    return "" if isinstance(case.estimator, SampleEstimator) else "it has no sample()"


@estimator_check(absent=_acts_through_a_sample)
def sample_is_that_of_the_surrogate(case: EstimatorCase) -> None:
    """`sample` is `sample + batch + event`, in the dtype of params, and the surrogate is its cost.
    Why: the layer uses the one and the trainer the other."""
    estimator = case.estimator
    assert isinstance(estimator, SampleEstimator)
    q = case.relaxation(case.on.params(4).requires_grad_(), 0.7)
    for shape in ((), (3,), (2, 3)):
        z = estimator.sample(q, shape, case.generator(1))
        expected = (*shape, 4, *case.relaxation.event_shape)
        require(z.shape == expected, f"sample({shape}) has shape {list(z.shape)}")
        require(z.dtype == q.params.dtype, f"sample is {z.dtype}")
    cost = Cost(case)
    one = estimator.surrogate(q, cost, case.generator(1))
    two = cost(estimator.sample(q, (), case.generator(1)))
    same = torch.equal(one, two) and torch.equal(
        *(torch.autograd.grad(x.sum(), q.params)[0] for x in (one, two))
    )
    require(same, "the surrogate is not the cost of the sample")


@estimator_check()
def inputs_of_estimates_are_not_mutated(case: EstimatorCase) -> None:
    """Params and temperature are left as they were. Why: they are the caller's."""
    params = case.on.params(3)
    temperature = torch.tensor([0.4, 1.0, 2.0], dtype=params.dtype, device=params.device)
    kept = params.clone(), temperature.clone()
    leaf = params.requires_grad_()
    case.estimator.surrogate(case.relaxation(leaf, temperature), Cost(case)).sum().backward()
    for name, now, before in zip(
        ("params", "temperature"), (params, temperature), kept, strict=True
    ):
        require(torch.equal(now, before), f"{name} changed in place")


@estimator_check()
def vmap_of_estimates(case: EstimatorCase) -> None:
    """Under `torch.func.vmap` estimates equal those of a loop on the same noise. Why: ensembles of
    seeds are trained as one batch."""
    params, cost = case.on.params(4), Cost(case)

    def loss(a: Tensor) -> Tensor:
        return case.estimator.surrogate(case.relaxation(a, 0.7), cost)

    def slope(a: Tensor) -> Tensor:
        torch.manual_seed(5)
        gradient: Tensor = torch.func.grad(loss)(a)
        return gradient

    torch.manual_seed(5)
    got = torch.func.vmap(torch.func.grad(loss), randomness="same")(params)
    want = torch.stack([slope(a) for a in params])
    same = torch.allclose(got, want, rtol=1e-5, atol=case.on.tolerance)
    require(same, "an estimate under vmap differs from a loop")


@estimator_check()
def missing_capability_is_unsupported(case: EstimatorCase) -> None:
    """On a relaxation that offers samples only, `check` raises `Unsupported` naming it, or the
    estimator works. Why: it would otherwise fail in the middle of training."""
    bare = Bare()
    try:
        case.estimator.check(bare)
    except Unsupported as error:
        for name in (case.estimator.name, bare.name):
            require(name in str(error), f"the message lacks {name!r}: {error}")
        return
    params = torch.zeros(4, 3, requires_grad=True)
    try:
        case.estimator.surrogate(bare(params), lambda z: z[..., 0] ** 2).sum().backward()
    except Unsupported as error:
        raise Failed(f"check accepts {bare.name}, and then: {error}") from error
