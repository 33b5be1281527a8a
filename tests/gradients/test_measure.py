"""Every kind of evidence against a brute-force computation on nine joint values."""

import itertools
import json
import math
import re

import pytest
import torch

import relaxit
from relaxit.autograd import replace_gradient
from relaxit.gradients import (
    GradientProblem,
    GradientSettings,
    Point,
    ProblemCase,
    Surroundings,
    measure_problem,
)
from relaxit.gradients import chunks as memory_module
from tests.gradients import subjects
from tests.gradients.subjects import PARAMS, SLOPES, Tiny, quadratic

DRAWS = GradientSettings(draws=4000, warm_up=60)


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


def test_straight_through_by_brute_force():
    report = measured(relaxit.estimator("straight-through"))["quadratic"]
    exact, masses, estimates = by_brute_force()
    found, size = one(report).found, exact.square().sum()
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
    bias = one(report).found.measures.bias
    assert math.isclose(bias, (mean - exact).norm() / exact.norm(), rel_tol=1e-9)
    assert bias > 0.1


@pytest.mark.parametrize("kind", [subjects.Stretched, subjects.Drawn])
def test_a_bias_is_seen(kind):
    found = one(measured(kind())["linear"]).found
    m = found.measures
    assert found.evidence == ("exact" if kind is subjects.Stretched else "draws")
    assert abs(m.bias - 0.3) <= 1e-9 + 2 * m.noise_level
    assert m.bias > 2 * m.noise_level


def test_an_unbiased_one_is_not_accused():
    # The floor is exceeded once in a hundred cases; at 3.06 times its square chi-square has a tail
    # of ALPHA = 2e-5. A bias of 0.3 is outside.
    reports = measured(subjects.Score(), subjects.Drawn(), settings=GradientSettings(draws=20_000))
    for report in reports.values():
        found = one(report, "test-score").found
        assert found.evidence == "draws"
        assert found.measures.bias_squared < 3.06 * found.measures.noise_level**2
    other = one(reports["linear"], "test-drawn").found.measures
    assert other.bias_squared > 3.06 * other.noise_level**2


def test_further_noise_is_drawn_for_every_value():
    reports = measured(subjects.Noisy(), relaxit.estimator("straight-through"))
    for report in reports.values():
        noisy, plain = (one(report, n).found for n in ("test-noisy", "straight-through"))
        assert (noisy.evidence, plain.evidence) == ("strata", "exact")
        assert noisy.measures.rows >= 4000
        assert noisy.measures.noise_level > 0
        assert abs(noisy.measures.bias - plain.measures.bias) < 2 * noisy.measures.noise_level
    # For the linear cost the estimate is e, so that of the noisy one is (1 + N(0, 1)) e.
    m = one(reports["linear"], "test-noisy").found.measures
    assert abs(m.variance - 1) < 5 * m.mse_error
    assert abs(m.mse_error - math.sqrt(2 / m.rows)) < 0.3 * m.mse_error


def test_no_randomness_needs_one_estimate():
    reports = measured(subjects.MeanField())
    found = one(reports["linear"]).found
    assert (found.evidence, found.measures.rows) == ("exact", 1)
    assert found.measures.bias < 1e-9
    exact, _, _ = by_brute_force()
    leaf = PARAMS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(quadratic(leaf.softmax(-1)), leaf)
    bias = one(reports["quadratic"]).found.measures.bias
    assert math.isclose(bias, (slope.flatten() - exact).norm() / exact.norm(), rel_tol=1e-9)


def test_draws_agree_with_enumeration():
    reports = measured(subjects.Stretched(), subjects.Drawn())
    for report in reports.values():
        exact, drawn = (one(report, f"test-{n}").found.measures for n in ("stretched", "drawn"))
        assert abs(exact.mse - drawn.mse) <= 1e-9 + 5 * drawn.mse_error
        assert abs(exact.bias - drawn.bias) <= 1e-9 + 2 * drawn.noise_level
        assert abs(exact.cosine - drawn.cosine) < 0.1


