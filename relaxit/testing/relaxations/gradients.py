"""Checks of gradients: correct, and finite for extreme params and temperatures."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import kl_divergence

from relaxit.distribution import RelaxedDistribution
from relaxit.testing.case import RelaxationCase, claims
from relaxit.testing.check import Failed, relaxation_check, require

__all__ = [
    "differentiable",
    "discrete_gradients_are_right",
    "extreme_params",
    "extremes_are_finite",
    "finite_slope",
    "has_kl",
    "log_prob_gradients_are_right",
    "log_space_gradients_are_right",
    "no_differences",
    "sample_gradients_are_right",
    "straight_through_is_exact",
]


MOST_PARAMS = 200


def no_differences(case: RelaxationCase) -> str:
    """Return why gradients cannot be compared with finite differences; empty if they can.

    Applies: float64, at most 200 params.
    """
    if case.dtype != torch.float64:
        return "finite differences need float64"
    size = case.params().numel()
    return f"{size} params are too many for finite differences" if size > MOST_PARAMS else ""


def differentiable(what: str, function: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Fail unless gradients agree with finite differences, in float64."""
    try:
        gradcheck(function, inputs, atol=1e-5, rtol=1e-3)
    except RuntimeError as error:  # the base class of GradcheckError
        text = " ".join(str(error).split())
        raise Failed(f"{what}: {text}") from error


@relaxation_check(absent=no_differences, needs=("generator_is_obeyed",))
def sample_gradients_are_right(case: RelaxationCase) -> None:
    """The gradient of `rsample` with respect to params and temperature agrees with finite
    differences on the same noise, at low and high temperatures, for several batch and sample
    shapes. Why: models are trained with this pathwise gradient."""

    def sample(a: Tensor, t: float | Tensor, shape: tuple[int, ...] = (2,)) -> Tensor:
        return case.relaxation(a, t).rsample(shape, case.generator(0))

    params = case.params(2).requires_grad_()
    temperature = torch.tensor([0.3, 1.5], dtype=case.dtype, device=case.device).requires_grad_()
    differentiable("rsample", sample, params, temperature)
    for number, shape in ((0.2, ()), (6.0, (2,))):
        what = f"rsample({shape}) of a batch of [2, 2] at temperature {number}"
        two = case.params(2, 2, seed=1).requires_grad_()
        differentiable(what, functools.partial(sample, t=number, shape=shape), two)


def _density_in_float64(case: RelaxationCase) -> str:
    """Applies: `density` claimed, float64, at most 200 params."""
    return claims("density")(case) or no_differences(case)


@relaxation_check(absent=_density_in_float64)
def log_prob_gradients_are_right(case: RelaxationCase) -> None:
    """The gradient of `log_prob` with respect to params, temperature and value agrees with finite
    differences. Why: the relaxed objective is trained with it."""
    params = case.params(2).requires_grad_()
    temperature = torch.tensor([0.6, 1.5], dtype=case.dtype, device=case.device).requires_grad_()
    value = case.relaxation(params.detach(), 1.0).sample((2,), case.generator(1))

    def density(a: Tensor, t: Tensor) -> Tensor:
        return case.relaxation(a, t).log_prob(value)

    def density_of_sample(a: Tensor) -> Tensor:
        q = case.relaxation(a, 0.8)
        return q.log_prob(q.rsample((2,), case.generator(1)))

    differentiable("log_prob", density, params, temperature)
    differentiable("log_prob of rsample", density_of_sample, params)


def _log_space_in_float64(case: RelaxationCase) -> str:
    """Applies: `log_space` claimed, float64, at most 200 params."""
    return claims("log_space")(case) or no_differences(case)


@relaxation_check(absent=_log_space_in_float64, needs=("generator_is_obeyed",))
def log_space_gradients_are_right(case: RelaxationCase) -> None:
    """In log space the gradients of samples, of the samples mapped back and of their densities
    agree with finite differences, with one temperature per row. Why: the relaxed objective is
    trained there."""
    params = case.params(2).requires_grad_()
    temperature = torch.tensor([0.6, 1.5], dtype=case.dtype, device=case.device).requires_grad_()

    def sample(a: Tensor, t: Tensor) -> Tensor:
        return case.relaxation(a, t).log_space.rsample((2,), generator=case.generator(1))

    def back(a: Tensor, t: Tensor) -> Tensor:
        return case.relaxation.from_log_space(sample(a, t))

    def density(a: Tensor, t: Tensor) -> Tensor:
        return case.relaxation(a, t).log_space.log_prob(sample(a, t))

    differentiable("log_space.rsample", sample, params, temperature)
    differentiable("from_log_space", back, params, temperature)
    differentiable("log_space.log_prob", density, params, temperature)


def _distribution_in_float64(case: RelaxationCase) -> str:
    """Applies: `discrete_distribution` claimed, float64, at most 200 params."""
    return claims("discrete_distribution")(case) or no_differences(case)


