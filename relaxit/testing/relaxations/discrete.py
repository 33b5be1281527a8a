"""Checks that compare the discrete distribution with enumeration of its values."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from relaxit.errors import Unsupported
from relaxit.testing.case import RelaxationCase, claims, countable
from relaxit.testing.check import ALPHA, relaxation_check, require
from relaxit.testing.relaxations.gradients import (
    differentiable,
    extreme_params,
    finite_slope,
    has_kl,
    no_differences,
)
from relaxit.testing.statistics import DRAWS, count_values, wrong_frequencies

__all__ = [
    "cardinality_by_enumeration",
    "entropy_by_enumeration",
    "enumeration_is_announced",
    "kl_by_enumeration",
    "kl_to_uniform_by_enumeration",
    "kl_to_uniform_is_a_bound",
    "kl_to_uniform_is_usable",
    "marginals_by_enumeration",
    "masses_sum_to_one",
    "mode_by_enumeration",
    "zero_params_are_uniform",
]

SHIFT = -12.0
"""Added to all params in some checks: an eps in the weights is only visible in small weights."""

_MASSES = ("masses_sum_to_one",)


def _params(case: RelaxationCase) -> list[Tensor]:
    """Return ordinary params, peaked ones, and params with small weights."""
    ordinary, peaked, small = (case.params(seed=seed) for seed in range(3))
    return [ordinary, 3 * peaked, 10 * ordinary, small + SHIFT]


def _close(
    what: str, got: Tensor, want: Tensor, case: RelaxationCase, tolerance: float | None = None
) -> None:
    off = float((got - want).abs().max())
    bound = (tolerance or case.tolerance) * (1 + float(want.abs().max()))
    require(off <= bound, f"{what} is off by {off:.3g} from enumeration")


def _mean(case: RelaxationCase, mass: Tensor) -> Tensor:
    return torch.tensordot(mass, case.vertices.to(mass.dtype), dims=1)


@relaxation_check(absent=countable("discrete_distribution"))
def masses_sum_to_one(case: RelaxationCase) -> None:
    """The enumerated values are distinct vertices and their masses sum to one. Why: otherwise a
    mass is not a likelihood, and every KL computed from it is wrong."""
    rows = case.vertices.reshape(len(case.vertices), -1)
    require(len(rows.unique(dim=0)) == len(rows), "a value is listed twice")
    legal = bool(case.relaxation.vertices.check(case.vertices).all())
    require(legal, "an enumerated value is not a vertex")
    for params in _params(case):
        total = float(case.masses(params).sum())
        require(abs(total - 1) <= case.tolerance * 10, f"the masses sum to {total:.9f}")


@relaxation_check(absent=countable("discrete_distribution"), needs=_MASSES)
def marginals_by_enumeration(case: RelaxationCase) -> None:
    """`discrete.mean` is the mean of the values. Why: straight-through uses it as its Jacobian, and
    users plot it as probabilities."""
    for params in _params(case):
        want = _mean(case, case.masses(params))
        mean = case.relaxation.discrete(params).mean
        _close("the mean", mean, want, case, case.stored_tolerance)


@relaxation_check(absent=countable("discrete_distribution"), needs=_MASSES)
def mode_by_enumeration(case: RelaxationCase) -> None:
    """`discrete.mode` is a value of the greatest mass, also where several values have it. Why: it
    is the prediction of a trained model, and for a new model all values may tie."""
    for params in [*_params(case), torch.zeros_like(case.params())]:
        distribution = case.relaxation.discrete(params)
        require(
            bool(case.relaxation.vertices.check(distribution.mode).all()),
            "the mode is not a vertex",
        )
        best = distribution.log_prob(case.vertices.to(params.dtype)).max()
        got = distribution.log_prob(distribution.mode)
        require(
            float(best - got) <= case.tolerance,
            f"the mass of another value is larger by {best.exp() - got.exp():.3g}",
        )


@relaxation_check(absent=countable("discrete_distribution"), needs=_MASSES)
def entropy_by_enumeration(case: RelaxationCase) -> None:
    """`discrete.entropy()` is minus the sum of `p log p`, in nats. Why: the KL term of the
    objective is computed from it."""
    for params in _params(case):
        want = torch.special.entr(case.masses(params)).sum()
        _close("the entropy", case.relaxation.discrete(params).entropy(), want, case)


def _no_kl(case: RelaxationCase) -> str:
    """Applies: `discrete_distribution` claimed, KL registered, values can be listed."""
    if absent := countable("discrete_distribution")(case):
        return absent
    return "" if has_kl(case) else "no KL divergence between two of its distributions is registered"


@relaxation_check(absent=_no_kl, needs=_MASSES)
def kl_by_enumeration(case: RelaxationCase) -> None:
    """The KL divergence of two discrete distributions, where registered, is the sum of `p log(p /
    q)`. Why: a model still trains if the arguments are swapped or the sign is wrong."""
    for params, other in (
        (case.params(), case.params(seed=1)),
        (case.params(seed=2), case.params()),
    ):
        p, q = case.masses(params), case.masses(other)
        got = kl_divergence(case.relaxation.discrete(params), case.relaxation.discrete(other))
        ratio = (p.log() - q.log()).masked_fill(p == 0, 0.0)
        _close("the KL divergence", got, (p * ratio).sum(), case)


@relaxation_check(absent=countable("discrete_distribution"), needs=_MASSES)
def kl_to_uniform_by_enumeration(case: RelaxationCase) -> None:
    """`kl_to_uniform` is the log-cardinality minus the entropy. Why: it is the KL term of the
    discrete ELBO that is reported."""
    for params in _params(case):
        want = math.log(len(case.vertices)) - torch.special.entr(case.masses(params)).sum()
        _close("kl_to_uniform", case.relaxation.kl_to_uniform(params), want, case)


def _no_kl_of_its_own(case: RelaxationCase) -> str:
    """Applies: `discrete_distribution` denied, `kl_to_uniform` implemented."""
    if case.relaxation.capabilities.discrete_distribution:
        return "there is a discrete distribution to compare with"
    try:
        case.relaxation.kl_to_uniform(case.params())
    except Unsupported:
        return "there is no kl_to_uniform"
    return ""


@relaxation_check(absent=_no_kl_of_its_own)
def kl_to_uniform_is_usable(case: RelaxationCase) -> None:
    """Without a discrete distribution, `kl_to_uniform` is one finite number per row, at least
    float32 and not below 0; its gradient agrees with finite differences, and is finite for params
    up to 50. Why: models are trained with it, and no other check covers it."""

    def kl(params: Tensor) -> Tensor:
        return case.relaxation(params).kl_to_uniform()

    for dtype in case.dtypes:
        value = kl(3 * case.params(2, 3, dtype=dtype))
        require(value.shape == (2, 3), f"kl_to_uniform has shape {list(value.shape)}, not [2, 3]")
        require(
            torch.finfo(value.dtype).bits >= 32,
            f"kl_to_uniform is {value.dtype} for params of {dtype}",
        )
        sound = bool(value.isfinite().all()) and float(value.min()) >= -1e-3
        require(sound, f"kl_to_uniform is below 0 or not finite: {float(value.min()):.3g}")
        params = (extreme_params(case, dtype) / 200).requires_grad_()
        extreme = kl(params)
        (slope,) = torch.autograd.grad(extreme.sum(), params)
        sound = bool(extreme.isfinite().all()) and finite_slope(slope)
        require(sound, f"kl_to_uniform or its gradient is not finite: params up to 50, {dtype}")
    if not no_differences(case):
        differentiable("kl_to_uniform", kl, case.params(2).requires_grad_())


def _no_bound(case: RelaxationCase) -> str:
    """Applies: `discrete_distribution` denied, `kl_to_uniform` implemented, values can be
    listed."""
    return _no_kl_of_its_own(case) or countable()(case)


@relaxation_check(false_alarm=ALPHA, absent=_no_bound)
def kl_to_uniform_is_a_bound(case: RelaxationCase) -> None:
    """Without a discrete distribution, `kl_to_uniform` is at least the KL of the drawn hard samples
    from uniform. Why: an objective with a smaller KL is not a bound."""
    params = case.params()
    hard = case.relaxation(params).draw((DRAWS,), case.generator(1))[1]
    p = count_values(hard, case.vertices).double() / DRAWS
    drawn = math.log(len(p)) - float(torch.special.entr(p).sum())
    # The empirical entropy is too small by about N / 2M.
    log = p.clamp_min(1e-300).log()
    variance = float((p * log**2).sum() - (p * log).sum() ** 2)
    slack = len(p) / (2 * DRAWS) + 4.5 * (variance / DRAWS) ** 0.5
    claimed = float(case.relaxation.kl_to_uniform(params))
    require(
        claimed >= drawn - slack, f"kl_to_uniform is {claimed:.4f}, but the draws have {drawn:.4f}"
    )


@relaxation_check(false_alarm=ALPHA, absent=countable(), needs=_MASSES)
def zero_params_are_uniform(case: RelaxationCase) -> None:
    """Params of zero give the uniform distribution, exactly where there are masses, in frequencies
    elsewhere. Why: it is the prior of a model, and the reference of `kl_to_uniform`."""
    zeros = torch.zeros_like(case.params())
    if case.relaxation.capabilities.discrete_distribution:
        mass = case.masses(zeros)
        off = float((mass * len(mass) - 1).abs().max())
        require(off <= case.tolerance * 10, f"a mass is {off:.3g} (relative) from uniform")
        return
    hard = case.relaxation(zeros).draw((DRAWS,), case.generator(1))[1]
    wrong = wrong_frequencies(count_values(hard, case.vertices), torch.ones(len(case.vertices)))
    require(not wrong, wrong)


def _no_cardinality(case: RelaxationCase) -> str:
    """Applies: `log_cardinality` known, values can be listed."""
    if absent := countable()(case):
        return absent
    try:
        case.relaxation.log_cardinality  # noqa: B018
    except Unsupported:
        return "there is no log_cardinality"
    return ""


@relaxation_check(absent=_no_cardinality)
def cardinality_by_enumeration(case: RelaxationCase) -> None:
    """`log_cardinality` is the logarithm of the number of values. Why: it is the entropy of the
    uniform prior."""
    got = case.relaxation.log_cardinality
    want = math.log(len(case.vertices))
    require(
        abs(got - want) < 1e-6,
        f"log_cardinality is {got:.6f}, but there are exp({want:.6f}) values",
    )


@relaxation_check(absent=claims("discrete_distribution"))
def values_can_be_listed(case: RelaxationCase) -> None:
    """Where a discrete distribution is claimed, the values of some example can be listed. Why:
    without a list nothing is compared with enumeration, and everything passes."""
    countable_cases = [example for example in (case, *case.siblings()) if not countable()(example)]
    require(countable_cases, f"{countable()(case)}; add a small example to examples()")


@relaxation_check(absent=claims("discrete_distribution"))
def enumeration_is_announced(case: RelaxationCase) -> None:
    """`has_enumerate_support` of the discrete distribution is True if `enumerate_support` lists the
    values, and False if it raises. Why: Pyro's `TraceEnum_ELBO` reads it, and silently samples
    where it is False."""
    distribution = case.relaxation.discrete(case.params(2))
    try:
        listed = len(distribution.enumerate_support()) > 0
    except NotImplementedError:
        listed = False
    announced = distribution.has_enumerate_support
    require(
        announced is listed,
        f"has_enumerate_support is {announced}, but the values can{'' if listed else 'not'} be "
        "listed",
    )
