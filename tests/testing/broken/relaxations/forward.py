"""Relaxations that cannot be differentiated in forward mode, or are differentiated wrongly."""

from __future__ import annotations

import torch

from tests.testing.sound.choices import Choice


class _Softmax(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(scores):
        return scores.softmax(-1)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx, grad):
        return _pull(ctx.saved_tensors[0], grad)


def _pull(soft, vector):
    return soft * (vector - (vector * soft).sum(-1, keepdim=True))


class ReverseModeOnly(Choice):
    """An autograd function without ``jvp``."""

    caught_by = "forward_mode_equals_reverse_mode"

    def relax(self, scores, temperature):
        return _Softmax.apply(scores / temperature)


class LosesTheTangent(Choice):
    """Takes a temperature that needs no gradient for a constant, as a fused implementation may."""

    caught_by = "forward_mode_equals_reverse_mode"

    def relax(self, scores, temperature):
        if isinstance(temperature, torch.Tensor) and not temperature.requires_grad:
            temperature = temperature.detach()
        return super().relax(scores, temperature)


class _Once(_Softmax):
    """Takes the Jacobian for a constant, so that its own derivative is lost."""

    @staticmethod
    def backward(ctx, grad):
        return _pull(ctx.saved_tensors[0].detach(), grad)

    @staticmethod
    def jvp(ctx, tangent):
        return _pull(ctx.saved_tensors[0], tangent)


class ConstantJacobian(Choice):
    """A gradient that is right and has a wrong derivative."""

    caught_by = "second_derivatives_are_right"

    def relax(self, scores, temperature):
        return _Once.apply(scores / temperature)


BROKEN = [ReverseModeOnly(), LosesTheTangent(), ConstantJacobian()]