@relaxation_check(absent=_distribution_in_float64)
def discrete_gradients_are_right(case: RelaxationCase) -> None:
    """Gradients of mass, mean, entropy, `kl_to_uniform` and KL divergences agree with finite
    differences. Why: a detached KL silently removes the prior from training."""
    distribution, params = case.relaxation.discrete, case.params(2).requires_grad_()
    hard = case.relaxation(params.detach()).sample_hard((2,), case.generator(1))
    quantities: dict[str, Callable[[Tensor], Tensor]] = {
        "the log-mass": lambda a: distribution(a).log_prob(hard),
        "the mean": lambda a: distribution(a).mean,
        "the entropy": lambda a: distribution(a).entropy(),
        "kl_to_uniform": case.relaxation.kl_to_uniform,
    }
    for what, function in quantities.items():
        differentiable(what, function, params)
    if has_kl(case):
        other = case.params(2, seed=1).requires_grad_()
        differentiable(
            "kl_divergence",
            lambda a, b: kl_divergence(distribution(a), distribution(b)),
            params,
            other,
        )


def has_kl(case: RelaxationCase) -> bool:
    """Whether a KL divergence between two of its discrete distributions is registered."""
    distribution = case.relaxation.discrete(case.params())
    try:
        kl_divergence(distribution, distribution)
    except NotImplementedError:
        return False
    return True


def extreme_params(case: RelaxationCase, dtype: torch.dtype) -> Tensor:
    """Return rows of params, equal and mixed, with entries up to 1e4."""
    size = math.prod(case.relaxation.param_shape)
    mixed = torch.tensor([1e4, -1e4, 0.0, 1e4, 3.0] * size)[: 2 * size].view(2, size)
    level = torch.tensor([[0.0], [1e4], [-1e4]]).expand(3, size)
    rows = torch.cat([level, mixed]).to(case.device, dtype)
    return rows.reshape(-1, *case.relaxation.param_shape)


def _quantities(case: RelaxationCase, params: Tensor, temperature: float) -> dict[str, Tensor]:
    q = case.relaxation(params, temperature)
    soft = q.rsample((20,))
    quantities = {"a soft sample": soft.float()}
    if case.relaxation.capabilities.discrete_distribution:
        quantities |= {"a KL divergence": q.kl_to_uniform(), "an entropy": q.discrete.entropy()}
        quantities["a mean"] = q.discrete.mean.float()
        quantities["a log-mass"] = q.discrete.log_prob(q.sample_hard((20,)))
    return quantities


@relaxation_check()
def extremes_are_finite(case: RelaxationCase) -> None:
    """With params up to 1e4 and temperatures from 0.001 to 1000, samples, quantities and their
    gradients are finite, in every claimed dtype. Why: a single NaN ends a run, and trained models
    have such params."""
    for dtype in case.dtypes:
        for temperature in (1e-3, 0.1, 1.0, 1e3):
            params = extreme_params(case, dtype).requires_grad_()
            for name, value in _quantities(case, params, temperature).items():
                where = f"({dtype}, temperature {temperature:g})"
                require(bool(value.isfinite().all()), f"{name} is not finite {where}")
                if not value.requires_grad:
                    continue
                (slope,) = torch.autograd.grad(
                    value.sum(), params, retain_graph=True, allow_unused=True
                )
                sound = slope is None or finite_slope(slope)
                require(sound, f"the gradient of {name} is not finite {where}")


def finite_slope(slope: Tensor) -> bool:
    """Return whether a gradient is finite, as far as its dtype allows."""
    # A correct gradient of 1e5 overflows in float16.
    short = torch.finfo(slope.dtype).bits < 32
    return not bool(slope.isnan().any()) if short else bool(slope.isfinite().all())


@relaxation_check(needs=("sample_gradients_are_right",))
def straight_through_is_exact(case: RelaxationCase) -> None:
    """`straight_through` is the hard sample of `draw` from the same generator, to the last bit, in
    every claimed dtype and with one temperature per row. Its gradient is that of the soft sample,
    and agrees with finite differences. Why: estimators use it, and `draw` may be implemented
    differently from `rsample`."""
    rows = torch.linspace(0.3, 2.0, 50, dtype=torch.float32, device=case.device)
    for dtype in case.dtypes:
        for temperature in (0.7, rows):
            _require_through(case.relaxation(case.params(50, dtype=dtype), temperature), case)
    if no_differences(case):
        return

    def soft_of_draw(a: Tensor) -> Tensor:
        return case.relaxation(a, 0.7).draw((2,), case.generator(0))[0]

    differentiable("the soft sample of draw", soft_of_draw, case.params(2).requires_grad_())


def _require_through(q: RelaxedDistribution, case: RelaxationCase) -> None:
    """Compare `straight_through` with `draw` on the same noise, in value and gradient."""
    params, temperature = q.params.requires_grad_(), q.aligned_temperature
    for shape in (torch.Size(), torch.Size((4,))):
        soft, hard = q.relaxation.draw(params, temperature, shape, case.generator(1))
        value = q.relaxation.straight_through(params, temperature, shape, case.generator(1))
        require(torch.equal(value, hard), f"the value is not the hard sample in {params.dtype}")
        require(value.requires_grad, f"no gradient passes in {params.dtype}")
        incoming = torch.linspace(-1, 1, value.numel()).to(value).view(value.shape)
        actual, expected = (torch.autograd.grad(y, params, incoming)[0] for y in (value, soft))
        require(
            torch.allclose(actual, expected, rtol=1e-4, atol=1e-6),
            f"the gradient is not that of the soft sample in {params.dtype}",
        )
