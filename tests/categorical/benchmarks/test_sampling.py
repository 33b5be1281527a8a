"""The tutorial's sampler, written anew for the benchmarks of draws, computes what its page says."""

from __future__ import annotations

import pytest
import torch

from relaxit.categorical.benchmarks.sampling import CategoricalSample, CategoricalStraightThrough

CPU = torch.device("cpu")
SIZES = {"batch": 7, "latents": 3, "categories": 4}


def drawn(benchmark, seed):
    """Sample and gradient of the logits, as the tutorial's implementation returns them."""
    (made,) = (each for each in benchmark.implementations(CPU) if each.name == "tutorial")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return made.make()()


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_a_soft_draw_is_the_softmax_of_perturbed_logits(temperature):
    benchmark = CategoricalSample(**SIZES, temperature=temperature)
    soft, _ = drawn(benchmark, seed=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        u = torch.rand(soft.shape).double()
    scores = (benchmark.inputs(CPU)[0].double() - (-u.log()).log()) / temperature
    expected = scores.exp() / scores.exp().sum(-1, keepdim=True)
    assert torch.allclose(soft.double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_a_straight_through_draw_is_one_hot_with_the_gradient_of_the_soft_one(temperature):
    soft, slope = drawn(CategoricalSample(**SIZES, temperature=temperature), seed=1)
    hard, same = drawn(CategoricalStraightThrough(**SIZES, temperature=temperature), seed=1)
    one_hot = torch.nn.functional.one_hot(soft.argmax(-1), SIZES["categories"])
    assert torch.allclose(hard, one_hot.float(), atol=1e-6)
    assert torch.equal(slope, same)
    assert slope.abs().max() > 0
