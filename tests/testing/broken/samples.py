"""Broken in soft and hard values and in their noise."""

from __future__ import annotations

from dataclasses import replace

import torch

from relaxit import noise
from relaxit.autograd import replace_gradient
from relaxit.categorical.distributions import one_hot
from relaxit.dtypes import compute_dtype
from tests.testing.broken.sound import Choice, Order


class OffTheSimplex(Choice):
    """An eps added to the weights after they were normalised."""

    caught_by = "soft_in_support"

    def relax(self, scores, temperature):
        return super().relax(scores, temperature) + 1e-3


class NearlyHard(Choice):
    """``(hard + soft) - soft`` for the hard value, which rounding moves off the vertex."""

    caught_by = "hard_in_vertices"

    def draw(self, params, temperature, shape=torch.Size(), generator=None):
        soft, hard = super().draw(params, temperature, shape, generator)
        return soft, (hard + soft - soft).detach()


class HardMovesOn(Choice):
    """``hard`` of a vertex is the next vertex: not a projection."""

    caught_by = "hard_of_hard_is_itself"

    def hard(self, soft):
        hard = super().hard(soft)
        return torch.where((soft == hard).all(-1, keepdim=True), hard.roll(1, -1), hard)


class RandomTies(Choice):
    """Breaks ties by the random generator."""

    caught_by = "hard_is_a_function"

    def hard(self, soft):
        return super().hard(soft + 1e-9 * torch.rand_like(soft))


class HardAtAnotherThreshold(Choice):
    """Rounds to the first vertex too often."""

    caught_by = "hard_is_the_nearest_vertex"

    def hard(self, soft):
        lead = torch.zeros_like(soft)
        lead[..., 0] = 0.02
        return super().hard(soft + lead)


class AttachedHard(Choice):
    """The structure makes the hard value straight-through, which is for the estimator to choose."""

    caught_by = "hard_carries_no_gradient"

    def draw(self, params, temperature, shape=torch.Size(), generator=None):
        soft, hard = super().draw(params, temperature, shape, generator)
        return soft, replace_gradient(hard, soft)


class SeedsItself(Choice):
    """Starts from the same seed wherever no generator is given."""

    caught_by = "global_generator_is_used"

    def perturb(self, params, shape, generator=None):
        generator = generator or torch.Generator().manual_seed(0)
        return super().perturb(params, shape, generator)


class DrawAtHalfTheTemperature(Choice):
    """The soft value of a draw, which estimators train through, at half the temperature."""

    caught_by = "draw_and_rsample_agree"

    def draw(self, params, temperature, shape=torch.Size(), generator=None):
        return super().draw(params, temperature / 2, shape, generator)


class NoiseOfTheFirstRow(Choice):
    """Half the noise wherever params come in a batch."""

    caught_by = "rows_follow_their_own_mass"

    def perturb(self, params, shape, generator=None):
        scores = super().perturb(params, shape, generator)
        return scores if params.dim() == 1 else (scores + params) / 2


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


class IgnoresTemperature(Choice):
    """Softmax of the scores at whatever temperature (the tutorial that shifts by it instead)."""

    caught_by = "low_temperature_gives_hard_values"

    def relax(self, scores, temperature):
        return scores.softmax(-1)


class FreshNoiseForHard(Choice):
    """The hard value of a draw comes from noise of its own."""

    caught_by = "draw_shares_its_noise"

    def draw(self, params, temperature, shape=torch.Size(), generator=None):
        soft = self.rsample(params, temperature, shape, generator)
        scores = self.perturb(params.detach(), shape, generator)
        return soft, self.argmax(scores).to(params.dtype)


class RepeatedColumn(Order):
    """The best entry of every row: ties give a column twice, and no permutation."""

    caught_by = "ties_give_a_vertex"
    capabilities = replace(Order.capabilities, dtypes=(torch.float64,))

    def hard(self, soft):
        return one_hot(soft.argmax(-1), 3, soft.dtype)


class DeafToTheGenerator(Choice):
    """The discrete law's sample ignores ``generator=``."""

    caught_by = "generator_is_obeyed"

    def discrete(self, params):
        distribution = super().discrete(params)
        sample = distribution.sample
        distribution.sample = lambda shape=torch.Size(), generator=None: sample(shape)
        return distribution


class DrawsOnTheSide(Choice):
    """Consumes the global generator although another one is given."""

    caught_by = "generator_is_obeyed"

    def perturb(self, params, shape, generator=None):
        torch.rand(())
        return super().perturb(params, shape, generator)


