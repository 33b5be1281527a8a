"""Interfaces of the kit: a generator of results, two functions, and a pytest decorator."""

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
from relaxit.testing.estimators import (
    actions,
    bias,
    draws,
    estimates,
    evaluations,
    recomputed,
    returned,
    state,
)
from relaxit.testing.relaxations import (
    argmax,
    capabilities,
    conditional,
    density,
    discrete,
    forward,
    frequencies,
    gradients,
    logits,
    masks,
    precision,
    randomness,
    recorded,
    scores,
    shapes,
    sizes,
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
    sizes,
    values,
    scores,
    argmax,
    randomness,
    discrete,
    frequencies,
    density,
    gradients,
    transforms,
    forward,
    recorded,
    unchanged,
    temperatures,
    precision,
    logits,
    masks,
    conditional,
    estimates,
    returned,
    evaluations,
    draws,
    recomputed,
    bias,
    actions,
    state,
)


@functools.cache
def checks(kind: str = "") -> tuple[Check, ...]:
    """Return all checks, in the order in which they run.

    Args:
        kind: ``"relaxation"`` or ``"estimator"`` for the checks of one kind; all checks if empty.

    Example:
        >>> [check.name for check in checks("relaxation")][:2]
        ['is_registrable', 'options_are_described']
    """
    every = [c for part in _PARTS for c in vars(part).values() if isinstance(c, Check)]
    case_type = {"relaxation": RelaxationCase, "estimator": EstimatorCase}.get(kind)
    return tuple(c for c in every if case_type is None or issubclass(case_type, c.case))


def cases(
    subject: Configured | type[Configured],
    device: torch.device | str = "cpu",
    relaxations: Sequence[Relaxation] | None = None,
) -> list[Case]:
    """Return the inputs of the checks for an object, or for the examples of a class.

    Args:
        subject: a relaxation or an estimator, or the class of one.
        device: device on which tensors are created.
        relaxations: relaxations on which to check an estimator; if None, one example of each
            relaxation that comes with relaxit, and a structure whose params are not logits.
            Relaxations that the estimator does not support are left out.

    Raises:
        ConfigurationError: if there is nothing to check: a class without examples, or an estimator
            that supports none of the relaxations.
    """
    device = torch.device(device)
    if isinstance(subject, type):
        instances: list[Any] = (
            list(subject.examples()) if issubclass(subject, Relaxation) else [subject()]
        )
        if not instances:
            raise ConfigurationError(
                f"{subject.kind} {subject.name!r} has no examples(): check an instance instead"
            )
        strangers = [instance for instance in instances if type(instance) is not subject]
        if strangers:
            raise ConfigurationError(f"{subject.__name__}.examples() returns {strangers[0]!r}")
        return [case for instance in instances for case in cases(instance, device, relaxations)]
    if isinstance(subject, Relaxation):
        return [RelaxationCase(subject, device=device)]
    if not isinstance(subject, Estimator):
        raise TypeError(f"there are no checks for {subject!r}")
    tried = _own_examples() if relaxations is None else relaxations
    accepted = [r for r in tried if _accepts(subject, r)]
    if not accepted:
        raise ConfigurationError(f"{subject!r} supports none of the relaxations to check it on")
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
    """Return the relaxations on which estimators are checked by default.

    They are the last example of each relaxation that comes with relaxit, and a structure with a
    discrete distribution whose params are not logits.
    """
    registry = default_registry()
    classes = [
        cls
        for name, cls in registry.items("relaxation").items()
        if is_own(registry.provider("relaxation", name).distribution)
    ]
    return [*(examples[-1] for cls in classes if (examples := cls.examples())), ThreeNumbers()]


def results(case: Case, only: Collection[str] = ()) -> Iterator[Result]:
    """Run the checks on a case, one after the other, and yield their results.

    Args:
        case: case to check, see :func:`cases`.
        only: names of the checks to run; all if empty.

    Raises:
        ConfigurationError: if ``only`` or the subject's expected failures name an unknown check.
    """
    wanted = _applicable(case)
    unknown = set(only) - {check.name for check in wanted}
    if unknown:
        raise UnknownName("check", min(unknown), [check.name for check in wanted])
    for check in wanted:
        if not only or check.name in only:
            yield run(check, case)


def run(check: Check, case: Case) -> Result:
    """Run one check on a case, unless a check on which it depends fails."""
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
    applicable = [check for check in checks() if isinstance(case, check.case)]
    unknown = set(case.subject.expected_failures) - {check.name for check in checks()}
    if unknown:
        raise ConfigurationError(
            f"{case}: expected_failures names unknown checks: {', '.join(sorted(unknown))}"
        )
    return applicable


def check_relaxation(
    relaxation: Relaxation | type[Relaxation], device: torch.device | str = "cpu"
) -> list[Result]:
    """Run every check on a relaxation, or on all examples of a class.

    Args:
        relaxation: an instance small enough to enumerate, or a class with such examples.
        device: device on which tensors are created.

    Returns:
        The result of each check.

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
    """Run every check on an estimator, with each of several relaxations.

    Args:
        estimator: an instance, or a class that needs no options.
        relaxations: relaxations on which to check it, small enough to enumerate; those of
            :func:`cases` if None.
        device: device on which tensors are created.

    Returns:
        The result of each check on each relaxation.

    Raises:
        ConformanceError: naming every check that failed, with what it found.
        ConfigurationError: if there is nothing to check.

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
    outcomes = [result for case in given for result in results(case)]
    failed = [f"{r.subject}: {r.check}: {r.reason}" for r in outcomes if r.outcome == "fail"]
    if failed:
        number = f"{len(failed)} check{'s' if len(failed) > 1 else ''}"
        raise ConformanceError(f"{number} failed: {'; '.join(failed)}")
    return outcomes


def parametrize_with_checks(
    subjects: Sequence[Configured | type[Configured]],
    device: torch.device | str = "cpu",
    relaxations: Sequence[Relaxation] | None = None,
) -> Callable[[Callable[..., Any]], Any]:
    """Return a pytest decorator that makes one test per check and subject.

    The test takes ``check``, a function without arguments that raises if the check fails::

        @parametrize_with_checks([Mine(size=3)])
        def test_contract(check):
            check()

    Expected failures end as ``xfail`` with their reasons, or fail if they pass. Checks that do not
    apply, for example because a capability is denied, are skipped with the reason.

    Args:
        subjects: relaxations and estimators, instances or classes.
        device: device on which tensors are created.
        relaxations: relaxations on which to check estimators; those of :func:`cases` if None.

    Raises:
        ConfigurationError: if there is nothing to check.
    """
    import pytest

    all_cases = [case for subject in subjects for case in cases(subject, device, relaxations)]
    if not all_cases:
        raise ConfigurationError("parametrize_with_checks got no subjects to check")
    params = [
        pytest.param(functools.partial(_in_pytest, check, case), id=f"{case}-{check.name}")
        for case in all_cases
        for check in _applicable(case)
    ]
    return pytest.mark.parametrize("check", params)


def _in_pytest(check: Check, case: Case) -> None:
    """Run a check and report its outcome to pytest."""
    import pytest

    __tracebackhide__ = True
    result = run(check, case)
    if result.outcome in ("not applicable", "not run"):
        pytest.skip(result.reason)
    if result.outcome == "expected failure":
        pytest.xfail(result.reason)
    if result.outcome == "fail":
        pytest.fail(f"{check.statement} {result.reason}", pytrace=False)