def test_evaluations_are_counted():
    report = measured(subjects.Score(), relaxit.estimator("st-gumbel"))["linear"]
    score, gumbel = one(report, "test-score"), one(report, "st-gumbel")
    assert (score.found.evaluations, score.stated) == (2, 1)
    assert (gumbel.found.evaluations, gumbel.stated) == (1, 1)


def test_a_temperature_without_effect_is_not_repeated():
    settings = GradientSettings(draws=50, temperatures=(0.5, 1.0))
    named = [subjects.Score(), *map(relaxit.estimator, ("straight-through", "pathwise"))]
    report = measured(*named, settings=settings)["quadratic"]
    seen = {}
    for each in report.measurements:
        seen.setdefault(each.label, []).append(each.temperature)
    assert seen.pop("test-score") == [None]
    assert {label: sorted(taus) for label, taus in seen.items()} == {
        "straight-through": [0.5, 1.0],
        "pathwise": [0.5, 1.0],
    }


def test_a_saturated_estimate_uses_its_temperature():
    # At 1e-4 and 2e-4 the softmax is a vertex: its slope is 0 at both.
    settings = GradientSettings(draws=20, temperatures=(1e-4, 1.0))
    report = measured(subjects.Drawn(), settings=settings)["linear"]
    assert sorted(each.temperature for each in report.measurements) == [1e-4, 1.0]


def test_a_temperature_is_looked_for_at_every_point():
    class Two(GradientProblem):
        name = "two"

        def cases(self, around):
            far = torch.tensor([[4e3, 0.0, -4e3]] * 2, dtype=torch.float64)  # saturated
            gradient = torch.ones_like(far)  # of no matter here
            points = (Point(far, quadratic, gradient), Point(PARAMS, quadratic, gradient))
            yield ProblemCase("", relaxit.get("categorical", categories=3), points)

    settings = GradientSettings(draws=20, states=1, temperatures=(0.5, 1.0))
    report = measured(subjects.Drawn(), problem=Two(), settings=settings)[""]
    assert sorted(each.temperature for each in report.measurements) == [0.5, 1.0]


def test_estimates_that_are_not_finite_are_a_failure():
    for report in measured(subjects.Undefined()).values():
        (found,) = report.measurements
        assert report.broken
        assert (found.outcome, found.found) == ("failed", None)
        assert found.reason == "3 of 9 estimates are not finite"  # all values, exactly


def test_a_failure_at_one_temperature_leaves_the_others():
    settings = GradientSettings(draws=200, temperatures=(0.5, 1.0))
    report = measured(subjects.UndefinedCold(), settings=settings)["linear"]
    cold, warm = sorted(report.measurements, key=lambda each: each.temperature)
    assert (cold.outcome, cold.temperature) == ("failed", 0.5)
    assert re.fullmatch(r"\d+ of 200 estimates are not finite", cold.reason)
    assert (warm.outcome, warm.temperature) == ("done", 1.0)


def test_a_square_that_overflows_is_a_failure():
    class Long(subjects.Stretched):
        def given(self, q, hard, generator=None):
            return replace_gradient(hard, 1e200 * super().given(q, hard, generator))

    (found,) = measured(Long())["linear"].measurements
    assert (found.outcome, found.reason) == ("failed", "the estimates are too large to be squared")


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
        m = found.found.measures
        assert abs(m.variance - variance) < 5 * m.mse_error + 0.1 * variance
    assert warm.found.measures.variance < 0.8 * cold.found.measures.variance


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


def test_refusals_and_failures_stop_nothing():
    named = (subjects.Refusing(), subjects.Failing(), subjects.Moved(), subjects.Stretched())
    for report in measured(*named).values():
        assert report.broken
        seen = {m.estimator: (m.outcome, m.reason) for m in report.measurements}
        assert report.measurements[0].outcome == "done"
        assert seen["test-refusing"] == ("unsupported", "it needs what nobody has")
        assert seen["test-failing"] == ("failed", "RuntimeError: two lines")
        assert seen["test-moved"][1] == (
            "given() returns a value other than the hard sample passed to it"
        )


def test_an_estimator_that_cannot_be_built_is_refused():
    named = {"needs": relaxit.Estimator}  # abstract: a TypeError, so a failure
    (first, *_) = measure_problem(Tiny(), named)
    assert first.measurements[0].outcome == "failed"


