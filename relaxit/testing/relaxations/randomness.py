"""Checks of the source of noise, and that no two samples share it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy.stats import rankdata
from torch import Tensor

from relaxit.testing.case import RelaxationCase, varies
from relaxit.testing.check import ALPHA, relaxation_check, require
from relaxit.testing.statistics import threshold

__all__ = [
    "generator_is_obeyed",
    "global_generator_is_used",
    "gradient_mode_changes_nothing",
    "noise_is_independent",
    "random_state",
    "require_independence",
    "rows_do_not_mix",
]

Sampler = Callable[[tuple[int, ...], torch.Generator | None], Tensor]


def random_state(device: torch.device) -> Tensor:
    """Return the state of the global generator of a device."""
    if device.type == "cpu":
        return torch.get_rng_state()
    module = torch.get_device_module(device)
    state: Tensor = (
        module.get_rng_state(device) if device.type == "cuda" else module.get_rng_state()
    )
    return state


def _samplers(case: RelaxationCase, params: Tensor) -> dict[str, Sampler]:
    q = case.relaxation(params, 0.5)
    samplers: dict[str, Sampler] = {
        "rsample": lambda shape, g: q.rsample(shape, g),
        "draw": lambda shape, g: q.draw(shape, g)[1],
        "sample_hard": lambda shape, g: q.sample_hard(shape, g),
    }
    if case.relaxation.capabilities.log_space:
        distribution = q.log_space
        samplers["log_space.rsample"] = lambda shape, g: distribution.rsample(shape, generator=g)
        samplers["log_space.sample"] = lambda shape, g: distribution.sample(shape, generator=g)
    return samplers


@relaxation_check()
def generator_is_obeyed(case: RelaxationCase) -> None:
    """The same seed gives the same sample, another seed gives another one (unless there is only one
    value), and the global generator is not used. Why: otherwise no result can be repeated, and no
    two variants can be compared on the same noise."""
    before = random_state(case.device)
    for name, sample in _samplers(case, torch.zeros_like(case.params(20))).items():
        first, again = sample((3,), case.generator(1)), sample((3,), case.generator(1))
        require(torch.equal(first, again), f"{name}: the same seed gives different samples")
        other = sample((3,), case.generator(2))
        differs = case.constant or not torch.equal(first, other)
        require(differs, f"{name}: another seed gives the same samples")
    require(torch.equal(before, random_state(case.device)), "the global generator was used as well")


@relaxation_check(absent=varies())
def global_generator_is_used(case: RelaxationCase) -> None:
    """Without a generator the global one is used: two calls differ, and `torch.manual_seed` repeats
    them. Why: a sampler that seeds itself gives every training step the same noise."""
    for name, sample in _samplers(case, torch.zeros_like(case.params(20))).items():
        torch.manual_seed(3)
        first, second = sample((3,), None), sample((3,), None)
        require(not torch.equal(first, second), f"{name}: two calls give the same samples")
        torch.manual_seed(3)
        again = sample((3,), None), sample((3,), None)
        same = torch.equal(first, again[0]) and torch.equal(second, again[1])
        require(same, f"{name}: the same torch.manual_seed gives different samples")
        torch.manual_seed(4)
        other = sample((3,), None)
        require(not torch.equal(first, other), f"{name}: torch.manual_seed has no effect")


@relaxation_check(needs=("generator_is_obeyed",))
def gradient_mode_changes_nothing(case: RelaxationCase) -> None:
    """A sample is the same with and without gradient. Why: an evaluation path without noise or
    temperature tests another model."""
    for temperature in (0.3, 3.0):
        q = case.relaxation(case.params(20).requires_grad_(), temperature)
        with_gradient = q.rsample((3,), case.generator(1)).detach()
        without = q.sample((3,), case.generator(1))
        require(
            torch.equal(with_gradient, without), "sample() and rsample() differ for the same seed"
        )
        detached = case.relaxation(q.params.detach(), temperature).rsample((3,), case.generator(1))
        require(torch.equal(with_gradient, detached), "a sample depends on requires_grad of params")


@relaxation_check(false_alarm=8 * ALPHA, absent=varies(), needs=("global_generator_is_used",))
def noise_is_independent(case: RelaxationCase) -> None:
    """Soft and hard samples of different rows and of different draws are uncorrelated. Why: noise
    that is shared over the batch leaves the distribution of each sample right and makes the
    variance of the gradient wrong."""
    zeros, rest = torch.zeros_like(case.params()), case.relaxation.param_shape
    pair, many = zeros.expand(2, *rest), zeros.expand(20_000, *rest)
    for name, sample in _samplers(case, pair).items():
        require_independence(sample((20_000,), None).transpose(0, 1), f"two rows of {name}")
    for name, sample in _samplers(case, many).items():
        require_independence(sample((2,), None), f"two samples of {name}")


def require_independence(pair: Tensor, what: str) -> None:
    """Fail unless the first and the second ``[M, *event]`` of ``pair`` are uncorrelated."""
    first, second = (half.double().reshape(len(half), -1) for half in pair)
    require(not torch.equal(first, second), f"{what} are equal")
    # Of ranks: soft entries have heavy tails, so the correlation of values is not normal.
    first, second = (torch.from_numpy(rankdata(half.cpu(), axis=0)) for half in (first, second))
    first, second = first - first.mean(0), second - second.mean(0)
    scale = (first.square().mean(0) * second.square().mean(0)).sqrt().clamp_min(1e-12)
    correlation = (first * second).mean(0) / scale
    worst = float(correlation.abs().max()) * len(first) ** 0.5
    allowed = threshold(first.shape[1])
    require(worst < allowed, f"{what} are correlated: {worst:.1f} standard errors from 0")


@relaxation_check(needs=("generator_is_obeyed",))
def rows_do_not_mix(case: RelaxationCase) -> None:
    """The sample of a row does not change when the params of other rows do. Why: a softmax over the
    flattened latents normalises all of them together."""
    params = case.params(4)
    changed = torch.cat([params[:1], params[1:] + 1.5])
    for name, sample in _samplers(case, params).items():
        if name == "sample_hard":
            continue  # an exact sampler may use as many random numbers as it needs
        before = sample((3,), case.generator(1))
        after = _samplers(case, changed)[name]((3,), case.generator(1))
        same = torch.allclose(before[:, 0], after[:, 0], rtol=1e-6, atol=case.tolerance)
        require(same, f"{name}: the first row depends on the others")
