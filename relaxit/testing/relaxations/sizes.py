"""Checks of the sizes that a relaxation takes from its params."""

from __future__ import annotations

import torch

from relaxit.errors import error_summary
from relaxit.testing.case import RelaxationCase
from relaxit.testing.check import Failed, relaxation_check, require

__all__ = ["sizes_are_those_of_the_params"]


def _no_sizes(case: RelaxationCase) -> str:
    """Applies: `sizes` names options."""
    named = type(case.relaxation).sizes(torch.Size((2, *case.relaxation.param_shape)))
    return "" if named else "no option follows from the shape of params"


@relaxation_check(absent=_no_sizes)
def sizes_are_those_of_the_params(case: RelaxationCase) -> None:
    """`sizes` of the shape of params returns the options that the relaxation has, whatever the
    batch shape, and returns options for a shape that is too short rather than raising. Why: layers
    and constructors build the relaxation from it."""
    relaxation = case.relaxation
    stated = dict(relaxation.options)
    for batch in ((), (7,), (5, 1)):
        shape = torch.Size((*batch, *relaxation.param_shape))
        sizes = type(relaxation).sizes(shape)
        own = {key: stated.get(key) for key in sizes}
        require(sizes == own, f"params of shape {list(shape)} give {sizes}, not {own}")
    try:
        type(relaxation).sizes(torch.Size())
    except Exception as error:
        raise Failed(f"the shape [] of params raises {error_summary(error)}") from error
