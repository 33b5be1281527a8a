"""Checks of shapes, dtypes and devices of everything that a relaxation returns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from relaxit.dtypes import compute_dtype
from relaxit.errors import ShapeError, Unsupported, error_summary
from relaxit.testing.case import RelaxationCase, claims
from relaxit.testing.check import Failed, relaxation_check, require

__all__ = [
    "discrete_shapes",
    "dtype_and_device_are_kept",
    "log_prob_shapes",
    "sample_shapes",
    "temperature_that_enlarges_is_rejected",
    "temperatures_reach_their_densities",
    "temperatures_reach_their_rows",
    "unclaimed_dtypes_are_rejected",
    "values_that_do_not_fit_are_rejected",
    "wrong_shape_is_named",
]

BATCHES: tuple[tuple[int, ...], ...] = ((), (3,), (2, 3))
SAMPLES: tuple[tuple[int, ...], ...] = ((), (4,), (5, 2))


def _same_shape(what: str, got: Tensor, expected: tuple[int, ...]) -> None:
    require(got.shape == expected, f"{what} has shape {list(got.shape)}, not {list(expected)}")


@relaxation_check()
def sample_shapes(case: RelaxationCase) -> None:
    """Soft and hard samples have shape `sample + batch + event`, for several sample and batch
    shapes. Why: a wrong shape that broadcasts is found much later, or never."""
    event = case.relaxation.event_shape
    for batch in BATCHES:
        q = case.relaxation(case.params(*batch), 0.7)
        for sample in SAMPLES:
            soft, hard = q.draw(sample)
            full = (*sample, *batch, *event)
            _same_shape(f"the soft sample of draw({sample})", soft, full)
            _same_shape(f"the hard sample of draw({sample})", hard, full)
            _same_shape(f"rsample({sample})", q.rsample(sample), full)
            _same_shape(f"sample_hard({sample})", q.sample_hard(sample), full)
            _same_shape("hard(soft)", q.hard(soft), full)


@relaxation_check(absent=claims("density"))
def log_prob_shapes(case: RelaxationCase) -> None:
    """`log_prob` of values of shape `sample + batch + event` has shape `sample + batch`, also where
    values or params broadcast. Why: an `[n, n]` table of densities has a plausible, wrong mean."""
    for batch in BATCHES:
        q = case.relaxation(case.params(*batch), 0.7)
        for sample in SAMPLES:
            _same_shape("log_prob", q.log_prob(q.sample(sample)), (*sample, *batch))
            if case.relaxation.capabilities.log_space:
                x = q.log_space.rsample(sample)
                _same_shape("log_space.log_prob", q.log_space.log_prob(x), (*sample, *batch))
                _same_shape(
                    "from_log_space", case.relaxation.from_log_space(x), q.sample(sample).shape
                )
        value = case.relaxation(case.params(), 0.7).sample()
        _same_shape("log_prob of one value", q.log_prob(value), batch)


@relaxation_check(absent=claims("discrete_distribution"))
def discrete_shapes(case: RelaxationCase) -> None:
    """Entropy and `kl_to_uniform` have shape `batch`, masses `sample + batch`, mean and mode `batch
    + event`. Why: a KL that is summed over the batch is trained with the wrong weight."""
    event = case.relaxation.event_shape
    for batch in BATCHES:
        q = case.relaxation(case.params(*batch))
        distribution = q.discrete
        require(
            distribution.batch_shape == batch,
            f"discrete has batch shape {distribution.batch_shape}",
        )
        require(
            distribution.event_shape == event,
            f"discrete has event shape {distribution.event_shape}",
        )
        _same_shape("the entropy", distribution.entropy(), batch)
        _same_shape("kl_to_uniform", q.kl_to_uniform(), batch)
        _same_shape("the mean", distribution.mean, (*batch, *event))
        _same_shape("the mode", distribution.mode, (*batch, *event))
        for sample in SAMPLES:
            value = q.sample_hard(sample)
            _same_shape("the log-mass", distribution.log_prob(value), (*sample, *batch))


def _temperatures(case: RelaxationCase) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield temperatures of every shape that broadcasts to 3 x 3, and the same expanded."""
    row = torch.tensor([0.4, 1.0, 2.5], dtype=case.dtype, device=case.device)
    for given in (row[0], row[:1], row, row[:, None], row[:, None] * row):
        yield given, given.expand(3, 3)


@relaxation_check(needs=("generator_is_obeyed",))
def temperatures_reach_their_rows(case: RelaxationCase) -> None:
    """A temperature of any shape that broadcasts to the batch acts on each row as a number does.
    Why: a `[batch]` temperature is easily broadcast with the last dimension of params instead."""
    params = case.params(3, 3)
    for given, full in _temperatures(case):
        soft = case.relaxation(params, given).rsample((2,), case.generator(1))
        for i, j in ((0, 0), (1, 2), (2, 1)):
            alone = case.relaxation(params, float(full[i, j]))
            expected = alone.rsample((2,), case.generator(1))[:, i, j]
            same = torch.allclose(soft[:, i, j], expected, rtol=1e-5, atol=1e-5)
            require(same, f"samples with temperature {list(given.shape)} are not those of its rows")


