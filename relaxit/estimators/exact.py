r"""The exact gradient, by enumerating all joint values of the variables of one cost.

    E f = sum_s p(s) f(s),    p(s) = prod_i p_i(s_i),

differentiated directly. It has no bias, variance or randomness: it is the reference for other
estimators, and for few values the best one. The returned value is the expected cost, and the
parameters of the cost get the gradient of the expected cost.

With N values per variable and L variables per cost the cost is evaluated N^L times, on vertices (N
times if each variable has its own cost), and all graphs are kept; more than ``states`` joint values
are rejected. The masses take N^L numbers for each cost. Requires the discrete distribution, and a
list of its values (``enumerate_vertices``).
"""

from __future__ import annotations

import itertools
import math

import torch
from pydantic import Field
from torch import Tensor

from relaxit.aliases import Generator
from relaxit.errors import Unsupported
from relaxit.estimators.base import Estimator
from relaxit.estimators.common.costs import Cost, checked_cost
from relaxit.options import Options
from relaxit.relaxation import Relaxation, RelaxedDistribution

__all__ = ["Exact", "ExactOptions"]


class ExactOptions(Options):
    """Options of :class:`Exact`."""

    states: int = Field(4096, ge=1, description="largest number of joint values to enumerate")


class Exact(Estimator):
    """The expected cost, by enumeration.

    Example:
        >>> import torch, relaxit
        >>> logits = torch.zeros(2, 3, requires_grad=True)  # two variables, nine joint values
        >>> q = relaxit.get("categorical", categories=3)(logits)
        >>> prizes = torch.tensor([1.0, 2.0, 3.0])
        >>> relaxit.estimator("exact").surrogate(q, lambda z: (z @ prizes).prod(-1))
        tensor(4., grad_fn=<AddBackward0>)
    """

    api = 1
    name = "exact"
    aliases = ("enumeration", "enumerate")
    summary = "exact gradient by enumeration, for few joint values"
    Options = ExactOptions
    hard = True
    exact_draw = True
    unbiased = "any"

    def evaluations(self, relaxation: Relaxation, variables: int = 1) -> int:
        return len(self._values(relaxation)) ** variables

    def check(self, relaxation: Relaxation) -> None:
        self.check_joint(relaxation, 1)

    def check_joint(self, relaxation: Relaxation, variables: int) -> None:
        self._limit(relaxation, len(self._values(relaxation)), variables)

    def surrogate(self, q: RelaxedDistribution, cost: Cost, generator: Generator = None) -> Tensor:
        del generator
        relaxation, batch, event = q.relaxation, q.batch_shape, q.event_shape
        values = self._values(relaxation).to(q.params.device, q.params.dtype)
        cost = checked_cost(self.name, q, cost)

        def cost_of(state: tuple[int, ...]) -> Tensor:
            rows = torch.stack([values[i] for i in state]).reshape(rest + event)
            return cost(rows.expand(batch + event).clone())

        # The first evaluation shows how many variables a cost depends on.
        first = cost(values[0].expand(batch + event).clone())
        lead = first.shape
        rest = batch[len(lead) :]
        variables = math.prod(rest)
        self._limit(relaxation, len(values), variables)
        listed = values.reshape(len(values), *(1,) * len(batch), *event)
        mass = q.discrete.log_prob(listed.expand(len(values), *batch, *event))  # [N, *batch]
        mass = mass.reshape(len(values), *lead, variables)
        joint = mass[..., 0]
        for i in range(1, variables):  # the last variable varies fastest, as in the loop below
            joint = (joint.unsqueeze(1) + mass[..., i]).flatten(0, 1)
        total = torch.zeros_like(joint[0])
        states = itertools.product(range(len(values)), repeat=variables)
        for p, state in zip(joint.exp(), states, strict=True):
            f = cost_of(state) if any(state) else first
            # An impossible value does not count, even if its cost is infinite.
            total = total + p * f.masked_fill(p == 0, 0.0)
        return total.to(first.dtype)

    def _values(self, relaxation: Relaxation) -> Tensor:
        """Return all values of one variable, ``[N, *event_shape]``."""
        self._needs_discrete_distribution(relaxation, instead="st-gumbel")
        count = relaxation.log_cardinality
        if count > math.log(self.options.states) + 0.5:
            raise self._too_many(relaxation, f"exp({count:.1f})", 1)
        try:
            return relaxation.enumerate_vertices()
        except NotImplementedError as error:
            raise Unsupported(
                f"estimator {self.name!r} needs the list of values (enumerate_vertices), which "
                f"relaxation {relaxation.name!r} does not have; try 'rloo'"
            ) from error

    def _limit(self, relaxation: Relaxation, values: int, variables: int) -> None:
        if values**variables > self.options.states:
            number = f"{values}^{variables} = {values**variables}"
            raise self._too_many(relaxation, number if variables > 1 else f"{values}", variables)

    def _too_many(self, relaxation: Relaxation, number: str, variables: int) -> Unsupported:
        of = f"{variables} variables per cost" if variables > 1 else "one variable"
        return Unsupported(
            f"estimator {self.name!r} enumerates all joint values; with {of} {relaxation!r} has "
            f"{number}, more than states = {self.options.states}; try 'rloo', or raise states"
        )
