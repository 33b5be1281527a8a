"""Checks of the density of soft samples, in the space of values and in log space."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.testing.case import RelaxationCase, claims
from relaxit.testing.check import ALPHA, relaxation_check, require
from relaxit.testing.relaxations.gradients import extreme_params, finite_slope
from relaxit.testing.relaxations.integration import free_dimension, weigh
from relaxit.testing.relaxations.support import require_in_support
from relaxit.testing.statistics import threshold, wrong_mean

__all__ = [
    "density_integrates_to_one",
    "density_is_that_of_the_samples",
    "draw_and_rsample_agree",
    "log_prob_is_finite",
    "log_space_agrees_with_log_prob",
    "log_space_is_finite",
    "log_space_samples_are_the_soft_ones",
]

_FINITE = ("log_prob_is_finite",)
MOST_DIMENSIONS = 6
MOST_ENTRIES = 12


def _integrable(case: RelaxationCase) -> str:
    """Applies: `density` claimed, float64, at most 6 free dimensions."""
    if absent := claims("density")(case):
        return absent
    if case.dtype != torch.float64:
        return "integrals are computed in float64"
    d = free_dimension(case)
    return f"{d} free dimensions are too many to integrate over" if d > MOST_DIMENSIONS else ""


def _warm(case: RelaxationCase) -> float:
    """Return a temperature at which the density is smooth up to the boundary."""
    return max(2.0, float(free_dimension(case)))


@relaxation_check(absent=claims("density"))
def log_prob_is_finite(case: RelaxationCase) -> None:
    """The density of a relaxation's own samples is finite, with finite gradients, down to
    temperature 0.1, with params up to 1e4, in every claimed dtype. Why: a single infinite term ends
    a run, and torch's own density is infinite for 0.3 % of samples there."""
    for dtype in case.dtypes:
        rows = torch.cat([case.params(100, dtype=dtype), extreme_params(case, dtype)])
        for temperature in (0.1, 1.0):
            params = rows.clone().requires_grad_()
            q = case.relaxation(params, temperature)
            density = q.log_prob(q.sample((100,)))
            where = f"({dtype}, temperature {temperature})"
            bad = int((~density.isfinite()).sum())
            require(bad == 0, f"{bad} of {density.numel()} densities are not finite {where}")
            (slope,) = torch.autograd.grad(density.sum(), params)
            require(finite_slope(slope), f"a gradient is not finite {where}")


@relaxation_check(false_alarm=2 * ALPHA, absent=_integrable, needs=_FINITE)
def density_integrates_to_one(case: RelaxationCase) -> None:
    """The density integrates to one over the support, at two temperatures. Why: a forgotten
    constant cancels in training and invalidates every comparison of bounds."""
    for seed, factor in ((0, 1.0), (1, 1.7)):
        params = case.params(seed=seed)
        integral, error = weigh(case, params, _warm(case) * factor).integral
        off = abs(integral - 1)
        require(
            off <= threshold(1) * error + 2e-3 and error < 0.05,
            f"the integral is {integral:.4f} +- {error:.4f}",
        )


@relaxation_check(false_alarm=2 * ALPHA, absent=_integrable, needs=_FINITE)
def density_is_that_of_the_samples(case: RelaxationCase) -> None:
    """First and second moments under the density are those of the samples. Why: a density can
    belong to another distribution, for example at another temperature, and still integrate to
    one."""
    for seed, factor in ((2, 1.0), (3, 1.7)):
        params, temperature = case.params(seed=seed), _warm(case) * factor
        weighted = weigh(case, params, temperature)
        mean, error = weighted.mean(_moments(weighted.points))
        soft = case.relaxation(params, temperature).sample((100_000,), case.generator(5))
        wrong = wrong_mean(_moments(soft.double().cpu()), mean, error)
        require(not wrong, wrong)


@relaxation_check(false_alarm=2 * ALPHA, needs=("gradient_mode_changes_nothing",))
def draw_and_rsample_agree(case: RelaxationCase) -> None:
    """The soft samples of `draw` have the moments of those of `rsample`, at temperatures 0.3 and 3,
    one per row. Why: estimators train with `draw` and objectives with `rsample`."""
    params = case.params().expand(2, *case.relaxation.param_shape)
    q = case.relaxation(params, torch.tensor([0.3, 3.0], dtype=case.dtype, device=case.device))
    drawn = q.draw((50_000,), case.generator(1))[0].detach().double()
    soft = q.sample((50_000,), case.generator(2)).double()
    for row in (0, 1):
        of_draw, of_rsample = _moments(drawn[:, row]), _moments(soft[:, row])
        wrong = wrong_mean(of_draw, of_rsample.mean(0), of_rsample.std(0) / len(of_rsample) ** 0.5)
        require(not wrong, wrong)


def _moments(values: Tensor) -> Tensor:
    """Return the first entries of each value and the products of their pairs, ``[M, D + D D]``."""
    rows = values.reshape(len(values), -1)[:, :MOST_ENTRIES]
    return torch.cat([rows, (rows.unsqueeze(1) * rows.unsqueeze(2)).flatten(1)], 1)


@relaxation_check(absent=claims("density", "log_space"))
def log_space_agrees_with_log_prob(case: RelaxationCase) -> None:
    """The log-densities in log space and of the soft sample differ by a function of the value
    alone. Why: the difference is the Jacobian of the change of coordinates, which does not depend
    on params."""
    x = case.relaxation(case.params(20), 1.0).log_space.rsample((5,), generator=case.generator(1))
    x = x.detach()
    soft = case.relaxation.from_log_space(x)
    differences = []
    for seed, temperature in ((0, 1.0), (1, 1.0), (2, 0.4), (3, 2.5)):
        q = case.relaxation(case.params(20, seed=seed), temperature, validate_args=False)
        differences.append(q.log_space.log_prob(x) - q.log_prob(soft))
    spread = (torch.stack(differences) - differences[0]).abs()
    off = float(spread.max() / (1 + differences[0].abs().max()))
    require(off < max(1e-6, 10 * case.tolerance), f"the difference varies with params by {off:.3g}")


@relaxation_check(false_alarm=ALPHA, absent=claims("log_space"))
def log_space_samples_are_the_soft_ones(case: RelaxationCase) -> None:
    """Samples of `log_space`, mapped back by `from_log_space`, lie in the support and have the
    moments of soft samples. Why: the relaxed objective draws them there and passes them to a
    decoder."""
    q = case.relaxation(case.params(), 0.7)
    x = q.log_space.rsample((100_000,), generator=case.generator(1))
    back = case.relaxation.from_log_space(x)
    require_in_support(case, back, "a sample mapped back")
    soft = _moments(q.sample((100_000,), case.generator(2)).double())
    error = soft.std(0) / len(soft) ** 0.5
    wrong = wrong_mean(_moments(back.double()), soft.mean(0), error)
    require(not wrong, wrong)


@relaxation_check(absent=claims("log_space"))
def log_space_is_finite(case: RelaxationCase) -> None:
    """Log-space samples and their densities are finite, with finite gradients, at temperature 0.01
    in float32. Why: log space exists for temperatures at which soft samples underflow."""
    dtype = torch.float32 if torch.float32 in case.dtypes else case.dtype
    params = (3 * case.params(100, dtype=dtype)).requires_grad_()
    distribution = case.relaxation(params, 0.01).log_space
    x = distribution.rsample((10,))
    density = distribution.log_prob(x)
    (slope,) = torch.autograd.grad(density.sum(), params)
    for name, tensor in {"a sample": x, "a density": density, "a gradient": slope}.items():
        require(bool(tensor.isfinite().all()), f"{name} is not finite")
