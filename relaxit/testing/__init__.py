"""The conformance kit: the checks that every relaxation and every estimator has to pass.

    from relaxit.testing import check_relaxation, parametrize_with_checks

The same checks run from pytest, from Python and as ``relaxit check NAME``. The author of a plugin
only provides ``examples()``, instances that are small enough to enumerate.
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
from relaxit.testing.statistics import (
    count_values,
    wrong_distribution,
    wrong_estimate,
    wrong_frequencies,
    wrong_mean,
    wrong_shares,
)

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
    "count_values",
    "parametrize_with_checks",
    "results",
    "wrong_distribution",
    "wrong_estimate",
    "wrong_frequencies",
    "wrong_mean",
    "wrong_shares",
]
