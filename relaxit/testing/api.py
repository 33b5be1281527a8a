"""The three faces of the kit: a generator of results, two functions, and a pytest decorator."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import torch

from relaxit.errors import ConfigurationError, UnknownName, Unsupported
from relaxit.estimators import Estimator
from relaxit.hooks import is_own
from relaxit.options import Configured
from relaxit.plugins import default_registry
from relaxit.relaxation import Relaxation
from relaxit.testing import objects
from relaxit.testing.case import Case, EstimatorCase, RelaxationCase
from relaxit.testing.check import Check, ConformanceError, Result, applies, run_check
from relaxit.testing.estimators import bias, draws, estimates, evaluations, state
from relaxit.testing.relaxations import (
    capabilities,
    conditional,
    density,
    discrete,
    frequencies,
    gradients,
    logits,
    precision,
    randomness,
    shapes,
    temperatures,
    transforms,
    values,
)
from relaxit.testing.settings import unchanged
from relaxit.testing.toys import ThreeNumbers

__all__ = [
    "cases",
    "check_estimator",
    "check_relaxation",
    "checks",
    "parametrize_with_checks",
    "results",
]

_PARTS = (
    objects,
    capabilities,
    shapes,
    values,
    randomness,
    discrete,
    frequencies,
    density,
    gradients,
    transforms,
    unchanged,
    temperatures,
    precision,
    logits,
    conditional,
    estimates,
    evaluations,
    draws,
    bias,
    state,
)


@functools.cache
def checks(kind: str = "") -> tuple[Check, ...]:
    """All checks, in the order in which they run.

    Args:
        kind: ``"relaxation"`` or ``"estimator"`` for those of one kind.

    Example:
        >>> [check.name for check in checks("relaxation")][:2]
        ['is_registrable', 'options_are_described']
    """
    found = [c for part in _PARTS for c in vars(part).values() if isinstance(c, Check)]
    wanted = {"relaxation": RelaxationCase, "estimator": EstimatorCase}.get(kind)
    return tuple(c for c in found if wanted is None or issubclass(wanted, c.case))


def cases(
    subject: Configured | type[Configured],
    device: torch.device | str = "cpu",
    relaxations: Sequence[Relaxation] | None = None,
) -> list[Case]:
    """What the checks are given for an object, or for the examples of a class.

    Args:
        subject: a relaxation or an estimator, or the class of one.
        device: where tensors are made.
        relaxations: for an estimator, the relaxations to use it on; if None, one of each of
            relaxit's own, and one whose params are no logits. Those that it refuses are left out.

    Raises:
        ConfigurationError: if there is nothing to check: a class without examples, an estimator
            that refuses every relaxation.
    """
    device = torch.device(device)
    if isinstance(subject, type):
        found: list[Any] = (
            list(subject.examples()) if issubclass(subject, Relaxation) else [subject()]
        )
        if not found:
            raise ConfigurationError(
                f"{subject.kind} {subject.name!r} has no examples(): check an instance instead"
            )
        strangers = [each for each in found if type(each) is not subject]
        if strangers:
            raise ConfigurationError(f"{subject.__name__}.examples() gives {strangers[0]!r}")
        return [case for each in found for case in cases(each, device, relaxations)]
    if isinstance(subject, Relaxation):
        return [RelaxationCase(subject, device=device)]
    if not isinstance(subject, Estimator):
        raise TypeError(f"there are no checks for {subject!r}")
    tried = _own_examples() if relaxations is None else relaxations
    accepted = [r for r in tried if _accepts(subject, r)]
    if not accepted:
        raise ConfigurationError(f"{subject!r} refuses every relaxation it was to be checked on")
    return [
        EstimatorCase(subject, r, others=tuple(o for o in accepted if o is not r), device=device)
        for r in accepted
    ]


def _accepts(estimator: Estimator, relaxation: Relaxation) -> bool:
    try:
        estimator.check(relaxation)
    except Unsupported:
        return False
    return True


def _own_examples() -> list[Relaxation]:
    """Sound ground for an estimator: the last example of each relaxation that comes with relaxit,
    and a structure with a discrete law whose params are no logits."""
    known = default_registry()
    own = [
        cls
        for name, cls in known.items("relaxation").items()
        if is_own(known.provider("relaxation", name).distribution)
    ]
    return [*(examples[-1] for cls in own if (examples := cls.examples())), ThreeNumbers()]


def results(case: Case, only: Collection[str] = ()) -> Iterator[Result]:
    """Run the checks on a case, one after the other.

    Args:
        case: what to check.
        only: names of the checks to run; all if empty.

    Raises:
        ConfigurationError: if a name, there or in the subject's expected failures, is no check's.
    """
    wanted = _applicable(case)
    unknown = set(only) - {check.name for check in wanted}
    if unknown:
        raise UnknownName("check", min(unknown), [check.name for check in wanted])
    for check in wanted:
        if not only or check.name in only:
            yield run(check, case)


def run(check: Check, case: Case) -> Result:
    """Run one check on a case, unless one that it builds on fails."""
    for name in check.needs if applies(check, case) else ():
        if name not in case.failed:
            case.failed[name] = run(_named(name), case).outcome in ("fail", "not run")
        if case.failed[name]:
            return Result(str(case), check.name, "not run", f"{name} fails", 0.0)
    return run_check(check, case)


@functools.cache
def _named(name: str) -> Check:
    return next(check for check in checks() if check.name == name)


def _applicable(case: Case) -> list[Check]:
    found = [check for check in checks() if isinstance(case, check.case)]
    unknown = set(case.subject.expected_failures) - {check.name for check in checks()}
    if unknown:
        raise ConfigurationError(
            f"{case}: expected_failures names no check: {', '.join(sorted(unknown))}"
        )
    return found


def check_relaxation(
    relaxation: Relaxation | type[Relaxation], device: torch.device | str = "cpu"
) -> list[Result]:
    """Put a relaxation, or all examples of a class, to every check.

    Args:
        relaxation: an instance small enough to enumerate, or a class with such examples.
        device: where tensors are made.

    Returns:
        What became of each check.

    Raises:
        ConformanceError: naming every check that failed, with what it found.
        ConfigurationError: if there is nothing to check.

    Example:
        >>> import relaxit
        >>> from relaxit.testing import check_relaxation
        >>> results = check_relaxation(relaxit.get("binary"))
        >>> {result.outcome for result in results} <= {"pass", "not applicable"}
        True
    """
    return _all_of(cases(relaxation, device))


def check_estimator(
    estimator: Estimator | type[Estimator],
    relaxations: Sequence[Relaxation] | None = None,
    device: torch.device | str = "cpu",
) -> list[Result]:
    """Put an estimator to every check, on each of several relaxations.

    Args:
        estimator: an instance, or a class that needs no options.
        relaxations: what to use it on, small enough to enumerate; as for :func:`cases` if None.
        device: where tensors are made.

    Returns, Raises: as :func:`check_relaxation`.

    Example:
        >>> import relaxit
        >>> from relaxit.testing import check_estimator
        >>> binary = relaxit.get("binary")
        >>> results = check_estimator(relaxit.estimator("straight-through"), [binary])
        >>> results[0].subject
        'StraightThrough() on Binary()'
    """
    return _all_of(cases(estimator, device, relaxations))


def _all_of(given: Iterable[Case]) -> list[Result]:
    found = [result for case in given for result in results(case)]
    failed = [f"{r.subject}: {r.check}: {r.reason}" for r in found if r.outcome == "fail"]
    if failed:
        raise ConformanceError(f"{len(failed)} checks failed: {'; '.join(failed)}")
    return found


def parametrize_with_checks(
    subjects: Sequence[Configured | type[Configured]],
    device: torch.device | str = "cpu",
    relaxations: Sequence[Relaxation] | None = None,
) -> Callable[[Callable[..., Any]], Any]:
    """A pytest decorator: one test for every check of every subject.

    The test takes ``check``, a function without arguments that raises if the law is broken::

        @parametrize_with_checks([Mine(size=3)])
        def test_contract(check):
            check()

    Expected failures end as ``xfail`` with their reasons, or fail if they pass; checks that do not
    apply, because the capability is denied, are skipped with theirs.

    Args:
        subjects: relaxations and estimators, instances or classes.
        device: where tensors are made.
        relaxations: for estimators, what to use them on; as for :func:`cases` if None.

    Raises:
        ConfigurationError: if there is nothing to check.
    """
    import pytest

    given = [case for each in subjects for case in cases(each, device, relaxations)]
    if not given:
        raise ConfigurationError("parametrize_with_checks was given nothing to check")
    params = [
        pytest.param(functools.partial(_in_pytest, check, case), id=f"{case}-{check.name}")
        for case in given
        for check in _applicable(case)
    ]
    return pytest.mark.parametrize("check", params)


def _in_pytest(check: Check, case: Case) -> None:
    """Run a check so that pytest sees its outcome."""
    import pytest

    __tracebackhide__ = True
    result = run(check, case)
    if result.outcome in ("not applicable", "not run"):
        pytest.skip(result.reason)
    if result.outcome == "expected failure":
        pytest.xfail(result.reason)
    if result.outcome == "fail":
        pytest.fail(f"{check.statement} {result.reason}", pytrace=False)
