"""Relaxations with broken shapes or dtypes."""

from __future__ import annotations

import torch

from relaxit.categorical.distributions import LogConcrete
from tests.testing.sound.choices import Choice, Concrete, Density


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
    """Expands params to the shape of the temperature instead of rejecting the temperature."""

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


class _TakesLists(LogConcrete):
    def log_prob(self, value):
        return super().log_prob(
            torch.as_tensor(value, dtype=self.params.dtype, device=self.params.device)
        )


class LogSpaceTakesLists(Concrete):
    """Makes tensors of lists, in a dtype and on a device that are its guess."""

    caught_by = "values_that_do_not_fit_are_rejected"

    def log_space(self, params, temperature):
        return _TakesLists(params, temperature)


BROKEN = [
    FlattensSampleShape(),
    TableOfDensities(categories=3),
    SummedKl(),
    TableOfTemperatures(categories=3),
    FirstTemperature(),
    GrowsWithTemperature(),
    CutsWrongShapes(),
    HalfEntropies(),
    PromotesIntegers(),
    LogSpaceTakesLists(categories=3),
]
