"""The task's cost and its exact expectation, and that training arrives where theory says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import relaxit
from relaxit.data import Examples
from relaxit.errors import ConfigurationError
from relaxit.tasks.polynomial.constant import TARGET, Constant
from relaxit.tasks.polynomial.task import Parameters, Polynomial, expected_cost
from relaxit.tasks.polynomial.theory import METHODS, Problem, follow
from relaxit.training.building import build, build_members
from relaxit.training.config import resolve
from relaxit.training.ensembles.batched import Ensemble
from relaxit.training.setup import Setup
from relaxit.training.task import Step
from relaxit.zoo import recipe_layers
from tests.helpers import seed, structures

POWERS = [1.5, 2.0, 3.0]


def test_the_data_set_is_one_number_everywhere():
    rows = Constant().load(Path()).train.inputs
    assert rows.shape == (200 * 64, 128)
    assert rows.unique().tolist() == [torch.tensor(TARGET).item()]


def config(*more):
    return resolve([*recipe_layers("polynomial"), {"device": "cpu"}, *more])


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize("relaxation", structures(), ids=repr)
def test_expected_cost_by_enumeration_of_all_variables_at_once(relaxation, p):
    setup = Setup(relaxation, relaxit.estimator("pathwise"), latents=2)
    params = torch.randn(2, *relaxation.param_shape, generator=seed(0))
    c = torch.rand(3, 2, *relaxation.event_shape, generator=seed(1))
    values, total = relaxation.enumerate_vertices(), 0.0
    distribution = relaxation.discrete(params)
    for one in values:
        for two in values:
            z = torch.stack([one, two])
            mass = distribution.log_prob(z).sum().exp()
            total += mass * (z - c).abs().pow(p).sum() / (2 * len(c))
    assert float(expected_cost(setup, params, c, p)) == pytest.approx(float(total), rel=1e-5)


@pytest.mark.parametrize("relaxation", structures(), ids=repr)
def test_cost_of_a_step_is_the_one_that_is_stated(relaxation):
    entries = 2 * relaxation.event_shape.numel()
    setup = Setup(relaxation, relaxit.estimator("st-gumbel"), latents=2)
    task, model = Polynomial(p=3.0), Parameters(setup.params_shape)
    rows = torch.rand(500, entries, generator=seed(1))
    step = Step(torch.tensor(1.0), seed(2))
    terms = task.terms(setup, model, Examples.of(inputs=rows), step)
    q = setup.distribution(model.params.detach().expand(500, *setup.params_shape))
    z = q.draw((), seed(2))[1]
    by_hand = [(z[n].flatten() - rows[n]).abs().pow(3).sum() / 2 for n in range(500)]
    assert torch.allclose(terms.loss, torch.stack(by_hand))
    with torch.no_grad():
        found = task.evaluate(setup, model, Examples.of(inputs=rows), 0)
    # A mean of 500 costs of spread 0.5 at most: five of its standard errors.
    assert found["cost"] == pytest.approx(found["expected_cost"], abs=0.12 * math.sqrt(entries))


def test_a_data_set_of_another_width_names_the_number_of_variables():
    with pytest.raises(ConfigurationError, match="set --latents 64"):
        build(config({"data": {"name": "digits"}}))
    with pytest.raises(ConfigurationError, match="choose another --dataset"):
        build(config({"relaxation": {"name": "categorical", "options": {"categories": 3}}}))
    with pytest.raises(ConfigurationError, match="binarise"):
        build(config({"data": {"options": {"binarise": "threshold"}}}))


def test_a_stated_optimum():
    for p in POWERS:
        problem = Problem(p)
        assert problem.optimum == pytest.approx(0.45**p)
        assert problem.expected_cost(-40.0) == pytest.approx(problem.optimum)
        assert problem.expected_cost(0.0) == pytest.approx((0.45**p + 0.55**p) / 2)


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize("theta", [-2.0, 0.0, 0.7])
@pytest.mark.parametrize("method", [name for name in METHODS if name != "exact"])
def test_moments_are_those_of_the_estimator_itself(method, theta, p):
    # t-tests of mean and variance with 2e-5 each side: 4.3 standard errors.
    bits, rows = 3, 40_000
    problem = Problem(p, bits=bits)
    params = torch.full((rows, bits), theta, dtype=torch.float64, requires_grad=True)
    q = relaxit.get("binary")(params)

    def cost(z):
        return (z - TARGET).abs().pow(p).sum(-1) / bits

    relaxit.estimator(method).surrogate(q, cost, seed(5)).sum().backward()
    found = params.grad[:, 0]
    mean, variance = METHODS[method](problem, theta)
    error = found.std() / math.sqrt(rows)
    assert abs(found.mean() - mean) < 4.3 * error
    squares = (found - found.mean()) ** 2
    assert abs(squares.mean() - variance) < 4.3 * squares.std() / math.sqrt(rows)
    # Where the theory says that it is biased, the exact gradient is told from it.
    exact, _ = METHODS["exact"](problem, theta)
    if abs(mean - exact) > 9 * error:
        assert abs(found.mean() - exact) > 4.3 * error
    else:
        assert method != "straight-through" or theta != -2.0


@pytest.mark.parametrize("method", ["straight-through", "reinmax"])
def test_training_goes_where_the_theory_goes(method):
    # 200 steps from four seeds; the spread of a mean is 2e-5, of the theory 1e-5 at most.
    members = build_members(config({"epochs": 1, "estimator": {"name": method}}), range(4))
    ensemble = Ensemble(members)
    ensemble.run_epoch()
    costs = [row["test_expected_cost"] for row in ensemble.rows().values()]
    expected = follow(Problem(2.0), METHODS[method], 200)[-1]
    assert sum(costs) / 4 == pytest.approx(expected, abs=1e-4)
    wrong = follow(Problem(2.0), METHODS["exact"], 200)[-1]
    assert sum(costs) / 4 != pytest.approx(wrong, abs=1e-3)
