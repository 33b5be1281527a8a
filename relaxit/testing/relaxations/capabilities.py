"""Checks of capabilities: claimed quantities exist, denied ones raise, and masks work."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from relaxit.distribution import RelaxedDistribution
from relaxit.errors import DomainError, Unsupported
from relaxit.perturb import PerturbAndRelax
from relaxit.testing.case import RelaxationCase, claims, denies, varies
from relaxit.testing.check import Failed, relaxation_check, require
from relaxit.testing.relaxations.gradients import has_kl
from relaxit.testing.relaxations.support import require_in_support

__all__ = [
    "claimed_is_there",
    "denied_is_unsupported",
    "invalid_params_are_rejected",
    "masked_gradients_are_finite",
    "masked_params",
    "masks_are_limits",
    "masks_are_rejected_where_denied",
    "valid_params_work",
]


def _asks(case: RelaxationCase) -> dict[str, dict[str, Callable[[], object]]]:
    """Return the quantities that each capability promises, as functions without arguments."""
    q = case.relaxation(case.params(2))
    soft = q.sample()
    return {
        "density": {"log_prob": lambda: q.log_prob(soft)},
        "log_space": {
            "log_space.rsample": lambda: q.log_space.rsample(),
            "log_space.log_prob": lambda: q.log_space.log_prob(q.log_space.rsample()),
        },
        "discrete_distribution": {
            "discrete.sample": lambda: q.discrete.sample(),
            "discrete.log_prob": lambda: q.discrete.log_prob(q.discrete.sample()),
            "discrete.entropy": lambda: q.discrete.entropy(),
            "discrete.mean": lambda: q.discrete.mean,
            "discrete.mode": lambda: q.discrete.mode,
            "kl_to_uniform": q.kl_to_uniform,
        },
        "conditional": {"perturb_given": lambda: _given(case, q)},
    }


def _given(case: RelaxationCase, q: RelaxedDistribution) -> Tensor:
    if not isinstance(case.relaxation, PerturbAndRelax):
        raise Unsupported(f"{case} is not a PerturbAndRelax")
    return case.relaxation.perturb_given(q.params, q.sample_hard())


@relaxation_check()
def claimed_is_there(case: RelaxationCase) -> None:
    """Quantities of claimed capabilities exist, as tensors: densities, masses, entropy, mean, mode,
    `kl_to_uniform` and `perturb_given`. Why: estimators and objectives rely on the claims, and
    would fail during training."""
    for capability, queries in _asks(case).items():
        if not getattr(case.relaxation.capabilities, capability):
            continue
        for name, query in queries.items():
            result = query()
            kind = type(result).__name__
            require(
                isinstance(result, Tensor), f"{capability} is claimed, but {name} returns {kind}"
            )


@relaxation_check()
def denied_is_unsupported(case: RelaxationCase) -> None:
    """Quantities of denied capabilities raise `Unsupported`. Why: an unverified number is worse
    than an error."""
    for capability, queries in _asks(case).items():
        if getattr(case.relaxation.capabilities, capability):
            continue
        name, query = next(iter(queries.items()))
        try:
            query()
        except Unsupported:
            continue
        raise Failed(f"{capability} is denied, but {name} returns a result")


@relaxation_check()
def invalid_params_are_rejected(case: RelaxationCase) -> None:
    """`valid_params` returns one bool per row, False where an entry is NaN, and a distribution of
    such params raises `DomainError`. Why: NaN params would give NaN samples many steps later."""
    params = case.params(4)
    params.reshape(4, -1)[2, 0] = torch.nan
    valid = case.relaxation.valid_params(params)
    require(
        valid.shape == (4,) and valid.dtype == torch.bool,
        "valid_params does not return one bool per row",
    )
    require(valid.tolist() == [True, True, False, True], f"valid_params returns {valid.tolist()}")
    try:
        case.relaxation(params, validate_args=True)
    except DomainError:
        return
    raise Failed("NaN params were accepted")


@relaxation_check(absent=claims("masks"), needs=("invalid_params_are_rejected",))
def valid_params_work(case: RelaxationCase) -> None:
    """All rows of 0, `-inf` and `+inf` that `valid_params` accepts give valid samples, and finite
    marginals and divergences. Why: a row in which all entries are masked has no distribution and
    gives NaN."""
    size = case.params().numel()
    entries = (0.0, -torch.inf, torch.inf)
    rows = torch.tensor(list(itertools.islice(itertools.product(entries, repeat=size), 300)))
    rows = rows.to(case.device, case.dtype).reshape(-1, *case.relaxation.param_shape)
    valid = rows[case.relaxation.valid_params(rows)]
    require(len(valid) > 0, "params of zero are rejected")
    q = case.relaxation(valid, 0.7)
    soft, hard = q.draw((5,))
    require_in_support(case, soft, "a soft sample")
    require(bool(case.relaxation.vertices.check(hard).all()), "a hard sample is not a vertex")
    if case.relaxation.capabilities.discrete_distribution:
        for name, value in {"a mean": q.discrete.mean, "a KL": q.kl_to_uniform()}.items():
            require(bool(value.isfinite().all()), f"{name} is not finite")


@relaxation_check(absent=denies("masks"))
def masks_are_rejected_where_denied(case: RelaxationCase) -> None:
    """Where `masks` is denied, params of `-inf` raise `DomainError`. Why: they would turn into NaN
    in the middle of a computation."""
    params = case.params()
    params.reshape(-1)[0] = -torch.inf
    try:
        case.relaxation(params, validate_args=True)
    except DomainError:
        return
    raise Failed("params of -inf were accepted, but masks is not claimed")


def masked_params(case: RelaxationCase) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield params with one valid entry of -inf, and the same params with -200 in its place."""
    size = case.params().numel()
    number = 0
    for entry in range(size):
        params = case.params(seed=entry)
        params.reshape(-1)[entry] = -torch.inf
        if bool(case.relaxation.valid_params(params)):
            number += 1
            yield params, params.masked_fill(params == -torch.inf, -200.0)
    require(number > 0, "masks is claimed, but valid_params accepts no entry of -inf")


