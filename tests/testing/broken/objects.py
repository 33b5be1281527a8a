"""Broken as objects, in their shapes and in what they claim."""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import ConfigDict, Field, field_serializer
from torch.distributions.constraints import independent, real_vector

from relaxit import Options, constraints
from tests.testing.broken.sound import Choice, Concrete, Density, MaskedChoice, Unlawful


class OtherApi(Choice):
    """Written for another version of the contract."""

    api = 99
    caught_by = "is_registrable"


class SilentOption(Choice):
    """An option without a description."""

    caught_by = "options_are_described"

    class Options(Options):
        size: int = 3


class Settable(Choice):
    """Attributes can be set after the object was made."""

    caught_by = "is_frozen_and_comparable"
    __setattr__ = object.__setattr__


class ForgetsOptionsInPickle(Choice):
    """Comes back from pickle with default options."""

    caught_by = "is_picklable"

    def __reduce__(self):
        return type(self), ()


class RoundedOptions(Options):
    size: int = Field(default=3, description="number of choices")
    scale: float = Field(default=1.25, description="not used")

    @field_serializer("scale")
    def rounded(self, scale):
        return round(scale)


class LossyOptions(Choice):
    """A run's config.json would hold other options than the run had."""

    Options = RoundedOptions
    caught_by = "options_round_trip"


class OptionsOnTheClass(Choice):
    """Keeps its size on the class, as pytorch-struct's DependencyCRF keeps ``multiroot``."""

    caught_by = "objects_are_independent"
    size = 3

    def __init__(self, *args, **fields):
        super().__init__(*args, **fields)
        type(self).size = self.options.size

    @property
    def event_shape(self):
        return torch.Size((self.size,))

    param_shape = event_shape


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


class FlagOnTheClass(Choice):
    """Keeps a flag on the class that changes numbers and no shape (DependencyCRF, once more)."""

    caught_by = "objects_are_independent"
    size = 3

    def __init__(self, *args, **fields):
        super().__init__(*args, **fields)
        type(self).size = self.options.size

    def relax(self, scores, temperature):
        return super().relax(scores / type(self).size, temperature)


class MutableOptions(Choice):
    """Options that can be set."""

    caught_by = "is_frozen_and_comparable"

    class Options(Options):
        model_config = ConfigDict(frozen=False)
        size: int = Field(default=3, description="number of choices")

        def __hash__(self):
            return hash(self.size)


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


class FlattensSampleShape(Choice):
    """Takes the number of samples for their shape."""

    caught_by = "sample_shapes"

    def perturb(self, params, shape, generator=None):
        return super().perturb(params, torch.Size((shape.numel(),)), generator)


class TableOfDensities(Concrete):
    """The densities of every value under every row."""

    caught_by = "log_prob_shapes"

    def log_prob(self, params, temperature, value):
        density = super().log_prob(params, temperature, value)
        return density if params.dim() < 3 else density.unsqueeze(-1).expand(*density.shape, 2)


class SummedKl(Choice):
    """A KL divergence summed over the batch."""

    caught_by = "discrete_shapes"

    def kl_to_uniform(self, params):
        return super().kl_to_uniform(params).sum()


class TableOfTemperatures(Density):
    """A temperature a row meets the last dimension: ``[n, n]`` densities (pytorch#37162)."""

    caught_by = "temperatures_reach_their_densities"

    def log_prob(self, params, temperature, value):
        density = super().log_prob(params, temperature, value)
        return density + (temperature.log() * 0 if isinstance(temperature, torch.Tensor) else 0)


class FirstTemperature(Choice):
    """All rows get the first one's temperature."""

    caught_by = "temperatures_reach_their_rows"

    def relax(self, scores, temperature):
        if isinstance(temperature, torch.Tensor) and temperature.numel() > 4:
            temperature = temperature.reshape(-1)[0]
        return super().relax(scores, temperature)


class GrowsWithTemperature(Choice):
    """Expands params to the shape of the temperature instead of refusing."""

    caught_by = "temperature_that_enlarges_is_rejected"

    def __call__(self, params, temperature=1.0, **options):
        if isinstance(temperature, torch.Tensor) and temperature.dim() > params.dim() - 1:
            params = params.expand(*temperature.shape, *self.param_shape)
        return super().__call__(params, temperature, **options)


class CutsWrongShapes(Choice):
    """Cuts params that are too long down to size."""

    caught_by = "wrong_shape_is_named"

    def __call__(self, params, temperature=1.0, **options):
        if params.shape[-1:] != self.param_shape and params.dim() > 1:
            params = params[..., : self.options.size]
        return super().__call__(params, temperature, **options)


class HalfEntropies(Choice):
    """An entropy in the dtype of half-precision params."""

    caught_by = "dtype_and_device_are_kept"

    def discrete(self, params):
        distribution = super().discrete(params)
        entropy = distribution.entropy()
        distribution.entropy = lambda: entropy.to(params.dtype)
        return distribution


class PromotesIntegers(Choice):
    """Takes integers for params, silently."""

    caught_by = "unclaimed_dtypes_are_rejected"

    def __call__(self, params, temperature=1.0, **options):
        params = params if params.is_floating_point() else params.float()
        return super().__call__(params, temperature, **options)


class KlTooSmall(Unlawful):
    """Without a law, a divergence below the true one: an objective that bounds nothing."""

    caught_by = "kl_to_uniform_is_a_bound"

    def kl_to_uniform(self, params):
        return super().kl_to_uniform(params) * 0.5


class SummedBound(Unlawful):
    """The same divergence summed over the batch, where no law shows its shape."""

    caught_by = "kl_to_uniform_is_usable"

    def kl_to_uniform(self, params):
        return super().kl_to_uniform(params).sum()


class WideVertices(Choice):
    """Takes any zeros and ones for a value."""

    caught_by = "vertices_takes_no_other"
    vertices = independent(constraints.boolean, 1)


class WideSupport(Choice):
    """Takes any vector for a soft value."""

    caught_by = "support_ends_at_the_vertices"
    support = real_vector


BROKEN = [
    OtherApi(),
    SilentOption(),
    Settable(),
    ForgetsOptionsInPickle(size=2),
    LossyOptions(),
    OptionsOnTheClass(size=3),
    EntropyIsNone(),
    ClaimsADensityItLacks(),
    AnswersThoughDenied(categories=3),
    TakesNan(),
    TakesMasksItDenies(),
    AllMasked(),
    FlagOnTheClass(),
    MutableOptions(),
    LeakyMask(),
    MaskSpoilsTemperature(),
    FlattensSampleShape(),
    TableOfDensities(categories=3),
    SummedKl(),
    FirstTemperature(),
    TableOfTemperatures(categories=3),
    GrowsWithTemperature(),
    CutsWrongShapes(),
    HalfEntropies(),
    PromotesIntegers(),
    KlTooSmall(),
    SummedBound(),
    WideVertices(),
    WideSupport(),
]
