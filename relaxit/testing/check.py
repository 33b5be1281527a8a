"""What a check is, and how one is run on a subject."""

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
"""False-alarm rate of one statistical check. Seeds are fixed, so none flickers."""

Outcome = Literal["pass", "expected failure", "not applicable", "not run", "fail"]


class Failed(AssertionError):
    """A check found the subject to break the law it states."""


class ConformanceError(RelaxitError, AssertionError):
    """Some checks failed. The message names each with what it found."""

    exit_code = 5


def require(holds: object, otherwise: str) -> None:
    """Fail the running check unless the law holds."""
    if not holds:
        raise Failed(otherwise)


@dataclass(frozen=True)
class Check:
    """A named law and the function that puts a subject to it.

    Attributes:
        name: how it is listed, and how a plugin declares it an expected failure.
        law: what it asserts, one sentence.
        why: what goes wrong for users where the law is broken.
        function: raises if a case breaks the law.
        case: type of the cases it is made for.
        false_alarm: chance that a right subject fails, were seeds not fixed; 0 if nothing is left
            to chance.
        absent: why the check does not apply to a case; empty if it does.
        needs: names of checks without which this one would only repeat their failure.
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
    """What became of one check.

    Attributes:
        subject: the object that was checked, as text.
        check: name of the check.
        outcome: ``pass``, ``fail``, ``expected failure``, ``not applicable``, or ``not run``, if a
            check that this one builds on fails.
        reason: what is wrong, why that is expected, or why the check does not apply.
        seconds: how long it took.
    """

    subject: str
    check: str
    outcome: Outcome
    reason: str
    seconds: float


def _always(case: Case) -> str:
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
"""Make a check of any registered object from a function of a case. Its docstring is
``LAW. Why: REASON``."""
relaxation_check = _maker(
    RelaxationCase,
    "objects_are_independent",
    "claimed_is_there",
    "sample_shapes",
    "log_prob_shapes",
    "discrete_shapes",
)
"""The same for relaxations. What is not there, or of a wrong shape, is reported once."""
estimator_check = _maker(EstimatorCase, "cost_shape_is_kept", "gradient_reaches_params")
"""The same for estimators."""


def run_check(check: Check, case: Case) -> Result:
    """Put one case to one check. Whatever the subject raises is its failure, not the caller's."""
    declared = case.subject.expected_failures.get(check.name, "")
    started = time.perf_counter()
    outcome, reason = _outcome(check, case)
    if declared and outcome == "fail":
        outcome, reason = "expected failure", declared
    elif declared and not any(_outcome(check, other)[0] == "fail" for other in case.siblings()):
        complaint = "passes" if outcome == "pass" else f"does not apply ({reason})"
        outcome, reason = "fail", f"{complaint}, though declared an expected failure ({declared})"
    return Result(str(case), check.name, outcome, reason, time.perf_counter() - started)


def applies(check: Check, case: Case) -> bool:
    """Whether a check is for this case; True if asking raises, which running it will report."""
    try:
        with _sealed(case.device):
            return not check.absent(case)
    except KeyboardInterrupt:
        raise
    except BaseException:  # as in running it
        return True


def _outcome(check: Check, case: Case) -> tuple[Outcome, str]:
    try:
        with _sealed(case.device):
            if absent := check.absent(case):
                return "not applicable", absent
            check.function(case)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit and pytest's own too
        reason = one_line(error) if isinstance(error, Failed) else error_summary(error)
        return "fail", shorten(reason, 300)
    return "pass", ""


@contextmanager
def _sealed(device: torch.device) -> Iterator[None]:
    """Global generators seeded; they and torch's settings are put back afterwards.

    No warning of the subject's gets out.
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
