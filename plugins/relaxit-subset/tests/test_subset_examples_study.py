"""The gradients, measures and tables of `subset_study.py`."""

from __future__ import annotations

import json
import math

import pytest
import torch
from matplotlib.image import imread
from subset_helpers import brute_force

from tests.scripts import examples_of, load, run

EXAMPLES = examples_of(__file__)

study = load(EXAMPLES / "subset_study.py")
DRAWS = 4000


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_costs_agree_on_subsets_only():
    b = torch.rand(10, dtype=torch.float64, generator=rng())
    subsets = study.POISSON(b).discrete.enumerate_support()
    assert len(subsets) == 252
    torch.testing.assert_close(study.quadratic(subsets, b), study.linear(subsets, b))
    assert (study.quadratic(subsets / 2, b) < study.linear(subsets / 2, b)).all()


def test_the_problem_is_that_of_the_paper():
    several = [study.problem(seed) for seed in range(200)]
    theta = torch.stack([p.theta for p in several])
    b = torch.stack([p.cost.keywords["b"] for p in several])
    assert (b > 0).all()
    assert float(theta.mean()) == pytest.approx(0, abs=0.1)
    assert float(b.square().mean()) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("distribution", [0, 1], ids=["conditional-poisson", "plackett-luce"])
@pytest.mark.parametrize("cost", ["quadratic", "linear"])
def test_exact_gradient_is_a_difference_of_enumerations(distribution, cost):
    p = study.problem(1, cost)
    relaxation = (study.POISSON, study.RACE)[distribution]

    def expected(theta):
        masses = brute_force(theta.tolist(), 5)
        subsets = torch.zeros(252, 10, dtype=torch.float64)
        subsets.scatter_(1, torch.tensor(list(masses)), 1.0)
        return torch.tensor(
            [m[distribution] for m in masses.values()], dtype=torch.float64
        ) @ p.cost(subsets)

    for i in (0, 7):
        step = torch.zeros(10, dtype=torch.float64)
        step[i] = 1e-4
        slope = (expected(p.theta + step) - expected(p.theta - step)) / 2e-4
        exact = study.exact_gradient(p, relaxation)[i]
        assert float(exact) == pytest.approx(float(slope), abs=1e-6)


def gradients(label: str, cost: str, draws: int = DRAWS, seed: int = 0):
    p = study.problem(seed, cost)
    return study.methods()[label](p, draws, rng(seed + 1)), study.exact_gradient(p)


@pytest.mark.parametrize("label", list(study.methods()))
def test_each_draw_has_a_gradient_of_its_own(label):
    found, _ = gradients(label, "quadratic", 50)
    assert found.shape == (50, 10)
    assert found.isfinite().all()
    # A constant added to all logits changes no distribution and no sample.
    torch.testing.assert_close(found.sum(-1), torch.zeros(50, dtype=torch.float64))
    if label != "Plackett-Luce, exact":
        assert len(found.unique(dim=0)) > 5


@pytest.mark.parametrize("label", ["simple", "straight-through, 1"])
def test_simple_is_exact_for_a_linear_cost(label):
    found, exact = gradients(label, "linear", 20)
    torch.testing.assert_close(found, exact.expand(20, 10))


def test_straight_through_at_temperature_one_is_simple():
    ours, theirs = (gradients(label, "quadratic")[0] for label in ("simple", "straight-through, 1"))
    torch.testing.assert_close(ours, theirs)


def test_simple_misses_the_quadratic_cost_by_what_theory_says():
    """E[J 2 (z - b)] - (-2 J b) = 2 J mu: z^2 is z on subsets, its derivative is not 1."""
    found, exact = gradients("simple", "quadratic", 20_000)
    theta = study.problem(0).theta
    mu = study.POISSON(theta).discrete.mean
    covariance = torch.autograd.functional.jacobian(lambda t: study.POISSON(t).discrete.mean, theta)
    missed = 2 * covariance @ mu
    error = found.std(0) / math.sqrt(len(found))
    assert ((found.mean(0) - exact - missed).abs() < 4.5 * error).all()
    assert (missed.abs() > 10 * error).any()


def test_straight_through_gumbel_is_pathwise_for_a_linear_cost():
    hard, soft = (gradients(f"{name}, 0.5", "linear")[0] for name in ("st-gumbel", "pathwise"))
    torch.testing.assert_close(hard, soft)


