"""Checks of estimators: arguments of the cost, returned values, gradients and noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relaxit.errors import Unsupported
from relaxit.estimators import DrawEstimator, SampleEstimator
from relaxit.testing.case import EstimatorCase
from relaxit.testing.check import ALPHA, Failed, estimator_check, require
from relaxit.testing.estimators.costs import Cost, jointly, rows_of
from relaxit.testing.estimators.evaluations import draws_nothing, numbers_of_variables
from relaxit.testing.relaxations.randomness import random_state, require_independence
from relaxit.testing.relaxations.support import require_in_support
from relaxit.testing.settings.process import global_settings
from relaxit.testing.toys import SamplesOnly, ThreeNumbers

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
    "rows_have_noise_of_their_own",
    "sample_is_that_of_the_surrogate",
    "surrogate_is_the_cost",
    "vmap_of_estimates",
]


@estimator_check()
def cost_shape_is_kept(case: EstimatorCase) -> None:
    """The surrogate has the shape of the costs, for one cost per variable and for one cost of
    several variables. Why: a mean over the batch would be weighted as a single term."""
    q = case.relaxation(case.on.params(4, 3).requires_grad_(), 0.7)
    per_value = Cost(case)
    for lead, cost in (((4, 3), per_value), ((4,), lambda z: per_value(z).sum(-1))):
        surrogate = case.estimator.surrogate(q, cost, case.generator(1))
        require(
            surrogate.shape == lead,
            f"shape {list(surrogate.shape)} for costs of shape {list(lead)}",
        )


@estimator_check()
def cost_sees_the_claimed_values(case: EstimatorCase) -> None:
    """With `hard` the cost is evaluated on vertices, to the last bit; otherwise on soft samples in
    the support. In every dtype its argument has shape `batch + event`. Why: the bound that an
    objective reports depends on it, and decoders are built for these shapes."""
    hard, relaxation = case.estimator.hard, case.relaxation
    for dtype in case.on.dtypes:
        cost = Cost(case)
        params = case.on.params(200, dtype=dtype).requires_grad_()
        case.estimator.surrogate(relaxation(params, 0.7), cost, case.generator(1))
        require(cost.seen, "the cost was never evaluated")
        for z in cost.seen:
            expected = (200, *relaxation.event_shape)
            require(z.shape == expected, f"the cost got shape {list(z.shape)}, not batch + event")
            require(z.dtype == dtype, f"the cost got {z.dtype} for params of {dtype}")
        vertex = [bool(relaxation.vertices.check(z).all()) for z in cost.seen]
        if hard:
            require(any(vertex), f"hard is claimed, but the cost got no vertices in {dtype}")
        else:
            soft = [z for z, v in zip(cost.seen, vertex, strict=True) if not v]
            found = soft or case.on.constant
            require(found, f"hard is denied, but the cost got only vertices in {dtype}")
        for z in cost.seen:
            require_in_support(case.on, z, "a sample that the cost got", str(dtype))


@estimator_check(needs=("cost_sees_the_claimed_values",))
def surrogate_is_the_cost(case: EstimatorCase) -> None:
    """The surrogate lies between the smallest and the largest cost of its samples, or of its hard
    samples if `hard`. Why: it is reported as the loss."""
    q = case.relaxation(case.on.params(50).requires_grad_(), 0.7)
    cost = Cost(case, 3)
    value = case.estimator.surrogate(q, cost, case.generator(1)).detach()
    pairs = zip(cost.seen, cost.returned, strict=True)
    vertex = case.relaxation.vertices.check
    relevant = [c for z, c in pairs if not case.estimator.hard or bool(vertex(z).all())]
    require(relevant, "the cost was not evaluated on any sample of the claimed kind")
    costs = torch.cat([cost_of_sample.reshape(-1, 50) for cost_of_sample in relevant])
    low, high = costs.amin(0), costs.amax(0)
    slack = 1e-6 * (1 + high.abs().max())
    within = bool(((value >= low - slack) & (value <= high + slack)).all())
    require(within, "the surrogate is outside the range of the costs")


@estimator_check()
def gradient_reaches_params(case: EstimatorCase) -> None:
    """A gradient reaches the params, with their dtype and on their device, in every claimed dtype.
    Why: if a detach cuts the gradient off, nothing is trained and no error is raised."""
    for dtype in case.on.dtypes:
        params = case.on.params(50, dtype=dtype).requires_grad_()
        total = case.estimator.surrogate(case.relaxation(params, 0.7), Cost(case)).float().sum()
        require(total.requires_grad, f"no gradient reaches params of {dtype}")
        (slope,) = torch.autograd.grad(total, params)
        require(slope.dtype == dtype, f"the gradient of {dtype} params is {slope.dtype}")
        moves = case.on.constant or float(slope.abs().sum()) > 0
        require(moves, f"the gradient of {dtype} params is zero")


@estimator_check()
def estimates_are_finite(case: EstimatorCase) -> None:
    """Estimates are finite with params up to 1e4 and temperatures from 0.01 to 100. Why: a single
    NaN ends a run, and trained models have such params."""
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
    """The same seed gives the same estimate, another seed gives another one (unless all values are
    enumerated), and the global generator is not used, for one variable and for two under one cost.
    Why: otherwise no result can be repeated."""
    for variables in numbers_of_variables(case):
        before = random_state(case.device)
        q = case.relaxation(rows_of(case, 50, variables=variables).requires_grad_(), 0.7)
        cost, runs = jointly(Cost(case, 3), variables), []
        for seed in (1, 1, 2):
            value = case.estimator.surrogate(q, cost, case.generator(seed)).sum()
            runs.append(torch.autograd.grad(value, q.params)[0])
        require(torch.equal(runs[0], runs[1]), "the same seed gives different estimates")
        same = torch.equal(before, random_state(case.device))
        require(same, "the global generator was used as well")
        if draws_nothing(case, variables):
            continue  # see all_values_are_weighed
        require(not torch.equal(runs[0], runs[2]), "another seed gives the same estimate")
        free = [case.estimator.surrogate(q, cost).detach() for _ in range(2)]
        require(not torch.equal(*free), "without a generator two calls give the same estimate")


@estimator_check(needs=("estimates_repeat_on_a_seed",))
def gradient_mode_keeps_the_cost(case: EstimatorCase) -> None:
    """With gradients disabled the surrogate has the same value. Why: otherwise evaluation reports a
    different loss."""
    q = case.relaxation(case.on.params(50).requires_grad_(), 0.7)
    with_gradient = case.estimator.surrogate(q, Cost(case, 3), case.generator(1)).detach()
    with torch.no_grad():
        without = case.estimator.surrogate(q, Cost(case, 3), case.generator(1))
    require(torch.allclose(without, with_gradient), "the value differs under no_grad")


@estimator_check(needs=("surrogate_is_the_cost",))
def cost_keeps_its_gradient(case: EstimatorCase) -> None:
    """Parameters of the cost, such as the weights of a decoder, get the gradient of the costs. Why:
    if the cost is detached or counted twice, the decoder is trained wrongly or not at all."""
    q = case.relaxation(case.on.params(50).requires_grad_(), 0.7)
    weight = torch.ones((), dtype=case.on.dtype, device=case.device, requires_grad=True)
    inner = Cost(case)
    value = case.estimator.surrogate(q, lambda z: weight * inner(z), case.generator(1))
    total = value.sum()
    require(total.requires_grad, "the surrogate carries no gradient")
    (slope,) = torch.autograd.grad(total, weight, allow_unused=True)
    require(slope is not None, "no gradient reaches the parameters of the cost")
    near = torch.allclose(slope, total.detach(), rtol=0.3)  # a control variate may add to it
    require(near, f"a factor of the cost gets {float(slope):.4g}, not {float(total):.4g}")


def _no_noise(case: EstimatorCase) -> str:
    """Applies: not a `DrawEstimator`; samples are drawn."""
    if isinstance(case.estimator, DrawEstimator):
        return "its samples are those of q.sample_hard"  # see sample_is_that_of_given
    return "" if _drawn(case) else "it draws no samples: all values are enumerated"


def _drawn(case: EstimatorCase) -> list[int]:
    """Return the numbers of variables under one cost for which samples are drawn."""
    return [n for n in numbers_of_variables(case) if not draws_nothing(case, n)]


@estimator_check(false_alarm=2 * ALPHA, absent=_no_noise)
def rows_have_noise_of_their_own(case: EstimatorCase) -> None:
    """The samples passed to the cost are uncorrelated between rows, and so are several samples of
    one row. Why: with one draw shared over the batch every estimate is right, but their mean is as
    noisy as a single estimate."""
    variables, cost = min(_drawn(case)), Cost(case)
    row = rows_of(case, variables=variables)
    q = case.relaxation(row.expand(20_000, 2, *row.shape), 1.0)
    case.estimator.surrogate(q, jointly(cost, variables), case.generator(1))
    values = cost.seen[-1].reshape(-1, *q.batch_shape, *q.event_shape)[0].transpose(0, 1)
    require_independence(values, "two rows of a batch")
    if isinstance(case.estimator, SampleEstimator):
        q = case.relaxation(row.expand(20_000, *row.shape), 1.0)
        require_independence(
            case.estimator.sample(q, (2,), case.generator(2)).detach(), "two samples"
        )


def _acts_through_a_sample(case: EstimatorCase) -> str:
    """Applies: a `SampleEstimator`."""
    return "" if isinstance(case.estimator, SampleEstimator) else "it has no sample()"


@estimator_check(absent=_acts_through_a_sample)
def sample_is_that_of_the_surrogate(case: EstimatorCase) -> None:
    """`sample` has shape `sample + batch + event` and the dtype of params, and the surrogate is its
    cost. Why: the layer uses `sample` and the trainer uses the surrogate."""
    estimator = case.estimator
    assert isinstance(estimator, SampleEstimator)
    q = case.relaxation(case.on.params(4).requires_grad_(), 0.7)
    for shape in ((), (3,), (2, 3)):
        z = estimator.sample(q, shape, case.generator(1))
        expected = (*shape, 4, *case.relaxation.event_shape)
        require(z.shape == expected, f"sample({shape}) has shape {list(z.shape)}")
        require(z.dtype == q.params.dtype, f"sample has dtype {z.dtype}")
    cost = Cost(case)
    surrogate = estimator.surrogate(q, cost, case.generator(1))
    sample_cost = cost(estimator.sample(q, (), case.generator(1)))
    same = torch.equal(surrogate, sample_cost) and torch.equal(
        *(torch.autograd.grad(x.sum(), q.params)[0] for x in (surrogate, sample_cost))
    )
    require(same, "the surrogate is not the cost of the sample")


@estimator_check()
def inputs_of_estimates_are_not_mutated(case: EstimatorCase) -> None:
    """Params, temperature and the settings of torch are not modified. Why: they do not belong to
    the estimator."""
    params = case.on.params(3)
    temperature = torch.tensor([0.4, 1.0, 2.0], dtype=params.dtype, device=params.device)
    copies = params.clone(), temperature.clone()
    leaf, before = params.requires_grad_(), global_settings()
    case.estimator.surrogate(case.relaxation(leaf, temperature), Cost(case)).sum().backward()
    for name, now, old in zip(
        ("params", "temperature"), (params, temperature), copies, strict=True
    ):
        require(torch.equal(now, old), f"{name} was modified in place")
    for name, value in global_settings().items():
        require(value == before[name], f"it changes {name} from {before[name]} to {value}")


@estimator_check()
def vmap_of_estimates(case: EstimatorCase) -> None:
    """Under `torch.func.vmap`, estimates equal those of a loop on the same noise. Why: ensembles of
    seeds are trained as one batch."""
    params, cost = case.on.params(4), Cost(case)

    def loss(a: Tensor) -> Tensor:
        return case.estimator.surrogate(case.relaxation(a, 0.7), cost)

    def slope(a: Tensor) -> Tensor:
        torch.manual_seed(5)
        gradient: Tensor = torch.func.grad(loss)(a)
        return gradient

    torch.manual_seed(5)
    batched = torch.func.vmap(torch.func.grad(loss), randomness="same")(params)
    looped = torch.stack([slope(a) for a in params])
    same = torch.allclose(batched, looped, rtol=1e-5, atol=case.on.tolerance)
    require(same, "an estimate under vmap differs from a loop")


@estimator_check()
def missing_capability_is_unsupported(case: EstimatorCase) -> None:
    """On a relaxation that offers samples only, and on one with a discrete distribution whose
    params are not logits, `check` raises `Unsupported` and names the estimator and the relaxation,
    or the estimator works. Why: it would otherwise fail during training."""
    for bare in (SamplesOnly(), ThreeNumbers()):
        try:
            case.estimator.check(bare)
        except Unsupported as error:
            for name in (case.estimator.name, bare.name):
                require(name in str(error), f"the message does not contain {name!r}: {error}")
            continue
        params = torch.zeros(4, *bare.param_shape, requires_grad=True)
        rank = len(bare.event_shape)
        try:
            cost = lambda z, rank=rank: (z[..., 0] if rank else z) ** 2  # noqa: E731
            case.estimator.surrogate(bare(params), cost).sum().backward()
        except Exception as error:
            raise Failed(f"check accepts {bare.name}, which then raises: {error}") from error
        sound = params.grad is not None and bool(params.grad.isfinite().all())
        require(sound, f"check accepts {bare.name}, but no finite gradient reaches its params")