class AnotherTemperatureWithoutGradient(Choice):
    """Evaluation without gradient skips a part (gumbel-sinkhorn drops tau with the noise)."""

    caught_by = "gradient_mode_changes_nothing"

    def relax(self, scores, temperature):
        return super().relax(scores, temperature if torch.is_grad_enabled() else temperature / 2)


class OneNoiseForTheBatch(Choice):
    """One draw of noise for all rows of a batch."""

    caught_by = "noise_is_independent"

    def perturb(self, params, shape, generator=None):
        one = shape + (1,) * (params.dim() - 1) + self.param_shape
        dtype = compute_dtype(params.dtype)
        drawn = self.noise(one, dtype=dtype, device=params.device, generator=generator)
        return params.to(drawn.dtype) + drawn


class MirroredNoise(Choice):
    """Antithetic noise for every second row, not asked for."""

    caught_by = "noise_is_independent"

    def perturb(self, params, shape, generator=None):
        dtype = compute_dtype(params.dtype)
        full = shape + params.shape
        u = noise.uniform(full, dtype=dtype, device=params.device, generator=generator)
        if params.dim() == 2:
            u[..., 1::2, :] = 1 - u[..., : u.shape[-2] // 2 * 2 : 2, :]
        return params.to(dtype) - (-u.log()).log()


class NormalisesTheBatch(Choice):
    """Scales scores by their spread over the whole batch."""

    caught_by = "rows_do_not_mix"

    def relax(self, scores, temperature):
        return super().relax(scores / scores.std().clamp(0.1, 10.0), temperature)


class DetachedTemperature(Choice):
    """No gradient reaches a temperature that is learned."""

    caught_by = "sample_gradients_are_right"

    def relax(self, scores, temperature):
        kept = temperature.detach() if isinstance(temperature, torch.Tensor) else temperature
        return super().relax(scores, kept)


class HalfTheGradient(Choice):
    """Half of the pathwise gradient, by a detach in the wrong place."""

    caught_by = "sample_gradients_are_right"

    def relax(self, scores, temperature):
        return super().relax((scores + scores.detach()) / 2, temperature)


class HalfTheGradientInFloat32(Choice):
    """Half of the gradient, in float32 only."""

    caught_by = "float32_gradients_agree"

    def relax(self, scores, temperature):
        halved = (scores + scores.detach()) / 2
        return super().relax(halved if scores.dtype == torch.float32 else scores, temperature)


class DrawLosesGradient(Choice):
    """The soft value of a draw has half the gradient of `rsample`."""

    caught_by = "straight_through_is_exact"

    def draw(self, params, temperature, shape=torch.Size(), generator=None):
        return super().draw((params + params.detach()) / 2, temperature, shape, generator)


class ThroughAnotherDraw(Choice):
    """A shortcut for straight-through values that takes the gradient at other noise."""

    caught_by = "straight_through_is_exact"

    def straight_through(self, params, temperature, shape=torch.Size(), generator=None):
        hard = self.draw(params, temperature, shape, generator)[1]
        return replace_gradient(hard, self.rsample(params, temperature, shape, generator))


class ThroughOfTheSoftValue(Choice):
    """The same, rounded from the soft value by a sum that misses the vertex."""

    caught_by = "straight_through_is_exact"

    def straight_through(self, params, temperature, shape=torch.Size(), generator=None):
        soft, hard = self.draw(params, temperature, shape, generator)
        return hard + soft - soft.detach()


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
    OffTheSimplex(),
    NearlyHard(),
    HardMovesOn(),
    RandomTies(),
    HardAtAnotherThreshold(),
    AttachedHard(),
    SeedsItself(),
    DrawAtHalfTheTemperature(),
    NoiseOfTheFirstRow(),
    LeavesAnomalyModeOn(),
    TableOnTheCpu(),
    IgnoresTemperature(),
    FreshNoiseForHard(),
    RepeatedColumn(),
    DeafToTheGenerator(),
    DrawsOnTheSide(),
    AnotherTemperatureWithoutGradient(),
    OneNoiseForTheBatch(),
    MirroredNoise(),
    NormalisesTheBatch(),
    DetachedTemperature(),
    HalfTheGradient(),
    HalfTheGradientInFloat32(),
    DrawLosesGradient(),
    NoVmap(),
    ViewsItsInput(),
    GraphBreak(),
]
