"""Checks of the conformance kit, and how one is run on a subject."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from relaxit.errors import RelaxitError, error_summary, one_line, shorten
from relaxit.testing.case import Case, EstimatorCase, RelaxationCase
from relaxit.testing.settings.process import restored

__all__ = [
    "ALPHA",
    "Check",
    "ConformanceError",
    "Failed",
    "Result",
    "applies",
    "estimator_check",
    "object_check",
    "relaxation_check",
    "require",
    "run_check",
]

ALPHA = 2e-5
"""False-alarm rate of one statistical check. Seeds are fixed, so no check is flaky."""

Outcome = Literal["pass", "expected failure", "not applicable", "not run", "fail"]


class Failed(AssertionError):
    """The subject does not have the property that a check states."""


class ConformanceError(RelaxitError, AssertionError):
    """One or more checks failed. The message names each of them and what it found."""

    exit_code = 5


def require(holds: object, otherwise: str) -> None:
    """Fail the running check with the message ``otherwise`` unless ``holds`` is true."""
    if not holds:
        raise Failed(otherwise)


@dataclass(frozen=True)
class Check:
    """A named property, and the function that tests a subject for it.

    Attributes:
        name: name in lists of checks, and in ``expected_failures`` of a plugin.
        statement: the property, as one sentence.
        why: what goes wrong for users if the property does not hold.
        function: raises if a case does not have the property.
        case: type of the cases that the check takes.
        false_alarm: probability that a correct subject would fail if seeds were not fixed; 0 if the
            check involves no chance.
        absent: returns why the check does not apply to a case; empty if it applies. Its docstring
            says when it does, as ``Applies: WHEN.``
        needs: names of the checks on which this one depends. If one of them fails, this check would
            only repeat the failure, and is not run.
    """

    name: str
    statement: str
    why: str
    function: Callable[[Case], None]
    case: type[Case]
    false_alarm: float
    absent: Callable[[Case], str]
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """Result of one check on one subject.

    Attributes:
        subject: the object that was checked, as text.
        check: name of the check.
        outcome: ``pass``, ``fail``, ``expected failure``, ``not applicable``, or ``not run`` if a
            check on which this one depends has failed.
        reason: what is wrong, why the failure is expected, or why the check does not apply.
        seconds: duration of the check in seconds.
    """

    subject: str
    check: str
    outcome: Outcome
    reason: str
    seconds: float


def _always(case: Case) -> str:
    """Applies: always."""
    del case
    return ""


def _maker(case: type[Case], *always: str) -> Callable[..., Callable[[Callable[..., None]], Check]]:
    def maker(
        *,
        false_alarm: float = 0.0,
        absent: Callable[..., str] = _always,
        needs: tuple[str, ...] = (),
    ) -> Callable[[Callable[..., None]], Check]:
        def make(function: Callable[..., None]) -> Check:
            statement, _, why = " ".join((function.__doc__ or "").split()).partition(". Why: ")
            name = function.__name__
            before = always[: always.index(name)] if name in always else always
            return Check(
                name=name,
                statement=statement.rstrip(".") + ".",
                why=why[:1].upper() + why[1:],
                function=function,
                case=case,
                false_alarm=false_alarm,
                absent=absent,
                needs=(*before, *needs),
            )

        return make

    return maker


object_check = _maker(Case)
"""Decorator that makes a check of any registered object from a function of a case.

The docstring of the function is ``PROPERTY. Why: REASON``."""
relaxation_check = _maker(
    RelaxationCase,
    "objects_are_independent",
    "claimed_is_there",
    "sample_shapes",
    "log_prob_shapes",
    "discrete_shapes",
)
"""The same for relaxations. A missing quantity or a wrong shape is reported only once."""
estimator_check = _maker(EstimatorCase, "cost_shape_is_kept", "gradient_reaches_params")
"""The same for estimators."""


def run_check(check: Check, case: Case) -> Result:
    """Run one check on a case. Any exception of the subject is a failure of the check."""
    declared = case.subject.expected_failures.get(check.name, "")
    started = time.perf_counter()
    outcome, reason = _outcome(check, case)
    if declared and outcome == "fail":
        outcome, reason = "expected failure", declared
    elif declared and not any(_outcome(check, sibling)[0] == "fail" for sibling in case.siblings()):
        complaint = "passes" if outcome == "pass" else f"does not apply ({reason})"
        outcome, reason = "fail", f"{complaint}, though declared an expected failure ({declared})"
    return Result(str(case), check.name, outcome, reason, time.perf_counter() - started)


def applies(check: Check, case: Case) -> bool:
    """Whether a check applies to a case; True if deciding raises, which the run then reports."""
    try:
        with _sealed(case.device):
            return not check.absent(case)
    except KeyboardInterrupt:
        raise
    except BaseException:  # as in _outcome()
        return True


def _outcome(check: Check, case: Case) -> tuple[Outcome, str]:
    try:
        with _sealed(case.device):
            if absent := check.absent(case):
                return "not applicable", absent
            check.function(case)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also SystemExit and exceptions of pytest
        reason = one_line(error) if isinstance(error, Failed) else error_summary(error)
        return "fail", shorten(reason, 300)
    return "pass", ""


@contextmanager
def _sealed(device: torch.device) -> Iterator[None]:
    """Context with seeded global generators, which restores them and the settings of torch.

    Warnings of the subject are suppressed.
    """
    with restored(), _seeded(device):
        yield


@contextmanager
def _seeded(device: torch.device) -> Iterator[None]:
    devices = [device] if device.type != "cpu" else []
    with (
        torch.random.fork_rng(devices=devices, device_type=_forked(device)),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        yield


def _forked(device: torch.device) -> str:
    return device.type if device.type != "cpu" else "cuda"
