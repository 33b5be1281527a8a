"""Temperatures at the ends of their range, and as numbers of compiled code."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from relaxit.errors import RelaxitError
from relaxit.testing.case import RelaxationCase, claims
from relaxit.testing.check import relaxation_check, require

__all__ = ["any_temperature_is_taken", "few_graphs_for_any_temperature"]

_ENDS = (5e-324, 1e-300, 1e-45, 1e-30, 1e-10, 1e10, 1e30, 1e38, 1e39, 1e300)
_LOW = 1e-10
"""Temperatures up to this leave nothing but the vertex."""


@relaxation_check(needs=("soft_in_support", "cooling", "draw_shares_its_noise"))
def any_temperature_is_taken(case: RelaxationCase) -> None:
    """At any finite positive temperature, as a number of Python, soft values are on `support`, at
    low ones next to the hard value of the same noise, and gradients are finite; or an error of
    relaxit names the temperature. Why: a schedule or a learned temperature that has run away must
    not end in NaN."""
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
        require(str(temperature) in str(error), f"{where}: the error names no number: {error}")
        return
    require(soft.isfinite().all(), f"{where}: a soft value is not finite")
    require(case.relaxation.support.check(soft).all(), f"{where}: a soft value is off its support")
    if temperature <= _LOW and "cooling" not in case.subject.expected_failures:
        off = (soft - hard).abs().max()
        require(off <= 1e-2, f"{where}: a soft value is {off:.1e} from its vertex")
    if not soft.requires_grad:
        return
    weights = torch.linspace(-1, 1, soft.numel(), dtype=soft.dtype, device=soft.device)
    (slope,) = torch.autograd.grad((soft.flatten() * weights).sum(), params)
    require(slope.isfinite().all(), f"{where}: a gradient is not finite")


def _repeated(case: RelaxationCase) -> str:
    """Sizes make no difference, and compiling takes seconds."""
    if case.relaxation in type(case.relaxation).examples()[1:]:
        return "tried on another example of the class"
    return claims("compiles")(case)


@relaxation_check(absent=_repeated, needs=("compiled_equals_eager",))
def few_graphs_for_any_temperature(case: RelaxationCase) -> None:
    """Compiled in one graph, a draw and its density take a temperature that is another number in
    each call with two graphs at most, one that is a tensor with one. Why: a schedule would
    otherwise compile anew in every step, until the compiler gives up."""
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
            f"four temperatures that are {name} make {len(graphs)} graphs, {most} would do",
        )


def _counting(graphs: list[Any]) -> Any:
    """A backend of torch.compile that runs a graph as it is, and takes note of it."""

    def backend(graph: Any, inputs: list[Tensor]) -> Any:
        del inputs
        graphs.append(graph)
        return graph.forward

    return backend
