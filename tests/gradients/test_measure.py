"""Every kind of evidence against a brute-force computation on nine joint values."""

import itertools
import math

import pytest
import torch

import relaxit
from relaxit.gradients import GradientProblem, GradientSettings, Point, ProblemCase
from tests.gradients import subjects
from tests.gradients.measuring import by_brute_force, measured, one
from tests.gradients.subjects import PARAMS, quadratic


def test_straight_through_by_brute_force():
    report = measured(relaxit.estimator("straight-through"))["quadratic"]
    exact, masses, estimates = by_brute_force()
    found, size = one(report).result, exact.square().sum()
    mean = masses @ estimates
    variance = masses @ (estimates - mean).square().sum(-1) / size
    cosines = estimates @ exact / estimates.norm(dim=-1) / exact.norm()
    assert math.isclose(report.gradient_norm, exact.norm())
    assert (report.states, found.evidence, found.evaluations) == (9, "exact", 1)
    m = found.measures
    assert math.isclose(m.bias, (mean - exact).norm() / exact.norm(), rel_tol=1e-9)
    assert math.isclose(m.variance, variance, rel_tol=1e-9)
    assert math.isclose(m.mse, m.bias**2 + m.variance, rel_tol=1e-9)
    assert math.isclose(m.cosine, masses @ cosines, rel_tol=1e-9)
    assert math.isclose(m.cosine_of_mean, mean @ exact / mean.norm() / exact.norm(), rel_tol=1e-9)
    assert m.noise_level == 0


def test_the_bias_of_straight_through_in_closed_form():
    # For one variable E[estimate] = J E[slope] and the gradient is J f, J = diag(p) - p p'.
    f = torch.tensor([1.0, 4.0, -2.0, 0.5], dtype=torch.float64)
    logits = torch.tensor([0.1, -0.5, 0.9, 0.0], dtype=torch.float64)

    class Squares(GradientProblem):
        name = "squares"

        def cases(self, around):
            point = Point(logits[None], lambda z: (z[..., 0, :] @ f) ** 2)
            yield ProblemCase("", relaxit.get("categorical", categories=4), (point,))

    p = logits.softmax(-1)
    jacobian = p.diag() - p[:, None] * p
    exact, mean = jacobian @ f**2, jacobian @ (2 * (p @ f) * f)
    report = measured(relaxit.estimator("straight-through"), problem=Squares())[""]
    bias = one(report).result.measures.bias
    assert math.isclose(bias, (mean - exact).norm() / exact.norm(), rel_tol=1e-9)
    assert bias > 0.1


@pytest.mark.parametrize("kind", [subjects.Stretched, subjects.Drawn])
def test_a_bias_is_seen(kind):
    found = one(measured(kind())["linear"]).result
    m = found.measures
    assert found.evidence == ("exact" if kind is subjects.Stretched else "draws")
    assert abs(m.bias - 0.3) <= 1e-9 + 2 * m.noise_level
    assert m.bias > 2 * m.noise_level


def test_an_unbiased_one_is_not_accused():
    # The noise level is exceeded once in a hundred cases; at 3.06 times its square chi-square has a
    # tail of ALPHA = 2e-5. A bias of 0.3 is outside.
    reports = measured(subjects.Score(), subjects.Drawn(), settings=GradientSettings(draws=20_000))
    for report in reports.values():
        found = one(report, "test-score").result
        assert found.evidence == "draws"
        assert found.measures.bias_squared < 3.06 * found.measures.noise_level**2
    other = one(reports["linear"], "test-drawn").result.measures
    assert other.bias_squared > 3.06 * other.noise_level**2


