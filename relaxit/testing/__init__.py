"""The conformance kit: every law that a relaxation or an estimator of any plugin has to keep.

    from relaxit.testing import check_relaxation, parametrize_with_checks

The same checks run from pytest, from Python and as ``relaxit check NAME``. The author of a plugin
gives ``examples()``, options small enough to enumerate, and nothing else.
"""

from __future__ import annotations

from relaxit.testing.api import (
    cases,
    check_estimator,
    check_relaxation,
    checks,
    parametrize_with_checks,
    results,
)
from relaxit.testing.case import Case
from relaxit.testing.check import ALPHA, Check, ConformanceError, Outcome, Result

__all__ = [
    "ALPHA",
    "Case",
    "Check",
    "ConformanceError",
    "Outcome",
    "Result",
    "cases",
    "check_estimator",
    "check_relaxation",
    "checks",
    "parametrize_with_checks",
    "results",
]
