"""Everything registered keeps the laws, and the kit's three faces say the same."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import textwrap

import pytest
import torch

import relaxit
from relaxit.cli.app import run
from relaxit.errors import ConfigurationError
from relaxit.testing import (
    ConformanceError,
    cases,
    check_estimator,
    check_relaxation,
    checks,
    parametrize_with_checks,
    results,
)
from relaxit.testing.case import EstimatorCase, RelaxationCase
from relaxit.testing.estimators.bias import exact_of_pairs
from relaxit.testing.estimators.costs import pair_cost
from relaxit.testing.estimators.draws import expected_over_values
from relaxit.testing.relaxations.integration import free_dimension, weigh
from relaxit.testing.statistics import (
    DRAWS,
    count,
    wrong_estimate,
    wrong_frequencies,
    wrong_mean,
    wrong_shares,
)
from relaxit.testing.toys import ThreeNumbers
from tests.conftest import needs_cuda
from tests.helpers import own
from tests.testing.broken import distributions, estimators, samples, sound


@parametrize_with_checks([*own("relaxation"), *own("estimator")])
def test_own_relaxations_and_estimators(check):
    check()


@pytest.mark.gpu
@needs_cuda
@parametrize_with_checks([*own("relaxation"), *own("estimator")], device="cuda")
def test_own_relaxations_and_estimators_on_a_gpu(check):
    check()


def test_the_kits_own_ground_is_sound():
    assert {r.outcome for r in check_relaxation(ThreeNumbers())} == {"pass", "not applicable"}


def test_estimators_are_checked_on_bits_categories_and_something_else():
    for estimator, grounds in {"exact": 3, "reinmax": 2, "disarm": 1}.items():
        assert len(cases(relaxit.estimator(estimator))) == grounds


# --- the faces --------------------------------------------------------------------------------


class Declared(distributions.KlWithTheWrongSign):
    """Broken, and says so."""

    name = "declared"
    expected_failures = {"kl_to_uniform_by_enumeration": "copied from elsewhere"}


class Stale(sound.Choice):
    """Sound, and says it is broken."""

    name = "stale"
    expected_failures = {"low_temperature_gives_hard_values": "was broken once"}


class Leaves(sound.Choice):
    """Ends the process where it is asked for a sample."""

    def relax(self, scores, temperature):
        raise SystemExit(3)


class Wrong(distributions.WrongMode):
    name = "wrong-mode"


class Misspelt(sound.Choice):
    name = "misspelt"
    expected_failures = {"low_temperature_gives_hard_value": "no such check"}


def test_a_sound_relaxation_returns_its_results():
    found = check_relaxation(sound.Choice())
    names = [check.name for check in checks("relaxation")]
    assert [result.check for result in found] == names
    assert {result.outcome for result in found} == {"pass", "not applicable"}


def test_a_class_is_checked_on_its_examples():
    found = check_relaxation(sound.Choice)
    assert {result.subject for result in found} == {"Choice(size=2)", "Choice(size=3)"}


def test_a_broken_relaxation_raises_and_is_named():
    with pytest.raises(ConformanceError) as caught:
        check_relaxation(distributions.WrongMode())
    for part in ("WrongMode(size=3)", "mode_by_enumeration", "1 check failed"):
        assert part in str(caught.value)


def test_a_broken_estimator_raises():
    with pytest.raises(ConformanceError, match="unbiased_as_claimed"):
        check_estimator(estimators.WrongSign(), [sound.Choice()])


def test_an_expected_failure_is_told_apart():
    (result,) = [r for r in check_relaxation(Declared()) if r.outcome == "expected failure"]
    assert (result.check, result.reason) == (
        "kl_to_uniform_by_enumeration",
        "copied from elsewhere",
    )


def test_an_expected_failure_that_passes_is_a_failure():
    said = r"low_temperature_gives_hard_values: passes, though.*was broken once"
    with pytest.raises(ConformanceError, match=said):
        check_relaxation(Stale())


class FailsOnThree(sound.Through):
    """Loses its gradient, but only where there are three choices."""

    expected_failures = {"gradient_reaches_params": "three are too many"}

    def sample(self, q, sample_shape=(), generator=None):
        value = super().sample(q, sample_shape, generator)
        return value.detach() if q.event_shape[0] == 3 else value


def test_an_expected_failure_on_one_of_several_is_enough():
    two, three = sound.Choice(size=2), sound.Choice(size=3)
    found = [
        result.outcome
        for case in cases(FailsOnThree(), relaxations=[two, three])
        for result in results(case, ["gradient_reaches_params"])
    ]
    assert found == ["pass", "expected failure"]
    with pytest.raises(ConformanceError, match="though declared"):
        check_estimator(FailsOnThree(), [two])


def test_an_expected_failure_of_no_check_is_refused():
    with pytest.raises(ConfigurationError, match="low_temperature_gives_hard_value"):
        check_relaxation(Misspelt())


def test_what_builds_on_a_failure_is_not_run():
    (case,) = cases(samples.NearlyHard())
    found = {result.check: result for result in results(case)}
    assert found["draw_shares_its_noise"].outcome == "not run"
    assert found["draw_shares_its_noise"].reason == "hard_in_vertices fails"


def test_what_does_not_apply_runs_nothing_before_it():
    (case,) = cases(relaxit.get("categorical", categories=5))  # graphs are counted on the first
    (result,) = results(case, ["few_graphs_for_any_temperature"])
    assert result.outcome == "not applicable"
    assert not case.failed  # nothing it builds on was run, and compiled


class LeavesAtExamples(sound.Choice):
    """Ends the program where it is asked for its examples."""

    @classmethod
    def examples(cls):
        raise SystemExit(3)


def test_a_subject_that_ends_the_program_fails_and_the_kit_goes_on():
    (case,) = cases(LeavesAtExamples(size=3))
    found = {result.check: result for result in results(case)}
    assert found["objects_are_independent"].reason == "SystemExit: 3"
    assert found["few_graphs_for_any_temperature"].outcome == "not run"


class NoExamples(sound.Choice):
    @classmethod
    def examples(cls):
        return []


@pytest.mark.parametrize("nothing", [[], [NoExamples]])
def test_nothing_to_check_is_an_error(nothing):
    with pytest.raises(ConfigurationError):
        parametrize_with_checks(nothing)


def test_an_estimator_that_refuses_everything_is_an_error():
    with pytest.raises(ConfigurationError, match="supports none of the relaxations"):
        check_estimator(sound.Through(), [sound.Unlawful()])


def test_the_subject_may_raise_anything():
    (case,) = cases(Leaves())
    failed = [r for r in results(case) if r.outcome == "fail"]
    assert failed[0].reason == "SystemExit: 3"


def test_global_state_is_left_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    check_relaxation(sound.Choice())
    assert torch.equal(before, torch.get_rng_state())


def test_pytest_face(tmp_path):
    """Pass, skip, xfail and fail, in a process of its own."""
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent(
            """
            from relaxit.testing import parametrize_with_checks
            from tests.testing.broken import distributions, sound
            from tests.testing.test_kit import Declared, Stale

            SUBJECTS = [sound.Choice(), Declared(), Stale(), distributions.WrongMode()]

            @parametrize_with_checks(SUBJECTS)
            def test_contract(check):
                check()
            """
        )
    )
    few = "mode_by or low_temperature_gives_hard_values or kl_to_uniform_by or log_prob_is_finite"
    flags = ["-rfxX", "-p", "no:cacheprovider", "-k", few]
    command = [sys.executable, "-m", "pytest", *flags, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    summary = done.stdout.splitlines()
    failed = sorted(line.split("[")[1].split("]")[0] for line in summary if "FAILED" in line)
    assert failed == [
        "Stale(size=3)-low_temperature_gives_hard_values",
        "WrongMode(size=3)-mode_by_enumeration",
    ]
    assert "copied from elsewhere" in next(line for line in summary if line.startswith("XFAIL"))
    assert " 1 xfailed" in summary[-1]
    assert " skipped" in summary[-1]
    assert "xpassed" not in summary[-1]


# --- the command ------------------------------------------------------------------------------


@pytest.fixture
def registered():
    """Registers classes for one test."""
    classes = []

    def register(cls):
        classes.append(relaxit.register(cls))
        return cls

    yield register
    for cls in classes:
        relaxit.unregister(cls)


def test_command_passes(registered, capsys):
    registered(sound.Choice)
    assert run(["check", "choice"]) == 0
    shown = capsys.readouterr()
    assert "Choice(size=2), Choice(size=3)" in shown.out
    assert "0 fail" in shown.err


def test_command_fails_with_the_distribution(registered, capsys):
    registered(Wrong)
    assert run(["check", "wrong-mode", "-o", "size=4"]) == 5
    shown = capsys.readouterr()
    assert "mode_by_enumeration: `discrete.mode` is a value of the greatest mass, also" in shown.out
    assert " 1 fail;" in shown.err


def test_command_as_json(registered, capsys):
    registered(Declared)
    assert run(["check", "declared", "-o", "size=2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is True
    assert found["counts"]["expected failure"] == 1
    assert len(found["results"]) == len(checks("relaxation"))
    assert found["results"][0]["subject"] == "Declared(size=2)"


def test_command_runs_one_check(registered, capsys):
    registered(Wrong)
    only = ["--only", "low_temperature_gives_hard_values", "--only", "is_picklable"]
    assert run(["check", "wrong-mode", *only]) == 0
    assert capsys.readouterr().err.startswith("4 pass, ")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["categorical", "--only", "low_temperature_gives_hard_value"],
            2,
            "unknown check 'low_temperature_gives_hard_value'. "
            "Did you mean low_temperature_gives_hard_values",
        ),
        (["categorcal"], 2, "Did you mean categorical"),
        (["categorical", "-o", "categories=1"], 2, "greater than or equal to 2"),
        (["categorical", "-o", "categories"], 2, "takes KEY=VALUE"),
        (["digits"], 2, "no checks for a dataset"),
        (["categorical", "--device", "cuda:99"], 2, "cuda:99"),
    ],
)
def test_command_refuses_in_one_line(capsys, arguments, code, said):
    assert run(["check", *arguments]) == code
    shown = capsys.readouterr().err.strip()
    assert said in shown
    assert len(shown.splitlines()) == 1


# --- statistics and integration ---------------------------------------------------------------


def test_frequencies_see_what_they_state():
    p = torch.tensor([0.3, 0.7])
    generator = torch.Generator().manual_seed(0)

    def observed(share):
        hits = int((torch.rand(DRAWS, generator=generator) < share).sum())
        return torch.tensor([hits, DRAWS - hits])

    assert not wrong_frequencies(observed(0.3), p)
    assert wrong_frequencies(observed(0.3 * 1.04), p)
    assert "mass zero" in wrong_frequencies(torch.tensor([1, 5]), torch.tensor([0.0, 1.0]))
    assert not wrong_frequencies(torch.tensor([5]), torch.tensor([1.0]))


def test_rare_values_share_a_cell():
    p = torch.tensor([1 - 3e-6, 1e-6, 1e-6, 1e-6])
    assert not wrong_frequencies(torch.tensor([100_000, 0, 0, 0]), p)
    assert wrong_frequencies(torch.tensor([99_000, 500, 300, 200]), p)


def test_count_finds_every_value_and_no_other():
    vertices = torch.eye(4).reshape(4, 2, 2)
    values = vertices[torch.tensor([0, 3, 3, 1])]
    assert count(values, vertices).tolist() == [1, 1, 0, 2]
    with pytest.raises(AssertionError, match="not among"):
        count(values * 0.999, vertices)
    assert count(torch.tensor([1.0, 0.0, 1.0]), torch.tensor([0.0, 1.0])).tolist() == [1, 2]


def test_means_see_what_is_off():
    rows = torch.randn(10_000, 3, generator=torch.Generator().manual_seed(0))
    assert not wrong_mean(rows, torch.zeros(3))
    assert wrong_mean(rows, torch.tensor([0.0, 0.06, 0.0]))
    assert not wrong_mean(rows, torch.tensor([0.0, 0.06, 0.0]), error=torch.tensor(0.05))
    assert not wrong_mean(torch.full((10, 2), 0.5), torch.full((2,), 0.5))  # without spread
    assert "finite" in wrong_mean(rows * torch.nan, torch.zeros(3))


def test_shares_of_two_samples():
    generator = torch.Generator().manual_seed(0)

    def observed(*p):
        drawn = torch.multinomial(torch.tensor(p), DRAWS, True, generator=generator)
        return torch.bincount(drawn, minlength=len(p))

    even = observed(0.3, 0.7, 1e-5)
    assert not wrong_shares(even, observed(0.3, 0.7, 1e-5))
    assert "share 0.3" in wrong_shares(even, observed(0.32, 0.68, 1e-5))
    assert wrong_shares(torch.tensor([500, 500]), torch.tensor([1000, 0]))
    assert not wrong_shares(torch.tensor([9, 0]), torch.tensor([9, 0]))  # one value alone


def test_estimates_without_chance_are_held_to_nine_digits():
    one = torch.tensor([1.0, -2.0]).double()
    assert not wrong_estimate(one, one + 1e-10)
    assert wrong_estimate(one, one + 1e-8)
    assert not wrong_estimate(one, one + 1e-8, rounding=1e-6)
    assert not wrong_estimate(one, one + 0.1, error=torch.tensor([0.1, 0.1]))
    assert "finite" in wrong_estimate(one, one * torch.nan)


@pytest.mark.parametrize("unbiased", [True, False])
def test_expectations_over_pairs_are_those_of_many_draws(unbiased):
    # What the kit sums up against what it would otherwise have drawn, by a biased estimator too.
    estimator = relaxit.estimator("reinmax" if unbiased else "straight-through")
    case = EstimatorCase(estimator, relaxit.get("categorical", categories=3))
    params, cost = case.on.params(2, 2), pair_cost(case, 2)
    mean, error = expected_over_values(case, params, cost)
    assert not error.any()
    leaf = params.expand(50_000, *params.shape).clone().requires_grad_()
    total = estimator.surrogate(case.relaxation(leaf), cost, case.generator(1)).sum()
    assert not wrong_mean(torch.autograd.grad(total, leaf)[0], mean)
    assert bool(wrong_estimate(mean, exact_of_pairs(case, params, cost))) != unbiased


@pytest.mark.parametrize("categories", [2, 3, 5, 7])
def test_integrals_on_the_simplex(categories):
    case = RelaxationCase(sound.Concrete(categories=categories))
    assert free_dimension(case) == categories - 1
    integral, error = weigh(case, case.params(), 2.0 * (categories - 1)).integral
    assert error < 0.02
    assert abs(integral - 1) < 4.5 * error + 1e-3


def test_moments_under_a_density_are_self_normalised():
    case = RelaxationCase(sound.Density(categories=3))
    right, wrong = (
        weigh(RelaxationCase(each), case.params(), 2.0)
        for each in (case.subject, distributions.ForgottenConstant(categories=3))
    )
    rows = right.points[:, :1]
    assert torch.allclose(right.mean(rows)[0], wrong.mean(rows)[0])
    assert wrong.integral[0] == pytest.approx(right.integral[0] / math.gamma(3))