@relaxation_check(absent=varies("masks"), needs=("generator_is_obeyed",))
def masks_are_limits(case: RelaxationCase) -> None:
    """A distribution with an entry of `-inf` is the limit of distributions in which this entry
    decreases, also in a batch of different masks: it has the same samples for one seed, and the
    same marginals, entropy and `kl_to_uniform`. Why: a masked choice that keeps some mass is
    eventually drawn."""
    pairs_of_params = list(masked_params(case))
    batch = tuple(torch.stack(tensors) for tensors in zip(*pairs_of_params, strict=True))
    for masked, low in (*pairs_of_params, batch):
        quantities, limits = _seen(case, masked), _seen(case, low)
        for name, quantity in quantities.items():
            require(bool(quantity.isfinite().all()), f"{name} with a mask are not finite")
            near = torch.allclose(quantity, limits[name], rtol=1e-5, atol=1e-6)
            require(near, f"{name} with -inf are not the limit of large negative params")


def _seen(case: RelaxationCase, params: Tensor) -> dict[str, Tensor]:
    """Return everything that a mask must not change, on fixed noise."""
    q = case.relaxation(params, 0.5)
    quantities = {"soft samples": q.sample((50,), case.generator(1))}
    quantities["hard samples"] = q.draw((50,), case.generator(1))[1]
    if case.relaxation.capabilities.log_space:
        quantities["samples mapped back from log space"] = _mapped_back(case, q)
    if case.relaxation.capabilities.discrete_distribution:
        quantities |= {
            "discrete samples": q.sample_hard((50,), case.generator(1)),
            "marginals": q.discrete.mean,
            "entropies": q.discrete.entropy(),
            "divergences from uniform": q.kl_to_uniform(),
        }
        if has_kl(case):
            uniform = case.relaxation.discrete(torch.zeros_like(params))
            quantities["KL divergences"] = kl_divergence(q.discrete, uniform)
    return quantities


def _mapped_back(case: RelaxationCase, q: RelaxedDistribution) -> Tensor:
    value = q.log_space.rsample((50,), generator=case.generator(1))
    return case.relaxation.from_log_space(value)


@relaxation_check(absent=varies("masks"))
def masked_gradients_are_finite(case: RelaxationCase) -> None:
    """With a masked entry, densities of the relaxation's own samples are finite, and gradients of
    samples, densities and divergences with respect to params and temperature are finite. Why: 0 *
    inf is NaN and spreads to the encoder."""
    for masked, _ in masked_params(case):
        params = masked.clone().requires_grad_()
        temperature = torch.tensor(0.7, dtype=case.dtype, device=case.device).requires_grad_()
        q = case.relaxation(params, temperature)
        values = {"a soft sample": q.rsample((20,))}
        if case.relaxation.capabilities.density:
            values["a density"] = q.log_prob(q.sample((20,)))
        if case.relaxation.capabilities.discrete_distribution:
            values |= {"an entropy": q.discrete.entropy(), "a KL": q.kl_to_uniform()}
        for name, value in values.items():
            require(bool(value.isfinite().all()), f"{name} with a mask is not finite")
            slopes = torch.autograd.grad(
                value.square().sum(), (params, temperature), allow_unused=True, retain_graph=True
            )
            for variable, slope in zip(("params", "temperature"), slopes, strict=True):
                finite = slope is None or bool(slope.isfinite().all())
                hint = (
                    "; relaxit.temperature.divide_by_temperature divides safely"
                    if variable == "temperature"
                    else ""
                )
                require(finite, f"the gradient of {name} in {variable} is not finite{hint}")
