"""Estimators that take for a cost what is none."""

from __future__ import annotations

from relaxit.estimators import checked_cost
from tests.testing.sound.estimators import Score, Through


class TakesAColumn(Score):
    """Squeezes costs of shape ``[B, 1]``, which another estimator does not."""

    caught_by = "costs_of_another_shape_are_rejected"

    def surrogate(self, q, cost, generator=None):
        def squeezed(z):
            value = cost(z)
            column = getattr(value, "ndim", 0) and value.shape[-1] == 1
            return value.squeeze(-1) if column else value

        return super().surrogate(q, squeezed, generator)


class TakesNoneForZero(Score):
    """A cost that forgets its return statement trains nothing."""

    caught_by = "costs_that_are_no_numbers_are_rejected"

    def surrogate(self, q, cost, generator=None):
        def filled(z):
            value = cost(z)
            return z.new_zeros(q.batch_shape) if value is None else value

        return super().surrogate(q, filled, generator)


class TakesADetachedCost(Through):
    """Returns costs that the sample has no part in."""

    caught_by = "costs_without_gradient_are_rejected"

    def surrogate(self, q, cost, generator=None):
        return checked_cost(self.name, q, cost)(self.sample(q, (), generator))


BROKEN = [
    TakesAColumn(),
    TakesNoneForZero(),
    TakesADetachedCost(),
]
