"""Relaxations that lack capabilities that they claim, or have some that they deny."""

from __future__ import annotations

from dataclasses import replace

import torch

from relaxit import Capabilities
from tests.testing.sound.choices import Choice, Density, GivenChoice, MaskedChoice


class AnswersTheDenied(GivenChoice):
    """Draws scores given the choice, and denies it."""

    caught_by = "denied_is_unsupported"
    capabilities = replace(GivenChoice.capabilities, conditional=False)


class NothingGiven(Choice):
    """Claims a method that it does not implement."""

    caught_by = "claimed_is_there"
    capabilities = Capabilities(
        density=False,
        discrete_distribution=True,
        exact_rounding=True,
        compiles=False,
        conditional=True,
    )


class EntropyIsNone(Choice):
    """pytorch-struct's NonProjectiveDependencyCRF: entropy and argmax return None."""

    caught_by = "claimed_is_there"

    def discrete(self, params):
        distribution = super().discrete(params)
        distribution.entropy = lambda: None
        return distribution


class ClaimsADensityItLacks(Choice):
    """Says it has a density; there is none."""

    caught_by = "claimed_is_there"
    capabilities = replace(Choice.capabilities, density=True)


class AnswersThoughDenied(Density):
    """Denies its density and gives numbers all the same."""

    caught_by = "denied_is_unsupported"
    capabilities = replace(Density.capabilities, density=False)


class TakesNan(MaskedChoice):
    """Takes NaN for legal params."""

    caught_by = "invalid_params_are_rejected"

    def valid_params(self, params):
        return params.new_ones(params.shape[:-1], dtype=torch.bool)


class TakesMasksItDenies(Choice):
    """Takes ``-inf`` though it claims no masks."""

    caught_by = "masks_are_rejected_where_denied"

    def valid_params(self, params):
        return ~params.isnan().any(-1)


class AllMasked(MaskedChoice):
    """Takes rows in which everything is masked."""

    caught_by = "valid_params_work"

    def valid_params(self, params):
        return ~params.isnan().any(-1) & (params < torch.inf).all(-1)


class LeakyMask(MaskedChoice):
    """A masked choice keeps some mass, as where invalid actions get a logit of -3."""

    caught_by = "masks_are_limits"

    def relax(self, scores, temperature):
        return super().relax(scores.masked_fill(scores == -torch.inf, -3.0), temperature)


class MaskSpoilsTemperature(MaskedChoice):
    """Divides ``-inf`` by a temperature that is learned: a gradient of 0 * inf."""

    caught_by = "masked_gradients_are_finite"

    def relax(self, scores, temperature):
        return (scores / temperature).softmax(-1)


BROKEN = [
    AnswersTheDenied(),
    NothingGiven(),
    EntropyIsNone(),
    ClaimsADensityItLacks(),
    AnswersThoughDenied(categories=3),
    TakesNan(),
    TakesMasksItDenies(),
    AllMasked(),
    LeakyMask(),
    MaskSpoilsTemperature(),
]
