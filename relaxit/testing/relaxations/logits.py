"""Check of the claim that params are logits."""

from __future__ import annotations

import torch

from relaxit.testing.case import RelaxationCase, countable
from relaxit.testing.check import relaxation_check, require

__all__ = ["params_are_the_logits_of_what_they_say"]


@relaxation_check(absent=countable("logits"), needs=("masses_sum_to_one",))
def params_are_the_logits_of_what_they_say(case: RelaxationCase) -> None:
    """Where `logits` is `category`, values are one-hot vectors with mean `softmax(params)`; where
    it is `bits`, values are all vectors of zeros and ones, with mean `sigmoid(params)` and
    independent entries. Why: second-order estimators use these formulas in place of the
    distribution."""
    kind, event = case.relaxation.capabilities.logits, case.relaxation.event_shape
    require(kind in ("category", "bits"), f"unknown kind of logits: {kind!r}")
    require(
        case.relaxation.capabilities.discrete_distribution,
        "logits are claimed without discrete_distribution",
    )
    shaped = case.relaxation.param_shape == event and (kind == "bits" or len(event) == 1)
    require(shaped, f"{list(case.relaxation.param_shape)} params, {list(event)} values: not {kind}")
    values = case.vertices
    flat = values.reshape(len(values), -1)
    marks = bool(((flat == 0) | (flat == 1)).all())
    number = flat.shape[1] if kind == "category" else 2 ** flat.shape[1]
    complete = marks and len(flat) == number and (kind == "bits" or bool((flat.sum(-1) == 1).all()))
    require(complete, f"its {len(flat)} values are not those of {kind}")
    for params in (case.params(), 3 * case.params(seed=1)):
        mean = params.softmax(-1) if kind == "category" else params.sigmoid()
        near = torch.allclose(case.relaxation.discrete(params).mean, mean, atol=case.tolerance)
        require(near, f"the mean is not that of params as the logits of {kind}")
        bit_masses = torch.where(values > 0.5, mean, 1 - mean).reshape(len(values), -1)
        mass = (mean * values).sum(-1) if kind == "category" else bit_masses.prod(-1)
        near = torch.allclose(case.masses(params), mass, atol=case.tolerance)
        require(near, f"the masses are not those of {kind}")
