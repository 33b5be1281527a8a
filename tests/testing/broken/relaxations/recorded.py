"""Relaxations that are wrong where a tracer records operations and replays them."""

from __future__ import annotations

from dataclasses import replace

import torch

from relaxit import noise, tracing
from tests.testing.sound.choices import Choice


class CompiledChoice(Choice):
    capabilities = replace(Choice.capabilities, compiles=True)

    @classmethod
    def examples(cls):
        return [cls()]


@torch.library.custom_op("relaxit_tests::noted", mutates_args=())
def noted(scores: torch.Tensor) -> torch.Tensor:
    return scores.clone()


@noted.register_fake
def _(scores):
    return torch.empty_like(scores)


noted.register_autograd(lambda ctx, grad: grad)


class NeedsItsOperator(CompiledChoice):
    """A program that does not run where this file was not imported."""

    caught_by = "exported_equals_eager"

    def relax(self, scores, temperature):
        return super().relax(noted(scores) if tracing.exporting() else scores, temperature)


class NumpyNoise(CompiledChoice):
    """Noise that leaves PyTorch where it can, and so is a constant of a trace."""

    caught_by = "traced_equals_eager"

    @staticmethod
    def noise(shape, *, dtype, device, generator):
        drawn = noise.gumbel(shape, dtype=dtype, device=device, generator=generator)
        plain = type(drawn) is torch.Tensor and not torch.compiler.is_compiling()
        if not plain or tracing.transforms_active():
            return drawn
        return torch.from_numpy(drawn.numpy().copy())


BROKEN = [NeedsItsOperator(), NumpyNoise()]
