"""Problems by name, reports of them, and the answer by brute force on nine joint values."""

import itertools

import torch

from relaxit.gradients import GradientSettings, Surroundings, measure_problem
from relaxit.plugins.registry import default_registry
from tests.gradients.subjects import PARAMS, SLOPES, Tiny

DRAWS = GradientSettings(draws=4000, warm_up=60)


def problem(name, **options):
    return default_registry().find("problem", name)(**options)


def measured(*estimators, settings=DRAWS, problem=None, **around):
    """Reports by label, of the estimators by their names."""
    named = {each.name: each for each in estimators}
    around = Surroundings(settings=settings, **around)
    return {r.case: r for r in measure_problem(problem or Tiny(), named, around)}


def one(report, label=None):
    """The only measurement, or the one with this label; it must be done."""
    found = [m for m in report.measurements if label in (None, m.label)]
    assert [m.outcome for m in found] == ["done"], found
    return found[0]


def by_brute_force():
    """Exact gradient of the quadratic cost, and estimates of straight-through with masses."""
    leaf = PARAMS.clone().requires_grad_()
    p = leaf.softmax(-1)
    expected, masses, estimates = 0, [], []
    for i, j in itertools.product(range(3), repeat=2):
        a, b = SLOPES[0, i], SLOPES[1, j]
        expected = expected + p[0, i] * p[1, j] * (a + b + 0.25) ** 2
        g = 2 * (a + b + 0.25) * SLOPES  # slope of the cost at this value
        q = p.detach()
        estimates.append(q * (g - (q * g).sum(-1, keepdim=True)))
        masses.append(q[0, i] * q[1, j])
    (exact,) = torch.autograd.grad(expected, leaf)
    return exact.flatten(), torch.stack(masses), torch.stack(estimates).flatten(1)
