"""Run a gradient problem: every applicable estimator, at every case and temperature."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch

from relaxit.errors import RelaxitError, error_summary
from relaxit.estimators import Estimator, StatefulEstimator
from relaxit.gradients.measure import ExactTarget, NotFinite, measure, targets
from relaxit.gradients.problem import GradientProblem, ProblemCase, Surroundings
from relaxit.gradients.report import EstimatorMeasurement, GradientReport
from relaxit.gradients.subject import State, Subject, warmed_up

__all__ = ["measure_problem"]


def measure_problem(
    problem: GradientProblem,
    estimators: Mapping[str, type[Estimator] | Estimator],
    around: Surroundings | None = None,
) -> Iterator[GradientReport]:
    """Measure estimators on a problem and yield a report for each case when it is done.

    Errors of an estimator or of the problem are reported and stop nothing. torch's global random
    generators are restored afterwards.

    Args:
        problem: the problem to measure on.
        estimators: the estimators by name; classes are built with their default options.
        around: device, settings and so on; the defaults if None.

    Example:
        >>> import relaxit
        >>> from relaxit.plugins import default_registry
        >>> problem = default_registry().find("problem", "powers")()
        >>> names = ["straight-through"]
        >>> report = next(measure_problem(problem, {n: relaxit.estimator(n) for n in names}))
        >>> result = report.measurements[0].result
        >>> report.title, result.evidence, result.measures.bias < 1e-9  # exact for linear costs
        ('powers, linear', 'exact', True)
    """
    around = around or Surroundings()
    try:
        cases = iter(problem.cases(around))
        while True:
            with _seeded(around):
                case = next(cases, None)
                report = None if case is None else _measure_case(problem, case, estimators, around)
            if report is None:
                return
            yield report
    except RelaxitError as error:
        yield GradientReport(problem, str(error), code=error.exit_code)
    except Exception as error:
        yield GradientReport(problem, error_summary(error), failed=True)


def _measure_case(
    problem: GradientProblem,
    case: ProblemCase,
    estimators: Mapping[str, type[Estimator] | Estimator],
    around: Surroundings,
) -> GradientReport:
    title = f"{problem.name}, {case.label}" if case.label else problem.name
    around.progress(f"{title}: exact gradient")
    points = targets(case, around)
    measurements: list[EstimatorMeasurement] = []
    for name, estimator in estimators.items():
        around.progress(f"{title}: {name}")
        measurements += _measure_estimator(name, estimator, case, points, around)
    measurements.sort(
        key=lambda measurement: measurement.result.measures.mse if measurement.result else math.inf
    )
    squares = [float(target.gradient.square().sum()) for target in points]
    return GradientReport(
        problem,
        case=case.label,
        relaxation=case.relaxation,
        variables=case.variables,
        points=len(points),
        states=_states(points),
        gradient_norm=math.sqrt(sum(squares) / len(squares)),
        measurements=tuple(measurements),
    )


def _states(points: Sequence[ExactTarget]) -> int | None:
    numbers = [len(target.joint.mass) for target in points if target.joint]
    return max(numbers, default=None)


def _measure_estimator(
    name: str,
    estimator: type[Estimator] | Estimator,
    case: ProblemCase,
    points: Sequence[ExactTarget],
    around: Surroundings,
) -> Iterator[EstimatorMeasurement]:
    """Yield one measurement per temperature and state; a single one if it does not apply."""
    try:
        built = estimator if isinstance(estimator, Estimator) else estimator()
        built.check(case.relaxation)
        built.check_joint(case.relaxation, case.variables)
        stated = built.evaluations(case.relaxation, case.variables)
    except RelaxitError as error:
        yield EstimatorMeasurement(name, outcome="unsupported", reason=str(error))
        return
    except Exception as error:
        yield EstimatorMeasurement(name, outcome="failed", reason=error_summary(error))
        return
    options = built.options.model_dump(mode="json")
    states: tuple[State, ...] = ("none", "warm") if isinstance(built, StatefulEstimator) else ("",)
    for state in states:
        for temperature in around.settings.temperatures:
            try:
                subject = _subject(built, case, temperature, state, around)
                result = measure(subject, case.relaxation, points, around)
            except NotFinite as error:
                shown, reason = temperature if error.uses_temperature else None, str(error)
                yield EstimatorMeasurement(name, options, state, shown, "failed", reason, stated)
                if shown is None:
                    break
                continue  # it may be finite at another temperature
            except RelaxitError as error:
                yield EstimatorMeasurement(
                    name, options, state, None, "unsupported", str(error), stated
                )
                break
            except Exception as error:
                yield EstimatorMeasurement(
                    name, options, state, None, "failed", error_summary(error), stated
                )
                break
            shown = temperature if result.uses_temperature else None
            yield EstimatorMeasurement(name, options, state, shown, stated=stated, result=result)
            if not result.uses_temperature:
                break


def _subject(
    estimator: Estimator, case: ProblemCase, temperature: float, state: State, around: Surroundings
) -> Subject:
    if state != "warm":
        return Subject(estimator, temperature)
    assert isinstance(estimator, StatefulEstimator)
    generator = torch.Generator(around.device).manual_seed(around.settings.seed + 1)
    steps = around.settings.warm_up
    return Subject(
        estimator, temperature, warmed_up(estimator, case, temperature, steps, generator)
    )


@contextmanager
def _seeded(around: Surroundings) -> Iterator[None]:
    """Seed torch's global generators, and restore them afterwards."""
    accelerated = around.device.type != "cpu"
    devices = [around.device] if accelerated else []
    kind = around.device.type if accelerated else "cuda"
    with torch.random.fork_rng(devices=devices, device_type=kind):
        torch.manual_seed(around.settings.seed)
        yield