class Bad(GradientProblem):
    name = "bad"

    class Options(relaxit.Options):
        what: str = ""

    def cases(self, around):
        cost = {
            "zero": lambda z: 0 * z.sum((-2, -1)) + 1,
            "shape": lambda z: z.sum(-1),
            "infinite": lambda z: z.sum((-2, -1)) * torch.inf,
            "undefined": quadratic,
        }[self.options.what]
        gradient = PARAMS * torch.nan if self.options.what == "undefined" else None
        relaxation = relaxit.get("categorical", categories=3 if gradient is None else 70)
        yield ProblemCase("", relaxation, (Point(PARAMS, cost, gradient),))


@pytest.mark.parametrize(
    ("what", "words", "failed"),
    [
        ("zero", "the exact gradient is zero", False),
        ("shape", "expected [8]", False),
        ("infinite", "a cost of this problem is not finite", False),
        ("undefined", "the exact gradient is not finite", False),
        ("raises", "KeyError: 'raises'", True),
    ],
)
def test_a_bad_problem_says_so(what, words, failed):
    (report,) = measured(subjects.Score(), problem=Bad(what=what)).values()
    assert words in report.reason
    assert report.failed == failed
    assert not report.measurements


def test_too_many_states_are_refused():
    (report,) = measured(subjects.Score(), settings=GradientSettings(states=8)).values()
    assert report.reason == (
        "Categorical(categories=3) ** 2 has 9 joint values, more than --states 8; raise --states"
    )


def test_pieces_change_nothing(monkeypatch):
    whole = measured(relaxit.estimator("straight-through"))["quadratic"]
    monkeypatch.setattr(memory_module, "BUDGET", 1)  # one row at a time
    cut = measured(relaxit.estimator("straight-through"))["quadratic"]
    a, b = one(whole).found.measures, one(cut).found.measures
    assert math.isclose(a.bias, b.bias, rel_tol=1e-9)
    assert math.isclose(a.variance, b.variance, rel_tol=1e-9)


def test_draws_come_in_pieces_that_fit(monkeypatch):
    rows = []
    original = subjects.Drawn.surrogate
    monkeypatch.setattr(
        subjects.Drawn,
        "surrogate",
        lambda self, q, *args: rows.append(q.batch_shape[0]) or original(self, q, *args),
    )
    monkeypatch.setattr(memory_module, "BUDGET", 30_000)
    measured(subjects.Drawn(), settings=GradientSettings(draws=500))
    assert max(rows) < 500
    assert sum(rows) > 2 * 500


def test_global_randomness_is_left_as_it_was():
    before = torch.get_rng_state()
    measured(subjects.Score(), subjects.Baseline(), settings=GradientSettings(draws=10, warm_up=2))
    assert torch.equal(before, torch.get_rng_state())


def test_the_same_seed_gives_the_same_figures():
    def figures(number):
        settings = GradientSettings(draws=50, seed=number)
        return one(measured(subjects.Score(), settings=settings)["linear"]).found.measures

    assert figures(1) == figures(1)
    assert figures(1) != figures(2)


def test_json_has_everything_and_no_nan():
    named = (subjects.Score(), subjects.Refusing(), subjects.Baseline())
    settings = GradientSettings(draws=10, warm_up=2)
    table = json.loads(
        json.dumps([r.to_json() for r in measured(*named, settings=settings).values()],
                   allow_nan=False)
    )  # fmt: skip
    assert [each["case"] for each in table] == ["linear", "quadratic"]
    assert table[0]["relaxation"] == {"name": "categorical", "options": {"categories": 3}}
    done, *_, refused = table[0]["estimators"]
    figures = {
        "bias", "bias_squared", "noise_level", "variance", "mse", "mse_error", "cosine_of_mean",
        "cosine", "rows", "evidence", "evaluations", "seconds", "uses_temperature",
    }  # fmt: skip
    about = {"estimator", "options", "state", "temperature", "outcome", "reason", "stated"}
    assert set(done) == figures | about
    assert set(refused) == about
    assert refused["outcome"] == "unsupported"
