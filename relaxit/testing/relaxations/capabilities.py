"""Capabilities: what is claimed is there, what is denied is refused, masks mean what they say."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from relaxit.distribution import RelaxedDistribution
from relaxit.errors import DomainError, Unsupported
from relaxit.perturb import PerturbAndRelax
from relaxit.testing.case import RelaxationCase, claims, denies
from relaxit.testing.check import Failed, relaxation_check, require
from relaxit.testing.relaxations.gradients import has_kl

__all__ = [
    "claimed_is_there",
    "denied_is_unsupported",
    "illegal_params_are_refused",
    "legal_params_work",
    "masked_gradients_are_finite",
    "masked_params",
    "masks_are_limits",
    "masks_are_refused_where_denied",
]


def _asks(case: RelaxationCase) -> dict[str, dict[str, Callable[[], object]]]:
    """What each capability promises, as things to ask for."""
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
        raise Unsupported(f"{case} perturbs no scores")
    return case.relaxation.perturb_given(q.params, q.sample_hard())


@relaxation_check()
def claimed_is_there(case: RelaxationCase) -> None:
    """What the capabilities claim exists, as tensors: densities, masses, entropy, mean, mode,
    `kl_to_uniform` and `perturb_given`. Why: estimators and objectives go by the claim, and would
    fail in mid-training."""
    for capability, asks in _asks(case).items():
        if not getattr(case.relaxation.capabilities, capability):
            continue
        for name, ask in asks.items():
            found = ask()
            given = type(found).__name__
            require(isinstance(found, Tensor), f"{capability} is claimed, but {name} gives {given}")


@relaxation_check()
def denied_is_unsupported(case: RelaxationCase) -> None:
    """What the capabilities deny raises `Unsupported`. Why: a number nobody vouches for is worse
    than none."""
    for capability, asks in _asks(case).items():
        if getattr(case.relaxation.capabilities, capability):
            continue
        name, ask = next(iter(asks.items()))
        try:
            ask()
        except Unsupported:
            continue
        raise Failed(f"{capability} is denied, but {name} gives an answer")


@relaxation_check()
def illegal_params_are_refused(case: RelaxationCase) -> None:
    """`valid_params` is one truth value a row, False where an entry is NaN, and the law then raises
    `DomainError`. Why: NaN params would give NaN samples many steps later."""
    params = case.params(4)
    params.reshape(4, -1)[2, 0] = torch.nan
    valid = case.relaxation.valid_params(params)
    require(valid.shape == (4,) and valid.dtype == torch.bool, "valid_params is no bool a row")
    require(valid.tolist() == [True, True, False, True], f"valid_params gives {valid.tolist()}")
    try:
        case.relaxation(params, validate_args=True)
    except DomainError:
        return
    raise Failed("NaN params were taken")


@relaxation_check(absent=claims("masks"), needs=("illegal_params_are_refused",))
def legal_params_work(case: RelaxationCase) -> None:
    """Whatever rows of 0, `-inf` and `+inf` `valid_params` takes give legal samples, and finite
    marginals and divergences. Why: a row in which all is masked has no law, and NaN is the
    answer."""
    size = case.params().numel()
    entries = (0.0, -torch.inf, torch.inf)
    rows = torch.tensor(list(itertools.islice(itertools.product(entries, repeat=size), 300)))
    rows = rows.to(case.device, case.dtype).reshape(-1, *case.relaxation.param_shape)
    legal = rows[case.relaxation.valid_params(rows)]
    require(len(legal) > 0, "params of zero are refused")
    q = case.relaxation(legal, 0.7)
    soft, hard = q.draw((5,))
    require(bool(case.relaxation.support.check(soft).all()), "a soft value leaves support")
    require(bool(case.relaxation.vertices.check(hard).all()), "a hard value is no vertex")
    if case.relaxation.capabilities.discrete_distribution:
        for name, value in {"a mean": q.discrete.mean, "a KL": q.kl_to_uniform()}.items():
            require(bool(value.isfinite().all()), f"{name} is not finite")


@relaxation_check(absent=denies("masks"))
def masks_are_refused_where_denied(case: RelaxationCase) -> None:
    """Where `masks` is denied, params of `-inf` raise `DomainError`. Why: they would turn into NaN
    in the middle of a formula."""
    params = case.params()
    params.reshape(-1)[0] = -torch.inf
    try:
        case.relaxation(params, validate_args=True)
    except DomainError:
        return
    raise Failed("-inf was taken though masks is not claimed")


def masked_params(case: RelaxationCase) -> Iterator[tuple[Tensor, Tensor]]:
    """Params with one entry of -inf that is legal, and the same with -200 there."""
    size = case.params().numel()
    found = 0
    for entry in range(size):
        params = case.params(seed=entry)
        params.reshape(-1)[entry] = -torch.inf
        if bool(case.relaxation.valid_params(params)):
            found += 1
            yield params, params.masked_fill(params == -torch.inf, -200.0)
    require(found > 0, "masks are claimed, but no single entry may be -inf")


@relaxation_check(absent=claims("masks"), needs=("generator_is_obeyed",))
def masks_are_limits(case: RelaxationCase) -> None:
    """A law with an entry of `-inf` is the limit of laws in which it falls, also in a batch of
    different masks: same samples on one seed, same marginals, entropy and `kl_to_uniform`. Why: a
    masked choice that keeps some mass is chosen one day."""
    pairs_of_params = list(masked_params(case))
    batch = tuple(torch.stack(each) for each in zip(*pairs_of_params, strict=True))
    for masked, low in (*pairs_of_params, batch):
        found, limits = _seen(case, masked), _seen(case, low)
        for name, got in found.items():
            require(bool(got.isfinite().all()), f"{name} with a mask are not finite")
            near = torch.allclose(got, limits[name], rtol=1e-5, atol=1e-6)
            require(near, f"{name} with -inf are not the limit of large negative params")


def _seen(case: RelaxationCase, params: Tensor) -> dict[str, Tensor]:
    """Everything that a mask should not disturb, on fixed noise."""
    q = case.relaxation(params, 0.5)
    found = {"soft values": q.sample((50,), case.generator(1))}
    found["hard values"] = q.draw((50,), case.generator(1))[1]
    if case.relaxation.capabilities.log_space:
        found["log-space values"] = _mapped_back(case, q)
    if case.relaxation.capabilities.discrete_distribution:
        found |= {
            "discrete samples": q.sample_hard((50,), case.generator(1)),
            "marginals": q.discrete.mean,
            "entropies": q.discrete.entropy(),
            "divergences from uniform": q.kl_to_uniform(),
        }
        if has_kl(case):
            uniform = case.relaxation.discrete(torch.zeros_like(params))
            found["KL divergences"] = kl_divergence(q.discrete, uniform)
    return found


def _mapped_back(case: RelaxationCase, q: RelaxedDistribution) -> Tensor:
    distribution: Any = q.log_space  # torch's base class knows no generator
    return case.relaxation.from_log_space(distribution.rsample((50,), generator=case.generator(1)))


@relaxation_check(absent=claims("masks"))
def masked_gradients_are_finite(case: RelaxationCase) -> None:
    """With a masked entry densities of own samples are finite, and gradients of samples, densities
    and divergences are finite in params and temperature. Why: 0 * inf is NaN, and infects the
    encoder."""
    for masked, _ in masked_params(case):
        params = masked.clone().requires_grad_()
        temperature = torch.tensor(0.7, dtype=case.dtype, device=case.device).requires_grad_()
        q = case.relaxation(params, temperature)
        values = {"a soft value": q.rsample((20,))}
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
