"""Relaxations that break under batching, vmap, compilation, other layouts or devices."""

from __future__ import annotations

from dataclasses import replace

import torch

from relaxit import noise
from tests.testing.sound.choices import Choice, Density


class MixesTheBatch(Choice):
    """A quantity of one row in which the others have a part."""

    caught_by = "batching_equals_looping"

    def kl_to_uniform(self, params):
        return super().kl_to_uniform(params) + (params.mean() - params.mean(-1)).tanh()


class CentresItsInput(Choice):
    """Centres params in place where no gradient forbids it."""

    caught_by = "inputs_are_not_mutated"

    def kl_to_uniform(self, params):
        if not params.requires_grad:
            params -= params.mean(-1, keepdim=True)
        return super().kl_to_uniform(params)


class BranchesOnValues(Density):
    """Looks into the value, which vmap cannot."""

    caught_by = "vmap_equals_looping"

    def log_prob(self, params, temperature, value):
        if bool((value > 1).any()):
            raise ValueError
        return super().log_prob(params, temperature, value)


class LeavesAnomalyModeOn(Choice):
    """Switches anomaly mode on, for the whole process."""

    caught_by = "global_settings_are_left_alone"

    def hard(self, soft):
        torch.autograd.set_detect_anomaly(True)
        return super().hard(soft)


class TableOnTheCpu(Choice):
    """Values from a table that stays on the CPU."""

    caught_by = "device_is_that_of_params"
    capabilities = replace(Choice.capabilities, compiles=True)

    def argmax(self, scores):
        return torch.eye(self.options.size, dtype=scores.dtype)[scores.argmax(-1).cpu()]


class NoiseOnTheCpu(Choice):
    """Noise on the default device, which is added to scores on another."""

    caught_by = "device_is_that_of_params"
    capabilities = replace(Choice.capabilities, compiles=True)

    @staticmethod
    def noise(shape, *, dtype, device, generator):
        on = "cpu" if generator is None else generator.device
        return noise.gumbel(shape, dtype=dtype, device=on, generator=generator)


class _OldSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores):
        soft = scores.softmax(-1)
        ctx.save_for_backward(soft)
        return soft

    @staticmethod
    def backward(ctx, grad):
        (soft,) = ctx.saved_tensors
        return soft * (grad - (grad * soft).sum(-1, keepdim=True))


class NoVmap(Choice):
    """An autograd function without ``setup_context``, as ReinMax has: no vmap."""

    caught_by = "vmap_over_samples"

    def relax(self, scores, temperature):
        return _OldSoftmax.apply(scores / temperature)


class ViewsItsInput(Choice):
    """``view`` on what need not be contiguous, as ReinMax has."""

    caught_by = "layout_does_not_matter"

    def argmax(self, scores):
        return super().argmax(scores.view(-1, self.options.size)).view(scores.shape)


class GraphBreak(Choice):
    """Claims to compile and cannot."""

    caught_by = "compiled_equals_eager"
    capabilities = replace(Choice.capabilities, compiles=True)

    def relax(self, scores, temperature):
        if torch.compiler.is_compiling():
            torch._dynamo.graph_break()
        return super().relax(scores, temperature)


BROKEN = [
    MixesTheBatch(),
    CentresItsInput(),
    BranchesOnValues(categories=3),
    LeavesAnomalyModeOn(),
    TableOnTheCpu(),
    NoiseOnTheCpu(),
    NoVmap(),
    ViewsItsInput(),
    GraphBreak(),
]