@pytest.mark.parametrize("cost", ["quadratic", "linear"])
def test_the_score_function_is_unbiased(cost):
    found, exact = gradients("score function", cost, 20_000)
    # Hotelling's statistic on 9 of 10 entries, which sum to 0: chi-square with 9 degrees.
    off, covariance = (found.mean(0) - exact)[:9], found[:, :9].T.cov()
    statistic = float(len(found) * off @ torch.linalg.solve(covariance, off))
    assert 0.3 < statistic < 36  # above once in 25 000 times; the seed is fixed
    biased, _ = gradients("simple", "quadratic", 20_000)
    off, covariance = (biased.mean(0) - exact)[:9], biased[:, :9].T.cov()
    assert float(len(biased) * off @ torch.linalg.solve(covariance, off)) > 1000


def test_measures_of_an_unbiased_estimator_are_its_lower_bounds():
    """Rows drawn around the exact gradient: no bias, known spread."""
    exact = torch.tensor([3.0, 4.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    runs = []
    for seed in range(200):
        noise = torch.randn(100, 6, dtype=torch.float64, generator=rng(seed))
        runs.append(study.measure(exact + 2 * noise, exact))
    mean = {name: sum(r[name] for r in runs) / len(runs) for name in runs[0]}
    assert mean["bias floor"] == pytest.approx(4 * 5 / (2 * 100 * 25), rel=0.02)
    assert mean["bias"] == pytest.approx(mean["bias floor"], rel=0.25)
    squares = sum(r["distance"] ** 2 for r in runs) / len(runs)
    assert math.sqrt(squares) == pytest.approx(mean["distance floor"], rel=0.1)
    assert mean["rms error"] == pytest.approx(math.sqrt(24) / 5, rel=0.02)
    assert mean["zeros"] == 0


def test_measures_by_hand():
    exact = torch.tensor([1.0, 0.0], dtype=torch.float64)
    found = torch.tensor([[0.0, 2.0], [0.0, 0.0], [2.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    values = study.measure(found, exact)
    assert values["bias"] == pytest.approx(1 - math.sqrt(0.5))
    assert values["distance"] == pytest.approx(math.sqrt(0.5))
    assert values["cosine"] == pytest.approx(0.25)
    assert values["variance"] == pytest.approx(2 / 3 * 0.25)  # cosines of .71, 0, .71, 0
    assert values["rms error"] == pytest.approx(math.sqrt((5 + 1 + 1 + 1) / 4))
    assert values["zeros"] == 0.5


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    directory = tmp_path_factory.mktemp("study")
    arguments = ("--draws", "300", "--seeds", "2", "--plot", "study.png")
    return run(EXAMPLES / "subset_study.py", *arguments, cwd=directory), directory / "study.png"


def test_the_table_is_that_of_the_functions(table):
    lines = table[0].splitlines()
    found = study.study("quadratic", 300, 2)
    assert len(lines) == 1 + len(found)
    assert len({len(line) for line in lines}) == 1  # aligned
    keys = list(study.measure(torch.eye(2), torch.ones(2)))
    for line, (label, measures) in zip(lines[1:], found.items(), strict=True):
        assert line.startswith(label)
        assert line.count("±") == 6
        printed = iter(map(float, line.removeprefix(label).replace("±", " ").split()))
        for key in keys:
            mean, error = study.summary(measures, key)
            assert next(printed) == pytest.approx(mean, abs=6e-5)
            if "floor" not in key:
                assert next(printed) == pytest.approx(error, abs=6e-5)


def test_the_image_has_ink(table):
    image = imread(table[1])[..., :3]
    assert min(image.shape[:2]) > 300
    assert (image.min(-1) < 0.9).mean() > 0.01


def test_json_has_every_measure_of_every_seed(tmp_path):
    arguments = ("--draws", "50", "--seeds", "2", "--cost", "linear", "--json")
    found = json.loads(run(EXAMPLES / "subset_study.py", *arguments, cwd=tmp_path))
    assert list(found) == list(study.methods())
    for measures in found.values():
        assert len(measures) == 2
        assert all(math.isfinite(value) for m in measures for value in m.values())
    for m in found["simple"]:
        assert abs(m["bias"]) < 1e-12
        assert m["distance"] < 1e-12
