"""Checks of extreme temperatures, and of temperatures in compiled code."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from relaxit.errors import RelaxitError
from relaxit.testing.case import RelaxationCase, claims
from relaxit.testing.check import relaxation_check, require
from relaxit.testing.relaxations.support import require_in_support

__all__ = ["any_temperature_is_taken", "few_graphs_for_any_temperature"]

_ENDS = (5e-324, 1e-300, 1e-45, 1e-30, 1e-10, 1e10, 1e30, 1e38, 1e39, 1e300)
_LOW = 1e-10
"""Up to this temperature a soft sample is its vertex."""


@relaxation_check(
    needs=("soft_in_support", "low_temperature_ends_at_the_argmax", "draw_shares_its_noise")
)
def any_temperature_is_taken(case: RelaxationCase) -> None:
    """For any finite positive temperature that is a Python number, soft samples are in `support`,
    at low temperatures next to the hard sample of the same noise, and gradients are finite; or an
    error of relaxit names the temperature. Why: a schedule or a learned temperature that diverges
    must not end in NaN."""
    for dtype in case.dtypes:
        for temperature in _ENDS:
            for scale in (1.0, 1e3):
                _try_end(case, (case.params(20) * scale).to(dtype), temperature)


def _try_end(case: RelaxationCase, params: Tensor, temperature: float) -> None:
    where = f"temperature {temperature}, params of {params.dtype} up to {params.abs().max():.0e}"
    params.requires_grad_()
    try:
        soft, hard = case.relaxation(params, temperature).draw((), case.generator(1))
    except RelaxitError as error:
        require(
            str(temperature) in str(error),
            f"{where}: the error does not name the temperature: {error}",
        )
        return
    require(soft.isfinite().all(), f"{where}: a soft sample is not finite")
    require_in_support(case, soft, f"{where}: a soft sample")
    stays_soft = "low_temperature_gives_hard_values" in case.subject.expected_failures
    if temperature <= _LOW and not stays_soft:
        off = (soft - hard).abs().max()
        require(off <= 1e-2, f"{where}: a soft sample is {off:.1e} from its vertex")
    if not soft.requires_grad:
        return
    weights = torch.linspace(-1, 1, soft.numel(), dtype=soft.dtype, device=soft.device)
    (slope,) = torch.autograd.grad((soft.flatten() * weights).sum(), params)
    require(slope.isfinite().all(), f"{where}: a gradient is not finite")


def _repeated(case: RelaxationCase) -> str:
    """Return why the check does not apply: one example is enough, as compiling takes seconds.

    Applies: `compiles` claimed, on the first example of a class.
    """
    if case.relaxation in type(case.relaxation).examples()[1:]:
        return "tried on another example of the class"
    return claims("compiles")(case)


@relaxation_check(absent=_repeated, needs=("compiled_equals_eager",))
def few_graphs_for_any_temperature(case: RelaxationCase) -> None:
    """A compiled draw with its density needs at most two graphs if the temperature is a different
    number in each call, and one graph if it is a tensor. Why: a schedule would otherwise compile
    again in every step, until the compiler gives up."""
    params = case.params(3)

    def sample(a: Tensor, temperature: float | Tensor) -> Tensor:
        q = case.relaxation(a, temperature)
        soft = q.rsample()
        return q.log_prob(soft) if case.relaxation.capabilities.density else soft

    for kind, most in ((float, 2), (torch.tensor, 1)):
        graphs: list[Any] = []
        torch.compiler.reset()
        compiled: Any = torch.compile(sample, fullgraph=True, backend=_counting(graphs))
        for temperature in (1.0, 0.9, 0.8, 0.7):
            compiled(params, kind(temperature))
        torch.compiler.reset()
        name = "numbers" if kind is float else "tensors"
        require(
            len(graphs) <= most,
            f"four temperatures that are {name} need {len(graphs)} graphs, not at most {most}",
        )


def _counting(graphs: list[Any]) -> Any:
    """Return a backend of torch.compile that runs each graph uncompiled and records it."""

    def backend(graph: Any, inputs: list[Tensor]) -> Any:
        del inputs
        graphs.append(graph)
        return graph.forward

    return backend
