"""The gradient problem of the subset study against its definition."""

import itertools

import torch

from relaxit.gradients import Surroundings
from relaxit_subset.benchmarks.gradient_problems import SubsetStudy


def by_hand(params, b):
    """Gradient of the mean distance under the conditional Poisson distribution, by enumeration."""
    leaf = params.clone().requires_grad_()
    chosen = list(itertools.combinations(range(len(b)), 2))
    z = torch.zeros(len(chosen), len(b), dtype=torch.float64)
    for row, items in zip(z, chosen, strict=True):
        row[list(items)] = 1
    mass = (z @ leaf[0]).softmax(0)
    (gradient,) = torch.autograd.grad(mass @ (z - b).square().sum(-1), leaf)
    return gradient


def test_both_ways_of_writing_it_have_the_gradient_by_hand():
    from relaxit.gradients.enumeration import enumerate_joint

    around = Surroundings()
    quadratic, linear = SubsetStudy(n=4, k=2, points=3).cases(around)
    assert (quadratic.label, linear.label) == ("quadratic", "linear")
    for number, (one, other) in enumerate(zip(quadratic.points, linear.points, strict=True)):
        generator = around.generator(number)
        params = torch.randn(1, 4, generator=generator, dtype=torch.float64)
        b = torch.randn(4, generator=generator, dtype=torch.float64).abs()
        assert torch.equal(one.params, params)
        for point in (one, other):
            joint = enumerate_joint(quadratic.relaxation, point.params, point.cost)
            assert len(joint.mass) == 6
            assert torch.allclose(joint.gradient, by_hand(params, b), rtol=1e-9)
        half = torch.full((1, 4), 0.5, dtype=torch.float64)  # in between they differ
        assert not torch.isclose(one.cost(half), other.cost(half))


def test_the_study_has_252_subsets():
    (case, _) = SubsetStudy().cases(Surroundings())
    assert len(case.relaxation.enumerate_vertices()) == 252
    assert len(case.points) == 10
