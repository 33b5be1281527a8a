"""The conformance kit: every law that a relaxation or an estimator of any plugin has to keep.

    from relaxit.testing import check_relaxation, parametrize_with_checks

The same checks run from pytest, from Python and as ``relaxit check NAME``. The author of a plugin
gives ``examples()``, options small enough to enumerate, and nothing else.
"""

from __future__ import annotations

from relaxit.testing.check import ALPHA, Check, ConformanceError, Result
from relaxit.testing.faces import (
    cases,
    check_estimator,
    check_relaxation,
    checks,
    parametrize_with_checks,
    results,
)

__all__ = [
    "ALPHA",
    "Check",
    "ConformanceError",
    "Result",
    "cases",
    "check_estimator",
    "check_relaxation",
    "checks",
    "parametrize_with_checks",
    "results",
]