@relaxation_check(absent=claims("density"))
def temperatures_reach_their_densities(case: RelaxationCase) -> None:
    """`log_prob`, also in log space, with a temperature of any shape equals that of each row with a
    number. Why: torch returns an `[n, n]` table for an `[n]` temperature (pytorch#37162)."""
    params = case.params(3, 3)
    value = case.relaxation(params).sample((2,), case.generator(1))
    methods = {"log_prob": lambda q: q.log_prob(value)}
    if case.relaxation.capabilities.log_space:
        x = case.relaxation(params).log_space.rsample((2,))
        methods["log_space.log_prob"] = lambda q: q.log_space.log_prob(x)
    for given, full in _temperatures(case):
        for method, density in methods.items():
            what = f"{method} with temperature {list(given.shape)}"
            actual = density(case.relaxation(params, given))
            _same_shape(what, actual, (2, 3, 3))
            for i, j in ((0, 0), (1, 2), (2, 1)):
                expected = density(case.relaxation(params, float(full[i, j])))[:, i, j]
                same = torch.allclose(actual[:, i, j], expected, rtol=1e-5, atol=1e-5)
                require(same, f"{what} is not that of its rows")


@relaxation_check()
def temperature_that_enlarges_is_rejected(case: RelaxationCase) -> None:
    """A temperature that would enlarge the batch raises `ShapeError`. Why: torch would broadcast
    and return more samples than there are variables."""
    for batch, shape in (((), (3,)), ((3,), (2, 3)), ((3,), (2,))):
        try:
            case.relaxation(case.params(*batch), torch.ones(shape, device=case.device))
        except ShapeError:
            continue
        raise Failed(f"batch {list(batch)} accepted a temperature of shape {list(shape)}")


def _scalar_params(case: RelaxationCase) -> str:
    """Applies: params are not scalars."""
    return "" if case.relaxation.param_shape else "params are scalars: every shape is a batch"


@relaxation_check(absent=_scalar_params)
def wrong_shape_is_named(case: RelaxationCase) -> None:
    """Wrong shapes of params raise `ShapeError` with the name of the relaxation, the expected shape
    and the actual shape. Why: the error is raised far from the line that causes it."""
    relaxation, expected = case.relaxation, case.relaxation.param_shape
    for shape in ((2, *expected[:-1], expected[-1] + 1), expected[:-1]):
        try:
            relaxation(torch.zeros(shape, dtype=case.dtype, device=case.device))
        except ShapeError as error:
            trailing = ", ".join(["*", *map(str, expected)])
            for part in (relaxation.name, f"[{trailing}]", str(list(shape))):
                require(part in str(error), f"the message does not contain {part!r}: {error}")
        else:
            raise Failed(f"params of shape {list(shape)} were accepted")


@relaxation_check()
def dtype_and_device_are_kept(case: RelaxationCase) -> None:
    """Samples, modes and marginals have the dtype and the device of params; masses, densities and
    entropies are at least float32. Why: a float64 sample doubles the cost of a model, or makes it
    fail."""
    for dtype in case.dtypes:
        params = case.params(3, dtype=dtype)
        q = case.relaxation(params, 0.7)
        soft, hard = q.draw((2,))
        stored = {"soft": soft, "hard": hard, "rsample": q.rsample(), "hard(soft)": q.hard(soft)}
        stored["sample_hard"] = q.sample_hard()
        wide: dict[str, Tensor] = {}
        if case.relaxation.capabilities.density:
            wide["log_prob"] = q.log_prob(q.sample((2,)))
        if case.relaxation.capabilities.discrete_distribution:
            stored |= {"mean": q.discrete.mean, "mode": q.discrete.mode}
            wide |= {"entropy": q.discrete.entropy(), "log-mass": q.discrete.log_prob(hard)}
            wide["kl_to_uniform"] = q.kl_to_uniform()
        for name, tensor in stored.items():
            require(tensor.dtype == dtype, f"{name} of {dtype} params is {tensor.dtype}")
        for name, tensor in wide.items():
            at_least = compute_dtype(dtype)
            require(tensor.dtype == at_least, f"{name} of {dtype} params is {tensor.dtype}")
        for name, tensor in (stored | wide).items():
            require(tensor.device == params.device, f"{name} is on {tensor.device}")


@relaxation_check()
def unclaimed_dtypes_are_rejected(case: RelaxationCase) -> None:
    """Params of a dtype that is not claimed raise `Unsupported`; integers raise `TypeError`. Why:
    silent promotion hides a wrong input."""
    shape = case.relaxation.param_shape
    expected_errors: dict[torch.dtype, type[Exception]] = {torch.int64: TypeError}
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        if dtype not in case.relaxation.capabilities.dtypes:
            expected_errors[dtype] = Unsupported
    for dtype, expected_error in expected_errors.items():
        try:
            case.relaxation(torch.zeros(shape, dtype=dtype, device=case.device))
        except expected_error:
            continue
        raise Failed(f"params of {dtype} were accepted")


def _no_log_prob(case: RelaxationCase) -> str:
    """Applies: `density`, `log_space` or `discrete_distribution` claimed."""
    claimed = case.relaxation.capabilities
    offers = claimed.density or claimed.log_space or claimed.discrete_distribution
    return "" if offers else "nothing has a log_prob"


@relaxation_check(absent=_no_log_prob)
def values_that_do_not_fit_are_rejected(case: RelaxationCase) -> None:
    """Every `log_prob` raises a `ValueError` for a value that is not a tensor, or does not
    broadcast against the batch. Why: torch's distributions do, and what was written for them
    catches it."""
    q, claimed = case.relaxation(case.params(3), 0.7), case.relaxation.capabilities
    owners: dict[str, Distribution] = {"the relaxed distribution": q} if claimed.density else {}
    if claimed.log_space:
        owners["log_space"] = q.log_space
    if claimed.discrete_distribution:
        owners["discrete"] = q.discrete
    for name, owner in owners.items():
        value: Any = owner.sample()
        for what, wrong in {"a list": value.tolist(), "2 values, not 3,": value[:2]}.items():
            outcome = "is accepted"
            try:
                owner.log_prob(wrong)
            except ValueError:
                continue
            except Exception as error:
                outcome = f"raises {error_summary(error)}"
            raise Failed(f"{what} in log_prob of {name} {outcome}")