def test_further_noise_is_drawn_for_every_value():
    reports = measured(subjects.Noisy(), relaxit.estimator("straight-through"))
    for report in reports.values():
        noisy, plain = (one(report, n).result for n in ("test-noisy", "straight-through"))
        assert (noisy.evidence, plain.evidence) == ("strata", "exact")
        assert noisy.measures.rows >= 4000
        assert noisy.measures.noise_level > 0
        assert abs(noisy.measures.bias - plain.measures.bias) < 2 * noisy.measures.noise_level
    # For the linear cost the estimate is e, so that of the noisy one is (1 + N(0, 1)) e.
    m = one(reports["linear"], "test-noisy").result.measures
    assert abs(m.variance - 1) < 5 * m.mse_error
    assert abs(m.mse_error - math.sqrt(2 / m.rows)) < 0.3 * m.mse_error


def test_no_randomness_needs_one_estimate():
    reports = measured(subjects.MeanField())
    found = one(reports["linear"]).result
    assert (found.evidence, found.measures.rows) == ("exact", 1)
    assert found.measures.bias < 1e-9
    exact, _, _ = by_brute_force()
    leaf = PARAMS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(quadratic(leaf.softmax(-1)), leaf)
    bias = one(reports["quadratic"]).result.measures.bias
    assert math.isclose(bias, (slope.flatten() - exact).norm() / exact.norm(), rel_tol=1e-9)


def test_draws_agree_with_enumeration():
    reports = measured(subjects.Stretched(), subjects.Drawn())
    for report in reports.values():
        exact, drawn = (one(report, f"test-{n}").result.measures for n in ("stretched", "drawn"))
        assert abs(exact.mse - drawn.mse) <= 1e-9 + 5 * drawn.mse_error
        assert abs(exact.bias - drawn.bias) <= 1e-9 + 2 * drawn.noise_level
        assert abs(exact.cosine - drawn.cosine) < 0.1


def test_evaluations_are_counted():
    report = measured(subjects.Score(), relaxit.estimator("st-gumbel"))["linear"]
    score, gumbel = one(report, "test-score"), one(report, "st-gumbel")
    assert (score.result.evaluations, score.stated) == (2, 1)
    assert (gumbel.result.evaluations, gumbel.stated) == (1, 1)


def test_what_an_estimator_keeps_is_warmed_up():
    settings = GradientSettings(draws=4000, warm_up=400)
    report = measured(subjects.Baseline(), settings=settings)["quadratic"]
    cold, warm = one(report, "test-baseline"), one(report, "test-baseline (warm)")
    assert (cold.state, warm.state) == ("none", "warm")
    _, masses, _ = by_brute_force()
    p = PARAMS.softmax(-1)
    scores, costs = [], []
    for i, j in itertools.product(range(3), repeat=2):
        z = torch.eye(3, dtype=torch.float64)[[i, j]]
        scores.append((z - p).square().sum())
        costs.append(quadratic(z))
    scores, costs = torch.stack(scores), torch.stack(costs)
    for found, level in ((cold, 0.0), (warm, masses @ costs)):
        exact, _, _ = by_brute_force()
        second = masses @ (scores * (costs - level) ** 2)  # mean square of (f - level) * score
        variance = (second - exact.square().sum()) / exact.square().sum()
        m = found.result.measures
        assert abs(m.variance - variance) < 5 * m.mse_error + 0.1 * variance
    assert warm.result.measures.variance < 0.8 * cold.result.measures.variance


def test_a_state_is_left_alone_while_it_is_measured(monkeypatch):
    built = []
    original = subjects.Baseline.build_state
    monkeypatch.setattr(
        subjects.Baseline,
        "build_state",
        lambda self, *args: built.append(original(self, *args)) or built[-1],
    )
    measured(subjects.Baseline(), settings=GradientSettings(draws=10, warm_up=7))
    assert [int(state.steps) for state in built] == [7, 7]


def test_global_randomness_is_left_as_it_was():
    before = torch.get_rng_state()
    measured(subjects.Score(), subjects.Baseline(), settings=GradientSettings(draws=10, warm_up=2))
    assert torch.equal(before, torch.get_rng_state())


def test_the_same_seed_gives_the_same_figures():
    def figures(number):
        settings = GradientSettings(draws=50, seed=number)
        return one(measured(subjects.Score(), settings=settings)["linear"]).result.measures

    assert figures(1) == figures(1)
    assert figures(1) != figures(2)
