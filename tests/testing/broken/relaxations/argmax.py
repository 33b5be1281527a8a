"""Relaxations whose `relax` or `argmax` does not do with scores what it should."""

from __future__ import annotations

import numpy
import torch

from tests.testing.sound.choices import Choice
from tests.testing.sound.orders import Order


class RootOfTheTemperature(Choice):
    """Follows another schedule than the one that was set."""

    caught_by = "relax_depends_on_the_quotient"

    def relax(self, scores, temperature):
        return super().relax(scores, temperature**0.5)


class NearlyItsNoise(Choice):
    """A little noise of its own for the hard sample, which then differs in a few draws."""

    caught_by = "low_temperature_ends_at_the_argmax"

    def draw(self, params, temperature, shape=torch.Size(), generator=None):
        scores = self.perturb(params, shape, generator)
        more = self.perturb(0 * params, shape, generator)
        best = self.argmax((scores + 0.02 * more).detach())
        return self.store(self.relax(scores, temperature), params), best.to(params.dtype)


class NearlyInOrder(Order):
    """Exchanges the first two where they almost agree, which leaves the frequencies as they are."""

    caught_by = "low_temperature_ends_at_the_argmax"

    def argmax(self, scores):
        best = super().argmax(scores)
        first, second = scores.topk(2, -1).values.unbind(-1)
        close = (first - second < 0.02)[..., None, None]
        return torch.where(
            close, torch.cat([best[..., :2, :].flip(-2), best[..., 2:, :]], -2), best
        )


class SeveralBest(Choice):
    """Everything that has the highest score: of equal scores more than one."""

    caught_by = "tied_scores_give_a_vertex"

    def argmax(self, scores):
        return (scores == scores.amax(-1, keepdim=True)).to(scores.dtype)

    def hard(self, soft):
        return Choice.argmax(self, soft)


class TiesByChance(SeveralBest):
    """Breaks ties by random numbers from elsewhere."""

    def argmax(self, scores):
        chance = numpy.random.default_rng().random(scores.shape)
        return Choice.argmax(self, scores + 1e-9 * torch.as_tensor(chance, device="cpu").to(scores))


class LaterIsBetter(SeveralBest):
    """Breaks ties by an offset, which also decides between scores that are almost equal."""

    caught_by = "argmax_maximises_the_score"

    def argmax(self, scores):
        offset = 2e-3 * torch.arange(self.options.size, device=scores.device)
        return Choice.argmax(self, scores + offset)


BROKEN = [
    RootOfTheTemperature(),
    NearlyItsNoise(),
    NearlyInOrder(),
    SeveralBest(),
    TiesByChance(),
    LaterIsBetter(),
]
