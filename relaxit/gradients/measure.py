"""Measure one subject at one case, with the strongest evidence available.

An estimate that is a function of the drawn value is computed for every joint value, weighted by its
mass: bias and variance are then exact. If it uses further noise, several independent estimates are
computed for each value. An estimate that uses no randomness is computed once. All others are drawn.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from relaxit.bench.measuring import peak_bytes, wait_for
from relaxit.errors import DomainError, RelaxitError
from relaxit.gradients.chunks import chunks_of, largest_chunk
from relaxit.gradients.enumeration import JointValues, enumerate_joint, number_of_states
from relaxit.gradients.moments import (
    EstimateMoments,
    Measures,
    of_all,
    of_draws,
    of_strata,
    summarise,
)
from relaxit.gradients.problem import Point, ProblemCase, Surroundings
from relaxit.gradients.subject import Subject
from relaxit.relaxation import Relaxation

__all__ = ["Evidence", "ExactTarget", "NotFinite", "SubjectMeasures", "measure", "targets"]

Evidence = Literal["exact", "strata", "draws"]

_TIMED, _PROBED = 256, 8
_DEAR = 100  # with this many evaluations of the cost, only the first point is probed
_PROBE_TEMPERATURES = (1.0, 2.0)  # not the measured ones: at two low ones an estimate may saturate


class NotFinite(ArithmeticError):
    """Estimates are not finite, or too large to be squared, so there are no measures.

    Attributes:
        uses_temperature: whether estimates might be finite at another temperature.
    """

    def __init__(self, reason: str, uses_temperature: bool) -> None:
        super().__init__(reason)
        self.uses_temperature = uses_temperature


@dataclass(frozen=True)
class ExactTarget:
    """A point with its exact gradient.

    Attributes:
        point: the point.
        gradient: exact gradient ``[D]``.
        joint: all joint values; None if there are too many.
    """

    point: Point
    gradient: Tensor
    joint: JointValues | None


@dataclass(frozen=True)
class SubjectMeasures:
    """The measurements of a subject.

    Attributes:
        measures: bias, variance and so on.
        evidence: ``exact`` if bias and variance are exact, ``strata`` if every joint value was
            evaluated with several draws of further noise, ``draws`` if estimates were drawn.
        evaluations: number of values passed to the cost for one estimate.
        seconds: time of one estimate, as one row of a batch.
        uses_temperature: whether the estimate depends on the temperature.
    """

    measures: Measures
    evidence: Evidence
    evaluations: float
    seconds: float
    uses_temperature: bool


def targets(case: ProblemCase, around: Surroundings) -> list[ExactTarget]:
    """Compute the exact gradients at the points of a case.

    Raises:
        RelaxitError: if there are too many joint values and no gradient is given, or if a gradient
            is not finite, or zero, so that errors cannot be relative to it.
    """
    try:
        number = number_of_states(case.relaxation, case.variables)
        listed = number <= around.settings.states
    except RelaxitError:
        listed = False
    exact = []
    for point in case.points:
        joint = None
        if listed:
            joint = enumerate_joint(case.relaxation, point.params, point.cost)
        elif point.gradient is None:
            around.require_states(case.relaxation, case.variables)
        gradient = joint.gradient if joint else point.gradient
        assert gradient is not None  # otherwise require_states has raised
        if not bool(gradient.isfinite().all()):
            raise DomainError("the exact gradient is not finite")
        if not bool(gradient.any()):
            raise DomainError("the exact gradient is zero, so errors cannot be relative to it")
        exact.append(ExactTarget(point, gradient.detach().flatten(), joint))
    return exact


def measure(
    subject: Subject, relaxation: Relaxation, points: Sequence[ExactTarget], around: Surroundings
) -> SubjectMeasures:
    """Measure bias, variance and so on of a subject at the points of a case.

    All subjects start from the same random state.

    Raises:
        NotFinite: if an estimate or a measure is not finite.
    """
    device = around.device
    generator = torch.Generator(device).manual_seed(around.settings.seed)
    first = points[0].point
    probe = _probe(subject, relaxation, [target.point for target in points], device)
    moments: list[EstimateMoments] = []
    evidence: Evidence = "draws"
    seconds = 0.0
    for target in points:
        if target.joint is not None and subject.acts_given_a_draw:
            moment, evidence = _by_states(subject, relaxation, target, generator, around)
        elif not probe.random:
            estimates, _ = subject.estimates(relaxation, target.point, 1, generator)
            moment, evidence = of_all(estimates, estimates.new_ones(1), target.gradient), "exact"
        else:
            moment, spent = _by_draws(subject, relaxation, target, generator, around, probe.fit)
            seconds += spent
        moments.append(moment)
    measures = _finite(moments, probe.uses_temperature)
    if evidence == "draws":
        seconds /= measures.rows
    else:
        rows = min(_TIMED, around.settings.draws, probe.fit) if probe.random else 1
        seconds = _timed(lambda: subject.estimates(relaxation, first, rows, generator), device)
        seconds /= rows
    return SubjectMeasures(measures, evidence, probe.evaluations, seconds, probe.uses_temperature)


def _finite(moments: Sequence[EstimateMoments], uses_temperature: bool) -> Measures:
    bad, rows = (sum(getattr(m, name) for m in moments) for name in ("not_finite", "rows"))
    if bad:
        verb = "is" if bad == 1 else "are"
        raise NotFinite(f"{bad} of {rows} estimates {verb} not finite", uses_temperature)
    measures = summarise(moments)
    if not measures.finite:
        raise NotFinite("the estimates are too large to be squared", uses_temperature)
    return measures


def _by_states(
    subject: Subject,
    relaxation: Relaxation,
    target: ExactTarget,
    generator: torch.Generator,
    around: Surroundings,
) -> tuple[EstimateMoments, Evidence]:
    joint = target.joint
    assert joint is not None

    def given(index: Tensor) -> Tensor:
        hard, slopes = joint.hard[index], joint.slopes[index]
        return subject.estimates_given(relaxation, target.point, hard, slopes, generator)

    every = torch.arange(len(joint.mass), device=around.device)
    noisy = _is_random(lambda: given(every[:1]), generator, around.device)
    if noisy:
        # In proportion to the mass, as draws would be, and at least two, for a variance.
        times = (around.settings.draws * joint.mass).ceil().long().clamp_min(2)
        every = every.repeat_interleave(times)
    parts = chunks_of(len(every), lambda n: given(every[:n]), around.device)
    estimates = torch.cat([given(every[part]) for part in parts])
    if noisy:
        return of_strata(estimates, every, joint.mass, target.gradient), "strata"
    return of_all(estimates, joint.mass, target.gradient), "exact"


def _by_draws(
    subject: Subject,
    relaxation: Relaxation,
    target: ExactTarget,
    generator: torch.Generator,
    around: Surroundings,
    fit: int,
) -> tuple[EstimateMoments, float]:
    draws = around.settings.draws
    estimates: list[Tensor] = []

    def draw() -> None:
        for start in range(0, draws, fit):
            rows = min(fit, draws - start)
            estimates.append(subject.estimates(relaxation, target.point, rows, generator)[0])

    seconds = _timed(draw, around.device)
    return of_draws(torch.cat(estimates), target.gradient), seconds


@dataclass(frozen=True)
class _Probe:
    evaluations: float
    random: bool
    uses_temperature: bool
    fit: int  # rows that fit into memory at once


def _probe(
    subject: Subject, relaxation: Relaxation, points: Sequence[Point], device: torch.device
) -> _Probe:
    """Compute a few estimates, to find out what they need."""
    generator, point = torch.Generator(device), points[0]

    def estimates(rows: int) -> tuple[Tensor, float]:
        return subject.estimates(relaxation, point, rows, generator.manual_seed(0))

    _, evaluations = estimates(1)
    unseeded = torch.Generator(device)  # not seeded again, which would look like drawing from it
    random = _is_random(lambda: subject.estimates(relaxation, point, 1, unseeded), unseeded, device)
    rows = min(_PROBED, max(1, int(64 // max(evaluations, 1))))
    peak = peak_bytes(lambda: estimates(rows), device)
    looked_at = points if evaluations < _DEAR else points[:1]
    varies = _uses_temperature(subject, relaxation, looked_at, rows, generator)
    return _Probe(evaluations, random, varies, largest_chunk(peak, rows))


def _uses_temperature(
    subject: Subject,
    relaxation: Relaxation,
    points: Sequence[Point],
    rows: int,
    generator: torch.Generator,
) -> bool:
    """Whether an estimate with the same random numbers changes with the temperature."""
    subjects = [dataclasses.replace(subject, temperature=t) for t in _PROBE_TEMPERATURES]
    for point in points:
        first, second = (
            subject.estimates(relaxation, point, rows, generator.manual_seed(0))[0]
            for subject in subjects
        )
        if not torch.equal(first.nan_to_num(), second.nan_to_num()):
            return True
    return False


def _is_random(work: Callable[[], Any], generator: torch.Generator, device: torch.device) -> bool:
    """Whether a function draws random numbers, from the generator or from torch's global ones."""

    def states() -> list[Tensor]:
        cpu = [generator.get_state(), torch.get_rng_state()]
        return [*cpu, torch.cuda.get_rng_state(device)] if device.type == "cuda" else cpu

    before = states()
    work()
    return not all(map(torch.equal, before, states()))


def _timed(work: Callable[[], Any], device: torch.device) -> float:
    wait_for(device)
    started = time.perf_counter()
    work()
    wait_for(device)
    return time.perf_counter() - started
